import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { LinkBudget } from './budget.js';

describe('what one link may make the gateway look at', () => {
  let clock: ManualClock;
  let budget: LinkBudget;
  let usedMs: number;

  beforeEach(() => {
    clock = new ManualClock();
    usedMs = 0;
    budget = new LinkBudget(clock, () => usedMs);
  });

  const admitted = (count: number, source: (n: number) => string, bytes = 100): number =>
    Array.from({ length: count }, (_, n) => budget.admits(source(n), bytes)).filter(Boolean).length;

  it('is 2,000 datagrams of one source at once', () => {
    assert.equal(
      admitted(5_000, () => '192.168.1.1'),
      2_000,
    );
    assert.equal(budget.dropped, 3_000);
  });

  it('is 4,000 datagrams of all sources at once, however many there are, then 2,000 per second', () => {
    assert.equal(
      admitted(10_000, (n) => `192.168.1.${n}`),
      4_000,
    );
    clock.advance(1_000);
    assert.equal(
      admitted(10_000, (n) => `192.168.2.${n}`),
      2_000,
    );
  });

  it('is 4 MiB at once, then 1 MiB per second', () => {
    assert.equal(
      admitted(1_000, (n) => `192.168.1.${n}`, 8_192),
      512,
    );
    clock.advance(1_000);
    assert.equal(
      admitted(1_000, (n) => `192.168.1.${n}`, 8_192),
      128,
    );
  });

  /** How many messages are looked at that take 25 ms each. */
  const costly = (source: (n: number) => string): number => {
    let looked = 0;
    for (; budget.admits(source(looked), 9_000); looked += 1) budget.look(source(looked), () => (usedMs += 25));
    return looked;
  };

  it('is a second of its processor at once, then two fifths of it, also where few messages take most', () => {
    assert.equal(
      costly((n) => `192.168.1.${n}`),
      41,
    );
    clock.advance(1_000);
    assert.equal(
      costly((n) => `192.168.2.${n}`),
      16,
    );
  });

  it('is half of that at once for one source, which leaves the rest to the others', () => {
    assert.equal(
      costly(() => '192.168.1.1'),
      21,
    );
    assert.equal(
      costly((n) => `192.168.2.${n}`),
      20,
    );
  });

  it('is half of the bytes at once for one source, which leaves the rest to the others', () => {
    assert.equal(
      admitted(1_000, () => '192.168.1.1', 8_192),
      256,
    );
    assert.equal(
      admitted(1_000, (n) => `192.168.2.${n}`, 8_192),
      256,
    );
  });

  const one = (): string => '192.168.1.1';
  const other = (n: number): string => `192.168.2.${n}`;
  const STEP_MS = 100;
  /** How many of what `take` takes are looked at per second, after the bursts, while `beside` takes too. */
  const perSecond = (take: () => number, beside: () => unknown = () => {}): number => {
    let looked = 0;
    for (let atMs = 0; atMs < 20_000; atMs += STEP_MS) {
      clock.advance(STEP_MS);
      beside();
      const now = take();
      if (atMs >= 10_000) looked += now;
    }
    return looked / 10;
  };
  const kinds: readonly (readonly [string, (source: (n: number) => string) => number, number, number, number])[] = [
    // What one source has alone, what it has beside others who take all they can, and what these find when they begin.
    ['datagrams', (source) => admitted(5_000, source), 2_000, 500, 2_000],
    ['bytes', (source) => admitted(1_000, source, 8_192), 128, 32, 256],
    ['processor', (source) => costly(source), 16, 4, 20],
  ];
  for (const [what, take, alone, beside, found] of kinds) {
    it(`lends one source all ${what} per second that nobody else uses, and none of what the others find when they begin`, () => {
      const had = perSecond(() => take(one));
      assert.ok(Math.abs(had - alone) <= alone / 16, `${had} per second alone`);
      const theirs = take(other);
      assert.ok(theirs >= found, `${theirs} at once for the others`);
    });

    it(`lends one source no ${what} that the others use`, () => {
      let theirs = 0;
      const had = perSecond(
        () => take(one),
        () => (theirs += take(other)),
      );
      assert.ok(had <= beside, `${had} per second beside the others`);
      assert.ok(theirs / 20 >= alone - beside, `${theirs / 20} per second for the others`);
    });
  }

  it('counts the time of a look that failed', () => {
    const fail = (): void => {
      usedMs += 1_300;
      throw new Error('defect');
    };
    assert.ok(budget.admits('192.168.1.1', 100));
    assert.throws(() => budget.look('192.168.1.1', fail), /defect/);
    assert.ok(!budget.admits('192.168.1.1', 100));
  });

  it('gives a source that was driven out by others its share afresh', () => {
    admitted(2_000, () => '192.168.1.1');
    assert.ok(!budget.admits('192.168.1.1', 100));
    admitted(1_100, (n) => `192.168.3.${n}`);
    assert.ok(budget.admits('192.168.1.1', 100));
  });
});
