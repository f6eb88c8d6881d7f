import { canonicalHost, ipFamily, type Prefixes } from '../net/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';

/** Connectionless WAP push over UDP (oma-dm-facts.md section 10.6). */
const WAP_PUSH_PORT = 2948;

/** Where a device takes notifications. `host` is an IP address for `udp`, an IP address or a name for `http`. */
export type Endpoint =
  | { readonly transport: 'udp'; readonly host: string; readonly port: number }
  | { readonly transport: 'http'; readonly host: string; readonly port: number; readonly url: string };

export type AddressError = CodedError<'invalid-value' | 'outside-lan'>;

const FORMS = 'udp://192.168.1.57, udp://192.168.1.57:2948, udp://[fd00::57]:2948 or http(s)://host[:port]/path';

/**
 * Reads the value of an Address leaf.
 * A literal IP address must lie in `lan`; the name in an http URL is checked when it is resolved, at the moment of sending.
 */
export function parseAddress(text: string, lan: Prefixes): Outcome<Endpoint, AddressError> {
  const endpoint = readEndpoint(text);
  if (!endpoint) return failure('invalid-value', `an Address has the form ${FORMS}`);
  if (ipFamily(endpoint.host) !== 0 && !lan.contains(endpoint.host)) {
    return failure('outside-lan', `${endpoint.host} does not lie in the prefixes of the LAN (${lan.texts.join(', ')})`);
  }
  return success(endpoint);
}

/** Reads the value of an Address leaf that was checked when it was set; undefined when it has none of the forms. */
export function readEndpoint(text: string): Endpoint | undefined {
  return text.toLowerCase().startsWith('udp://') ? readUdp(text) : readHttp(text);
}

/** The `host` column that belongs to the value of an Address leaf. */
export function hostOf(address: string | null): string | null {
  const endpoint = address === null ? undefined : readEndpoint(address);
  return endpoint ? canonicalHost(endpoint.host) : null;
}

/** The MAC address in a DevId `MAC:001122AABBCC`, as twelve capital digits; null for any other DevId. */
export function macOf(deviceId: string): string | null {
  return /^MAC:([0-9A-Fa-f]{12})$/.exec(deviceId)?.[1]?.toUpperCase() ?? null;
}

/** The value of an Address leaf with another IP address in it; undefined when it has none of the forms. */
export function withHost(text: string, host: string): string | undefined {
  const endpoint = readEndpoint(text);
  if (!endpoint) return undefined;
  const bracketed = host.includes(':') ? `[${host}]` : host;
  if (endpoint.transport === 'udp') return `udp://${bracketed}:${endpoint.port}`;
  const url = new URL(endpoint.url);
  url.hostname = bracketed;
  return url.href;
}

function readUdp(text: string): Endpoint | undefined {
  const [, v6, v4, digits] = /^udp:\/\/(?:\[([^\]]+)\]|([\d.]+))(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const host = v6 ?? v4 ?? '';
  const port = digits === undefined ? WAP_PUSH_PORT : Number(digits);
  if (ipFamily(host) !== (v6 === undefined ? 4 : 6) || port < 1 || port > 0xffff) return undefined;
  return { transport: 'udp', host, port };
}

/** User information in a URL would be a secret that every reader of the node sees: refused. */
function readHttp(text: string): Endpoint | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  const secure = url.protocol === 'https:';
  if ((!secure && url.protocol !== 'http:') || url.username || url.password) return undefined;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { transport: 'http', host, port: Number(url.port) || (secure ? 443 : 80), url: url.href };
}
