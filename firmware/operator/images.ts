import { mirrorsOf, type ImageLeaf, type ImageRecord, type ScrubProgress } from '../image/index.js';
import { redactUrl } from '../net/index.js';
import type { Answer, ImageDetail, OperationPorts, RequestOf, StreamPorts, Verification } from '../ops/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { pageOf } from './page.js';
import { NOBODY, type OperatorParts } from './parts.js';
import { imageReport } from './report.js';

/** What is done with images at the gateway: through the catalog, by the rules that hold for DM Servers. */
export function imageOperations(
  parts: OperatorParts,
): Pick<OperationPorts, Extract<keyof OperationPorts, `images/${string}`>> {
  const { catalog, store, tree, names } = parts;
  return {
    'images/list': ({ after, limit }) => {
      const nodes = catalog.nodes(after, limit + 1);
      const images = nodes.flatMap((node) => catalog.byNode(node) ?? []);
      return success(
        pageOf(
          images,
          limit,
          (image) => image.node,
          (image) => imageReport(parts, image),
        ),
      );
    },
    'images/show': ({ id }) => find(parts, id, (image) => success(detail(parts, image))),
    'images/add': ({ id, uri, ...leaves }) => {
      const added = store.tentative(() => {
        const made = create(parts, id, leaves);
        return made.ok ? catalog.setLeaf(made.value.id, 'imageUri', uri, NOBODY) : made;
      });
      return durably(parts, added);
    },
    'images/fetch': ({ id, uri }) =>
      find(parts, id, (image) => {
        const { requester } = image;
        const asked = store.tentative<Outcome<unknown, CodedError>>(() => {
          const moved = uri === undefined ? success() : catalog.setLeaf(image.id, 'imageUri', uri, requester);
          // Whoever asked for the image hears of the end, as of any other.
          return moved.ok ? catalog.request(image.id, requester) : moved;
        });
        return durably(parts, asked.ok ? success(image) : asked);
      }),
    'images/pin': ({ id, pinned }) =>
      find(parts, id, (image) => {
        if ((image.leaves.pinned ?? false) === pinned) return success(detail(parts, image));
        return durably(parts, catalog.setLeaf(image.id, 'pinned', pinned, image.requester));
      }),
    'images/remove': ({ id }) =>
      find(parts, id, async (image) => {
        store.transaction(() => {
          tree.forgetNode([...names.place('ImageInventory'), image.node]);
          catalog.withdraw(image.id);
        });
        await store.durable();
        return success({ done: true });
      }),
  };
}

/** Takes an image octet by octet, as one that a DM Server sends: hashed and flushed on the way, in the store at its end. */
export async function addContent(
  parts: OperatorParts,
  { id, bytes, ...leaves }: RequestOf<'images/content'>,
  octets: AsyncIterable<Uint8Array>,
): Promise<Outcome<ImageDetail, CodedError>> {
  const { store, uploads } = parts;
  const known = imageOf(parts, id);
  if (known && known.requester !== NOBODY) return failure('exists', `a DM Server has an image '${id}'`);
  const begun = uploads.begin(known?.id ?? 'new', { bytes });
  if (!begun.ok) return begun;
  const upload = begun.value;
  try {
    for await (const piece of octets) {
      const written = await upload.write(piece);
      if (!written.ok) return written;
    }
    const ended = await upload.end();
    if (!ended.ok) return ended;
    const taken = store.tentative(() => {
      const image = known ? setLeaves(parts, known, leaves) : create(parts, id, leaves);
      return image.ok ? upload.commit(NOBODY, image.value.id) : image;
    });
    return await durably(parts, taken);
  } finally {
    await upload.discard();
  }
}

/** Reads a stored image again; what is found has the consequences that it has when the gateway finds it by itself. */
export function verifyImage(parts: OperatorParts): StreamPorts['images/verify'] {
  return ({ id }, signal) =>
    find(parts, id, ({ blob, size }) => {
      if (blob === null) return failure('not-stored', `the image '${id}' is not stored`);
      return success(told(parts.scrub.verify(blob, signal), size ?? 0));
    });
}

async function* told(
  progress: AsyncIterable<ScrubProgress>,
  sizeBytes: number,
): AsyncGenerator<Verification, void, undefined> {
  for await (const { checkedBytes, found } of progress) yield { checkedBytes, sizeBytes, found };
}

type Leaves = Partial<Omit<RequestOf<'images/add'>, 'id' | 'uri'>>;

function create(parts: OperatorParts, id: string, leaves: Leaves): Outcome<ImageRecord, CodedError> {
  const created = parts.catalog.create(id, NOBODY);
  return created.ok ? setLeaves(parts, created.value, leaves) : created;
}

function setLeaves({ catalog }: OperatorParts, image: ImageRecord, leaves: Leaves): Outcome<ImageRecord, CodedError> {
  let changed: Outcome<ImageRecord, CodedError> = success(image);
  for (const [leaf, value] of Object.entries(leaves)) {
    changed = catalog.setLeaf(image.id, leaf as ImageLeaf, value, NOBODY);
    if (!changed.ok) return changed;
  }
  return changed;
}

/** By its ImageID, or by the name of its node. */
function imageOf({ catalog }: OperatorParts, id: string): ImageRecord | undefined {
  return catalog.byImageId(id) ?? catalog.byNode(id);
}

function find<T>(parts: OperatorParts, id: string, use: (image: ImageRecord) => Answer<T>): Answer<T> {
  const image = imageOf(parts, id);
  return image ? use(image) : failure('not-found', `there is no image '${id}'`);
}

/** What is answered survives a power cut. */
async function durably(
  parts: OperatorParts,
  outcome: Outcome<ImageRecord, CodedError>,
): Promise<Outcome<ImageDetail, CodedError>> {
  if (!outcome.ok) return outcome;
  await parts.store.durable();
  const image = parts.catalog.byId(outcome.value.id);
  return image ? success(detail(parts, image)) : failure('not-found', 'the image was removed meanwhile');
}

function detail(parts: OperatorParts, image: ImageRecord): ImageDetail {
  const { leaves } = image;
  return {
    ...imageReport(parts, image),
    node: image.node,
    name: leaves.name ?? '',
    version: leaves.version ?? '',
    description: leaves.description ?? '',
    imageURIs: mirrorsOf(leaves.imageUri ?? '').map(redactUrl),
    digest: leaves.digest ?? '',
    signed: leaves.signature !== null,
    sha256: image.blob,
    contentType: image.contentType,
    priority: leaves.priority ?? 0,
    pinned: leaves.pinned ?? false,
    requester: image.requester,
    availableAt: isoTime(image.availableMs),
    servedAt: isoTime(image.servedMs),
    wanBytes: image.wanBytes,
  };
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
