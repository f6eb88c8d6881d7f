import { join } from 'node:path';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { BlobStore, PartialId } from './blobs.js';
import { Digest } from './digest.js';
import { digestHex, NO_LEAVES, type ImageLeaf, type ImageLeaves } from './image.js';
import { checkLeaf, isImageId, type LeafValue } from './leaves.js';
import { sidecarFor } from './sidecar.js';

export type SeedErrorCode = 'bad-value' | 'exists' | 'digest-mismatch' | 'no-room' | 'disk';

/** An image to be put into a store while no gateway uses it. */
export interface Seed {
  /** ImageID, and the name of its node. */
  readonly id: string;
  readonly leaves: Partial<ImageLeaves>;
  readonly bytes: number;
  readonly octets: AsyncIterable<Uint8Array>;
}

const FILE: PartialId = 'data-1';

/** In a storeDir: images of nobody's have been put into it, for the next start to look for. */
const SEED_MARK = 'seeded';

/** Whether images were put into a store since the gateway last looked. @throws the system's error */
export function hasSeeds({ disk, folder }: BlobStore): boolean {
  return disk.sizeNow(join(folder, SEED_MARK)) !== undefined;
}

/** They are in the database now, and durable there. @throws the system's error */
export async function forgetSeeds({ disk, folder }: BlobStore): Promise<void> {
  await disk.remove(join(folder, SEED_MARK));
}

/**
 * Puts an image into a store that no gateway uses, as in a factory image: the blob under its name, with a sidecar from which
 * the next start of the gateway takes it, as an image of nobody's. Durable when this resolves; what is cut off leaves a
 * partial file that the gateway removes. A Signature is checked by the gateway.
 */
export async function seedImage(
  blobs: BlobStore,
  { id, leaves, bytes, octets }: Seed,
): Promise<Outcome<{ readonly sha256: string; readonly size: number }, CodedError<SeedErrorCode>>> {
  if (!isImageId(id)) return failure('bad-value', 'an ImageID has 1 to 64 letters, digits, ".", "_" or "-"');
  for (const [leaf, value] of Object.entries(leaves) as [ImageLeaf, LeafValue | null][]) {
    const checked = value === null ? success() : checkLeaf(leaf, value);
    if (!checked.ok) return checked;
  }
  try {
    const found = await blobs.found();
    if (found.some(({ sidecar }) => sidecar?.images.some(({ node }) => node === id) === true)) {
      return failure('exists', `the store has an image '${id}'`);
    }
    await blobs.start({ blob: () => true, partial: () => true });
    // A promise of room ends with its file, so the file is begun first.
    await blobs.dropPartial(FILE);
    const room = await blobs.reserve(FILE, bytes);
    if (!room.ok) return room;
    const sha256 = await receive(blobs, octets);
    if (typeof leaves.digest === 'string' && digestHex(leaves.digest) !== sha256) {
      await blobs.dropPartial(FILE);
      return failure('digest-mismatch', 'the content does not have the expected SHA-256');
    }
    const size = (await blobs.partialSize(FILE)) ?? 0;
    const others = found.find((blob) => blob.sha256 === sha256)?.sidecar?.images ?? [];
    const image = {
      node: id,
      leaves: { ...NO_LEAVES, ...leaves },
      requester: '',
      availableMs: null,
      generation: 0,
      source: null,
    };
    const sidecar = sidecarFor({ size, contentType: null }, [...others, image]);
    const mark = await blobs.disk.open(join(blobs.folder, SEED_MARK), 'replace');
    await blobs.disk.close(mark);
    await blobs.disk.flushFolder(blobs.folder);
    await blobs.adopt(FILE, sha256, sidecar, () => undefined);
    await blobs.describe(sha256, sidecar);
    await blobs.dropPartial(FILE);
    return success({ sha256, size });
  } catch (thrown) {
    return failure('disk', describeThrown(thrown), thrown);
  }
}

/** @returns the SHA-256 of what is in the file now, flushed */
async function receive(blobs: BlobStore, octets: AsyncIterable<Uint8Array>): Promise<string> {
  const { disk } = blobs;
  const fd = await blobs.openPartial(FILE);
  try {
    const digest = new Digest();
    let position = 0;
    for await (const piece of octets) {
      await digest.add(piece, disk.write(fd, piece, position));
      position += piece.byteLength;
    }
    await disk.flush(fd);
    return digest.sha256();
  } finally {
    await disk.close(fd);
  }
}
