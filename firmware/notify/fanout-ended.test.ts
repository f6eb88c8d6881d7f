import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { closeBench, openBench, type Bench } from './fanout.fixture.js';

describe('a fanout that has ended', () => {
  let bench: Bench;

  beforeEach(() => {
    bench = openBench();
  });
  afterEach(() => closeBench(bench));

  const DAY_MS = 86_400_000;
  const remove = (count: number, days: number): string[] => {
    const gone: string[] = [];
    const removed = bench.fanouts.removeEnded({ count, ageMs: days * DAY_MS }, (node) => gone.push(node));
    assert.equal(removed, gone.length);
    return gone.sort();
  };
  /** Starts and stops a fanout. @returns its id */
  const ended = (): number => {
    const id = bench.make({ notification: Buffer.from('n'), targets: 'absent' });
    bench.start(id);
    assert.ok(bench.fanouts.stop(id, { requester: 'server1' }).ok);
    return id;
  };

  it('is removed by age, counted from when the clock was set', async () => {
    bench.clock.isPlausible = false;
    ended();
    await bench.settle();
    bench.clock.advance(100 * DAY_MS);
    assert.deepEqual(remove(10, 30), []);
    bench.clock.isPlausible = true;
    assert.deepEqual(remove(10, 30), []);
    bench.clock.advance(30 * DAY_MS + 1);
    bench.clock.isPlausible = false;
    assert.deepEqual(remove(10, 30), []);
    bench.clock.isPlausible = true;
    assert.deepEqual(remove(10, 30), ['f0']);
    assert.deepEqual(bench.fanouts.nodes(undefined, 10), []);
  });

  it('is removed by count, the oldest end first; what runs or never ran stays', async () => {
    const first = ended();
    ended();
    ended();
    bench.make({});
    bench.start(bench.make({ notification: Buffer.from('n'), targets: 'absent' }));
    bench.start(first);
    assert.ok(bench.fanouts.stop(first, { requester: 'server1' }).ok);
    await bench.settle();
    assert.deepEqual(remove(1, 30), ['f1', 'f2']);
    assert.deepEqual(
      bench.fanouts.nodes(undefined, 10).map(({ node, state }) => `${node} ${state}`),
      ['f0 stopped', 'f3 idle', 'f4 running'],
    );
  });
});
