import type { Page } from '../ops/index.js';

/**
 * Makes a page of what was looked up: one more than fits, so that it is known whether there is more.
 * @param cursorOf by what the next page is asked for
 */
export function pageOf<T, Row>(
  found: readonly T[],
  limit: number,
  cursorOf: (item: T) => string,
  rowOf: (item: T) => Row,
): Page<Row> {
  const shown = found.slice(0, limit);
  const last = shown.at(-1);
  return { rows: shown.map(rowOf), next: found.length > limit && last !== undefined ? cursorOf(last) : null };
}
