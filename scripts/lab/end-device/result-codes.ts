import type { FetchFailure } from './fetch.js';

/** SCOMO result code of a package that has arrived (facts 12.3). */
export const SUCCESS = 1200;

/** SCOMO result code of each way to fail (facts 12.3, and its table of causes). */
export const RESULT_CODE: Readonly<Record<FetchFailure, number>> = {
  'bad-url': 1414,
  unauthorized: 1403,
  'not-found': 1402,
  broken: 1402,
  'server-error': 1500,
  unavailable: 1501,
  mismatch: 1407,
  'no-room': 1404,
  disk: 1412,
};

/** Data of the alert that reports the end of an operation. */
export function resultText(code: number, identifier: string): string {
  const escaped = identifier.replace(/[&<>]/g, (found) => ESCAPES[found] ?? '');
  return `<ResultCode>${code}</ResultCode><Identifier>${escaped}</Identifier>`;
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
