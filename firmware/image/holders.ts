import type { Store } from '../store/index.js';
import type { BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import { sidecarOf } from './sidecar.js';

interface Parts {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
}

/**
 * Removes a blob that has been given up, if nobody else uses it. The row that gave it up is made durable first: after
 * a power cut it would name a blob that is gone.
 */
export async function releaseBlob(parts: Parts, sha256: string): Promise<void> {
  const { store, catalog, blobs } = parts;
  await store.durable();
  await blobs.forget(sha256, () => catalog.table.byBlob(sha256) !== undefined);
  await describeBlob(parts, sha256);
}

/** Keeps the sidecar true after the images that use a blob have changed. */
export async function describeBlob({ catalog, blobs }: Parts, sha256: string): Promise<void> {
  const holders = catalog.table.holders(sha256);
  const [first] = holders;
  if (first?.size == null) return;
  await blobs.describe(sha256, sidecarOf({ size: first.size, contentType: first.contentType }, holders));
}
