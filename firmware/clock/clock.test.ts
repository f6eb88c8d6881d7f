import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Backoff, jitterMs, ManualClock, systemClock, type Clock } from './index.js';

describe('Backoff', () => {
  const delays = (random: number, count: number, firstMs = 1000, maxMs = 10_000): number[] => {
    const backoff = new Backoff({ firstMs, maxMs }, () => random);
    return Array.from({ length: count }, () => backoff.nextMs());
  };
  it('doubles its upper bound up to the maximum', () => {
    assert.deepEqual(delays(1, 6), [1000, 2000, 4000, 8000, 10_000, 10_000]);
  });
  it('spreads over the whole range, from 0 on', () => {
    assert.deepEqual(delays(0, 3), [0, 0, 0]);
    assert.deepEqual(delays(0.5, 3), [500, 1000, 2000]);
  });
  it('is sure to grow where it is patient', () => {
    const backoff = new Backoff({ firstMs: 1000, maxMs: 10_000 }, () => 0);
    const patient = Array.from({ length: 6 }, () => backoff.nextMs(true));
    assert.deepEqual(patient, [500, 1000, 2000, 4000, 5000, 5000]);
  });
  it('is bounded by a maximum below the first bound', () => assert.deepEqual(delays(1, 3, 1000, 300), [300, 300, 300]));
  it('stays finite for ever', () => assert.equal(delays(1, 2000).at(-1), 10_000));
  it('counts its tries and begins anew after a reset', () => {
    const backoff = new Backoff({ firstMs: 1000, maxMs: 10_000 }, () => 1);
    backoff.nextMs();
    backoff.nextMs();
    assert.equal(backoff.tries, 2);
    backoff.reset();
    assert.equal(backoff.tries, 0);
    assert.equal(backoff.nextMs(), 1000);
  });
});

describe('jitterMs', () => {
  it('is below its spread, and 0 for no spread or a negative one', () => {
    assert.equal(
      jitterMs(1000, () => 0.999_999),
      999,
    );
    assert.equal(
      jitterMs(1000, () => 0),
      0,
    );
    assert.equal(
      jitterMs(0, () => 0.9),
      0,
    );
    assert.equal(
      jitterMs(-5, () => 0.9),
      0,
    );
  });
});

/** What every clock does; `pass` lets that much time go by. */
function contract(name: string, make: () => { clock: Clock; pass: (ms: number) => Promise<void> }): void {
  describe(name, () => {
    it('runs a task once, not before its time', async () => {
      const { clock, pass } = make();
      const start = clock.monotonicMs();
      const ran: number[] = [];
      clock.after(20, () => ran.push(clock.monotonicMs() - start));
      await pass(60);
      assert.equal(ran.length, 1);
      assert.ok((ran[0] ?? 0) >= 19, `after ${ran[0]} ms`);
    });
    it('runs tasks in the order of their times', async () => {
      const { clock, pass } = make();
      const ran: string[] = [];
      clock.after(30, () => ran.push('later'));
      clock.after(5, () => ran.push('sooner'));
      clock.after(-10, () => ran.push('at once'));
      await pass(80);
      assert.deepEqual(ran, ['at once', 'sooner', 'later']);
    });
    it('does not run a task that was cancelled, and takes a cancel that comes too late', async () => {
      const { clock, pass } = make();
      let runs = 0;
      const first = clock.after(10, () => (runs += 1));
      const second = clock.after(10, () => (runs += 1));
      first.cancel();
      await pass(40);
      second.cancel();
      assert.equal(runs, 1);
    });
    it('sleeps until its time, or until it is aborted, without rejecting', async () => {
      const { clock, pass } = make();
      let woken = 0;
      void clock.sleep(10).then(() => (woken += 1));
      const aborting = new AbortController();
      void clock.sleep(10 ** 9, aborting.signal).then(() => (woken += 10));
      await pass(40);
      assert.equal(woken, 1);
      aborting.abort();
      await Promise.resolve();
      await clock.sleep(10 ** 9, AbortSignal.abort());
      assert.equal(woken, 11);
    });
    it('takes a delay longer than a timer can hold', async () => {
      const { clock, pass } = make();
      let runs = 0;
      const handle = clock.after(2 ** 40, () => (runs += 1));
      await pass(20);
      assert.equal(runs, 0);
      handle.cancel();
    });
  });
}

contract('systemClock', () => ({
  clock: systemClock(0),
  pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
}));
contract('ManualClock', () => {
  const clock = new ManualClock();
  const pass = (ms: number): Promise<void> => {
    clock.advance(ms);
    return Promise.resolve();
  };
  return { clock, pass };
});

describe('plausible', () => {
  it('is false while the wall clock stands before the build date', () => {
    assert.ok(systemClock(Date.now() - 1000).plausible());
    assert.ok(!systemClock(Date.now() + 60_000).plausible());
  });
});
