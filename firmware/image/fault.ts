import type { IncomingHttpHeaders } from 'node:http';
import type { HttpError, HttpErrorCode } from '../net/index.js';
import { describeThrown, systemErrorCode, type CodedError } from '../outcome/index.js';
import { isDiskFull } from './disk.js';
import { parseHttpDate } from './httpdate.js';
import type { ResultCode } from './image.js';

/** What is done about a fault. */
export type Course =
  | 'again' // later, as often as the budget allows
  | 'network' // later, however often: it says nothing about the server
  | 'needs-uri' // this URL is over; the bytes are kept for another one
  | 'fail';

/** Why a try did not bring the image, and what is done about it. */
export interface Fault extends CodedError<Exclude<ResultCode, 'ok'>> {
  readonly kind: 'fault';
  readonly course: Course;
  /** The server's own wish, in ms; undefined when it has none. */
  readonly retryAfterMs?: number;
}

export function fault(code: Fault['code'], course: Course, text: string): Fault {
  return { kind: 'fault', code, course, text };
}

const REQUEST_FAULTS: Readonly<Record<HttpErrorCode, readonly [Fault['code'], Course]>> = {
  'bad-url': ['bad-url', 'fail'],
  'address-refused': ['address-refused', 'fail'],
  unresolved: ['unresolved', 'again'],
  unreachable: ['unreachable', 'again'],
  tls: ['tls', 'again'],
  timeout: ['unreachable', 'again'],
  proxy: ['unreachable', 'again'],
  'proxy-auth': ['unauthorized', 'again'],
  broken: ['broken', 'again'],
  // By our own deadline for the headers of a reply.
  aborted: ['unreachable', 'again'],
};

/**
 * There is no way to any server, or to no name server. EAI_FAIL is what musl makes of REFUSED: what a router's own
 * resolver says while it has no upstream.
 */
const NO_NETWORK = new Set(['ENETUNREACH', 'ENETDOWN', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAI_AGAIN', 'EAI_FAIL']);

/** A request that got no reply. */
export function requestFault(error: HttpError): Fault {
  const [code, course] = REQUEST_FAULTS[error.code];
  const text = error.code === 'aborted' ? 'no complete reply in time' : `no reply: ${error.text}`;
  return fault(code, NO_NETWORK.has(systemErrorCode(error.cause) ?? '') ? 'network' : course, text);
}

/** Statuses with a meaning of their own; the others go by their class. RFC 9110 §15 */
const STATUS_FAULTS: Readonly<Record<number, readonly [Fault['code'], Course]>> = {
  401: ['unauthorized', 'needs-uri'],
  403: ['unauthorized', 'needs-uri'],
  404: ['not-found', 'fail'],
  408: ['unreachable', 'again'],
  410: ['expired', 'needs-uri'],
  425: ['unavailable', 'again'],
  429: ['unavailable', 'again'],
  503: ['unavailable', 'again'],
  // RFC 6585 §6: a network that wants a login answers for the server.
  511: ['captive-portal', 'network'],
};

/** A reply that is neither content (200, 206, 416) nor a redirect. @param nowMs wall time, for a date in Retry-After */
export function statusFault(status: number, headers: IncomingHttpHeaders, nowMs: number): Fault {
  const [code, course] = STATUS_FAULTS[status] ?? byClass(status);
  const retryAfterMs = parseRetryAfter(headers['retry-after'], headers.date, nowMs);
  return {
    ...fault(code, course, `the server answers ${status}`),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  };
}

function byClass(status: number): readonly [Fault['code'], Course] {
  if (status >= 500) return ['server-error', 'again'];
  if (status >= 400) return ['refused', 'fail'];
  return ['bad-reply', 'fail'];
}

/** RFC 9110 §10.2.3: seconds, or a date, which is read against the server's own Date where there is one. */
function parseRetryAfter(text: string | undefined, date: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const untilMs = parseHttpDate(text);
  return untilMs === undefined ? undefined : Math.max(0, untilMs - (parseHttpDate(date ?? '') ?? nowMs));
}

/** What passes: this process, or the system, has too many files open or too little memory for now. */
const SHORT_OF = new Set(['EMFILE', 'ENFILE', 'ENOMEM']);

/** What the file system of the store has failed with. */
export function diskFault(thrown: unknown): Fault {
  const text = describeThrown(thrown);
  const course = SHORT_OF.has(systemErrorCode(thrown) ?? '') ? 'again' : 'fail';
  const found = isDiskFull(thrown) ? fault('no-room', 'fail', text) : fault('disk', course, `the disk failed: ${text}`);
  return { ...found, cause: thrown };
}
