import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { closeBench, openBench, type Bench } from './fanout.fixture.js';

describe('a fanout after a restart, or a jump of the clock,', () => {
  let bench: Bench;

  beforeEach(() => {
    bench = openBench();
  });
  afterEach(() => closeBench(bench));

  it('goes on with the repetitions that were left', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    const id = bench.make({}, { d1: 'x' });
    bench.start(id);
    await bench.pass(3);
    assert.equal(heard.length, 2);
    await bench.restart(500);
    await bench.pass(0);
    assert.equal(heard.length, 2);
    await bench.pass(60);
    assert.equal(heard.length, 4);
    assert.equal(bench.fanouts.byId(id)?.state, 'done');
    assert.deepEqual(
      bench.events.map(({ kind, correlator }) => [kind, correlator]),
      [['finished', 'c1']],
    );
  });

  it('counts at most one batch as sent that was not, and loses no device', async () => {
    const names = Array.from({ length: 200 }, (_, i) => `d${i}`);
    await Promise.all(names.map((name, i) => bench.listen(name, `127.9.2.${i + 1}`)));
    const id = bench.make({ targets: '*', notification: Buffer.from('x'), rate: -1, imageRef: 'fw' });
    bench.start(id);
    while ((bench.fanouts.counters(id)?.sent ?? 0) === 0) await new Promise(setImmediate);
    const counted = bench.fanouts.counters(id)?.sent ?? 0;
    assert.ok(counted <= 128, `${counted} in the first batch`);
    await bench.restart(0);
    for (let left = 31; left > 0; left -= 1) await bench.pass(1);
    const numbers = bench.listeners.map(({ heard }) => heard.length);
    assert.ok(Math.min(...numbers) >= 3 && Math.max(...numbers) <= 4, `${Math.min(...numbers)}`);
    assert.equal(bench.events[0]?.counters.sent, 200);
  });

  it('finishes and tells what was through but not told yet', async () => {
    await bench.listen('d1', '127.9.0.1');
    const id = bench.make({ repeat: 1 }, { d1: 'x' });
    bench.start(id);
    while (bench.fanouts.counters(id)?.sent === 0) await new Promise(setImmediate);
    await bench.restart(0);
    await bench.pass(1);
    assert.equal(bench.fanouts.byId(id)?.state, 'done');
    assert.equal(bench.events.length, 1);
  });

  const aways: readonly [string, number, boolean, number][] = [
    ['the Lifetime passed meanwhile', 200_000, true, 1],
    ['the wall clock was set back meanwhile', -1e9, true, 0],
    ['the wall clock is not set yet', 1e12, false, 0],
  ];
  for (const [what, awayMs, plausible, ended] of aways) {
    it(`${ended ? 'ends' : 'goes on'} when ${what}`, async () => {
      await bench.listen('d1', '127.9.0.1');
      bench.start(bench.make({ lifetime: 100, imageRef: 'fw' }, { d1: 'x' }));
      await bench.pass(3);
      await bench.restart(awayMs, plausible);
      await bench.pass(1);
      assert.equal(bench.events.length, ended);
      await bench.pass(40);
      assert.equal(bench.events.length, 1);
    });
  }

  it('does not mind a wall clock that jumps while it runs', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    bench.start(bench.make({}, { d1: 'x' }));
    await bench.pass(1);
    bench.clock.jumpWall(1e11);
    await bench.pass(0.5);
    assert.equal(heard.length, 1);
    bench.clock.jumpWall(-2e11);
    await bench.pass(60);
    assert.equal(heard.length, 4);
  });
});
