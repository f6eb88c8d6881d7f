import type { TransitionTable } from '../machine/index.js';

/** Where an image stands between its ImageURI and its LocalImageURI. */
export type ImageState =
  | 'idle' // nothing asked for yet
  | 'pending' // asked for, its turn has not come
  | 'downloading'
  | 'verifying' // the bytes on disk are being hashed, or the last check runs
  | 'waiting' // for the network, the server or a pause between tries
  | 'needs-uri' // the server refuses this URL or it has expired; the bytes are kept
  | 'available' // stored and verified: it has a LocalImageURI
  | 'failed'
  | 'cancelled'
  | 'evicted'; // removed for room

/** The value of the State node. */
export const STATE_NUMBER: Readonly<Record<ImageState, number>> = {
  idle: 10,
  pending: 20,
  downloading: 30,
  verifying: 35,
  waiting: 40,
  'needs-uri': 45,
  available: 50,
  failed: 60,
  cancelled: 65,
  evicted: 70,
};

/** What moves an image from state to state. */
export type StateEvent =
  | 'request' // a retrieval is asked for, or asked for anew
  | 'attempt' // a request goes out
  | 'check' // bytes on disk are hashed
  | 'wait'
  | 'complete'
  | 'link' // the content is already in the store
  | 'fail'
  | 'need-uri'
  | 'cancel'
  | 'evict';

const start = { request: 'pending', link: 'available' } as const;
const running = {
  ...start,
  attempt: 'downloading',
  check: 'verifying',
  wait: 'waiting',
  fail: 'failed',
  'need-uri': 'needs-uri',
  cancel: 'cancelled',
} as const;

export const IMAGE_STATES = {
  idle: start,
  pending: running,
  downloading: running,
  verifying: { ...running, complete: 'available' },
  waiting: running,
  'needs-uri': { ...start, cancel: 'cancelled' },
  available: { ...start, evict: 'evicted', fail: 'failed' },
  failed: start,
  cancelled: start,
  evicted: start,
} as const satisfies TransitionTable<ImageState, StateEvent>;

/** What a start of the gateway does with an image that it finds in this state. */
export const AFTER_RESTART: Readonly<Record<ImageState, 'retrieve' | 'check-blob' | 'rest'>> = {
  idle: 'rest',
  pending: 'retrieve',
  downloading: 'retrieve',
  verifying: 'retrieve',
  waiting: 'retrieve',
  'needs-uri': 'rest',
  available: 'check-blob',
  failed: 'rest',
  cancelled: 'rest',
  evicted: 'rest',
};

/** True while a retrieval is owed: from the request to its end. */
export function isRunning(state: ImageState): boolean {
  return AFTER_RESTART[state] === 'retrieve';
}
