import type { IncomingHttpHeaders } from 'node:http';

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
  | { readonly status: 200; readonly start: 0; readonly length: number }
  | { readonly status: 206; readonly start: number; readonly length: number }
  | { readonly status: 304 | 412 | 416 };

/**
 * Evaluates conditions and Range of a GET or HEAD, in the order of RFC 9110 §13.2.2. A range that cannot be parsed, of
 * another unit, or several at once: the whole representation, as §14.2 allows. Range is defined for GET only.
 */
export function select(method: 'GET' | 'HEAD', headers: IncomingHttpHeaders, what: Representation): Selection {
  const ifMatch = headers['if-match'];
  if (ifMatch !== undefined) {
    if (!listsTag(ifMatch, what.etag, 'strong')) return { status: 412 };
  } else if (isAfter(what.lastModifiedMs, headers['if-unmodified-since'])) return { status: 412 };

  const ifNoneMatch = headers['if-none-match'];
  if (ifNoneMatch !== undefined) {
    if (listsTag(ifNoneMatch, what.etag, 'weak')) return { status: 304 };
  } else if (isNotAfter(what.lastModifiedMs, headers['if-modified-since'])) return { status: 304 };

  const whole: Selection = { status: 200, start: 0, length: what.size };
  if (method !== 'GET' || headers.range === undefined) return whole;
  if (!mayRange(headers['if-range'], what)) return whole;
  const range = parseRange(headers.range, what.size);
  if (range === 'ignored') return whole;
  return range === 'unsatisfiable' ? { status: 416 } : { status: 206, ...range };
}

/** RFC 9110 §13.1.5: a weak tag never matches; a date must be exactly the Last-Modified that we send. */
function mayRange(ifRange: string | string[] | undefined, what: Representation): boolean {
  if (ifRange === undefined) return true;
  if (typeof ifRange !== 'string') return false;
  const condition = ifRange.trim();
  if (condition.startsWith('"') || condition.startsWith('W/')) return condition === what.etag;
  return what.lastModifiedMs !== undefined && Date.parse(condition) === what.lastModifiedMs;
}

/**
 * One byte range of RFC 9110 §14.1.2: `first-last`, `first-` or `-suffix`.
 * @returns `ignored` for everything else, `unsatisfiable` when it selects nothing
 */
export function parseRange(
  text: string,
  size: number,
): { start: number; length: number } | 'ignored' | 'unsatisfiable' {
  const match = /^bytes=[ \t,]*(\d*)-(\d*)[ \t,]*$/i.exec(text);
  if (!match) return 'ignored';
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return 'ignored';
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, length };
  }
  const start = Number(first);
  const end = last === '' ? Infinity : Number(last);
  if (end < start) return 'ignored';
  if (start >= size) return 'unsatisfiable';
  return { start, length: Math.min(end, size - 1) - start + 1 };
}

/** RFC 9110 §8.8.3.2: strong comparison needs two strong tags, weak comparison looks at the opaque part only. */
function listsTag(list: string, etag: string, comparison: 'strong' | 'weak'): boolean {
  if (list.trim() === '*') return true;
  const tags = list.match(/(?:W\/)?"[^"]*"/g) ?? [];
  return tags.some((tag) => tag === etag || (comparison === 'weak' && tag === `W/${etag}`));
}

/** An unparsable date is no condition (RFC 9110 §13.1.3, §13.1.4). */
function isAfter(lastModifiedMs: number | undefined, date: string | undefined): boolean {
  return lastModifiedMs !== undefined && date !== undefined && lastModifiedMs > Date.parse(date);
}

function isNotAfter(lastModifiedMs: number | undefined, date: string | undefined): boolean {
  return lastModifiedMs !== undefined && date !== undefined && lastModifiedMs <= Date.parse(date);
}
