import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { BlobStore } from './blobs.js';
import type { StoredContent } from './catalog.js';
import type { LostImage } from './sidecar.js';

/** What the store still knows when the database is gone. */
export interface FoundImages {
  /** For `Catalog.restore`: of two that claim the same node the newer one comes first. */
  readonly images: readonly { readonly lost: LostImage; readonly content: StoredContent }[];
  /** Blobs whose content is not what their name says. */
  readonly rotten: number;
  /** Blobs of which nobody can tell whose they were. */
  readonly unknown: number;
}

const READ_BYTES = 256 * 1024;

/**
 * Looks for images among the blobs and their sidecars. Every blob is read: where a database was damaged, they may be too.
 * Rotten ones are taken out of use; the rest is left to the caller.
 * @param wanted says which images are looked for; a blob without any of them is not read
 * @throws the system's error when the folder cannot be read
 */
export async function findImages(
  blobs: BlobStore,
  log: Logger,
  wanted: (image: LostImage) => boolean = () => true,
): Promise<FoundImages> {
  const images: FoundImages['images'][number][] = [];
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  let rotten = 0;
  let unknown = 0;
  for (const { sha256, size, sidecar } of await blobs.found()) {
    if (!sidecar || sidecar.images.length === 0) {
      unknown += 1;
      continue;
    }
    const looked = sidecar.images.filter(wanted);
    if (looked.length === 0) continue;
    log.info('looking at a blob that was left', { sha256, size });
    if ((await readDigest(blobs, sha256, buffer, log)) !== sha256) {
      rotten += 1;
      await blobs.setRotten(sha256);
      continue;
    }
    const content = { sha256, size, contentType: sidecar.contentType };
    images.push(...looked.map((lost) => ({ lost, content })));
  }
  images.sort((a, b) => b.lost.generation - a.lost.generation);
  return { images, rotten, unknown };
}

/** A blob that cannot be read is as good as rotten. */
async function readDigest(blobs: BlobStore, sha256: string, buffer: Buffer, log: Logger): Promise<string | undefined> {
  try {
    return await blobs.digestOf(sha256, buffer);
  } catch (thrown) {
    log.error('cannot read a blob', { sha256, reason: describeThrown(thrown) });
    return undefined;
  }
}
