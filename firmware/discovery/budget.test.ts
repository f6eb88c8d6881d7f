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

  it('is 2,000 datagrams of one source at once, then 500 per second', () => {
    assert.equal(
      admitted(5_000, () => '192.168.1.1'),
      2_000,
    );
    clock.advance(1_000);
    assert.equal(
      admitted(5_000, () => '192.168.1.1'),
      500,
    );
    assert.equal(budget.dropped, 7_500);
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

  it('is a quarter of that for one source, which leaves the rest to the others', () => {
    assert.equal(
      costly(() => '192.168.1.1'),
      11,
    );
    clock.advance(1_000);
    assert.equal(
      costly(() => '192.168.1.1'),
      4,
    );
    assert.equal(
      costly((n) => `192.168.2.${n}`),
      37,
    );
  });

  it('is a quarter of the bytes for one source, which leaves the rest to the others', () => {
    assert.equal(
      admitted(1_000, () => '192.168.1.1', 8_192),
      128,
    );
    assert.equal(
      admitted(1_000, (n) => `192.168.2.${n}`, 8_192),
      384,
    );
    clock.advance(1_000);
    assert.equal(
      admitted(1_000, () => '192.168.1.1', 8_192),
      32,
    );
  });

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
