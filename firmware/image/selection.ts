import { parseHttpDate } from './httpdate.js';
import { parseRanges, type Span } from './ranges.js';

/** What is served, as far as conditions and ranges ask. */
export interface Representation {
  /** Strong entity tag, with its quotes. */
  readonly etag: string;
  /** The Last-Modified that is sent with it, in ms (whole seconds); undefined when none is sent. */
  readonly lastModifiedMs: number | undefined;
  /** Bytes. */
  readonly size: number;
}

export type Selection =
  { readonly status: 200 | 206; readonly spans: readonly Span[] } | { readonly status: 304 | 412 | 416 };

/**
 * Evaluates conditions and Range of a GET or HEAD, in the order of RFC 9110 §13.2.2. Range is defined for GET only
 * (§14.2); a Range that is to be ignored leaves the whole representation.
 * @param fields of the request, by lower-case name
 */
export function select(method: 'GET' | 'HEAD', fields: ReadonlyMap<string, string>, what: Representation): Selection {
  const ifMatch = fields.get('if-match');
  if (ifMatch !== undefined) {
    if (!listsTag(ifMatch, what.etag, 'strong')) return { status: 412 };
  } else if (isAfter(what.lastModifiedMs, fields.get('if-unmodified-since'))) return { status: 412 };

  const ifNoneMatch = fields.get('if-none-match');
  if (ifNoneMatch !== undefined) {
    if (listsTag(ifNoneMatch, what.etag, 'weak')) return { status: 304 };
  } else if (isNotAfter(what.lastModifiedMs, fields.get('if-modified-since'))) return { status: 304 };

  const whole: Selection = { status: 200, spans: [{ start: 0, length: what.size }] };
  const range = fields.get('range');
  if (method !== 'GET' || range === undefined) return whole;
  if (!mayRange(fields.get('if-range'), what)) return whole;
  const ranges = parseRanges(range, what.size);
  if (ranges === 'ignored') return whole;
  return ranges === 'unsatisfiable' ? { status: 416 } : { status: 206, spans: ranges };
}

/** RFC 9110 §13.1.5: a weak tag never matches; a date must be exactly the Last-Modified that we send. */
function mayRange(ifRange: string | undefined, what: Representation): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('"') || ifRange.startsWith('W/')) return ifRange === what.etag;
  return what.lastModifiedMs !== undefined && parseHttpDate(ifRange) === what.lastModifiedMs;
}

/** RFC 9110 §8.8.3.2: strong comparison needs two strong tags, weak comparison looks at the opaque part only. */
function listsTag(list: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (list === '*') return true;
  const tags = list.match(/(?:W\/)?"[^"]*"/g) ?? [];
  return tags.some((tag) => tag === etag || (comparison === 'weak' && tag === `W/${etag}`));
}

/** What is not a date is no condition (RFC 9110 §13.1.3, §13.1.4). */
function isAfter(lastModifiedMs: number | undefined, date: string | undefined): boolean {
  const atMs = date === undefined ? undefined : parseHttpDate(date);
  return lastModifiedMs !== undefined && atMs !== undefined && lastModifiedMs > atMs;
}

function isNotAfter(lastModifiedMs: number | undefined, date: string | undefined): boolean {
  const atMs = date === undefined ? undefined : parseHttpDate(date);
  return lastModifiedMs !== undefined && atMs !== undefined && lastModifiedMs <= atMs;
}
