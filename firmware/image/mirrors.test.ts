import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Mirrors } from './mirrors.js';

const URIS = 'http://a/\nhttp://b/\nhttp://c/';

describe('mirrors', () => {
  it('have their turns in order, and again from the first', () => {
    const mirrors = new Mirrors();
    const seen = [1, 2, 3, 4].map(() => {
      const now = mirrors.current(URIS);
      mirrors.advance();
      return now;
    });
    assert.deepEqual(seen, ['http://a/', 'http://b/', 'http://c/', 'http://a/']);
  });

  it('that have ended have none, until the last one has ended', () => {
    const mirrors = new Mirrors();
    mirrors.advance();
    assert.equal(mirrors.end(URIS), true);
    assert.equal(mirrors.current(URIS), 'http://c/');
    assert.equal(mirrors.end(URIS), true);
    mirrors.advance();
    assert.equal(mirrors.current(URIS), 'http://a/');
    assert.equal(mirrors.end(URIS), false);
  });
});
