import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  effectiveMeta,
  HMAC_HEADER,
  MIME_WBXML,
  MIME_XML,
  wbxmlWire,
  xmlWire,
  type BodyCommand,
  type Message,
  type Wire,
} from '../../../firmware/dm/index.js';
import type { Devices } from './devices.js';
import type { Faults } from './faults.js';
import { readBody } from './http-body.js';
import type { JsonLog } from './json-log.js';
import type { Received } from './session.js';
import type { Answer, Sessions } from './sessions.js';
import { textOrOctets } from './values.js';

export interface EndpointOptions {
  readonly sessions: Sessions;
  readonly devices: Devices;
  readonly faults: Faults;
  readonly log: JsonLog;
  readonly maxMsgSize: number;
  readonly logMessages: boolean;
}

/** By the types of DM messages, and by those of Data Sync, which some DM clients use (facts 1.3). */
const WIRE_OF_TYPE: ReadonlyMap<string, Wire> = new Map([
  [MIME_XML, xmlWire],
  [MIME_WBXML, wbxmlWire],
  ['application/vnd.syncml+xml', xmlWire],
  ['application/vnd.syncml+wbxml', wbxmlWire],
]);

/** A message nests less than this; TNDS inside may add a few levels. */
const MAX_DEPTH = 64;
/** Package 1 is made before the device can know our MaxMsgSize: so much is taken in any case. */
const MIN_TAKEN_BYTES = 64 * 1024;
const MAX_ELEMENTS = 50_000;

/** What goes back to the device: an HTTP reply, or the end of the connection. */
type Reply =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'refusal'; readonly status: number; readonly reason: string; readonly retryAfter?: number }
  | { readonly kind: 'nothing' };

/** Takes the messages of devices on any path: HTTP status for what is no message, an answer for all others (facts 1.4). */
export function createEndpoint(
  options: EndpointOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const reply = await replyTo(options, request);
    switch (reply.kind) {
      case 'answer': {
        const { bytes, wire, hmac } = reply.answer;
        response.writeHead(200, {
          'Content-Type': wire.encoding === 'xml' ? `${MIME_XML}; charset=UTF-8` : MIME_WBXML,
          'Content-Length': bytes.byteLength,
          'Cache-Control': 'private',
          ...(hmac !== undefined && { [HMAC_HEADER]: hmac }),
        });
        response.end(bytes);
        break;
      }
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
  const wire = WIRE_OF_TYPE.get(media.trim().toLowerCase());
  if (!wire) return refusal(415, `only ${MIME_XML} and ${MIME_WBXML} are understood`);
  const maxBytes = Math.max(options.maxMsgSize, MIN_TAKEN_BYTES);
  const body = await readBody(request, maxBytes);
  if (body === 'broken') return { kind: 'nothing' };
  if (body === 'too-large') return refusal(413, `at most ${maxBytes} octets`);
  const decoded = wire.decode(body, { maxBytes, maxDepth: MAX_DEPTH, maxElements: MAX_ELEMENTS });
  if (!decoded.ok) return refusal(400, decoded.error.text);
  const message = decoded.value;
  if (message.header.msgId !== '1' && body.byteLength > options.maxMsgSize) {
    return refusal(413, `${body.byteLength} octets are more than our MaxMsgSize`);
  }
  const hmac = request.headers[HMAC_HEADER];
  return replyToMessage(options, { message, body, hmac: typeof hmac === 'string' ? hmac : undefined }, wire);
}

function refusal(status: number, reason: string): Reply {
  return { kind: 'refusal', status, reason };
}

async function replyToMessage(options: EndpointOptions, received: Received, wire: Wire): Promise<Reply> {
  const { faults, log } = options;
  const { message, body } = received;
  const deviceId = message.header.source.uri;
  const known = options.devices.get(deviceId) !== undefined;
  logMessage(options, 'in', { message, bytes: body, wire }, { known });

  const status = faults.take('http-status', deviceId);
  if (status) {
    const { retryAfterSeconds: retryAfter } = status;
    const reason = 'as the lab asked for';
    return { kind: 'refusal', status: status.status, reason, ...(retryAfter !== undefined && { retryAfter }) };
  }
  if (faults.take('close', deviceId)) return { kind: 'nothing' };

  const answered = options.sessions.receive(received, wire);
  if (answered.kind === 'out-of-order') return refusal(400, 'an older message than the last one of its session');
  // A nonce that is told must be known after a restart.
  await options.devices.save();
  const delay = faults.take('delay', deviceId);
  if (delay) await sleep(delay.ms, undefined, { ref: false });
  if (faults.take('lose-answer', deviceId)) {
    log.write({ kind: 'answer-lost', deviceId });
    return { kind: 'nothing' };
  }
  const { answer, kind } = answered;
  logMessage(options, 'out', answer, { resent: kind === 'resent' });
  return { kind: 'answer', answer };
}

/** A line for each message, under the SessionID and MsgID that it has. */
function logMessage(
  { log, logMessages }: EndpointOptions,
  direction: 'in' | 'out',
  { message, bytes, wire }: Pick<Answer, 'message' | 'bytes' | 'wire'>,
  fields: Readonly<Record<string, unknown>>,
): void {
  const { sessionId, msgId, source, target } = message.header;
  log.write({
    kind: 'message',
    direction,
    deviceId: direction === 'in' ? source.uri : target.uri,
    sessionId,
    msgId,
    encoding: wire.encoding,
    bytes: bytes.byteLength,
    ...fields,
    ...(logMessages && { message: readable(message, bytes, wire) }),
  });
}

/** XML as it stands, WBXML as the XML that says the same; without credentials. */
function readable(message: Message, bytes: Uint8Array, wire: Wire): string {
  const octets = wire.encoding === 'xml' ? bytes : xmlWire.encode({ ...message, body: message.body.map(withText) });
  return Buffer.from(octets)
    .toString('utf8')
    .replace(/<Cred>[^]*?<\/Cred>/g, '<Cred/>');
}

/** Text that came as octets, as text. */
function withText(command: BodyCommand): BodyCommand {
  if (!('items' in command)) return command;
  const items = command.items.map((item) => {
    const { format } = effectiveMeta(command, item);
    return item.data === undefined ? item : { ...item, data: textOrOctets(item.data, format) };
  });
  return { ...command, items };
}
