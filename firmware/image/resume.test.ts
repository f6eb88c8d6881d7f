import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DOUBTFUL_FAULT, PORTAL_FAULT } from './portal.js';
import { meaningOf, sameSource, strongValidator, type Have, type ReplyMeaning } from './resume.js';

const ETAG = '"v1"';
const HAVE: Have = {
  bytes: 100,
  validator: ETAG,
  total: 1000,
  digestKnown: false,
  keptType: 'image/x',
  doubtOver: false,
};
const RANGE = { 'Content-Range': 'bytes 100-999/1000', 'Content-Length': '900', ETag: ETAG };

interface Case {
  readonly name: string;
  readonly status: number;
  readonly headers: Record<string, string | readonly string[]>;
  readonly have?: Partial<Have>;
  readonly means: Partial<ReplyMeaning>;
}

const append = { kind: 'append', offset: 100, length: 900, total: 1000, guarded: true } as const;
const askWhole = (reason: string) => ({ kind: 'ask-whole', reason }) as Partial<ReplyMeaning>;

const PAGE = { 'Content-Type': 'text/html; charset=utf-8' };
const portal = PORTAL_FAULT;
const TEXT = { 'Content-Type': 'application/json; charset=utf-8', 'Content-Length': '80' };
const doubtful = DOUBTFUL_FAULT;

const CASES: readonly Case[] = [
  { name: 'a web page in place of a file', status: 200, headers: PAGE, means: portal },
  {
    name: 'a web page in place of a file with a digest',
    status: 200,
    headers: PAGE,
    have: { digestKnown: true },
    means: portal,
  },
  { name: 'a web page at once', status: 200, headers: PAGE, have: { bytes: 0, keptType: undefined }, means: portal },
  {
    name: 'a web page at once with a digest',
    status: 200,
    headers: PAGE,
    have: { bytes: 0, keptType: undefined, digestKnown: true },
    means: { kind: 'restart', contentType: 'text/html; charset=utf-8' },
  },
  {
    name: 'an encoded web page at once with a digest',
    status: 200,
    headers: { ...PAGE, 'Content-Encoding': 'br' },
    have: { bytes: 0, keptType: undefined, digestKnown: true },
    means: portal,
  },
  { name: 'a text of no version in place of a file', status: 200, headers: TEXT, means: doubtful },
  { name: 'no type and no length in place of a file', status: 200, headers: {}, means: doubtful },
  {
    name: 'a text of no version in place of a file of unknown length',
    status: 200,
    headers: TEXT,
    have: { total: undefined },
    means: doubtful,
  },
  {
    name: 'a text of no version in place of another text of unknown length',
    status: 200,
    headers: TEXT,
    have: { total: undefined, keptType: 'text/plain' },
    means: { kind: 'restart' },
  },
  {
    name: 'no type in place of a file of unknown length',
    status: 200,
    headers: {},
    have: { total: undefined },
    means: { kind: 'restart' },
  },
  {
    name: 'a text in place of a file of no type and unknown length',
    status: 200,
    headers: TEXT,
    have: { total: undefined, keptType: '' },
    means: { kind: 'restart' },
  },
  {
    name: 'a text of a date in place of a file',
    status: 200,
    headers: { ...TEXT, 'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT' },
    means: { kind: 'restart' },
  },
  {
    name: 'a text of no version, where the doubt is over',
    status: 200,
    headers: TEXT,
    have: { doubtOver: true },
    means: { kind: 'restart' },
  },
  {
    name: 'a text of no version where nothing is there',
    status: 200,
    headers: TEXT,
    have: { bytes: 0, keptType: undefined, total: undefined },
    means: { kind: 'restart' },
  },
  {
    name: 'a web page after a part of one, with a digest',
    status: 200,
    headers: PAGE,
    have: { keptType: undefined, digestKnown: true },
    means: { kind: 'restart' },
  },
  { name: 'the rest, same ETag', status: 206, headers: RANGE, means: append },
  { name: 'the rest, no ETag (If-Range vouches)', status: 206, headers: { ...RANGE, ETag: [] }, means: append },
  {
    name: 'a short range',
    status: 206,
    headers: { 'Content-Range': 'bytes 100-199/1000', ETag: ETAG },
    means: { ...append, length: 100 },
  },
  {
    name: 'total unknown to the server, known to us',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 100-999/*' },
    means: append,
  },
  {
    name: 'total unknown to both',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 100-999/*' },
    have: { total: undefined },
    means: { ...append, total: undefined },
  },
  {
    name: 'no validator, no digest',
    status: 206,
    headers: RANGE,
    have: { validator: undefined },
    means: askWhole('unguarded'),
  },
  {
    name: 'no validator, but a digest',
    status: 206,
    headers: RANGE,
    have: { validator: undefined, digestKnown: true },
    means: { ...append, guarded: false },
  },
  {
    name: 'a range that starts early',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 99-999/1000' },
    means: askWhole('shifted-range'),
  },
  {
    name: 'a range that starts late',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 101-999/1000' },
    means: askWhole('shifted-range'),
  },
  {
    name: 'a changed total',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 100-1000/1001' },
    means: askWhole('changed-total'),
  },
  {
    name: 'a range beyond the total',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 100-1000/1000' },
    means: askWhole('wrong-length'),
  },
  {
    name: 'a range that ends before it starts',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 100-99/1000' },
    means: askWhole('no-content-range'),
  },
  {
    name: 'Content-Length against Content-Range',
    status: 206,
    headers: { ...RANGE, 'Content-Length': '899' },
    means: askWhole('wrong-length'),
  },
  { name: 'a changed ETag', status: 206, headers: { ...RANGE, ETag: '"v2"' }, means: askWhole('changed-validator') },
  {
    name: 'the ETag turned weak',
    status: 206,
    headers: { ...RANGE, ETag: 'W/"v1"' },
    means: askWhole('changed-validator'),
  },
  {
    name: 'a changed Last-Modified where that was the validator',
    status: 206,
    headers: { 'Content-Range': 'bytes 100-999/1000', 'Last-Modified': 'Mon, 01 Jan 2024 00:00:01 GMT' },
    have: { validator: 'Mon, 01 Jan 2024 00:00:00 GMT' },
    means: askWhole('changed-validator'),
  },
  {
    name: 'two Content-Range headers',
    status: 206,
    headers: { ...RANGE, 'Content-Range': ['bytes 100-999/1000', 'bytes 0-999/1000'] },
    means: askWhole('two-content-ranges'),
  },
  { name: 'no Content-Range', status: 206, headers: { ETag: ETAG }, means: askWhole('no-content-range') },
  {
    name: 'another unit',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'items 100-999/1000' },
    means: askWhole('no-content-range'),
  },
  {
    name: 'multipart/byteranges',
    status: 206,
    headers: { 'Content-Type': 'multipart/byteranges; boundary=x' },
    means: askWhole('multipart'),
  },
  {
    name: 'an encoded range',
    status: 206,
    headers: { ...RANGE, 'Content-Encoding': 'gzip' },
    means: askWhole('encoded'),
  },
  {
    name: 'identity is not an encoding',
    status: 206,
    headers: { ...RANGE, 'Content-Encoding': 'identity' },
    means: append,
  },
  {
    name: '206 to a request without Range',
    status: 206,
    headers: { ...RANGE, 'Content-Range': 'bytes 0-999/1000' },
    have: { bytes: 0 },
    means: { kind: 'refuse', reason: 'range-not-asked' },
  },
  {
    name: '200 for a range: changed, or no ranges here',
    status: 200,
    headers: { 'Content-Length': '2000', ETag: '"v2"', 'Content-Type': 'image/x' },
    means: { kind: 'restart', total: 2000, validator: '"v2"', contentType: 'image/x' },
  },
  {
    name: '200 chunked, weak ETag',
    status: 200,
    headers: { 'Transfer-Encoding': 'chunked', ETag: 'W/"v2"' },
    means: { kind: 'restart', total: undefined, validator: undefined },
  },
  {
    name: '200 encoded, asked with Range',
    status: 200,
    headers: { 'Content-Encoding': 'gzip', ETag: ETAG },
    means: askWhole('encoded'),
  },
  {
    name: '200 encoded, asked without',
    status: 200,
    headers: { 'Content-Encoding': 'br', ETag: ETAG },
    have: { bytes: 0 },
    means: { kind: 'refuse', reason: 'encoded' },
  },
  {
    name: '416 with what we have as total',
    status: 416,
    headers: { 'Content-Range': 'bytes */100' },
    have: { total: undefined },
    means: { kind: 'complete', total: 100 },
  },
  {
    name: '416, but we know of more',
    status: 416,
    headers: { 'Content-Range': 'bytes */100' },
    means: askWhole('unsatisfiable'),
  },
  {
    name: '416 with a smaller total',
    status: 416,
    headers: { 'Content-Range': 'bytes */50' },
    have: { total: undefined },
    means: askWhole('unsatisfiable'),
  },
  {
    name: '416 without a total',
    status: 416,
    headers: {},
    have: { total: undefined },
    means: askWhole('unsatisfiable'),
  },
  {
    name: '416 that nothing guards',
    status: 416,
    headers: { 'Content-Range': 'bytes */100' },
    have: { total: undefined, validator: undefined },
    means: askWhole('unsatisfiable'),
  },
  {
    name: '416 to a request without Range',
    status: 416,
    headers: {},
    have: { bytes: 0 },
    means: { kind: 'refuse', reason: 'unsatisfiable' },
  },
];

describe('the meaning of a reply to a ranged request', () => {
  for (const { name, status, headers, have, means } of CASES) {
    it(`${status}: ${name}`, () => {
      const rawHeaders = Object.entries(headers).flatMap(([key, value]) => [value].flat().flatMap((one) => [key, one]));
      const joined = Object.fromEntries(
        Object.entries(headers)
          .filter(([, value]) => value.length > 0)
          .map(([key, value]) => [key.toLowerCase(), [value].flat().join(', ')]),
      );
      const meaning = meaningOf({ status, headers: joined, rawHeaders }, { ...HAVE, ...have });
      assert.deepEqual({ ...meaning, ...means }, meaning);
    });
  }
});

describe('strong validators', () => {
  const modified = 'Mon, 01 Jan 2024 00:00:00 GMT';
  const rows: readonly (readonly [string, Record<string, string>, string | undefined])[] = [
    ['a strong ETag', { etag: '"a"', 'last-modified': modified }, '"a"'],
    [
      'a weak ETag, whatever the date',
      { etag: 'W/"a"', 'last-modified': modified, date: 'Tue, 02 Jan 2024 00:00:00 GMT' },
      undefined,
    ],
    ['an ETag without quotes', { etag: 'a' }, undefined],
    ['a date 60 s before Date', { 'last-modified': modified, date: 'Mon, 01 Jan 2024 00:01:00 GMT' }, modified],
    ['a date 59 s before Date', { 'last-modified': modified, date: 'Mon, 01 Jan 2024 00:00:59 GMT' }, undefined],
    ['a date without Date', { 'last-modified': modified }, undefined],
    ['nothing', {}, undefined],
  ];
  for (const [name, headers, validator] of rows) {
    it(name, () => assert.equal(strongValidator(headers), validator));
  }
});

it('the source is the same when only the query differs', () => {
  assert.equal(sameSource('http://a/x?sig=1', 'http://a:80/x?sig=2'), true);
  assert.equal(sameSource('http://a/x', 'http://a/y'), false);
  assert.equal(sameSource('http://a/x', 'https://a/x'), false);
});
