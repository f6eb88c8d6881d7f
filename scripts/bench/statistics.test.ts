import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Histogram } from './histogram.js';
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

describe('Histogram', () => {
  it('tells percentiles to 3 percent, and the largest value exactly', () => {
    const histogram = new Histogram();
    const values = Array.from({ length: 5000 }, (_, n) => 0.01 * (n + 1) ** 1.5);
    for (const value of values) histogram.add(value);
    for (const percent of [1, 50, 90, 99, 99.9]) {
      const ratio = histogram.percentile(percent) / percentile(values, percent);
      assert.ok(ratio >= 1 && ratio < 1.03, `${percent}: ${ratio}`);
    }
    assert.equal(histogram.percentile(100), histogram.max);
    assert.equal(histogram.max, values.at(-1));
    assert.equal(new Histogram().percentile(50), 0);
  });
});
