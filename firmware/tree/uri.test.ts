import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeName, formatNodeUri, parseNodeUri, URI_LIMITS } from './uri.js';

describe('parseNodeUri', () => {
  const good: readonly (readonly [uri: string, segments: readonly string[], query?: string])[] = [
    ['.', []],
    ['.?prop=ACL', [], 'prop=ACL'],
    ['./A', ['A']],
    ['A', ['A']],
    ['./A/B/C', ['A', 'B', 'C']],
    ['A/B?list=Struct', ['A', 'B'], 'list=Struct'],
    ['./A?', ['A'], ''],
    ['./urn:uuid:1@x&y=z+1$,', ['urn:uuid:1@x&y=z+1$,']],
    ['./a%20b/%C3%A9', ['a b', 'é']],
    ['./%41', ['A']],
    ['./...', ['...']],
    ['./.a', ['.a']],
  ];
  for (const [uri, segments, query] of good) {
    it(`takes ${uri}`, () => {
      assert.deepEqual(parseNodeUri(uri), {
        ok: true,
        value: { segments, ...(query !== undefined && { query }) },
      });
    });
  }

  const name = (length: number): string => 'n'.repeat(length);
  const bad: readonly (readonly [what: string, uri: string, code: string])[] = [
    ['nothing', '', 'bad-uri'],
    ['a query alone', '?prop=ACL', 'bad-uri'],
    ['an absolute path', '/A', 'bad-uri'],
    ['a trailing slash', './A/', 'not-found'],
    ['the root with a slash', './', 'not-found'],
    ['an empty segment', './A//B', 'bad-uri'],
    ['a way up', './A/../B', 'bad-uri'],
    ['a way up at the start', '../B', 'bad-uri'],
    ['a way up, percent-encoded', './A/%2E%2e/B', 'bad-uri'],
    ['a dot in the middle', './A/./B', 'bad-uri'],
    ['a dot, percent-encoded', './A/%2E', 'bad-uri'],
    ['a slash in a name', './A%2FB', 'bad-uri'],
    ['a NUL in a name', './A%00', 'bad-uri'],
    ['a stray percent sign', './100%', 'bad-uri'],
    ['octets that are not UTF-8', './%C3', 'bad-uri'],
    ['a name that is too long', `./${name(URI_LIMITS.maxSegmentLength + 1)}`, 'uri-too-long'],
    ['too many segments', `.${'/a'.repeat(URI_LIMITS.maxDepth + 1)}`, 'uri-too-long'],
    ['a query that is too long', `./A?list=${name(200)}`, 'uri-too-long'],
    ['too many characters', `./${`${name(100)}/`.repeat(6)}a`, 'uri-too-long'],
  ];
  for (const [what, uri, code] of bad) {
    it(`refuses ${what}: ${code}`, () => {
      const parsed = parseNodeUri(uri);
      assert.equal(parsed.ok ? 'taken' : parsed.error.code, code);
    });
  }

  it('takes what is just within the limits that DevDetail tells', () => {
    assert.ok(parseNodeUri(`./${name(URI_LIMITS.maxSegmentLength)}`).ok);
    assert.ok(parseNodeUri(`.${'/a'.repeat(URI_LIMITS.maxDepth)}`).ok);
    const long = `.${`/${name(127)}`.repeat(3)}/${name(URI_LIMITS.maxTotalLength - 2 - 3 * 128)}`;
    assert.equal(long.length, URI_LIMITS.maxTotalLength);
    assert.ok(parseNodeUri(long).ok);
    assert.ok(!parseNodeUri(`${long}n`).ok);
  });
});

describe('formatNodeUri', () => {
  it('is the inverse of parseNodeUri for any names', () => {
    for (const segments of [[], ['A'], ['a b', 'é', '100%', '?', '#', 'urn:uuid:1', '~!*()\'"']]) {
      const parsed = parseNodeUri(formatNodeUri(segments));
      assert.deepEqual(parsed.ok && parsed.value.segments, segments);
    }
  });
  it('leaves the characters alone that a URI may have', () => {
    assert.equal(encodeName("urn:uuid:1@x&y=z+1$,-_.!~*'()"), "urn:uuid:1@x&y=z+1$,-_.!~*'()");
  });
});
