import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Pace } from './pace.js';

/** Seconds until a client that takes writes of `bytes` at `bytesPerSecond` is too slow; undefined after an hour. */
function lastsSeconds(pace: Pace, bytes: number, bytesPerSecond: number): number | undefined {
  const eachMs = (bytes / bytesPerSecond) * 1000;
  for (let atMs = 0; atMs < 3_600_000; atMs += eachMs) {
    const allowanceMs = pace.allowanceMs(bytes);
    if (eachMs > allowanceMs) return (atMs + allowanceMs) / 1000;
    pace.took(bytes, eachMs);
  }
  return undefined;
}

describe('the pace of a client', () => {
  const rows: readonly (readonly [string, number, number, number | undefined])[] = [
    ['one that takes nothing has the window, and the time of the write', 1024, 1e-6, 61],
    ['one at half the rate has twice the window', 512, 512, 120.5],
    ['one that keeps the rate stays', 16 * 1024, 1024, undefined],
    ['one that takes a large write at just the rate stays', 256 * 1024, 1024, undefined],
  ];
  for (const [name, bytes, rate, seconds] of rows) {
    it(name, () => assert.equal(lastsSeconds(new Pace(1024, 60_000), bytes, rate), seconds));
  }

  it('what was taken fast is no credit for later', () => {
    const pace = new Pace(1024, 60_000);
    pace.took(1e9, 1);
    assert.equal(pace.allowanceMs(0), 60_000);
  });
});
