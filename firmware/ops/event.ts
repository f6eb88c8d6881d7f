import type { IncomingMessage } from 'node:http';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { REPORT_FORMAT } from './reports.js';
import { MAX_REQUEST_BYTES, readJson } from './request-body.js';

/** Something that happened, for the DM Servers (`dmgw event`). */
export interface EventRequest {
  /** What kind of event: a name that the server knows, such as `org.example.door.opened`. */
  readonly type: string;
  readonly data: string;
  /** ServerID of the only server that is told; absent: all are. */
  readonly server?: string;
}

/** Who will be told. */
export interface EventReport {
  readonly format: typeof REPORT_FORMAT;
  readonly servers: readonly string[];
}

export type EventRefusal =
  | 'bad-event' // malformed, or longer than may be
  | 'no-server'; // no account, or none with that ServerID

const MAX_TYPE_LENGTH = 255;
/** It waits in the database until the server has it, with up to a thousand others. */
const MAX_DATA_BYTES = 4096;

/** Reads the body of `POST /event` and holds it to its bounds. */
export async function readEvent(request: IncomingMessage): Promise<Outcome<EventRequest, CodedError<EventRefusal>>> {
  const value = await readJson(request);
  if (value === 'too-long') return failure('bad-event', `a request has at most ${MAX_REQUEST_BYTES} bytes`);
  return checkEvent(value);
}

function checkEvent(value: unknown): Outcome<EventRequest, CodedError<EventRefusal>> {
  const {
    type,
    data = '',
    server,
  } = typeof value === 'object' && value !== null ? (value as Partial<EventRequest>) : {};

  if (typeof type !== 'string' || type.length > MAX_TYPE_LENGTH || !/^[^\0-\x20\x7f]+$/.test(type)) {
    return failure('bad-event', `the type is a name of 1 to ${MAX_TYPE_LENGTH} characters without spaces`);
  }
  if (typeof data !== 'string' || Buffer.byteLength(data) > MAX_DATA_BYTES) {
    return failure('bad-event', `the data is text of at most ${MAX_DATA_BYTES} bytes`);
  }
  if (server !== undefined && typeof server !== 'string') return failure('bad-event', 'the server is a ServerID');
  return success({ type, data, ...(server !== undefined && { server }) });
}
