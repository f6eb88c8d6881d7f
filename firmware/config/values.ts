import { isAbsolute, normalize } from 'node:path';
import { TimeZone, WeeklyWindows } from '../clock/index.js';
import { HostNames, ipFamily, Prefixes } from '../net/index.js';
import { list, record, text, whole, type Notes } from '../shape/index.js';

const ruled = (rule: (value: string) => boolean, about: Notes) => text({ rule, ...about });

export const DAY_SECONDS = 86_400;

/** From the end of a session to the next one, in seconds: at most two weeks, because a timer of Node.js holds 24 days. */
export const interval = (help: string, derived?: string) => whole(0, 14 * DAY_SECONDS, help, derived);

export const longestRetry = () =>
  whole(1, DAY_SECONDS, 'The delay doubles with each failure up to this; each is random up to its bound.');

export const port = (help: string) => whole(0, 65_535, `${help} 0: any free one, for tests.`);

export const pattern = (regex: RegExp, allowed: string, help: string, derived?: string) =>
  text({ pattern: regex, allowed, help, derived });

/** Free text that a DM Server may read: no control characters, at most 255 characters. */
export const line = (help: string, derived?: string) =>
  pattern(/^[^\u0000-\u001f\u007f]{0,255}$/, 'text of at most 255 characters on one line', help, derived);

/** As `line`, but not empty. */
export const filledLine = (help: string, derived?: string) =>
  pattern(/^[^\u0000-\u001f\u007f]{1,255}$/, 'text of 1 to 255 characters on one line', help, derived);

export const secret = (help: string) => text({ from: 1, to: 255, help, secret: true });

/** Base64 of at most 192 bytes. */
export const nonce = (help: string) =>
  text({
    pattern: /^(?:[A-Za-z0-9+/]{4}){0,64}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/,
    allowed: 'base64 of at most 192 bytes',
    help,
    secret: true,
  });

export const path = (help: string, derived?: string) =>
  ruled(isPlainPath, { allowed: 'an absolute path without .. such as /srv/dmgw', help, derived });

/** Beside a `certFile`. */
export const keyFile = () => path('PEM file of the private key of `certFile`; mode 0600.');

const prefix = () =>
  ruled((value) => Prefixes.parse([value]).ok, { allowed: 'an address prefix such as 192.168.1.0/24 or fd00::/8' });

/** A host as `HostNames` takes it. */
const host = () =>
  ruled((value) => HostNames.parse([value]).ok, {
    allowed: 'a host such as images.example.com, *.example.com or 192.168.1.9',
  });

/** A window of the week, as `WeeklyWindows` takes it. */
export const weeklyWindow = () =>
  ruled((value) => WeeklyWindows.parse([value], TimeZone.UTC).ok, {
    allowed: 'a window such as 22:00-06:00, Sat,Sun 00:00-24:00 or Mon-Fri 01:30-05:00',
  });

export const timeZone = (help: string) =>
  ruled((value) => TimeZone.parse(value).ok, {
    allowed: 'a time zone as POSIX writes it, with its rules, such as UTC0 or CET-1CEST,M3.5.0,M10.5.0/3',
    help,
  });

/** A public key as `readSignatureKeys` takes it: an absolute path, or base64 of 32 or 44 bytes. */
export const signatureKey = () =>
  ruled((value) => isPlainPath(value) || /^(?:[A-Za-z0-9+/]{43}=|[A-Za-z0-9+/]{59}=)$/.test(value), {
    allowed: 'the path of a PEM file, or a public key of Ed25519 in base64',
  });

const networkInterface = () =>
  pattern(/^[^/\s]{1,15}$/, 'the name of a network interface such as br-lan', 'A network interface.');

/** Scheme, host and port of a URL, and nothing else. */
export const origin = (help: string) =>
  ruled((value) => isHttpUrl(value) && [value, `${value}/`].includes(`${new URL(value).origin}/`), {
    allowed: 'scheme, host and port such as https://images.example.com or https://images.example.com:8443',
    help,
  });

const address = () => ruled((value) => ipFamily(value) !== 0, { allowed: 'an IP address such as 192.168.1.1' });

export const httpUrl = (help: string) =>
  ruled(isHttpUrl, {
    allowed: 'a URL such as https://dm.example.com/dm, without user, password or #',
    help,
  });

/** `udp://<IP address>:<port>` or an http(s) URL whose host is an IP address: names are not looked up in the LAN. */
export const deviceAddress = (help: string) =>
  ruled((value) => deviceHost(value) !== undefined, {
    allowed: 'udp://192.168.1.57:2948 or http://192.168.1.57/..., with an IP address as host',
    help,
  });

/** DevInfo DevId: a URI such as `IMEI:493005100592800`, `urn:uuid:...` or `MAC:001122AABBCC`. */
export const DEVICE_ID = /^(?:MAC:[0-9A-F]{12}|(?!MAC:)[A-Za-z][A-Za-z0-9.+-]*:[\x21-\x7e]{1,200})$/;

export const DEVICE_ID_ALLOWED =
  'a device identifier such as MAC:001122AABBCC, IMEI:493005100592800 or urn:uuid:..., without spaces';

export const deviceId = (help: string) => pattern(DEVICE_ID, DEVICE_ID_ALLOWED, help);

export const prefixes = (help: string, from = 0) => list(prefix(), { from, to: 32 }, help, 'address prefixes');

export const addresses = (to: number, help: string) => list(address(), { to }, help, 'IP addresses');

export const hosts = (to: number, help: string) => list(host(), { to }, help, 'hosts');

export const networkInterfaces = (help: string) => list(networkInterface(), { to: 8 }, help, 'names of interfaces');

/** A section that belongs to somebody else: anything may stand in it. */
export const foreignSection = (help: string) => record(undefined, { help });

export const namesOf = (help: string) =>
  record(text({ from: 0, to: 255, allowed: 'text of at most 255 characters' }), {
    allowed: 'an object of texts',
    help,
  });

/** The host of a device's address as an IP address; undefined where the address is not of an allowed form. */
export function deviceHost(value: string): string | undefined {
  const url = parseUrl(value);
  if (!url || !['udp:', 'http:', 'https:'].includes(url.protocol)) return undefined;
  if (url.username !== '' || url.password !== '' || (url.protocol === 'udp:' && !/^[1-9]\d*$/.test(url.port))) {
    return undefined;
  }
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return ipFamily(host) === 0 ? undefined : host;
}

function isHttpUrl(value: string): boolean {
  const url = parseUrl(value);
  if (!url || value.length > 2048 || /\s/.test(value)) return false;
  return /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.hash === '';
}

function parseUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}

function isPlainPath(value: string): boolean {
  const tidy = normalize(value);
  return isAbsolute(value) && !value.includes('\0') && (tidy === value || tidy === `${value}/` || `${tidy}/` === value);
}
