import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import * as v from 'valibot';
import {
  allowedBy,
  choice,
  derived,
  exactOptional,
  flag,
  formatPath,
  list,
  number,
  optional,
  readValue,
  record,
  section,
  text,
  whole,
  type Problem,
  type Shape,
} from './index.js';

/** A shape, and valibot's schema for the same values. */
type Pair = readonly [Shape, v.GenericSchema];

const LEAVES: readonly Pair[] = [
  [text({ from: 1, to: 3 }), v.pipe(v.string(), v.minLength(1), v.maxLength(3))],
  [text({ pattern: /^a/ }), v.pipe(v.string(), v.regex(/^a/))],
  [
    text({ rule: (value) => value !== 'b' }),
    v.pipe(
      v.string(),
      v.check((value) => value !== 'b'),
    ),
  ],
  [whole(0, 2), v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2))],
  [number(), v.number()],
  [flag(), v.boolean()],
  [choice(['a', 'b']), v.picklist(['a', 'b'])],
  [record(undefined, {}), v.record(v.string(), v.unknown())],
];

const KEYS = ['a', 'b', 'c'] as const;

const pairs = fc.letrec<{ pair: Pair; entry: readonly [boolean, Pair] }>((tie) => ({
  pair: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...LEAVES) },
    tie('pair').map(([shape, schema]): Pair => [
      list(shape, { from: 1, to: 2 }, '', 'things'),
      v.pipe(v.array(schema), v.minLength(1), v.maxLength(2)),
    ]),
    tie('pair').map(([shape, schema]): Pair => [record(shape, {}), v.record(v.string(), schema)]),
    fc.dictionary(fc.constantFrom(...KEYS), tie('entry'), { noNullPrototype: true }).map((entries): Pair => {
      const list = Object.entries(entries);
      return [
        section(Object.fromEntries(list.map(([key, [o, [shape]]]) => [key, o ? exactOptional(shape) : shape]))),
        v.strictObject(Object.fromEntries(list.map(([key, [o, [, s]]]) => [key, o ? v.exactOptional(s) : s]))),
      ];
    }),
  ),
  entry: fc.tuple(fc.boolean(), tie('pair')),
})).pair;

const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('', 'a', 'b', 'ab', 'abcd', 0, 1, 2, 3, 1.5, -1, true, false, null),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...KEYS, 'd'), tie('value'), { noNullPrototype: true }),
  ),
})).value;

function problemOf(shape: Shape, value: unknown): Problem {
  const read = readValue(shape, value);
  assert.ok(!read.ok, 'a problem');
  return read.error;
}

describe('the reading of a value', () => {
  it('takes what valibot takes, and makes the same of it; but a list is no object', () => {
    let taken = 0;
    fc.assert(
      fc.property(pairs, values, ([shape, schema], value) => {
        const parsed = v.safeParse(schema, value);
        const read = readValue(shape, value);
        if (read.ok) taken += 1;
        if (!read.ok && hasListForObject(shape, value)) return;
        assert.equal(read.ok, parsed.success);
        if (read.ok) assert.deepEqual(read.value, parsed.output);
      }),
      { numRuns: 20_000 },
    );
    assert.ok(taken > 500, `${taken} values were right`);
  });

  const NESTED = section({
    name: text({ from: 1, to: 9 }),
    port: optional(whole(0, 9), 7),
    items: optional(
      list(
        section({ id: text({ from: 1, to: 9 }), secret: exactOptional(text({ from: 1, to: 9 })) }),
        { to: 2 },
        '',
        'items',
      ),
      [],
    ),
    others: optional(record(flag(), {}), {}),
  });

  it('puts defaults where nothing was written, also those of what is inside them', () => {
    const outer = section({ inner: optional(NESTED, { name: 'x' }), none: exactOptional(flag()) });
    assert.deepEqual(readValue(outer, {}), {
      ok: true,
      value: { inner: { name: 'x', port: 7, items: [], others: {} } },
    });
  });

  it('keeps its defaults for whoever reads next', () => {
    const first = readValue(NESTED, { name: 'x' });
    assert.ok(first.ok);
    first.value.items.push({ id: 'mine' });
    assert.deepEqual(readValue(NESTED, { name: 'x' }), {
      ok: true,
      value: { name: 'x', port: 7, items: [], others: {} },
    });
  });

  const WRONG: [string, unknown, Problem['code'], string][] = [
    ['no object', 7, 'bad-value', ''],
    ['a list', [], 'bad-value', ''],
    ['null', null, 'bad-value', ''],
    ['a missing key', {}, 'missing', 'name'],
    ['a missing key of an item', { name: 'x', items: [{ id: 'a' }, {}] }, 'missing', 'items[1].id'],
    ['a wrong value', { name: 'x', port: 10 }, 'bad-value', 'port'],
    ['too many items, whatever they are', { name: 'x', items: [0, 0, 0] }, 'bad-value', 'items'],
    ['a list where an object should be', { name: 'x', others: [] }, 'bad-value', 'others'],
    ['the first of several', { port: 10, name: '' }, 'bad-value', 'name'],
    ['an unknown key before all else', { port: 10, nmae: 'x' }, 'unknown-key', 'nmae'],
    ['an unknown key deep inside', { items: [{ id: 1, ip: 1 }] }, 'unknown-key', 'items[0].ip'],
    ['a key of every object', JSON.parse('{"name":"x","__proto__":{}}'), 'unknown-key', '__proto__'],
    ['another one', { name: 'x', constructor: 1 }, 'unknown-key', 'constructor'],
  ];
  for (const [what, value, code, path] of WRONG) {
    it(`tells of ${what}`, () => {
      const problem = problemOf(NESTED, value);
      assert.deepEqual([problem.code, formatPath(problem.path)], [code, path]);
    });
  }

  it('takes no key for written that every object has', () => {
    assert.equal(problemOf(section({ toString: flag() }), {}).code, 'missing');
    const read = readValue(record(flag(), {}), JSON.parse('{"__proto__":true}'));
    assert.ok(read.ok);
    assert.deepEqual([Object.keys(read.value), Object.getPrototypeOf(read.value)], [['__proto__'], Object.prototype]);
  });

  it('tells what stands there, and what should', () => {
    const { value, shape } = problemOf(NESTED, { name: 'x', items: [{ id: 'a', secret: '' }] });
    assert.deepEqual([value, allowedBy(shape)], ['', 'text of 1 to 9 characters']);
  });

  it('makes something of a section once all of it is right, and not before', () => {
    let made = 0;
    const sum = derived(section({ a: whole(0, 9), b: whole(0, 9) }), ({ a, b }) => {
      made += 1;
      return a + b;
    });
    assert.deepEqual(readValue(list(sum, { to: 2 }, '', 'sums'), [{ a: 1, b: 2 }]), { ok: true, value: [3] });
    const more = derived(
      derived(section({ a: flag() }), ({ a }) => ({ b: !a })),
      ({ b }) => [b],
    );
    assert.deepEqual(readValue(more, { a: true }), { ok: true, value: [false] });
    problemOf(sum, { a: 1, b: 10 });
    assert.equal(made, 1);
  });

  it('takes the numbers that JSON has', () => {
    const takes = (shape: Shape, value: number): boolean => readValue(shape, value).ok;
    for (const value of [Infinity, -Infinity, Number.NaN]) {
      assert.ok(!takes(number(), value) && !takes(whole(-9, 9), value), String(value));
    }
    for (const value of [-0, 1e308, 5e-324]) assert.ok(takes(number(), value), String(value));
    assert.ok(takes(whole(0, 9), -0));
  });

  it('hands out nothing that it was given', () => {
    const given = { some: { thing: 1 } };
    const read = readValue(record(undefined, {}), given);
    assert.ok(read.ok && read.value !== given);
  });

  const ALLOWED: [Shape, string][] = [
    [text({ from: 1, to: 5 }), 'text of 1 to 5 characters'],
    [text({ pattern: /a/ }), 'a text'],
    [whole(1, 5), 'a whole number from 1 to 5'],
    [number(), 'a number'],
    [flag(), 'true or false (without quotes)'],
    [choice(['a']), '"a"'],
    [choice(['a', 'b']), 'one of a, b'],
    [list(flag(), { to: 5 }, '', 'things'), 'a list of at most 5 things'],
    [list(flag(), { from: 1, to: 5 }, '', 'things'), 'a list of 1 to 5 things'],
    [section({}), 'an object { ... }'],
    [record(undefined, { allowed: 'anything' }), 'anything'],
  ];
  for (const [shape, allowed] of ALLOWED) it(`says: ${allowed}`, () => assert.equal(allowedBy(shape), allowed));
});

/** valibot takes a list for an object, so that what it says of such a value counts for nothing. */
function hasListForObject(shape: Shape, value: unknown): boolean {
  if (Array.isArray(value) && (shape.kind === 'section' || shape.kind === 'record')) return true;
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, inner]) => {
    if (shape.kind === 'list') return hasListForObject(shape.item, inner);
    if (shape.kind === 'record') return shape.value !== undefined && hasListForObject(shape.value, inner);
    const entry = shape.kind === 'section' && Object.hasOwn(shape.entries, key) ? shape.entries[key] : undefined;
    return entry !== undefined && hasListForObject(entry.kind === 'optional' ? entry.wrapped : entry, inner);
  });
}
