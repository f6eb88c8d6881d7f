import type { IncomingMessage } from 'node:http';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { allowedBy, formatPath, readValue } from '../shape/index.js';
import { REQUESTS, type RequestName, type RequestOf } from './operations.js';

/** Octets of a request. */
export const MAX_REQUEST_BYTES = 16 * 1024;

/** From its first octet to its last. */
const REQUEST_WITHIN_MS = 5000;

/** Silence within the octets of an image. */
const CONTENT_IDLE_MS = 30_000;

const LINE_END = 0x0a;

/** Reads the body of a request as JSON. @returns undefined for what is none; 'too-long' beyond `MAX_REQUEST_BYTES` */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  const late = setTimeout(() => request.destroy(new Error('the request came too slowly')), REQUEST_WITHIN_MS);
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.byteLength;
      if (length > MAX_REQUEST_BYTES) return 'too-long';
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(late);
  }
  return parseJson(Buffer.concat(chunks));
}

/**
 * Reads a request of one line of JSON that is followed by octets.
 * @returns the request, as `readJson` does, and the octets, to be read in any case
 */
export async function readJsonLine(
  request: IncomingMessage,
): Promise<{ readonly value: unknown; readonly octets: AsyncIterable<Uint8Array> }> {
  request.setTimeout(CONTENT_IDLE_MS, () => request.destroy(new Error('the octets do not come')));
  const chunks = (request as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let line: Buffer = Buffer.alloc(0);
  let rest: Buffer = Buffer.alloc(0);
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) break;
    const end = next.value.indexOf(LINE_END);
    line = Buffer.concat([line, end < 0 ? next.value : next.value.subarray(0, end)]);
    if (end >= 0) rest = next.value.subarray(end + 1);
    if (end >= 0 || line.byteLength > MAX_REQUEST_BYTES) break;
  }
  const octets = (async function* () {
    if (rest.byteLength > 0) yield rest;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
  })();
  return { value: line.byteLength > MAX_REQUEST_BYTES ? 'too-long' : parseJson(line), octets };
}

/** Holds what a request says to its form and bounds. */
export function checkRequest<Name extends RequestName>(
  name: Name,
  value: unknown,
): Outcome<RequestOf<Name>, CodedError<'bad-request'>> {
  if (value === 'too-long') return failure('bad-request', `a request has at most ${MAX_REQUEST_BYTES} bytes`);
  const read = readValue(REQUESTS[name](), value);
  if (read.ok) return success(read.value as RequestOf<Name>);
  const { code, path, shape } = read.error;
  const what = path.length === 0 ? 'the request' : formatPath(path);
  return failure(
    'bad-request',
    code === 'unknown-key' ? `${what}: unknown key` : `${what}: expected ${allowedBy(shape)}`,
  );
}

function parseJson(octets: Buffer): unknown {
  try {
    return JSON.parse(octets.toString('utf8'));
  } catch {
    return undefined;
  }
}
