/** Contiguous bytes of a representation. */
export interface Span {
  /** Offset of the first byte, from 0. */
  readonly start: number;
  /** At least 1, but for the whole of an empty representation. */
  readonly length: number;
}

/** Parts of one multipart answer; delta updaters ask for up to 150 ranges at a time. */
export const MAX_PARTS = 256;
/** So many ranges of a request may run into others: beyond it is no client that knows what it wants. */
export const MAX_OVERLAPS = 16;

/**
 * The ranges of a Range field (RFC 9110 §14.1.2, §14.2), in the order in which they were asked for. Those that overlap
 * or touch are one; those that select nothing are left out (§15.3.7.2).
 *
 * Egregious sets (§17.15: more than MAX_PARTS after that, or more than MAX_OVERLAPS overlaps) are ignored rather than
 * refused: the whole representation costs us no more than any GET, and the client gets what it needs.
 * @param size  bytes of the representation
 * @returns `ignored` also for another unit and for anything that is not a set of ranges; `unsatisfiable` when nothing
 *   is selected
 */
export function parseRanges(text: string, size: number): readonly Span[] | 'ignored' | 'unsatisfiable' {
  const set = /^bytes=(.*)$/i.exec(text)?.[1];
  if (set === undefined) return 'ignored';
  const spans: Span[] = [];
  let asked = 0;
  for (const element of set.split(',')) {
    // §5.6.1.2: empty elements of a list are skipped.
    if (/^[ \t]*$/.test(element)) continue;
    const range = parseRange(element, size);
    if (range === 'ignored') return 'ignored';
    asked += 1;
    if (range !== 'unsatisfiable') spans.push(range);
  }
  if (asked === 0) return 'ignored';
  if (spans.length === 0) return 'unsatisfiable';
  const { union, overlaps } = coalesce(spans);
  return union.length > MAX_PARTS || overlaps > MAX_OVERLAPS ? 'ignored' : union;
}

/** One range of RFC 9110 §14.1.2: `first-last`, `first-` or `-suffix`. */
function parseRange(text: string, size: number): Span | 'ignored' | 'unsatisfiable' {
  const match = /^[ \t]*(\d*)-(\d*)[ \t]*$/.exec(text);
  if (!match) return 'ignored';
  const [, first = '', last = ''] = match;
  if (first === '') {
    if (last === '') return 'ignored';
    const length = Math.min(Number(last), size);
    return length === 0 ? 'unsatisfiable' : { start: size - length, length };
  }
  const start = Number(first);
  const lastByte = last === '' ? Infinity : Number(last);
  if (lastByte < start) return 'ignored';
  if (start >= size) return 'unsatisfiable';
  return { start, length: Math.min(lastByte, size - 1) - start + 1 };
}

/** Joins what overlaps or touches; each union stands where the first of its members stood (RFC 9110 §15.3.7.2). */
function coalesce(spans: readonly Span[]): { union: Span[]; overlaps: number } {
  const ascending = spans.map(({ start, length }, index) => ({ start, end: start + length, index }));
  ascending.sort((a, b) => a.start - b.start);
  const unions: typeof ascending = [];
  let overlaps = 0;
  for (const span of ascending) {
    const last = unions.at(-1);
    if (last && span.start <= last.end) {
      if (span.start < last.end) overlaps += 1;
      last.end = Math.max(last.end, span.end);
      last.index = Math.min(last.index, span.index);
    } else unions.push(span);
  }
  unions.sort((a, b) => a.index - b.index);
  return { union: unions.map(({ start, end }) => ({ start, length: end - start })), overlaps };
}

/** The same bytes in ascending order, without those that overlap or touch. @param spans in any order */
export function joined(spans: readonly Span[]): Span[] {
  return coalesce([...spans].sort((a, b) => a.start - b.start)).union;
}
