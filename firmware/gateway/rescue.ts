import type { Outbox } from '../dm/index.js';
import {
  findImages,
  forgetSeeds,
  hasSeeds,
  type BlobStore,
  type Catalog,
  type FoundImages,
  type LostImage,
} from '../image/index.js';
import type { Logger } from '../log/index.js';
import { tellDamage, type Names } from '../mo/index.js';
import type { Fresh, Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';

export interface RescueParts {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly tree: Pick<Tree, 'giveTo'>;
  readonly accounts: {
    list(): readonly { readonly serverId: string }[];
    byServerId(serverId: string): object | undefined;
  };
  readonly outbox: Pick<Outbox, 'put'>;
  readonly names: Names;
  readonly log: Logger;
}

/**
 * Puts back into an empty database what the store of images still knows, and tells every DM Server what is lost. Accounts
 * have come from the configuration by now; nonces are agreed on anew in the first sessions. Before the downloader starts:
 * it removes what no image wants. Cut off, it begins anew at the next start.
 * @throws StoreError, or the system's error when the folder of the blobs cannot be read
 */
export async function rescue(fresh: Fresh, parts: RescueParts): Promise<void> {
  const { store, outbox, accounts, names, blobs, log } = parts;
  const found = await findImages(blobs, log);
  store.transaction(() => {
    const recovered = found.images.filter((image) => putBack(image, parts)).length;
    const lost = found.images.length - recovered + found.rotten + found.unknown;
    // A store that came with images of nobody's, as in a factory image, has lost nothing.
    const isSeed =
      fresh.damage === undefined && lost === 0 && found.images.every((image) => image.lost.requester === '');
    if (isSeed) return;
    log.warn('the database is a new one, with the images that were found', { recovered, lost });
    const serverIds = accounts.list().map(({ serverId }) => serverId);
    tellDamage(names, outbox, serverIds, { recovered, lost });
  });
  await store.durable();
  await forgetSeeds(blobs);
  fresh.settled();
}

/**
 * Takes the images that were put into the store while the gateway did not run, where its database is there. One whose
 * node is in use by now stays as it is. Before the downloader starts, as `rescue`; cut off, it begins anew.
 * @throws as `rescue`
 */
export async function takeSeeds(parts: RescueParts): Promise<void> {
  const { store, blobs, catalog, log } = parts;
  if (!hasSeeds(blobs)) return;
  const isNew = (lost: LostImage): boolean => cameWithStore(lost) && catalog.byNode(lost.node) === undefined;
  const { images, unknown } = await findImages(blobs, log, isNew);
  const taken = store.transaction(() => images.filter((image) => putBack(image, parts)).length);
  log.info('took the images that were put into the store', { images: taken });
  await store.durable();
  // As those that belong to another user: to be seen, and looked at once more.
  if (unknown > 0) log.warn('files in the store of which nobody can tell whose they are', { files: unknown });
  else await forgetSeeds(blobs);
}

/** One of nobody's that no gateway has stored. */
function cameWithStore({ requester, availableMs }: LostImage): boolean {
  return requester === '' && availableMs === null;
}

function putBack(
  { lost, content }: FoundImages['images'][number],
  { catalog, tree, accounts, names, log }: RescueParts,
): boolean {
  const how = cameWithStore(lost) ? 'put into the store' : undefined;
  const restored = catalog.restore(lost, content, how);
  if (!restored.ok) {
    log.warn('an image cannot be recovered', { image: lost.node, reason: restored.error.text });
    return false;
  }
  if (accounts.byServerId(lost.requester)) tree.giveTo([...names.place('ImageInventory'), lost.node], lost.requester);
  return true;
}
