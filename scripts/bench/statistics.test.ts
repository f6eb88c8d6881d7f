import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { median, percentile, slope } from './statistics.js';

describe('median', () => {
  it('is the middle value, or the mean of the two in the middle', () => {
    assert.equal(median([3, 1, 2]), 2);
    assert.equal(median([4, 1, 3, 2]), 2.5);
    assert.throws(() => median([]), /no values/);
  });
});

describe('percentile', () => {
  it('is a value that occurred, by nearest rank', () => {
    const values = Array.from({ length: 200 }, (_, n) => 200 - n);
    assert.deepEqual(
      [0, 50, 99, 100].map((percent) => percentile(values, percent)),
      [1, 100, 198, 200],
    );
    assert.equal(percentile([7], 99), 7);
  });
});

describe('slope', () => {
  it('is the growth of y for each x', () => {
    assert.equal(
      slope([
        [0, 5],
        [10, 25],
        [20, 45],
      ]),
      2,
    );
    assert.equal(
      slope([
        [1, 1],
        [1, 9],
      ]),
      0,
    );
  });
});
