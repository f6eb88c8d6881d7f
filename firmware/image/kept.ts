import type { ImageRecord } from './image.js';
import { mirrorsOf } from './leaves.js';
import { sameSource } from './resume.js';

/** The record without partial bytes. */
export function forgetBytes(record: ImageRecord): ImageRecord {
  const retrieval = { ...record.retrieval, source: null, validator: null, unguarded: false };
  return { ...record, received: 0, size: null, retrieval };
}

/**
 * The partial bytes that a new retrieval may go on from: all, where a Digest will tell whether they belong; else those
 * of the same host and path, which their validator guards. Complete content is not partial: it stays with its readers.
 */
export function keepBytes(record: ImageRecord): ImageRecord {
  const { source, validator } = record.retrieval;
  if (record.blob !== null || record.received === 0 || source === null) return forgetBytes(record);
  if (record.leaves.digest !== null) return record;
  const guarded = validator !== null && mirrorsOf(record.leaves.imageUri ?? '').some((url) => sameSource(url, source));
  return guarded ? record : forgetBytes(record);
}
