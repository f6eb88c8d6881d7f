import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ExpectedReaders, restOfWave, Tokens } from './pace.js';

describe('pace', () => {
  it('gives the rate, evenly spread, without a burst after a pause', () => {
    const tokens = new Tokens(0);
    let begun = 0;
    for (let nowMs = 0; nowMs <= 1000; nowMs += 10) {
      const count = tokens.available(20, nowMs);
      assert.ok(count <= 2);
      tokens.take(count);
      begun += count;
    }
    assert.ok(begun >= 20 && begun <= 21, `${begun} begun`);
    assert.equal(tokens.available(20, 60_000), 2);
  });

  it('says when the next one may begin, also below one per second', () => {
    const tokens = new Tokens(0);
    tokens.take(tokens.available(1, 0));
    assert.equal(tokens.nextInMs(1), 1000);
    tokens.available(1, 400);
    assert.equal(tokens.nextInMs(1), 600);
  });

  it('holds a place for a woken device until its first repetition', () => {
    const expected = new ExpectedReaders();
    expected.hold(3, 2000);
    expected.hold(2, 2500);
    assert.deepEqual(
      [1999, 2000, 2500].map((nowMs) => expected.count(nowMs)),
      [5, 2, 0],
    );
  });

  const waves: readonly [number, number, boolean, number][] = [
    [0, 7, true, Infinity],
    [5, 0, false, 5],
    [5, 3, true, 2],
    [5, 5, true, 0],
    [5, 5, false, 5],
    [5, 7, false, 3],
  ];
  for (const [size, tried, anyOpen, rest] of waves) {
    it(`a wave of ${size} with ${tried} tried, ${anyOpen ? 'some' : 'none'} open, takes ${rest}`, () => {
      assert.equal(restOfWave(size, tried, anyOpen), rest);
    });
  }
});
