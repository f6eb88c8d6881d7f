import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import type { HttpAccess, Resolver, TlsIdentity } from '../net/index.js';
import type { DownloaderOptions } from './downloader.js';
import { openHouse, pattern, removeFolder, sha256 } from './fixture.js';
import { startBreakingFront, startRawOrigin, type Answer, type Answering, type RawRequest } from './hostile.js';
import type { ResultCode } from './image.js';
import type { ImageState } from './states.js';

const V1 = pattern(100_003);
const V2 = pattern(100_003, 1);
const SIZE = V1.length;
/** Where the first reply of a row breaks. */
const CUT = 40_000;
const PAGE = Buffer.from(`<!doctype html><title>Log in</title>${'<p>Welcome'.repeat(100)}`);
const HTML = 'Content-Type: text/html; charset=utf-8';
const JSON_TYPE = 'Content-Type: application/json';
const NOTE = Buffer.from('{"error":"login required"}');
const ETAG = 'ETag: "v1"';

interface Row {
  readonly name: string;
  /** The n-th request gets the n-th, all later ones the last. */
  readonly answers: readonly Answering[];
  readonly digest?: string;
  readonly ends: ImageState;
  readonly result: ResultCode;
  /** What becomes available. */
  readonly content?: Buffer;
  /** Bytes left on disk of what does not. */
  readonly kept?: number;
  /** Of each request: the first byte asked for, or the whole. */
  readonly asked: readonly (number | 'whole')[];
  readonly says?: RegExp;
  readonly url?: (port: number) => string;
  readonly certificate?: 'localhost' | 'other.example';
  /** The n-th connection is reset after so many octets of the origin, those of the TLS handshake counted too. */
  readonly resetAfter?: readonly number[];
  readonly access?: Partial<HttpAccess>;
  readonly options?: Partial<DownloaderOptions>;
  readonly quotaBytes?: number;
}

const head = (status: string, ...lines: string[]): string => [`HTTP/1.1 ${status}`, ...lines, '', ''].join('\r\n');
const length = (bytes: number): string => `Content-Length: ${bytes}`;
const range = (from: number, to: number, total: number | string): string =>
  `Content-Range: bytes ${from}-${to}/${total}`;
const chunk = (bytes: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
const say = (...pieces: (string | Buffer)[]): Answer => ({ pieces, then: 'end' });
const reset = (...pieces: (string | Buffer)[]): Answer => ({ pieces, then: 'reset' });
const silence = (...pieces: (string | Buffer)[]): Answer => ({ pieces, then: 'silence' });
const status = (line: string, ...lines: string[]): Answer => say(head(line, length(0), ...lines));
const redirect = (location: string): Answer => status('302 Found', `Location: ${location}`);
const whole = (content: Buffer, ...lines: string[]): Answer =>
  say(head('200 OK', length(content.length), ...lines), content);
/** The rest of V1 after the cut, as it should be but for these lines. */
const rest = (...lines: string[]): Answer => say(head('206 Partial Content', ...lines), V1.subarray(CUT));
const good = rest(range(CUT, SIZE - 1, SIZE), length(SIZE - CUT), ETAG);

/** The first reply of most rows: V1 up to the cut, with these header lines. */
const cut = (...lines: string[]): Answer => reset(head('200 OK', length(SIZE), ...lines), V1.subarray(0, CUT));
const CUT_V1 = cut(ETAG, 'Content-Type: application/x-firmware');

/** An honest file: ranges from anywhere, with If-Range. */
const file =
  (content: Buffer, etag: string, ...lines: string[]) =>
  ({ from, ifRange }: RawRequest): Answer =>
    from === undefined || (ifRange !== undefined && ifRange !== etag)
      ? whole(content, `ETag: ${etag}`, ...lines)
      : say(
          head('206 Partial Content', range(from, content.length - 1, content.length), `ETag: ${etag}`),
          content.subarray(from),
        );
const FILE = file(V1, '"v1"');
function* drip(first: readonly string[], again: string): Generator<string> {
  yield* first;
  for (;;) yield again;
}
const dripping = (first: readonly string[], again: string) => (): Answer => ({
  pieces: drip(first, again),
  everyMs: 30,
  then: 'silence',
});
function* endless(first: string): Generator<string | Buffer> {
  yield first;
  for (;;) yield chunk(V2);
}
/** A name server that changes its mind: the first answer once, then the other. */
function rebinding(first: string, then: string): Resolver {
  let asked = 0;
  return (_, __, done) => done(null, [{ address: (asked += 1) === 1 ? first : then, family: 4 }]);
}
const local = (path: string) => (port: number) => `https://localhost:${port}/${path}`;

const available = (content: Buffer, ...asked: (number | 'whole')[]) =>
  ({ ends: 'available', result: 'ok', content, asked }) as const;
const failed = (result: ResultCode, ...asked: (number | 'whole')[]) => ({ ends: 'failed', result, asked }) as const;
const thrice = ['whole', 'whole', 'whole'] as const;

/** Octets of a server's first flight in a TLS handshake: the ServerHello and some of the certificate. */
const HALF_FLIGHT = 400;

/** For rows about time. */
const IMPATIENT = { idleTimeoutMs: 400 } as const;

const ROWS: readonly Row[] = [
  // Validators and versions.
  {
    name: 'a weak validator, and another version after the cut',
    answers: [cut('ETag: W/"v1"'), file(V2, 'W/"v1"')],
    ...available(V2, 'whole', 'whole'),
  },
  {
    name: 'no validator, and another version after the cut',
    answers: [cut(), file(V2, '"v2"')],
    ...available(V2, 'whole', 'whole'),
  },
  {
    name: 'no validator but a Digest, and another version joined',
    answers: [cut(), say(head('206 Partial Content', range(CUT, SIZE - 1, SIZE)), V2.subarray(CUT)), whole(V2)],
    digest: sha256(V2),
    ...available(V2, 'whole', CUT, 'whole'),
  },
  {
    name: 'the same, twice',
    answers: [
      ...[1, 2].flatMap(() => [
        cut('Content-Type: application/x-firmware'),
        say(head('206 Partial Content', range(CUT, SIZE - 1, SIZE)), V2.subarray(CUT)),
      ]),
      whole(V2),
    ],
    digest: sha256(V2),
    options: { maxAttempts: 9 },
    ...available(V2, 'whole', CUT, 'whole', CUT, 'whole'),
  },
  {
    name: 'a Last-Modified in the second of its Date',
    answers: [
      cut('Last-Modified: Sun, 01 Nov 2026 10:00:00 GMT', 'Date: Sun, 01 Nov 2026 10:00:00 GMT'),
      file(V2, '"v2"'),
    ],
    ...available(V2, 'whole', 'whole'),
  },
  { name: '200 for 206, the same file', answers: [CUT_V1, whole(V1, ETAG)], ...available(V1, 'whole', CUT) },
  {
    name: '200 for 206, another version that is cut too',
    answers: [CUT_V1, reset(head('200 OK', length(SIZE), 'ETag: "v2"'), V2.subarray(0, 10_000)), file(V2, '"v2"')],
    ...available(V2, 'whole', CUT, 10_000),
  },
  {
    name: 'a changed ETag on the range',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT, SIZE - 1, SIZE), 'ETag: "v2"'), V2.subarray(CUT)),
      file(V2, '"v2"'),
    ],
    ...available(V2, 'whole', CUT, 'whole'),
  },
  {
    name: 'an unchanged ETag on changed bytes, found out by the Digest',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT, SIZE - 1, SIZE), ETAG), V2.subarray(CUT)),
      file(V2, '"v1"'),
    ],
    digest: sha256(V2),
    ...available(V2, 'whole', CUT, 'whole'),
  },
  {
    name: 'parts of another file than the Digest: the whole is tried once',
    answers: [CUT_V1, FILE, CUT_V1, FILE],
    digest: sha256(V2),
    ...failed('digest-mismatch', 'whole', CUT, 'whole', CUT),
  },
  { name: 'another file than the Digest', answers: [FILE], digest: sha256(V2), ...failed('digest-mismatch', 'whole') },
  // Ranges.
  {
    name: 'a range shifted back',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT - 1, SIZE - 1, SIZE), ETAG), V1.subarray(CUT - 1)),
      FILE,
    ],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: 'a range shifted forward',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT + 1, SIZE - 1, SIZE), ETAG), V1.subarray(CUT + 1)),
      FILE,
    ],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: 'a range shorter than asked for',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT, CUT + 999, SIZE), ETAG), V1.subarray(CUT, CUT + 1000)),
      FILE,
    ],
    ...available(V1, 'whole', CUT, CUT + 1000),
  },
  {
    name: 'a range shorter than asked for, and a refusal',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT, CUT + 999, SIZE), ETAG), V1.subarray(CUT, CUT + 1000)),
      status('403 Forbidden'),
    ],
    ends: 'needs-uri',
    result: 'unauthorized',
    kept: CUT + 1000,
    asked: ['whole', CUT, CUT + 1000],
  },
  {
    name: 'a range with fewer bytes than it announces',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT, SIZE - 1, SIZE), ETAG), V1.subarray(CUT, CUT + 1000)),
      FILE,
    ],
    ...available(V1, 'whole', CUT, CUT + 1000),
  },
  {
    name: 'a range with more bytes than it announces',
    answers: [
      CUT_V1,
      say(head('206 Partial Content', range(CUT, SIZE - 1, SIZE), ETAG), V1.subarray(CUT), V2.subarray(0, 9)),
    ],
    ...failed('bad-reply', 'whole', CUT),
  },
  {
    name: 'a changed total',
    answers: [CUT_V1, rest(range(CUT, SIZE - 1, SIZE + 1), ETAG), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: 'a range beyond the total',
    answers: [CUT_V1, rest(range(CUT, SIZE, SIZE), ETAG), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: 'a range whose Content-Length contradicts it',
    answers: [CUT_V1, rest(range(CUT, SIZE - 1, SIZE), length(SIZE), ETAG), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  { name: '206 without Content-Range', answers: [CUT_V1, rest(ETAG), FILE], ...available(V1, 'whole', CUT, 'whole') },
  {
    name: 'two Content-Range headers',
    answers: [CUT_V1, rest(range(CUT, SIZE - 1, SIZE), range(0, 1, SIZE), ETAG), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: 'Content-Range in another unit',
    answers: [CUT_V1, rest(`Content-Range: items ${CUT}-${SIZE - 1}/${SIZE}`, ETAG), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: 'multipart/byteranges',
    answers: [CUT_V1, rest('Content-Type: multipart/byteranges; boundary=b', range(CUT, SIZE - 1, SIZE), ETAG), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: '206 where no range was asked',
    answers: [say(head('206 Partial Content', range(0, SIZE - 1, SIZE)), V1)],
    ...failed('bad-reply', 'whole'),
  },
  {
    name: 'gzip on a range',
    answers: [CUT_V1, rest(range(CUT, SIZE - 1, SIZE), 'Content-Encoding: gzip', ETAG), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: 'gzip where none was asked',
    answers: [whole(V1, 'Content-Encoding: gzip')],
    ...failed('bad-reply', 'whole'),
  },
  // 416.
  {
    name: '416 in the middle',
    answers: [CUT_V1, status('416 Range Not Satisfiable', `Content-Range: bytes */${SIZE}`), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: '416 that calls the part the whole',
    answers: [CUT_V1, status('416 Range Not Satisfiable', `Content-Range: bytes */${CUT}`), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: '416 without a total',
    answers: [CUT_V1, status('416 Range Not Satisfiable'), FILE],
    ...available(V1, 'whole', CUT, 'whole'),
  },
  {
    name: '416 at the end, after a body that lacked only its last chunk',
    answers: [
      reset(head('200 OK', 'Transfer-Encoding: chunked', ETAG), chunk(V1)),
      status('416 Range Not Satisfiable', `Content-Range: bytes */${SIZE}`),
    ],
    ...available(V1, 'whole', SIZE),
  },
  {
    name: '416 where no range was asked',
    answers: [status('416 Range Not Satisfiable')],
    ...failed('bad-reply', 'whole'),
  },
  // Lengths.
  {
    name: 'a Content-Length that is too large, again and again',
    answers: [say(head('200 OK', length(SIZE + 1)), V1)],
    ...failed('broken', 'whole', 'whole', 'whole', 'whole'),
    kept: SIZE,
  },
  {
    name: 'a Content-Length that is too small, found out by the Digest',
    answers: [say(head('200 OK', length(SIZE - 1), ETAG), V1)],
    digest: sha256(V1),
    ...failed('digest-mismatch', 'whole'),
  },
  {
    name: 'two Content-Length headers',
    answers: [say(head('200 OK', length(SIZE), length(SIZE - 1)), V1)],
    ...failed('broken', ...thrice),
  },
  {
    name: 'a Content-Length that is no number',
    answers: [say(head('200 OK', 'Content-Length: -1'), V1)],
    ...failed('broken', ...thrice),
  },
  {
    name: 'a chunked body without end: room is refused',
    answers: [() => ({ pieces: endless(head('200 OK', 'Transfer-Encoding: chunked')), then: 'silence' })],
    quotaBytes: 1_000_000,
    ...failed('no-room', 'whole'),
  },
  {
    name: 'a chunked range without end',
    answers: [
      CUT_V1,
      () => ({
        pieces: endless(head('206 Partial Content', range(CUT, SIZE - 1, SIZE), 'Transfer-Encoding: chunked')),
        then: 'silence',
      }),
    ],
    ...failed('bad-reply', 'whole', CUT),
  },
  {
    name: 'chunks that are none',
    answers: [say(head('200 OK', 'Transfer-Encoding: chunked'), 'zz\r\nnonsense\r\n')],
    ...failed('broken', ...thrice),
  },
  {
    name: 'an announced size beyond the quota',
    answers: [whole(V1)],
    quotaBytes: SIZE - 1,
    ...failed('no-room', 'whole'),
  },
  { name: 'an empty body', answers: [status('200 OK')], ...available(Buffer.alloc(0), 'whole') },
  {
    name: 'an empty body for a Digest, again and again',
    answers: [status('200 OK')],
    digest: sha256(V1),
    ...failed('digest-mismatch', ...thrice),
  },
  // Time.
  { name: 'no answer', answers: [silence()], options: IMPATIENT, ...failed('unreachable', ...thrice) },
  {
    name: 'a header that drips',
    options: IMPATIENT,
    answers: [dripping(['HTTP/1.1 200 OK\r\nX: '], 'x')],
    ...failed('unreachable', ...thrice),
    says: /in time/,
  },
  {
    name: 'interim replies without end',
    options: IMPATIENT,
    answers: [dripping([], head('103 Early Hints'))],
    ...failed('unreachable', ...thrice),
    says: /in time/,
  },
  {
    name: 'silence after the header',
    options: IMPATIENT,
    answers: [silence(head('200 OK', length(SIZE))), FILE],
    ...available(V1, 'whole', 'whole'),
  },
  {
    name: 'silence in the middle',
    options: IMPATIENT,
    answers: [silence(head('200 OK', length(SIZE), ETAG), V1.subarray(0, CUT)), good],
    ...available(V1, 'whole', CUT),
  },
  {
    name: 'a body that drips',
    options: IMPATIENT,
    answers: [dripping([head('200 OK', length(SIZE), 'ETag: W/"v1"')], 'x'), FILE],
    ...available(V1, 'whole', 'whole'),
  },
  // Resets at every boundary.
  { name: 'reset before the reply', answers: [reset(), FILE], ...available(V1, 'whole', 'whole') },
  { name: 'reset in the status line', answers: [reset('HTTP/1.1 2'), FILE], ...available(V1, 'whole', 'whole') },
  {
    name: 'reset in the headers',
    answers: [reset('HTTP/1.1 200 OK\r\nContent-Le'), FILE],
    ...available(V1, 'whole', 'whole'),
  },
  {
    name: 'reset before the blank line',
    answers: [reset(`HTTP/1.1 200 OK\r\n${length(SIZE)}\r\n`), FILE],
    ...available(V1, 'whole', 'whole'),
  },
  {
    name: 'reset after the headers',
    answers: [reset(head('200 OK', length(SIZE), ETAG)), FILE],
    ...available(V1, 'whole', 'whole'),
  },
  {
    name: 'reset after the headers of a range',
    answers: [CUT_V1, reset(head('206 Partial Content', range(CUT, SIZE - 1, SIZE), ETAG)), FILE],
    ...available(V1, 'whole', CUT, CUT),
  },
  {
    name: 'reset after the first byte',
    answers: [reset(head('200 OK', length(SIZE), ETAG), V1.subarray(0, 1)), FILE],
    ...available(V1, 'whole', 1),
  },
  { name: 'reset in the middle', answers: [CUT_V1, FILE], ...available(V1, 'whole', CUT) },
  {
    name: 'reset before the last byte',
    answers: [reset(head('200 OK', length(SIZE), ETAG), V1.subarray(0, SIZE - 1)), FILE],
    ...available(V1, 'whole', SIZE - 1),
  },
  {
    name: 'reset after the last byte',
    answers: [reset(head('200 OK', length(SIZE), ETAG), V1)],
    ...available(V1, 'whole'),
  },
  {
    name: 'reset in the middle of every reply',
    answers: [CUT_V1, reset(head('206 Partial Content', range(CUT, SIZE - 1, SIZE), ETAG))],
    ...failed('broken', 'whole', CUT, CUT, CUT),
    kept: CUT,
  },
  // What is not HTTP, or too much of it.
  { name: 'a garbage status line', answers: [say('ICY 200 OK\r\n\r\n', V1)], ...failed('broken', ...thrice) },
  { name: 'a file without any header', answers: [say(V1)], ...failed('broken', ...thrice) },
  {
    name: 'a header bomb',
    answers: [say(head('200 OK', ...Array.from({ length: 64 }, (_, i) => `X-${i}: ${'x'.repeat(1000)}`)), V1)],
    ...failed('broken', ...thrice),
  },
  // Statuses.
  { name: '204', answers: [say(head('204 No Content'))], ...failed('bad-reply', 'whole') },
  {
    name: '401 in the middle',
    answers: [CUT_V1, status('401 Unauthorized')],
    ends: 'needs-uri',
    result: 'unauthorized',
    kept: CUT,
    asked: ['whole', CUT],
  },
  {
    name: '403 in the middle',
    answers: [CUT_V1, status('403 Forbidden', HTML)],
    ends: 'needs-uri',
    result: 'unauthorized',
    kept: CUT,
    asked: ['whole', CUT],
  },
  {
    name: '410 in the middle',
    answers: [CUT_V1, status('410 Gone')],
    ends: 'needs-uri',
    result: 'expired',
    kept: CUT,
    asked: ['whole', CUT],
  },
  {
    name: '404 in the middle',
    answers: [CUT_V1, status('404 Not Found')],
    ...failed('not-found', 'whole', CUT),
    kept: CUT,
  },
  {
    name: '429 with Retry-After in the middle',
    answers: [CUT_V1, status('429 Too Many Requests', 'Retry-After: 60')],
    ends: 'waiting',
    result: 'unavailable',
    kept: CUT,
    asked: ['whole', CUT],
  },
  {
    name: '503 with Retry-After',
    answers: [status('503 Service Unavailable', 'Retry-After: 60')],
    ends: 'waiting',
    result: 'unavailable',
    asked: ['whole'],
  },
  {
    name: '500 for good',
    answers: [CUT_V1, status('500 Internal Server Error')],
    ...failed('server-error', 'whole', CUT, CUT, CUT),
    kept: CUT,
  },
  { name: '500 once', answers: [status('500 Internal Server Error'), FILE], ...available(V1, 'whole', 'whole') },
  { name: '400', answers: [status('400 Bad Request')], ...failed('refused', 'whole') },
  {
    name: '403 at once',
    answers: [status('403 Forbidden')],
    ends: 'needs-uri',
    result: 'unauthorized',
    asked: ['whole'],
  },
  // Redirects and addresses.
  { name: 'a redirect to itself', answers: [redirect('/image.bin')], ...failed('bad-url', ...thrice, ...thrice) },
  { name: 'a redirect without Location', answers: [status('302 Found')], ...failed('bad-url', 'whole') },
  { name: 'a redirect to a file', answers: [redirect('file:///etc/passwd')], ...failed('bad-url', 'whole') },
  {
    name: 'a redirect to a forbidden address',
    answers: [redirect('http://127.0.0.2:9/')],
    access: { allowAddress: (address) => address === '127.0.0.1' },
    ...failed('address-refused', 'whole'),
  },
  {
    name: 'a redirect to a forbidden address in the middle',
    answers: [CUT_V1, redirect('http://[::1]:9/')],
    access: { allowAddress: (address) => address === '127.0.0.1' },
    ...failed('address-refused', 'whole', CUT),
    kept: CUT,
  },
  {
    name: 'a name that resolves to a forbidden address',
    answers: [FILE],
    url: (port) => `http://localhost:${port}/image.bin`,
    access: { allowAddress: () => false },
    ...failed('address-refused'),
  },
  {
    name: 'a name whose address changes to a forbidden one',
    answers: [CUT_V1, FILE],
    url: (port) => `http://images.example:${port}/image.bin`,
    access: { allowAddress: (address) => address === '127.0.0.1', resolve: rebinding('127.0.0.1', '127.0.0.2') },
    ...failed('address-refused', 'whole'),
    kept: CUT,
  },
  {
    name: 'a name with a forbidden address and an allowed one',
    answers: [FILE],
    url: (port) => `http://images.example:${port}/image.bin`,
    access: {
      allowAddress: (address) => address === '127.0.0.1',
      resolve: (_, __, done) =>
        done(null, [
          { address: '127.0.0.2', family: 4 },
          { address: '127.0.0.1', family: 4 },
        ]),
    },
    ...available(V1, 'whole'),
  },
  {
    name: 'a host that is not on the list',
    answers: [FILE],
    access: { allowHost: (hostname) => hostname === 'images.example' },
    ...failed('address-refused'),
    says: /host 127\.0\.0\.1 is not allowed/,
  },
  {
    name: 'a redirect to a host that is not on the list',
    answers: [redirect('http://other.example/image.bin?token=secret')],
    access: { allowHost: (hostname) => hostname === '127.0.0.1' },
    ...failed('address-refused', 'whole'),
    says: /^no reply: host other\.example is not allowed$/,
  },
  {
    name: 'a redirect from https to http, where that is allowed',
    answers: [redirect('http://127.0.0.1:9/')],
    url: local('image.bin'),
    certificate: 'localhost',
    options: { allowDowngrade: true },
    ...failed('unreachable', ...thrice),
  },
  {
    name: 'a redirect from https to http',
    answers: [redirect('http://127.0.0.1:9/')],
    url: local('image.bin'),
    certificate: 'localhost',
    ...failed('bad-url', 'whole'),
  },
  {
    name: 'a certificate for another name',
    answers: [FILE],
    url: local('image.bin'),
    certificate: 'other.example',
    ...failed('tls'),
  },
  {
    name: 'a certificate that nobody vouches for',
    answers: [FILE],
    url: local('image.bin'),
    certificate: 'localhost',
    access: { ca: '' },
    ...failed('tls'),
  },
  {
    name: 'a reset right after the ClientHello',
    answers: [FILE],
    url: local('image.bin'),
    certificate: 'localhost',
    resetAfter: [0],
    ...available(V1, 'whole'),
  },
  {
    name: 'a reset half-way through its own part of the TLS handshake',
    answers: [FILE],
    url: local('image.bin'),
    certificate: 'localhost',
    resetAfter: [HALF_FLIGHT],
    ...available(V1, 'whole'),
  },
  {
    name: 'a reset in the TLS handshake of the connection that would go on',
    answers: [say(head('200 OK', length(SIZE), ETAG), V1.subarray(0, CUT)), FILE],
    url: local('image.bin'),
    certificate: 'localhost',
    resetAfter: [Infinity, HALF_FLIGHT, 0],
    ...available(V1, 'whole', CUT),
  },
  {
    name: 'a reset in every TLS handshake',
    answers: [FILE],
    url: local('image.bin'),
    certificate: 'localhost',
    resetAfter: [0, HALF_FLIGHT, 0],
    ...failed('broken'),
  },
  {
    name: 'nothing wrong, over TLS',
    answers: [FILE],
    url: local('x'),
    certificate: 'localhost',
    ...available(V1, 'whole'),
  },
  // Captive portals.
  {
    name: 'a web page instead of the image',
    answers: [whole(PAGE, HTML)],
    ends: 'waiting',
    result: 'captive-portal',
    says: /captive portal/,
    asked: ['whole'],
  },
  {
    name: 'a web page in the middle',
    answers: [CUT_V1, whole(PAGE, HTML)],
    ends: 'waiting',
    result: 'captive-portal',
    kept: CUT,
    asked: ['whole', CUT],
  },
  {
    name: 'a web page in the middle, then the file again',
    answers: [CUT_V1, whole(PAGE, HTML), good],
    ...available(V1, 'whole', CUT, CUT),
  },
  {
    name: 'a redirect to a web page in the middle',
    answers: [CUT_V1, redirect('/login'), whole(PAGE, HTML)],
    ends: 'waiting',
    result: 'captive-portal',
    kept: CUT,
    asked: ['whole', CUT, CUT],
  },
  {
    name: 'a web page in the middle, although there is a Digest',
    answers: [CUT_V1, whole(PAGE, HTML)],
    digest: sha256(V1),
    ends: 'waiting',
    result: 'captive-portal',
    kept: CUT,
    asked: ['whole', CUT],
  },
  {
    name: 'a web page that a Digest refuses',
    answers: [whole(PAGE, HTML)],
    digest: sha256(V1),
    ends: 'waiting',
    result: 'captive-portal',
    asked: ['whole'],
  },
  {
    name: 'a web page that a Digest refuses, then the file',
    answers: [whole(PAGE, HTML), FILE],
    digest: sha256(V1),
    ...available(V1, 'whole', 'whole'),
  },
  {
    name: 'something of no type and no version that a Digest refuses, then the file',
    answers: [whole(NOTE), FILE],
    digest: sha256(V1),
    ...available(V1, 'whole', 'whole'),
  },
  {
    name: 'something of no type and no version that a Digest refuses, for good',
    answers: [whole(NOTE)],
    digest: sha256(V1),
    ...failed('digest-mismatch', ...thrice),
  },
  {
    name: 'something of no type and no version, too large for a portal, that a Digest refuses',
    answers: [whole(pattern(1_100_000))],
    digest: sha256(V1),
    ...failed('digest-mismatch', 'whole'),
  },
  {
    name: 'a web page too large for a portal that a Digest refuses',
    answers: [whole(pattern(1_100_000), HTML)],
    digest: sha256(V1),
    ...failed('digest-mismatch', 'whole'),
  },
  {
    name: 'a web page that a Digest asks for',
    answers: [file(PAGE, '"page"', HTML)],
    digest: sha256(PAGE),
    ...available(PAGE, 'whole'),
  },
  {
    name: 'an encoded web page, although there is a Digest',
    answers: [whole(PAGE, HTML, 'Content-Encoding: gzip')],
    digest: sha256(PAGE),
    ends: 'waiting',
    result: 'captive-portal',
    asked: ['whole'],
  },
  {
    name: 'an answer in JSON in the middle',
    answers: [CUT_V1, whole(NOTE, JSON_TYPE)],
    ends: 'waiting',
    result: 'captive-portal',
    says: /captive portal/,
    kept: CUT,
    asked: ['whole', CUT],
  },
  {
    name: 'an answer in JSON of no announced length in the middle, then the file again',
    answers: [CUT_V1, say(head('200 OK', 'Transfer-Encoding: chunked', JSON_TYPE), chunk(NOTE), '0\r\n\r\n'), good],
    ...available(V1, 'whole', CUT, CUT),
  },
  {
    name: 'an answer in XML in the middle of a file of unknown length, then the file again',
    answers: [
      reset(
        head('200 OK', 'Transfer-Encoding: chunked', ETAG, 'Content-Type: application/x-firmware'),
        chunk(V1.subarray(0, CUT)),
      ),
      whole(NOTE, 'Content-Type: text/xml'),
      good,
    ],
    ...available(V1, 'whole', CUT, CUT),
  },
  {
    name: 'another length of no type and no version in the middle, then the file again',
    answers: [CUT_V1, whole(NOTE), good],
    ...available(V1, 'whole', CUT, CUT),
  },
  {
    name: 'another length of no type and no version in the middle, for good',
    answers: [CUT_V1, whole(NOTE)],
    ...failed('captive-portal', 'whole', CUT, CUT, CUT),
    says: /given up after 3 tries: .*captive portal/,
  },
  {
    name: 'the same, where a Digest tells in the end that the file has changed',
    answers: [CUT_V1, whole(V2.subarray(1))],
    digest: sha256(V2.subarray(1)),
    options: { maxAttempts: 9 },
    ...available(V2.subarray(1), 'whole', CUT, CUT, CUT, CUT, CUT, CUT, CUT),
  },
  {
    name: 'another length that names its version in the middle: another version',
    answers: [CUT_V1, whole(NOTE, JSON_TYPE, 'ETag: W/"v2"')],
    ...available(NOTE, 'whole', CUT),
  },
  {
    name: 'another length of a firmware type in the middle: another version',
    answers: [CUT_V1, whole(NOTE, 'Content-Type: application/octet-stream')],
    ...available(NOTE, 'whole', CUT),
  },
  {
    name: 'another length that is too large for a portal in the middle: another version',
    answers: [CUT_V1, whole(pattern(1_100_000))],
    ...available(pattern(1_100_000), 'whole', CUT),
  },
  {
    name: 'the same length of no type and no version in the middle: another version',
    answers: [CUT_V1, whole(V2)],
    ...available(V2, 'whole', CUT),
  },
  {
    name: 'an answer in JSON that a Digest refuses, then the file',
    answers: [whole(NOTE, JSON_TYPE), FILE],
    digest: sha256(V1),
    ...available(V1, 'whole', 'whole'),
  },
  {
    name: 'errors in the middle, then an answer in JSON, then the rest',
    answers: [
      CUT_V1,
      ...Array.from({ length: 5 }, () => status('503 Service Unavailable')),
      whole(NOTE, JSON_TYPE),
      good,
    ],
    digest: sha256(V1),
    options: { maxAttempts: 20 },
    ...available(V1, 'whole', CUT, CUT, CUT, CUT, CUT, CUT, CUT),
  },
  {
    name: 'a text of a version that a Digest refuses',
    answers: [whole(NOTE, 'Content-Type: text/plain', ETAG)],
    digest: sha256(V1),
    ...failed('digest-mismatch', 'whole'),
  },
  {
    name: '511 Network Authentication Required',
    answers: [CUT_V1, status('511 Network Authentication Required', HTML)],
    ends: 'waiting',
    result: 'captive-portal',
    kept: CUT,
    asked: ['whole', CUT],
  },
];

const certificates = new Map<string, TlsIdentity>();
before(() => {
  if (NO_CERTIFICATES !== false) return;
  for (const name of ['localhost', 'other.example']) certificates.set(name, makeCertificate(name));
});

describe('an origin with', { concurrency: 4 }, () => {
  for (const row of ROWS) {
    const skip = row.certificate ? NO_CERTIFICATES : false;
    it(`${row.name}: ${row.ends}, ${row.result}`, { skip }, () => play(row));
  }
});

async function play(row: Row): Promise<void> {
  const { certificate, quotaBytes, digest, ends, kept = 0 } = row;
  const tls = certificate && certificates.get(certificate);
  const origin = await startRawOrigin(row.answers, tls);
  const front = row.resetAfter && (await startBreakingFront(origin.port, row.resetAfter));
  const house = openHouse({
    ...(quotaBytes !== undefined && { blobs: { quotaBytes } }),
    downloader: {
      // A row that ends in a pause has long ones, which the loop below cuts short.
      backoff: ends === 'waiting' ? { firstMs: 60_000, maxMs: 60_000 } : { firstMs: 1, maxMs: 4 },
      maxAttempts: 3,
      // Long enough for a machine that is busy with other things; rows about time have less.
      idleTimeoutMs: 10_000,
      minBytesPerSecond: 1000,
      // The least that there is: a body that waits for the disk loses what a reset overtakes.
      fsyncVolumeBytes: 1024 * 1024,
      access: { allowAddress: () => true, ...(tls && { ca: tls.cert }), ...row.access },
      ...row.options,
    },
  });
  try {
    await house.downloader.start();
    const url = row.url?.((front ?? origin).port) ?? `http://127.0.0.1:${origin.port}/image.bin`;
    const { id } = house.add('a', url, digest);
    while (ends === 'waiting' && origin.seen.length < row.asked.length) {
      house.downloader.retryNow();
      await sleep(5);
    }
    const image = await house.until(id, ends);
    await house.close();
    assert.equal(image.result, row.result, image.resultText);
    if (row.says) assert.match(image.resultText, row.says);
    assert.deepEqual(
      origin.seen.map(({ from }) => from ?? 'whole'),
      row.asked,
    );
    const blobs = readdirSync(join(house.folder, 'blobs'));
    if (row.content) {
      const sha = sha256(row.content);
      assert.deepEqual(blobs.sort(), [sha, `${sha}.json`]);
      assert.ok(readFileSync(join(house.folder, 'blobs', sha)).equals(row.content));
    } else {
      assert.deepEqual(blobs, []);
      assert.equal(image.received, kept);
      const partial = join(house.folder, 'partial', String(id));
      assert.equal(existsSync(partial) ? statSync(partial).size : 0, kept);
      if (kept > 0) assert.ok(V1.subarray(0, kept).equals(readFileSync(partial)));
    }
    assert.equal(house.events.length, ends === 'waiting' ? 0 : 1);
  } finally {
    await house.close();
    await front?.close();
    await origin.close();
    removeFolder(house.folder);
  }
}
