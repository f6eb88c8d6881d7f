import type { Outcome } from '../outcome/index.js';
import type { BlobStore, NoRoom, PartialId } from './blobs.js';
import type { Catalog } from './catalog.js';
import { fault, type Fault } from './fault.js';
import type { ImageRecord } from './image.js';

/** Says which images must not be evicted now, for example because a running fanout will have them fetched. */
export interface PinSource {
  needs(imageId: string): boolean;
}

interface Parts {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly pins: PinSource;
  /** Removes a blob that nobody uses any more. */
  readonly release: (sha256: string) => Promise<void>;
}

/** Something that may go: how much room that makes, and how it goes. */
interface Candidate {
  readonly bytes: number;
  /** @returns whether it has gone: somebody may have come for it while another one went, which takes its time on slow flash */
  readonly go: () => Promise<boolean>;
}

/**
 * Promises room for a partial file, evicting for it if need be. First go the bytes that failed retrievals left; then
 * images, least recently used first (used: served, or come in), never one that is pinned, being read, or needed; last
 * the bytes of retrievals that wait for a new URL. Nothing goes when all of it would not be enough.
 */
export function makeRoom(id: PartialId, bytes: number, parts: Parts): Promise<Outcome<undefined, NoRoom>> {
  return parts.blobs.reserve(id, bytes, async (missingBytes) => {
    // What is rotten takes room on the disk, though none of the quota.
    return (await parts.blobs.dropRotten()) || evict(missingBytes, parts);
  });
}

/** @returns false: all of it would not be enough, nothing has gone */
async function evict(missingBytes: number, parts: Parts): Promise<boolean> {
  const chosen: Candidate[] = [];
  let freed = 0;
  for (const candidate of candidates(parts)) {
    if (freed >= missingBytes) break;
    chosen.push(candidate);
    freed += candidate.bytes;
  }
  if (freed < missingBytes) return false;
  let missing = missingBytes;
  for (const { bytes, go } of chosen) if (await go()) missing -= bytes;
  // Others go in the place of those that somebody has come for. Each time something has gone: this ends.
  if (missing > 0 && missing < missingBytes) await evict(missing, parts);
  return true;
}

/** As `makeRoom`, for a retrieval. @returns the fault that it ends with when there is no room */
export async function noRoom(id: PartialId, bytes: number, parts: Parts): Promise<Fault | undefined> {
  const room = await makeRoom(id, bytes, parts);
  return room.ok ? undefined : fault('no-room', 'fail', room.error.text);
}

function candidates(parts: Parts): Candidate[] {
  const images = parts.catalog.all();
  return [...leftBytes(images, 'failed', parts), ...evictable(images, parts), ...leftBytes(images, 'needs-uri', parts)];
}

/** Partial bytes that wait for another request. */
function leftBytes(
  images: readonly ImageRecord[],
  state: 'failed' | 'needs-uri',
  { catalog, blobs }: Parts,
): Candidate[] {
  return images
    .filter((image) => image.state === state && image.blob === null && image.received > 0)
    .map(({ id, received }) => ({
      bytes: received,
      go: async () => {
        catalog.dropPartial(id);
        // Its retrieval may have begun again.
        if (catalog.byId(id)?.state !== state) return false;
        await blobs.dropPartial(id);
        return true;
      },
    }));
}

/** The blobs that may go, each with all the images that hold it. */
function evictable(images: readonly ImageRecord[], { catalog, blobs, pins, release }: Parts): Candidate[] {
  const byBlob = new Map<string, ImageRecord[]>();
  for (const image of images) {
    if (image.blob !== null) byBlob.set(image.blob, [...(byBlob.get(image.blob) ?? []), image]);
  }
  const moments = catalog.table.lastMoments();
  const lastUse = (holders: readonly ImageRecord[]): number =>
    Math.max(...holders.map(({ id }) => moments.get(id) ?? 0));
  const { table } = catalog;
  const isSpared = (sha256: string): boolean =>
    blobs.isRead(sha256) ||
    blobs.isHeld(sha256) ||
    table.holders(sha256).some(({ leaves, imageId }) => leaves.pinned === true || pins.needs(imageId));
  return [...byBlob]
    .filter(([sha256]) => !isSpared(sha256))
    .sort(([, a], [, b]) => lastUse(a) - lastUse(b))
    .map(([sha256, holders]) => ({
      bytes: holders[0]?.size ?? 0,
      go: async () => {
        if (isSpared(sha256)) return false;
        for (const { id } of table.holders(sha256)) catalog.evict(id);
        await release(sha256);
        return !blobs.has(sha256);
      },
    }));
}
