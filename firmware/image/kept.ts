import { digestHex, type ImageRecord } from './image.js';
import { mirrorsOf } from './leaves.js';
import { guardBetween, sameSource } from './resume.js';

/** The record without partial bytes. */
export function forgetBytes(record: ImageRecord): ImageRecord {
  const nothing = { source: null, validator: null, unguarded: false, digest: null, descriptor: null } as const;
  return { ...record, received: 0, size: null, retrieval: { ...record.retrieval, ...nothing } };
}

/** True when the bytes that are there came in under the Digest that is asked for now. */
export function cameForDigest({ leaves, retrieval }: ImageRecord): boolean {
  return leaves.digest !== null && retrieval.digest === digestHex(leaves.digest);
}

/**
 * The partial bytes that a new retrieval may go on from, wherever it leads: those that came in for the same Digest, which
 * will tell whether they belong; else those whose validator speaks for one of the URLs, or, where a download descriptor
 * named their source, for what that descriptor may name now. Complete content is not partial: it stays with its readers.
 */
export function keepBytes(record: ImageRecord): ImageRecord {
  const { source, validator, descriptor } = record.retrieval;
  if (record.blob !== null || record.received === 0 || source === null) return forgetBytes(record);
  if (cameForDigest(record)) return record;
  const guarded = mirrorsOf(record.leaves.imageUri ?? '').some(
    (url) =>
      guardBetween(source, url, validator) !== undefined ||
      (validator !== null && descriptor !== null && sameSource(descriptor, url)),
  );
  return guarded ? record : forgetBytes(record);
}
