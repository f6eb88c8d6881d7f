import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseRange, select, type Representation, type Selection } from './ranges.js';

const modifiedMs = Date.parse('Mon, 01 Jan 2024 00:00:00 GMT');
const WHAT: Representation = { etag: '"e"', lastModifiedMs: modifiedMs, size: 1000 };
const same = new Date(modifiedMs).toUTCString();
const before = new Date(modifiedMs - 1000).toUTCString();
const after = new Date(modifiedMs + 1000).toUTCString();
const whole: Selection = { status: 200, start: 0, length: 1000 };
const part = (start: number, length: number): Selection => ({ status: 206, start, length });

const CASES: readonly (readonly [string, Record<string, string>, Selection])[] = [
  ['no conditions', {}, whole],
  ['a range', { range: 'bytes=0-0' }, part(0, 1)],
  ['an open range', { range: 'bytes=990-' }, part(990, 10)],
  ['a range beyond the end', { range: 'bytes=990-5000' }, part(990, 10)],
  ['a suffix', { range: 'bytes=-10' }, part(990, 10)],
  ['a suffix longer than the content', { range: 'bytes=-5000' }, part(0, 1000)],
  ['a range of digits beyond any number', { range: `bytes=0-${'9'.repeat(400)}` }, part(0, 1000)],
  ['an empty suffix', { range: 'bytes=-0' }, { status: 416 }],
  ['a range after the end', { range: 'bytes=1000-' }, { status: 416 }],
  ['a range that ends before it starts', { range: 'bytes=5-2' }, whole],
  ['several ranges', { range: 'bytes=0-1,5-6' }, whole],
  ['another unit', { range: 'items=0-1' }, whole],
  ['nonsense', { range: 'bytes=abc' }, whole],
  ['If-Match of ours', { 'if-match': '"x", "e"' }, whole],
  ['If-Match of any', { 'if-match': '*' }, whole],
  ['If-Match of another', { 'if-match': '"x"' }, { status: 412 }],
  ['If-Match compares strongly', { 'if-match': 'W/"e"' }, { status: 412 }],
  ['If-Match hides If-Unmodified-Since', { 'if-match': '"e"', 'if-unmodified-since': before }, whole],
  ['If-Unmodified-Since before', { 'if-unmodified-since': before }, { status: 412 }],
  ['If-Unmodified-Since at', { 'if-unmodified-since': same }, whole],
  ['If-None-Match of ours', { 'if-none-match': '"e"' }, { status: 304 }],
  ['If-None-Match compares weakly', { 'if-none-match': 'W/"e"' }, { status: 304 }],
  ['If-None-Match of another hides the date', { 'if-none-match': '"x"', 'if-modified-since': after }, whole],
  ['If-Modified-Since at', { 'if-modified-since': same }, { status: 304 }],
  ['If-Modified-Since before', { 'if-modified-since': before }, whole],
  ['If-Modified-Since of nonsense', { 'if-modified-since': 'yesterday' }, whole],
  ['304 goes before the range', { 'if-none-match': '"e"', range: 'bytes=0-0' }, { status: 304 }],
  ['412 goes before 304', { 'if-match': '"x"', 'if-none-match': '"e"' }, { status: 412 }],
  ['If-Range of ours', { range: 'bytes=1-2', 'if-range': '"e"' }, part(1, 2)],
  ['If-Range of another', { range: 'bytes=1-2', 'if-range': '"x"' }, whole],
  ['If-Range weak', { range: 'bytes=1-2', 'if-range': 'W/"e"' }, whole],
  ['If-Range of our date', { range: 'bytes=1-2', 'if-range': same }, part(1, 2)],
  ['If-Range of a later date', { range: 'bytes=1-2', 'if-range': after }, whole],
  ['If-Range hides an unsatisfiable range', { range: 'bytes=1000-', 'if-range': '"x"' }, whole],
];

describe('conditions and ranges', () => {
  for (const [name, headers, expected] of CASES) {
    it(name, () => assert.deepEqual(select('GET', headers, WHAT), expected));
  }

  it('HEAD knows conditions, but no ranges', () => {
    assert.deepEqual(select('HEAD', { range: 'bytes=0-1' }, WHAT), whole);
    assert.deepEqual(select('HEAD', { 'if-none-match': '*' }, WHAT), { status: 304 });
  });

  it('nothing can be selected from empty content', () => {
    assert.equal(parseRange('bytes=0-', 0), 'unsatisfiable');
    assert.equal(parseRange('bytes=-1', 0), 'unsatisfiable');
  });

  it('agrees with a model that lists the selected bytes', () => {
    for (let size = 0; size < 6; size += 1) {
      for (let first = 0; first < 7; first += 1) {
        for (let last = first; last < 8; last += 1) {
          const bytes = Array.from({ length: size }, (_, i) => i).filter((i) => i >= first && i <= last);
          const range = parseRange(`bytes=${first}-${last}`, size);
          const [start] = bytes;
          assert.deepEqual(range, start === undefined ? 'unsatisfiable' : { start, length: bytes.length });
        }
      }
    }
  });
});
