import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { MIME_XML, xmlWire, type Message } from '../../../firmware/dm/index.js';
import type { Devices } from './devices.js';
import type { Faults } from './faults.js';
import { readBody } from './http-body.js';
import type { JsonLog } from './json-log.js';
import type { Sessions } from './sessions.js';

export interface EndpointOptions {
  readonly sessions: Sessions;
  readonly devices: Devices;
  readonly faults: Faults;
  readonly log: JsonLog;
  readonly maxMsgSize: number;
  readonly logMessages: boolean;
}

/** The type of DM messages, and that of Data Sync, which some DM clients use (facts 1.3). */
const MESSAGE_TYPES: ReadonlySet<string> = new Set([MIME_XML, 'application/vnd.syncml+xml']);

/** A message nests less than this; TNDS inside may add a few levels. */
const MAX_DEPTH = 64;
/** Package 1 is made before the device can know our MaxMsgSize: so much is taken in any case. */
const MIN_TAKEN_BYTES = 64 * 1024;
const MAX_ELEMENTS = 50_000;

/** What goes back to the device: an HTTP reply, or the end of the connection. */
type Reply =
  | { readonly kind: 'answer'; readonly bytes: Uint8Array }
  | { readonly kind: 'refusal'; readonly status: number; readonly reason: string; readonly retryAfter?: number }
  | { readonly kind: 'nothing' };

/** Takes the messages of devices on any path: HTTP status for what is no message, an answer for all others (facts 1.4). */
export function createEndpoint(
  options: EndpointOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const reply = await replyTo(options, request);
    switch (reply.kind) {
      case 'answer':
        response.writeHead(200, {
          'Content-Type': `${MIME_XML}; charset=UTF-8`,
          'Content-Length': reply.bytes.byteLength,
          'Cache-Control': 'private',
        });
        response.end(reply.bytes);
        break;
      case 'refusal':
        options.log.write({ kind: 'http-refused', status: reply.status, reason: reply.reason });
        if (reply.retryAfter !== undefined) response.setHeader('Retry-After', reply.retryAfter);
        response.writeHead(reply.status, { 'Content-Type': 'text/plain', Connection: 'close' });
        response.end(`${reply.reason}\n`);
        break;
      case 'nothing':
        response.destroy();
        break;
    }
  };
}

async function replyTo(options: EndpointOptions, request: IncomingMessage): Promise<Reply> {
  if (request.method !== 'POST') return refusal(405, 'DM messages come by POST');
  const [media = ''] = (request.headers['content-type'] ?? '').split(';');
  if (!MESSAGE_TYPES.has(media.trim().toLowerCase())) return refusal(415, `only ${MIME_XML} is understood`);
  const maxBytes = Math.max(options.maxMsgSize, MIN_TAKEN_BYTES);
  const body = await readBody(request, maxBytes);
  if (body === 'broken') return { kind: 'nothing' };
  if (body === 'too-large') return refusal(413, `at most ${maxBytes} octets`);
  const message = decode(body, maxBytes);
  if (typeof message === 'string') return refusal(400, message);
  if (message.header.msgId !== '1' && body.byteLength > options.maxMsgSize) {
    return refusal(413, `${body.byteLength} octets are more than our MaxMsgSize`);
  }
  return replyToMessage(options, message, body);
}

function refusal(status: number, reason: string): Reply {
  return { kind: 'refusal', status, reason };
}

function decode(body: Uint8Array, maxBytes: number): Message | string {
  const message = xmlWire.decode(body, { maxBytes, maxDepth: MAX_DEPTH, maxElements: MAX_ELEMENTS });
  return message.ok ? message.value : message.error.text;
}

async function replyToMessage(options: EndpointOptions, message: Message, body: Uint8Array): Promise<Reply> {
  const { faults, log } = options;
  const deviceId = message.header.source.uri;
  const known = options.devices.get(deviceId) !== undefined;
  logMessage(options, 'in', message, body, { known });

  const status = faults.take('http-status', deviceId);
  if (status) {
    const { retryAfterSeconds: retryAfter } = status;
    const reason = 'as the lab asked for';
    return { kind: 'refusal', status: status.status, reason, ...(retryAfter !== undefined && { retryAfter }) };
  }
  if (faults.take('close', deviceId)) return { kind: 'nothing' };

  const answered = options.sessions.receive(message, body);
  if (answered.kind === 'out-of-order') return refusal(400, 'an older message than the last one of its session');
  // A nonce that is told must be known after a restart.
  await options.devices.save();
  const delay = faults.take('delay', deviceId);
  if (delay) await sleep(delay.ms, undefined, { ref: false });
  if (faults.take('lose-answer', deviceId)) {
    log.write({ kind: 'answer-lost', deviceId });
    return { kind: 'nothing' };
  }
  const bytes = faulty(faults, deviceId, answered.bytes);
  logMessage(options, 'out', message, bytes, { resent: answered.kind === 'resent' });
  return { kind: 'answer', bytes };
}

function faulty(faults: Faults, deviceId: string, bytes: Uint8Array): Uint8Array {
  if (faults.take('garbage', deviceId)) return Buffer.from('<SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr>');
  if (!faults.take('wrong-session', deviceId)) return bytes;
  return Buffer.from(
    Buffer.from(bytes)
      .toString('utf8')
      .replace(/<SessionID>/, '<SessionID>9'),
  );
}

function logMessage(
  { log, logMessages }: EndpointOptions,
  direction: 'in' | 'out',
  { header }: Message,
  bytes: Uint8Array,
  fields: Readonly<Record<string, unknown>>,
): void {
  const { sessionId, msgId, source } = header;
  const raw = logMessages && { message: withoutCredentials(Buffer.from(bytes).toString('utf8')) };
  const deviceId = source.uri;
  log.write({ kind: 'message', direction, deviceId, sessionId, msgId, bytes: bytes.byteLength, ...fields, ...raw });
}

function withoutCredentials(text: string): string {
  return text.replace(/<Cred>[^]*?<\/Cred>/g, '<Cred/>');
}
