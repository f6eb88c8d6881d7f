import type { IncomingHttpHeaders } from 'node:http';

/** What a file is served as. */
export interface Version {
  readonly size: number;
  readonly etag: string | undefined;
  /** As an HTTP date. */
  readonly lastModified: string | undefined;
}

/** Which bytes a request gets: `start` inclusive, `end` exclusive. */
export type Selection =
  | { readonly kind: 'whole' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  | { readonly kind: 'unsatisfiable' };

/** RFC 9110 §14.2 (Range) and §13.1.5 (If-Range). Several ranges, or a unit other than bytes, get the whole file. */
export function select(headers: IncomingHttpHeaders, version: Version): Selection {
  const { range } = headers;
  const ifRange = headers['if-range']?.toString();
  if (range === undefined || (ifRange !== undefined && !isCurrent(ifRange, version))) return { kind: 'whole' };
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/i.exec(range) ?? [];
  if (first === '' && last === '') return { kind: 'whole' };
  if (first !== '' && last !== '' && Number(last) < Number(first)) return { kind: 'whole' };
  const start = first === '' ? Math.max(0, version.size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? version.size : Math.min(version.size, Number(last) + 1);
  return start < end ? { kind: 'part', start, end } : { kind: 'unsatisfiable' };
}

/** Strong comparison: a weak tag never matches (§8.8.3.2). */
function isCurrent(ifRange: string, { etag, lastModified }: Version): boolean {
  return ifRange.startsWith('W/') ? false : ifRange === etag || ifRange === lastModified;
}
