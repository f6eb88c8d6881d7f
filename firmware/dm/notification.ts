import { isUtf8 } from 'node:buffer';
import { lateCrypto } from '../late/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { DEFAULT_NONCE, md5, md5Base64 } from './auth.js';

/** What a notification (Package#0) says about showing it to a user; the values are those of the wire (10.1). */
export const UiMode = { NOT_SPECIFIED: 0, BACKGROUND: 1, INFORMATIVE: 2, USER_INTERACTION: 3 } as const;
export type UiMode = (typeof UiMode)[keyof typeof UiMode];

export interface NotificationFields {
  /** 10 bits; 11 for DM 1.2. */
  readonly version: number;
  readonly uiMode: UiMode;
  readonly initiator: 'client' | 'server';
  /** 16 bits; servers use 1 to 0xFFFF. */
  readonly sessionId: number;
  /** ServerID of the account, 1 to 255 octets of UTF-8. */
  readonly serverId: string;
  readonly vendor: Uint8Array;
}

export interface Notification extends NotificationFields {
  /** 16 octets. */
  readonly digest: Uint8Array;
  /** Everything behind the digest, as received. */
  readonly trigger: Uint8Array;
}

export type NotificationRefusal =
  | 'too-short' // no room for digest, header and one octet of server identifier
  | 'truncated' // the server identifier reaches beyond the end
  | 'no-server-id' // its length is 0
  | 'bad-server-id' // not UTF-8
  | 'unknown-version'; // not that of DM 1.2

/** The notification version of DM 1.2, "1.1" (10.1). */
export const NOTIFICATION_VERSION = 11;

const DIGEST_BYTES = 16;
const SESSION_ID_AT = 21;
const SERVER_ID_LENGTH_AT = 23;
const SERVER_ID_AT = 24;
const MIN_BYTES = SERVER_ID_AT + 1;

/** Reads a Package#0 without any wrapping (10.1, 10.2). The digest is not looked at: see `verifyNotification`. */
export function parseNotification(bytes: Uint8Array): Outcome<Notification, CodedError<NotificationRefusal>> {
  const fault = structureFault(bytes);
  if (fault) return fault;
  const octets = Buffer.from(bytes);
  const serverIdEnd = SERVER_ID_AT + octets.readUInt8(SERVER_ID_LENGTH_AT);
  const serverId = octets.subarray(SERVER_ID_AT, serverIdEnd);
  if (!isUtf8(serverId)) return failure('bad-server-id', 'the server identifier is not UTF-8');
  const bits = octets.readUInt16BE(DIGEST_BYTES);
  const version = bits >> 6;
  if (version !== NOTIFICATION_VERSION) return failure('unknown-version', `notification version ${version}`);
  return success({
    version,
    uiMode: ((bits >> 4) & 3) as UiMode,
    initiator: (bits & 8) === 0 ? 'client' : 'server',
    sessionId: octets.readUInt16BE(SESSION_ID_AT),
    serverId: serverId.toString('utf8'),
    vendor: octets.subarray(serverIdEnd),
    digest: octets.subarray(0, DIGEST_BYTES),
    trigger: octets.subarray(DIGEST_BYTES),
  });
}

/**
 * Builds a Package#0 signed with the secret and nonce that the receiver has for this server (SRVCRED, 10.3).
 * @throws RangeError for a field that does not fit into its bits
 */
export function buildNotification(fields: NotificationFields, password: string, nonce: Uint8Array): Uint8Array {
  const serverId = Buffer.from(fields.serverId, 'utf8');
  const fits = (value: number, bits: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** bits;
  if (!fits(fields.version, 10) || !fits(fields.sessionId, 16) || !fits(fields.uiMode, 2)) {
    throw new RangeError('version, ui-mode or session id of a notification is out of range');
  }
  if (serverId.byteLength < 1 || serverId.byteLength > 255) {
    throw new RangeError('the server identifier of a notification has 1 to 255 octets');
  }
  const header = Buffer.alloc(SERVER_ID_AT - DIGEST_BYTES);
  header.writeUInt16BE((fields.version << 6) | (fields.uiMode << 4) | (fields.initiator === 'server' ? 8 : 0), 0);
  header.writeUInt16BE(fields.sessionId, SESSION_ID_AT - DIGEST_BYTES);
  header.writeUInt8(serverId.byteLength, SERVER_ID_LENGTH_AT - DIGEST_BYTES);
  const trigger = Buffer.concat([header, serverId, fields.vendor]);
  return Buffer.concat([digestOf(fields.serverId, password, nonce, trigger), trigger]);
}

/** `default-nonce` asks for a resynchronisation of nonces in the session that follows (5.8). */
export type NotificationProof = 'stored-nonce' | 'default-nonce' | 'none';

/**
 * Which nonce the digest proves knowledge of the password with (10.2, 10.3). Compares in constant time.
 * @param nonces those stored of this server
 */
export function verifyNotification(
  { serverId, digest, trigger }: Notification,
  password: string,
  ...nonces: readonly Uint8Array[]
): NotificationProof {
  const matches = (candidate: Uint8Array): boolean =>
    lateCrypto().timingSafeEqual(digest, digestOf(serverId, password, candidate, trigger));
  const stored = nonces.map(matches).includes(true);
  const byDefault = matches(DEFAULT_NONCE);
  if (stored) return 'stored-nonce';
  return byDefault ? 'default-nonce' : 'none';
}

/** digest = H( B64(H(server-identifier:password)) : nonce : B64(H(trigger)) ), raw (10.3). */
function digestOf(serverId: string, password: string, nonce: Uint8Array, trigger: Uint8Array): Uint8Array {
  return md5(`${md5Base64(`${serverId}:${password}`)}:`, nonce, `:${md5Base64(trigger)}`);
}

/** SessionID of the session that a notification asks for (10.5): hexadecimal, upper case, no leading zeros. */
export function sessionIdText(sessionId: number): string {
  return sessionId.toString(16).toUpperCase();
}

/** The number that a SessionID stands for, so that `a` and `000A` are equal; undefined where it is not 16 bits. */
export function sessionIdNumber(text: string): number | undefined {
  return /^0*[0-9A-Fa-f]{1,4}$/.test(text) ? Number.parseInt(text, 16) : undefined;
}

/**
 * Whether two texts are the same SessionID: the same text, or the same number, which a server may write as it knows it
 * (facts 10.5: `ab`, `00AB`).
 */
export function isSameSession(one: string, other: string): boolean {
  return one === other || (sessionIdNumber(one) !== undefined && sessionIdNumber(one) === sessionIdNumber(other));
}

type StructureFault = ReturnType<typeof failure<'too-short' | 'truncated' | 'no-server-id'>>;

function structureFault(bytes: Uint8Array): StructureFault | undefined {
  if (bytes.byteLength < MIN_BYTES) return failure('too-short', `${bytes.byteLength} octets`);
  const length = bytes[SERVER_ID_LENGTH_AT] ?? 0;
  if (length === 0) return failure('no-server-id', 'the length of the server identifier is 0');
  if (SERVER_ID_AT + length <= bytes.byteLength) return undefined;
  return failure('truncated', 'the server identifier reaches beyond the end');
}

/** The media type and application id of notifications in WSP, as registered codes (10.6, 1.3). */
const WSP_MEDIA_CODE = 0x44;
const WSP_MEDIA_TEXTS = new Set(['application/vnd.syncml.notification', 'application/vnd.syncml.dm.notification']);
const WSP_APPLICATION_CODE = 0x07;
const WSP_APPLICATION_TEXT = 'x-wap-application:syncml.dm';
const WSP_APPLICATION_HEADER_CODE = 0x2f;
const WSP_APPLICATION_HEADER_TEXT = 'x-wap-application-id';

const PUSH = 0x06;
const CONFIRMED_PUSH = 0x07;

/** Wraps a Package#0 into a WSP Push, as it goes to UDP port 2948 (10.6). @param tid transaction id, 8 bits */
export function wrapWsp(notification: Uint8Array, tid: number): Uint8Array {
  const push = Buffer.allocUnsafe(PUSH_HEAD.length + notification.length);
  push.set(PUSH_HEAD);
  push[0] = tid & 0xff;
  push.set(notification, PUSH_HEAD.length);
  return push;
}

/** Transaction id (filled in), type of PDU, length of the headers, headers. */
const PUSH_HEAD = [
  0,
  PUSH,
  3,
  0x80 | WSP_MEDIA_CODE,
  0x80 | WSP_APPLICATION_HEADER_CODE,
  0x80 | WSP_APPLICATION_CODE,
] as const;

export type PushRefusal =
  | 'not-a-notification' // neither a Package#0 nor a WSP Push that holds one
  | 'other-application'; // a WSP Push for an application other than DM

/**
 * Finds the Package#0 in a datagram: in a WSP Push or ConfirmedPush with its content type and application id as code or
 * text and any further headers, or bare (10.6). A Push without application id is taken: its content type says enough.
 */
export function unwrapPush(datagram: Uint8Array): Outcome<Uint8Array, CodedError<PushRefusal>> {
  const push = readPush(datagram);
  if (push && !structureFault(push.payload)) {
    return push.application === 'other'
      ? failure('other-application', 'the push is not for the DM application')
      : success(push.payload);
  }
  if (!structureFault(datagram)) return success(datagram);
  return failure('not-a-notification', 'neither a Package#0 nor a WSP push with one');
}

interface Push {
  readonly application: 'dm' | 'other' | 'absent';
  readonly payload: Uint8Array;
}

/** A WSP value: a number where it was an integer, else its text; undefined for what we need not understand. */
type WspValue = number | string | undefined;

/** Undefined unless all headers are understood and the content type is a notification's. */
function readPush(datagram: Uint8Array): Push | undefined {
  const pdu = datagram[1];
  if (pdu !== PUSH && pdu !== CONFIRMED_PUSH) return undefined;
  const reader = new WspReader(datagram.subarray(2));
  const headers = reader.take(reader.uintvar());
  const contentType = headers.mediaType();
  if (contentType !== WSP_MEDIA_CODE && !isMediaText(contentType)) return undefined;
  let application: Push['application'] = 'absent';
  while (!headers.atEnd && !headers.broken) {
    const name = headers.name();
    const value = headers.value();
    if (name === WSP_APPLICATION_HEADER_CODE || lower(name) === WSP_APPLICATION_HEADER_TEXT) {
      application = value === WSP_APPLICATION_CODE || lower(value) === WSP_APPLICATION_TEXT ? 'dm' : 'other';
    }
  }
  return headers.broken || reader.broken ? undefined : { application, payload: reader.rest() };
}

function isMediaText(value: WspValue): boolean {
  const [media = ''] = (lower(value) ?? '').split(';');
  return WSP_MEDIA_TEXTS.has(media.trim());
}

function lower(value: WspValue): string | undefined {
  return typeof value === 'string' ? value.toLowerCase() : undefined;
}

/** Reads the encodings of WAP-230-WSP §8.4; once something does not fit it is `broken` and yields nothing more. */
class WspReader {
  broken = false;
  #at = 0;

  constructor(private readonly octets: Uint8Array) {}

  get atEnd(): boolean {
    return this.#at >= this.octets.byteLength;
  }

  rest(): Uint8Array {
    return this.octets.subarray(this.#at);
  }

  /** The next `length` octets as a reader of their own. */
  take(length: number): WspReader {
    const end = this.#at + length;
    if (end > this.octets.byteLength) this.broken = true;
    const part = new WspReader(this.octets.subarray(this.#at, end));
    part.broken = this.broken;
    this.#at = end;
    return part;
  }

  /** Seven bits per octet, the top bit says that more follow; at most five octets. */
  uintvar(): number {
    let value = 0;
    for (let read = 0; read < 5; read += 1) {
      const octet = this.#octet();
      value = value * 128 + (octet & 0x7f);
      if ((octet & 0x80) === 0) return value;
    }
    this.broken = true;
    return 0;
  }

  /** A media type by itself, or length-prefixed with parameters behind it (§8.4.2.24). */
  mediaType(): WspValue {
    return this.#peek() < 0x20 ? this.#lengthPrefixed().value() : this.value();
  }

  /** A field name as code or text; a shift to another code page is not understood (§8.4.2.6). */
  name(): WspValue {
    const first = this.#peek();
    if (first < 0x20 || first === 0x7f) this.broken = true;
    return this.value();
  }

  /** A short integer, text up to a NUL, or data after its length: a long integer, or nothing that we need (§8.4.1.2). */
  value(): WspValue {
    const first = this.#peek();
    if (first >= 0x80) return this.#octet() & 0x7f;
    if (first >= 0x20) return this.#text();
    const data = this.#lengthPrefixed().rest();
    return data.byteLength === 0 || data.byteLength > 4 ? undefined : Buffer.from(data).readUIntBE(0, data.byteLength);
  }

  /** One octet says the length up to 30, 31 that a longer one follows. */
  #lengthPrefixed(): WspReader {
    const first = this.#octet();
    return this.take(first === 0x1f ? this.uintvar() : first);
  }

  #text(): string | undefined {
    const end = this.octets.indexOf(0, this.#at);
    if (end < 0) {
      this.broken = true;
      return undefined;
    }
    const text = Buffer.from(this.octets.subarray(this.#at, end)).toString('latin1');
    this.#at = end + 1;
    return text;
  }

  #peek(): number {
    return this.octets[this.#at] ?? 0;
  }

  #octet(): number {
    const octet = this.octets[this.#at];
    if (octet === undefined) this.broken = true;
    this.#at += 1;
    return octet ?? 0;
  }
}
