/**
 * For the tests of the image server: what is asked on the wire, each request alone, and what is answered. The same
 * requests go to another server to see where the two differ.
 */
import { pattern, sha256 } from './fixture.js';
import { MAX_PARTS } from './ranges.js';

export const SIZE = 300_001;
export const CONTENT = pattern(SIZE);
export const SHA = sha256(CONTENT);
const LAST = SIZE - 1;
export const TYPE = 'application/x-firmware';

/** What the server under test says of the content: `/scomo/fw.bin`, of type application/x-firmware. */
export interface Validators {
  readonly etag: string;
  /** Last-Modified, and dates around it. */
  readonly modified: string;
  readonly earlier: string;
  readonly later: string;
}

/** @param seconds  of Last-Modified */
export function validatorsAt(etag: string, seconds: number): Validators {
  const at = (by: number): string => new Date((seconds + by) * 1000).toUTCString();
  return { etag, modified: at(0), earlier: at(-1), later: at(1) };
}

export type Headers = Readonly<Record<string, string>>;
/** Spans of the content: one is the body, several are parts. */
export type Spans = readonly (readonly [first: number, last: number])[];

export interface Expected {
  readonly status: number;
  /** All of them, but for Connection, Keep-Alive and Date. */
  readonly headers: Headers;
  readonly spans?: Spans;
}

const GET = 'GET /scomo/fw.bin HTTP/1.1\nHost: x';
const HEAD = 'HEAD /scomo/fw.bin HTTP/1.1\nHost: x';
const get = (...headers: readonly string[]): string => [GET, ...headers].join('\n');
const path = (target: string): string => `GET ${target} HTTP/1.1\nHost: x`;
const hosted = (host: string): string => `GET /scomo/fw.bin HTTP/1.1\nHost: ${host}`;
const one = (method: string): string => `${method} /scomo/fw.bin HTTP/1.1\nHost: x`;

/** A range of the largest offsets that a file can have. */
const FARTHEST = '9223372036854775806-9223372036854775806';

/** `count` ranges of 2 bytes, 1000 bytes apart. */
const many = (count: number): Spans => Array.from({ length: count }, (_, i) => [i * 1000, i * 1000 + 1]);
const close = (count: number): string => Array.from({ length: count }, (_, i) => `${i * 2}-${i * 2}`).join(',');
const rangeOf = (spans: Spans): string => `Range: bytes=${spans.map(([a, b]) => `${a}-${b}`).join(',')}`;

/** One request: its lines, what is answered, and whether the connection is closed after it. */
export interface Row {
  readonly name: string;
  readonly lines: string;
  readonly expected: Expected;
  readonly closes: boolean;
}

/** Every request, with the answer of our server. */
export function rowsFor({ etag, modified, earlier, later }: Validators): Row[] {
  const validators: Headers = { etag, 'cache-control': 'no-cache', 'last-modified': modified };
  const entity: Headers = {
    ...validators,
    'accept-ranges': 'bytes',
    'content-disposition': 'attachment; filename="fw.bin"',
    'repr-digest': `sha-256=:${Buffer.from(SHA, 'hex').toString('base64')}:`,
  };
  const typed: Headers = { ...entity, 'content-type': TYPE };
  const head: Expected = { status: 200, headers: { ...typed, 'content-length': `${SIZE}` } };
  const whole: Expected = { ...head, spans: [[0, LAST]] };
  const part = (first: number, last: number): Expected => ({
    status: 206,
    headers: {
      ...typed,
      'content-length': `${last - first + 1}`,
      'content-range': `bytes ${first}-${last}/${SIZE}`,
    },
    spans: [[first, last]],
  });
  /** Content-Length by the model: RFC 2046 written out. */
  const parts = (...spans: Spans): Expected => {
    const boundary = SHA.slice(0, 32);
    const text = spans.map(
      ([first, last]) =>
        `\r\n--${boundary}\r\nContent-Type: ${TYPE}\r\n` +
        `Content-Range: bytes ${first}-${last}/${SIZE}\r\n\r\n${'x'.repeat(last - first + 1)}`,
    );
    const length = `${text.join('')}\r\n--${boundary}--\r\n`.length;
    const type = `multipart/byteranges; boundary=${boundary}`;
    return { status: 206, headers: { ...entity, 'content-type': type, 'content-length': `${length}` }, spans };
  };
  const empty = (status: number, headers: Headers = {}): Expected => ({
    status,
    headers: { 'content-length': '0', ...headers },
  });
  const notModified: Expected = { status: 304, headers: validators };
  const failed = empty(412);
  const unsatisfiable = empty(416, { 'content-range': `bytes */${SIZE}` });
  const missing = empty(404);
  const bad = empty(400);
  const allow = { allow: 'GET, HEAD, OPTIONS' };
  const options: Expected = { status: 204, headers: allow };
  const notAllowed = empty(405, allow);

  const rows: readonly (readonly [name: string, lines: string, expected: Expected, closes?: 'close'])[] = [
    ['GET', GET, whole],
    ['HEAD', HEAD, head],
    ['HEAD ignores Range', `${HEAD}\nRange: bytes=0-1`, head],
    ['HEAD ignores an unsatisfiable Range', `${HEAD}\nRange: bytes=${SIZE}-`, head],
    ['HEAD with If-None-Match', `${HEAD}\nIf-None-Match: ${etag}`, notModified],
    ['HEAD with If-Match of another', `${HEAD}\nIf-Match: "x"`, failed],
    ['OPTIONS', one('OPTIONS'), options],
    ['OPTIONS of the server', 'OPTIONS * HTTP/1.1\nHost: x', options],
    ['OPTIONS has no conditions', `${one('OPTIONS')}\nIf-Match: "x"`, options],
    ['POST', one('POST'), notAllowed],
    ['POST with content', `${one('POST')}\nContent-Length: 0`, notAllowed],
    ['PUT', one('PUT'), notAllowed],
    ['DELETE', one('DELETE'), notAllowed],
    ['TRACE', one('TRACE'), notAllowed],
    ['PATCH has no conditions', `${one('PATCH')}\nIf-Match: "x"`, notAllowed],
    ['a method that nobody knows', one('FETCH'), empty(501), 'close'],
    ['a method in lower case', one('get'), empty(501), 'close'],

    ['the first byte', get('Range: bytes=0-0'), part(0, 0)],
    ['the last byte', get('Range: bytes=-1'), part(LAST, LAST)],
    ['the middle', get('Range: bytes=1000-200000'), part(1000, 200_000)],
    ['an open range', get('Range: bytes=300000-'), part(300_000, LAST)],
    ['a range that is the whole', get('Range: bytes=0-'), part(0, LAST)],
    ['a range beyond the end', get('Range: bytes=300000-999999'), part(300_000, LAST)],
    ['a range to a number beyond all', get(`Range: bytes=300000-${'9'.repeat(50)}`), part(300_000, LAST)],
    ['a suffix beyond the start', get('Range: bytes=-999999'), part(0, LAST)],
    ['the unit in capitals', get('Range: BYTES=0-1'), part(0, 1)],
    ['a range after the end', get(`Range: bytes=${SIZE}-`), unsatisfiable],
    ['a range far after the end', get(`Range: bytes=${'9'.repeat(50)}-`), unsatisfiable],
    ['an empty suffix', get('Range: bytes=-0'), unsatisfiable],
    ['a backward range', get('Range: bytes=2-1'), whole],
    ['another unit', get('Range: lines=1-2'), whole],
    ['no unit', get('Range: 0-1'), whole],
    ['a negative number', get('Range: bytes=--1'), whole],
    ['a hexadecimal number', get('Range: bytes=0x0-0x1'), whole],
    ['space in a range', get('Range: bytes=0 - 1'), whole],
    ['an empty Range', get('Range:'), whole],
    ['two Range fields', get('Range: bytes=0-1', 'Range: bytes=5-6'), whole],

    ['two ranges', get('Range: bytes=0-1,5-6'), parts([0, 1], [5, 6])],
    ['two ranges, backward order', get('Range: bytes=5-6, 0-1'), parts([5, 6], [0, 1])],
    ['a range and a suffix', get('Range: bytes=0-0,-1'), parts([0, 0], [LAST, LAST])],
    ['large parts', get('Range: bytes=0-99999,100001-300000'), parts([0, 99_999], [100_001, LAST])],
    ['150 ranges', get(rangeOf(many(150))), parts(...many(150))],
    ['150 ranges of the largest offsets', get(`Range: bytes=${Array(150).fill(FARTHEST).join(',')}`), unsatisfiable],
    ['300 ranges, more than allowed', get(rangeOf(many(300))), whole],
    ['as many parts as allowed', get(rangeOf(many(MAX_PARTS))), parts(...many(MAX_PARTS))],
    ['one part too many', get(rangeOf(many(MAX_PARTS + 1))), whole],
    ['700 single bytes', get(`Range: bytes=${close(700)}`), whole],
    ['ranges that touch', get('Range: bytes=0-1,2-3'), part(0, 3)],
    ['ranges that overlap', get('Range: bytes=0-5,3-8'), part(0, 8)],
    ['some that overlap, some not', get('Range: bytes=90-99,0-5,3-8'), parts([90, 99], [0, 8])],
    ['2000 overlapping ranges', get(`Range: bytes=${'0-,'.repeat(2000)}0-`), whole],
    ['one satisfiable of three', get(`Range: bytes=${SIZE}-,7-9,-0`), part(7, 9)],
    ['none satisfiable of three', get(`Range: bytes=${SIZE}-,999999-,-0`), unsatisfiable],
    ['one of three is nonsense', get('Range: bytes=0-1,x,5-6'), whole],
    ['empty elements', get('Range: bytes=,0-1,,5-6,'), parts([0, 1], [5, 6])],

    ['If-Match of ours', get(`If-Match: ${etag}`), whole],
    ['If-Match of any', get('If-Match: *'), whole],
    ['If-Match in a list', get(`If-Match: "a,b", ${etag}`), whole],
    ['If-Match weak', get(`If-Match: W/${etag}`), failed],
    ['If-Match of another', get('If-Match: "x"'), failed],
    ['If-Match and a range', get(`If-Match: ${etag}`, 'Range: bytes=0-1'), part(0, 1)],
    ['If-Match of another goes before the range', get('If-Match: "x"', `Range: bytes=${SIZE}-`), failed],
    ['If-Match of another goes before If-None-Match', get('If-Match: "x"', `If-None-Match: ${etag}`), failed],
    ['If-Unmodified-Since earlier', get(`If-Unmodified-Since: ${earlier}`), failed],
    ['If-Unmodified-Since then', get(`If-Unmodified-Since: ${modified}`), whole],
    ['If-Match hides If-Unmodified-Since', get(`If-Match: ${etag}`, `If-Unmodified-Since: ${earlier}`), whole],
    ['If-None-Match of ours', get(`If-None-Match: ${etag}`), notModified],
    ['If-None-Match weak', get(`If-None-Match: W/${etag}`), notModified],
    ['If-None-Match of any', get('If-None-Match: *'), notModified],
    ['If-None-Match of another', get('If-None-Match: "x"'), whole],
    ['If-None-Match goes before the range', get(`If-None-Match: ${etag}`, 'Range: bytes=0-1'), notModified],
    ['If-Modified-Since then', get(`If-Modified-Since: ${modified}`), notModified],
    ['If-Modified-Since later', get(`If-Modified-Since: ${later}`), notModified],
    ['If-Modified-Since earlier', get(`If-Modified-Since: ${earlier}`), whole],
    ['If-Modified-Since of no date', get('If-Modified-Since: 2099-01-01'), whole],
    ['If-None-Match hides the date', get('If-None-Match: "x"', `If-Modified-Since: ${later}`), whole],
    ['If-Range of ours', get('Range: bytes=0-1', `If-Range: ${etag}`), part(0, 1)],
    ['If-Range of ours, two ranges', get('Range: bytes=0-1,5-6', `If-Range: ${etag}`), parts([0, 1], [5, 6])],
    ['If-Range weak', get('Range: bytes=0-1', `If-Range: W/${etag}`), whole],
    ['If-Range of another', get('Range: bytes=0-1', 'If-Range: "x"'), whole],
    ['If-Range of another, unsatisfiable', get(`Range: bytes=${SIZE}-`, 'If-Range: "x"'), whole],
    ['If-Range of our date', get('Range: bytes=0-1', `If-Range: ${modified}`), part(0, 1)],
    ['If-Range of another date', get('Range: bytes=0-1', `If-Range: ${later}`), whole],
    ['If-Range of no date', get('Range: bytes=0-1', 'If-Range: x'), whole],

    ['the absolute form', path('http://any.host:80/scomo/fw.bin'), whole],
    ['the absolute form, another Host', path('http://y/scomo/fw.bin'), whole],
    ['the absolute form without authority', path('http:///scomo/fw.bin'), missing],
    ['the absolute form with a user', path('http://u:p@x/scomo/fw.bin'), missing],
    ['a query', path('/scomo/fw.bin?a=b/../c'), whole],
    ['the root', path('/'), missing],
    ['the folder', path('/scomo/'), missing],
    ['no such image', path('/scomo/none'), missing],
    ['an image that is not available', path('/scomo/pending'), missing],
    ['a slash after it', path('/scomo/fw.bin/'), missing],
    ['two slashes', path('/scomo//fw.bin'), missing],
    ['dots', path('/scomo/../dmgw.db'), missing],
    ['dots that lead back', path('/scomo/../scomo/fw.bin'), missing],
    ['encoded dots', path('/scomo/%2e%2e/dmgw.db'), missing],
    ['an encoded slash', path('/scomo%2ffw.bin'), missing],
    ['dots and an encoded slash', path('/scomo/..%2fdmgw.db'), missing],
    ['a backslash', path('/scomo/..\\dmgw.db'), missing],
    ['an encoded NUL', path('/scomo/fw.bin%00'), missing],
    ['the name of the blob', path(`/scomo/${SHA}`), missing],
    ['capitals', path('/SCOMO/FW.BIN'), missing],
    ['a fragment', path('/scomo/fw.bin#x'), missing],
    ['the absolute form without path', path('http://any.host'), missing],
    ['a long path', path(`/scomo/${'x'.repeat(7000)}`), missing],
    ['a path beyond the headers', path(`/scomo/${'x'.repeat(9000)}`), empty(431), 'close'],
    ['headers beyond their limit', get(`X: ${'x'.repeat(9000)}`), empty(431), 'close'],
    ['a NUL', path('/scomo/fw.bin\0'), bad, 'close'],
    ['a control in a header', get('X: \x01'), bad, 'close'],
    ['POST where no image is', 'POST /scomo/none HTTP/1.1\nHost: x', missing],

    ['no Host', 'GET /scomo/fw.bin HTTP/1.1', bad, 'close'],
    ['no Host, the absolute form', 'GET http://x/scomo/fw.bin HTTP/1.1', bad, 'close'],
    ['no Host, no image', 'GET /none HTTP/1.1', bad, 'close'],
    ['no Host, POST', 'POST /scomo/fw.bin HTTP/1.1', bad, 'close'],
    ['two Hosts', get('Host: y'), bad, 'close'],
    ['two Hosts, both the same', get('Host: x'), bad, 'close'],
    ['two Hosts, HTTP/1.0', 'GET /scomo/fw.bin HTTP/1.0\nHost: x\nHost: x', bad, 'close'],
    ['two Hosts, the absolute form', 'GET http://x/scomo/fw.bin HTTP/1.1\nHost: x\nHost: y', bad, 'close'],
    ['a Host with a port', hosted('x:8080'), whole],
    ['an IPv6 Host', hosted('[fd00::1]:8080'), whole],
    ['an empty Host', hosted(''), whole],
    ['a Host with a path', hosted('x/y'), bad, 'close'],
    ['a Host with a user', hosted('u@x'), bad, 'close'],
    ['a Host with space', hosted('x y'), bad, 'close'],
    ['a Host with two ports', hosted('x:80:80'), bad, 'close'],
    ['a Host with a word for a port', hosted('x:http'), bad, 'close'],
    ['an IPv6 Host without brackets', hosted('fd00::1'), bad, 'close'],
    ['an IPv6 Host that does not end', hosted('[fd00::1'), bad, 'close'],
    ['a bad Host, HTTP/1.0', 'GET /scomo/fw.bin HTTP/1.0\nHost: x/y', bad, 'close'],
    ['a bad Host, the absolute form', 'GET http://x/scomo/fw.bin HTTP/1.1\nHost: x/y', bad, 'close'],
    ['HTTP/1.0', 'GET /scomo/fw.bin HTTP/1.0', whole, 'close'],
    ['HTTP/1.0 with a range', 'GET /scomo/fw.bin HTTP/1.0\nRange: bytes=0-1,5-6', parts([0, 1], [5, 6]), 'close'],
    ['HTTP/1.0 with keep-alive', 'HEAD /scomo/fw.bin HTTP/1.0\nConnection: keep-alive', head],
    ['a client that closes', get('Connection: close', 'Range: bytes=0-1'), part(0, 1), 'close'],
    ['HTTP/2', 'PRI * HTTP/2.0\n\nSM', empty(505), 'close'],
    ['HTTP/3.7', 'GET /scomo/fw.bin HTTP/3.7\nHost: x', empty(505), 'close'],
    ['no version', 'GET /scomo/fw.bin', bad, 'close'],
    ['an expectation to continue', `${HEAD}\nExpect: 100-continue`, head, 'close'],
    ['another expectation', `${HEAD}\nExpect: wonders`, head],
    ['an upgrade', `${HEAD}\nConnection: upgrade\nUpgrade: h2c`, head],
  ];
  return rows.map(([name, lines, expected, closes]) => ({ name, lines, expected, closes: closes === 'close' }));
}
