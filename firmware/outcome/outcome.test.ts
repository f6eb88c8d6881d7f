import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { describeThrown, failure, success, systemErrorCode } from './index.js';

describe('success and failure', () => {
  it('carry a value, or a code with its text, and a cause only where there is one', () => {
    assert.deepEqual(success(3), { ok: true, value: 3 });
    assert.deepEqual(success(), { ok: true, value: undefined });
    assert.deepEqual(failure('x', 'text'), { ok: false, error: { code: 'x', text: 'text' } });
    assert.deepEqual(failure('x', 'text', 7), { ok: false, error: { code: 'x', text: 'text', cause: 7 } });
  });
});

describe('describeThrown', () => {
  const cases: readonly (readonly [what: string, thrown: unknown, text: string])[] = [
    ['an error', new Error('no room'), 'no room'],
    ['an error over lines', new Error(' a\n  b\t c '), 'a b c'],
    ['an error without words', new TypeError(''), 'TypeError'],
    ['a text', 'plain', 'plain'],
    ['nothing', undefined, 'undefined'],
  ];
  for (const [what, thrown, text] of cases) it(what, () => assert.equal(describeThrown(thrown), text));
});

describe('systemErrorCode', () => {
  it('is the code of a system error, and undefined for anything else', () => {
    let thrown: unknown;
    try {
      readFileSync('/no/such/file');
    } catch (error) {
      thrown = error;
    }
    assert.equal(systemErrorCode(thrown), 'ENOENT');
    assert.equal(systemErrorCode(new Error('x')), undefined);
    assert.equal(systemErrorCode(Object.assign(new Error('x'), { code: 7 })), undefined);
    assert.equal(systemErrorCode({ code: 'ENOENT' }), undefined);
  });
});
