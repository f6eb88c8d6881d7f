import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseHttpDate } from './httpdate.js';
import { joined, MAX_OVERLAPS, MAX_PARTS, parseRanges, type Span } from './ranges.js';
import { select, type Representation, type Selection } from './selection.js';

const modifiedMs = Date.parse('Mon, 01 Jan 2024 00:00:00 GMT');
const WHAT: Representation = { etag: '"e"', lastModifiedMs: modifiedMs, size: 1000 };
const same = new Date(modifiedMs).toUTCString();
const before = new Date(modifiedMs - 1000).toUTCString();
const after = new Date(modifiedMs + 1000).toUTCString();
const whole: Selection = { status: 200, spans: [{ start: 0, length: 1000 }] };
const parts = (...spans: readonly (readonly [number, number])[]): Selection => ({
  status: 206,
  spans: spans.map(([start, length]) => ({ start, length })),
});
const part = (start: number, length: number): Selection => parts([start, length]);
/** `count` ranges of one byte, two bytes apart. */
const apart = (count: number): string => Array.from({ length: count }, (_, i) => `${i * 2}-${i * 2}`).join(',');

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
  ['several ranges', { range: 'bytes=0-1,5-6' }, parts([0, 2], [5, 2])],
  ['several ranges with spaces and empty elements', { range: 'bytes=, 0-1 ,\t,5-6,' }, parts([0, 2], [5, 2])],
  ['several ranges in their own order', { range: 'bytes=-1,500-501,0-1' }, parts([999, 1], [500, 2], [0, 2])],
  ['ranges that touch', { range: 'bytes=0-1,2-3' }, part(0, 4)],
  ['ranges that overlap', { range: 'bytes=5-8,0-1,7-9' }, parts([5, 5], [0, 2])],
  ['ranges that are joined by a later one', { range: 'bytes=8-9,0-1,2-7' }, part(0, 10)],
  ['ranges that make the whole', { range: 'bytes=500-,0-499' }, part(0, 1000)],
  ['one satisfiable range of several', { range: 'bytes=5000-,1-2,-0' }, part(1, 2)],
  ['none satisfiable of several', { range: 'bytes=5000-,1000-1001,-0' }, { status: 416 }],
  ['several ranges, one nonsense', { range: 'bytes=0-1,x' }, whole],
  ['several ranges, one backwards', { range: 'bytes=0-1,5-2' }, whole],
  ['two Range fields', { range: 'bytes=0-1, bytes=5-6' }, whole],
  ['no range at all', { range: 'bytes=' }, whole],
  ['nothing but commas', { range: 'bytes=, ,' }, whole],
  ['more parts than allowed', { range: `bytes=${apart(MAX_PARTS + 1)}` }, whole],
  ['many ranges that overlap', { range: `bytes=${'0-,'.repeat(2000)}` }, whole],
  ['as many overlaps as allowed', { range: `bytes=${'0-,'.repeat(MAX_OVERLAPS + 1)}` }, part(0, 1000)],
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
  [
    'If-Range of our date in an old form',
    { range: 'bytes=1-2', 'if-range': 'Monday, 01-Jan-24 00:00:00 GMT' },
    part(1, 2),
  ],
  ['If-Range of what is no HTTP-date', { range: 'bytes=1-2', 'if-range': '2024-01-01' }, whole],
  ['If-Range with several ranges', { range: 'bytes=1-2,5-6', 'if-range': '"e"' }, parts([1, 2], [5, 2])],
  ['If-Range without Range', { 'if-range': '"x"' }, whole],
  ['If-Modified-Since of what is no HTTP-date', { 'if-modified-since': '2025-01-01' }, whole],
  ['If-Unmodified-Since of what is no HTTP-date', { 'if-unmodified-since': '1999' }, whole],
  ['412 of a date goes before 304', { 'if-unmodified-since': before, 'if-none-match': '"e"' }, { status: 412 }],
  ['If-Range hides an unsatisfiable range', { range: 'bytes=1000-', 'if-range': '"x"' }, whole],
];

describe('conditions and ranges', () => {
  for (const [name, headers, expected] of CASES) {
    it(name, () => assert.deepEqual(select('GET', new Map(Object.entries(headers)), WHAT), expected));
  }

  it('HEAD knows conditions, but no ranges', () => {
    assert.deepEqual(select('HEAD', new Map([['range', 'bytes=0-1']]), WHAT), whole);
    assert.deepEqual(select('HEAD', new Map([['if-none-match', '*']]), WHAT), { status: 304 });
  });

  it('takes 150 ranges, and as many parts as allowed', () => {
    for (const count of [150, MAX_PARTS]) {
      const ranges = parseRanges(`bytes=${apart(count)}`, 1000);
      assert.equal(ranges.length, count);
    }
  });

  it('nothing can be selected from empty content', () => {
    assert.equal(parseRanges('bytes=0-', 0), 'unsatisfiable');
    assert.equal(parseRanges('bytes=-1', 0), 'unsatisfiable');
  });
});

/** A range as it is asked for: [first, last], [first] or a suffix. */
type Asked = readonly [number, number] | readonly [number] | number;

function textOf(asked: Asked): string {
  if (typeof asked === 'number') return `-${asked}`;
  return asked.length === 1 ? `${asked[0]}-` : `${asked[0]}-${asked[1]}`;
}

/** The model: which bytes of an array of `size` a range marks. */
function mark(bytes: Uint8Array, asked: Asked): void {
  for (let i = 0; i < bytes.length; i += 1) {
    if (typeof asked === 'number') bytes[i] ||= Number(i >= bytes.length - asked);
    else bytes[i] ||= Number(i >= asked[0] && i <= (asked[1] ?? Infinity));
  }
}

function markSpans(bytes: Uint8Array, spans: readonly Span[]): void {
  for (const { start, length } of spans) bytes.fill(1, start, start + length);
}

const offset = fc.nat(40);
const asked: fc.Arbitrary<Asked> = fc.oneof(
  fc.tuple(offset, offset).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
  fc.tuple(offset),
  offset,
);
const spans = fc.array(fc.record({ start: offset, length: fc.integer({ min: 1, max: 10 }) }), { maxLength: 8 });

describe('range arithmetic against an array of bytes', () => {
  it('selects what is asked for, each byte once, in parts that do not touch', () => {
    fc.assert(
      fc.property(fc.nat(32), fc.array(asked, { minLength: 1, maxLength: 12 }), (size, set) => {
        const model = new Uint8Array(size);
        for (const range of set) mark(model, range);
        const ranges = parseRanges(`bytes=${set.map(textOf).join(',')}`, size);
        if (typeof ranges === 'string') {
          assert.equal(ranges, 'unsatisfiable');
          assert.ok(!model.includes(1));
          return;
        }
        const got = new Uint8Array(size);
        markSpans(got, ranges);
        assert.deepEqual(got, model);
        const ascending = [...ranges].sort((a, b) => a.start - b.start);
        ascending.forEach(({ start, length }, i) => {
          const next = ascending[i + 1];
          assert.ok(length > 0 && start + length <= size && (!next || start + length < next.start));
        });
      }),
    );
  });

  it('keeps the order of the first range that each part holds', () => {
    fc.assert(
      fc.property(fc.array(asked, { minLength: 1, maxLength: 12 }), (set) => {
        const size = 41;
        const ranges = parseRanges(`bytes=${set.map(textOf).join(',')}`, size);
        if (typeof ranges === 'string') return;
        const firsts = ranges.map((part) =>
          set.findIndex((range) => {
            const alone = parseRanges(`bytes=${textOf(range)}`, size);
            return (
              typeof alone !== 'string' &&
              alone.some(({ start }) => start >= part.start && start < part.start + part.length)
            );
          }),
        );
        assert.deepEqual(
          firsts,
          [...firsts].sort((a, b) => a - b),
        );
      }),
    );
  });

  it('takes any text without a fault', () => {
    const text = fc.string({ unit: fc.constantFrom(...'bytes=0123456789-, \t*x'.split('')), maxLength: 60 });
    fc.assert(
      fc.property(
        fc.oneof(
          text,
          text.map((rest) => `bytes=${rest}`),
        ),
        fc.nat(100),
        (given, size) => {
          const ranges = parseRanges(given, size);
          if (typeof ranges !== 'string') assert.ok(ranges.length > 0);
        },
      ),
    );
  });

  it('joins what overlaps or touches, in ascending order', () => {
    fc.assert(
      fc.property(spans, (given) => {
        const [model, got] = [new Uint8Array(60), new Uint8Array(60)];
        markSpans(model, given);
        const ascending = joined(given);
        markSpans(got, ascending);
        assert.deepEqual(got, model);
        ascending.forEach(({ start, length }, i) => {
          const next = ascending[i + 1];
          assert.ok(!next || start + length < next.start);
        });
      }),
    );
  });
});

describe('an HTTP-date', () => {
  it('is what toUTCString writes', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (seconds) => {
        assert.equal(parseHttpDate(new Date(seconds * 1000).toUTCString()), seconds * 1000);
      }),
    );
  });

  for (const [text, ms] of [
    ['Sun, 06 Nov 1994 08:49:37 GMT', 784_111_777_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 784_111_777_000],
    ['Sun Nov  6 08:49:37 1994', 784_111_777_000],
    ['Tuesday, 01-Jan-30 00:00:00 GMT', Date.UTC(2030, 0, 1)],
    ['Sun, 06 Nov 1994 08:49:37 +0000', undefined],
    ['1994-11-06T08:49:37Z', undefined],
    ['784111777', undefined],
    ['', undefined],
  ] as const) {
    it(JSON.stringify(text), () => assert.equal(parseHttpDate(text), ms));
  }
});
