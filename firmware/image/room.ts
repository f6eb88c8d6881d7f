import type { Outcome } from '../outcome/index.js';
import type { BlobStore, NoRoom, PartialId } from './blobs.js';
import type { Catalog } from './catalog.js';
import type { ImageRecord } from './image.js';

/** Says which images must not be evicted now, for example because a running fanout will have them fetched. */
export interface PinSource {
  needs(imageId: string): boolean;
}

/**
 * Promises room for a partial file, evicting for it if need be: least recently served first; never an image that is
 * pinned, being read, or needed. Nothing is evicted when that would not be enough.
 */
export async function makeRoom(
  id: PartialId,
  bytes: number,
  parts: {
    readonly catalog: Catalog;
    readonly blobs: BlobStore;
    readonly pins: PinSource;
    /** Removes a blob that nobody uses any more. */
    readonly release: (sha256: string) => Promise<void>;
  },
): Promise<Outcome<undefined, NoRoom>> {
  const { catalog, blobs, pins, release } = parts;
  const reserved = await blobs.reserve(id, bytes);
  if (reserved.ok) return reserved;
  const victims: ImageRecord[] = [];
  let freed = 0;
  for (const holders of evictable(catalog, blobs, pins)) {
    if (freed >= reserved.error.missingBytes) break;
    victims.push(...holders);
    freed += holders[0]?.size ?? 0;
  }
  if (freed < reserved.error.missingBytes) return reserved;
  for (const victim of victims) catalog.evict(victim.id);
  for (const { blob } of victims) if (blob !== null) await release(blob);
  return blobs.reserve(id, bytes);
}

/** The blobs that may go, each with all the images that hold it, least recently served first. */
function evictable(catalog: Catalog, blobs: BlobStore, pins: PinSource): ImageRecord[][] {
  const byBlob = new Map<string, ImageRecord[]>();
  for (const image of catalog.all()) {
    if (image.blob !== null) byBlob.set(image.blob, [...(byBlob.get(image.blob) ?? []), image]);
  }
  const lastUse = (holders: readonly ImageRecord[]): number =>
    Math.max(...holders.map((image) => image.servedMs ?? image.availableMs ?? 0));
  return [...byBlob]
    .filter(([sha256, holders]) => {
      const needed = holders.some((image) => image.leaves.pinned === true || pins.needs(image.imageId));
      return !needed && !blobs.isRead(sha256) && !blobs.isHeld(sha256);
    })
    .map(([, holders]) => holders)
    .sort((a, b) => lastUse(a) - lastUse(b));
}
