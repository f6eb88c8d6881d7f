import { lateCrypto } from '../late/index.js';
import type { Cred, Meta } from './message.js';

/** `basic` and `md5` stand in Cred, `mac` in the HTTP header `x-syncml-hmac` (5.2). */
export type AuthScheme = 'basic' | 'md5' | 'mac';

/** The schemes whose proof stands in Cred. */
export type CredScheme = Exclude<AuthScheme, 'mac'>;

/** Meta Type of Cred and Chal. */
export const AUTH_TYPE: Readonly<Record<AuthScheme, string>> = {
  basic: 'syncml:auth-basic',
  md5: 'syncml:auth-md5',
  mac: 'syncml:auth-MAC',
};

/** The nonce of a resynchronisation (5.8): four zero octets, never accepted outside it. */
export const DEFAULT_NONCE: Uint8Array = new Uint8Array(4);

/** Octets of a nonce of ours (5.1 recommends at least 16). */
const NONCE_BYTES = 16;
/** Longest nonce taken from a peer: it is stored for each account. */
const MAX_NONCE_BYTES = 128;
/** Longest `x-syncml-hmac` header that is read, in characters. */
const MAX_HMAC_LENGTH = 1024;

/** A fresh nonce. @param randomBytes cryptographic randomness: as many octets as asked for */
export function newNonce(randomBytes: (bytes: number) => Uint8Array): Uint8Array {
  return randomBytes(NONCE_BYTES);
}

/** The scheme that a Meta Type names, in any case of letters; undefined for one that we do not know. */
export function schemeOf(type: string | undefined): AuthScheme | undefined {
  switch ((type ?? '').toLowerCase()) {
    case 'syncml:auth-basic':
      return 'basic';
    case 'syncml:auth-md5':
      return 'md5';
    case 'syncml:auth-mac':
      return 'mac';
    default:
      return undefined;
  }
}

/**
 * Cred of `syncml:auth-basic` or `syncml:auth-md5` (5.2). With md5 the sender's `Source/LocName` must be the name.
 * @param name AAuthName, and `secret` AAuthSecret of one direction (5.1); octets are UTF-8
 * @param nonce not used by `basic`
 */
export function makeCred(scheme: CredScheme, name: string, secret: string, nonce: Uint8Array): Cred {
  return {
    meta: { format: 'b64', type: AUTH_TYPE[scheme] },
    data: credOctets(scheme, name, secret, nonce).toString('base64'),
  };
}

/**
 * Whether Cred proves knowledge of the secret by the scheme that we ask for; any other scheme does not. Compares octets
 * in constant time.
 */
export function verifyCred(cred: Cred, scheme: CredScheme, name: string, secret: string, nonce: Uint8Array): boolean {
  const matches = equalOctets(Buffer.from(cred.data, 'base64'), credOctets(scheme, name, secret, nonce));
  return matches && schemeOf(cred.meta.type) === scheme;
}

/** The mac over the octets of an HTTP entity (5.5): MD5 by a formula of SyncML's own, not RFC 2104. */
export function macOf(name: string, secret: string, nonce: Uint8Array, body: Uint8Array): string {
  return macOctets(name, secret, nonce, body).toString('base64');
}

/**
 * Whether the header proves knowledge of the secret for this body and nonce. Compares in constant time. Some peers encode
 * the hexadecimal text of the digest instead of its octets (5.5): both forms are accepted.
 */
export function verifyMac(mac: Mac, name: string, secret: string, nonce: Uint8Array, body: Uint8Array): boolean {
  const expected = macOctets(name, secret, nonce, body);
  const received = Buffer.from(mac.mac, 'base64');
  const fromOctets = equalOctets(received, expected);
  const fromHex = equalOctets(
    Buffer.from(received.toString('latin1').toLowerCase(), 'latin1'),
    Buffer.from(expected.toString('hex'), 'latin1'),
  );
  return mac.name === name && (fromOctets || fromHex);
}

export interface Challenge {
  readonly scheme: AuthScheme;
  /** For md5 and MAC; absent for basic, and where the peer gave none. */
  readonly nonce?: Uint8Array;
}

/** Meta of a Chal (5.3). @param nonce left out for basic, which has none */
export function challengeMeta(scheme: AuthScheme, nonce: Uint8Array): Meta {
  const meta: Meta = { format: 'b64', type: AUTH_TYPE[scheme] };
  return scheme === 'basic' ? meta : { ...meta, nextNonce: Buffer.from(nonce).toString('base64') };
}

/** Undefined for a scheme that we do not know: then the session ends (5.3). */
export function readChallenge(chal: Meta): Challenge | undefined {
  const scheme = schemeOf(chal.type);
  const nonce = Buffer.from(chal.nextNonce ?? '', 'base64');
  if (!scheme) return undefined;
  const usable = chal.nextNonce !== undefined && nonce.byteLength <= MAX_NONCE_BYTES;
  return usable ? { scheme, nonce } : { scheme };
}

/** Name of the HTTP header that carries a mac (5.5). */
export const HMAC_HEADER = 'x-syncml-hmac';

/** Content of the header `x-syncml-hmac`. */
export interface Mac {
  /** AAuthName of the sender, equal to its `Source/LocName`. */
  readonly name: string;
  /** Base64 text. */
  readonly mac: string;
}

/** The octets of the name are UTF-8; a header has no control characters, so neither has a name in it. */
export function formatHmac({ name, mac }: Mac): string {
  const octets = Buffer.from(name.replace(/[\0-\x1f\x7f]/g, ''), 'utf8').toString('latin1');
  return `algorithm=MD5, username="${octets.replace(/["\\]/g, '\\$&')}", mac=${mac}`;
}

/** Parameters in any order; undefined when user name or mac is missing, or the algorithm is not MD5. */
export function parseHmac(header: string): Mac | undefined {
  if (header.length > MAX_HMAC_LENGTH) return undefined;
  const parameters = new Map<string, string>();
  let rest = Buffer.from(header, 'latin1').toString('utf8');
  while (rest.trim() !== '') {
    const found = HMAC_PARAMETER.exec(rest);
    if (!found) return undefined;
    const [whole, parameter = '', quoted, bare = ''] = found;
    parameters.set(parameter.toLowerCase(), quoted === undefined ? bare : quoted.replace(/\\(.)/g, '$1'));
    rest = rest.slice(whole.length);
  }
  const name = parameters.get('username');
  const mac = parameters.get('mac');
  const algorithm = parameters.get('algorithm') ?? 'MD5';
  if (name === undefined || mac === undefined || algorithm.toUpperCase() !== 'MD5') return undefined;
  return { name, mac };
}

const HMAC_PARAMETER = /^\s*(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))\s*(?:,|$)/;

function credOctets(scheme: CredScheme, name: string, secret: string, nonce: Uint8Array): Buffer {
  return scheme === 'basic'
    ? Buffer.from(`${name}:${secret}`, 'utf8')
    : md5(`${md5Base64(`${name}:${secret}`)}:`, nonce);
}

/** The inner hashes go in as base64 text, the nonce raw (5.2). */
function macOctets(name: string, secret: string, nonce: Uint8Array, body: Uint8Array): Buffer {
  return md5(`${md5Base64(`${name}:${secret}`)}:`, nonce, `:${md5Base64(body)}`);
}

/** MD5 over the parts, one after the other; text counts as UTF-8. */
export function md5(...parts: readonly (string | Uint8Array)[]): Buffer {
  const hash = lateCrypto().createHash('md5');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** MD5 as base64 text, as it goes into the outer digests. */
export function md5Base64(...parts: readonly (string | Uint8Array)[]): string {
  return md5(...parts).toString('base64');
}

/** Digests have one length, whatever the peer sent: the time tells nothing about the expected octets. */
function equalOctets(received: Uint8Array, expected: Uint8Array): boolean {
  const digest = (octets: Uint8Array): Uint8Array => lateCrypto().createHash('sha256').update(octets).digest();
  return lateCrypto().timingSafeEqual(digest(received), digest(expected));
}
