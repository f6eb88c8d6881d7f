import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { closeBench, openBench, type Bench } from './fanout.fixture.js';
import { type FanoutLeaf, type LeafValue } from './index.js';

describe('the pace of a fanout', () => {
  let bench: Bench;

  beforeEach(() => {
    bench = openBench();
  });
  afterEach(() => closeBench(bench));

  const hundred = async (leaves: Partial<Record<FanoutLeaf, LeafValue>>): Promise<() => number> => {
    await Promise.all(Array.from({ length: 100 }, (_, i) => bench.listen(`d${i}`, `127.9.3.${i + 1}`)));
    const id = bench.make({ targets: '*', notification: Buffer.from('x'), imageRef: 'fw', ...leaves });
    bench.start(id);
    return () => bench.listeners.filter(({ heard }) => heard.length > 0).length;
  };

  it('wakes Rate new devices per second', async () => {
    const woken = await hundred({ rate: 10 });
    await bench.pass(3);
    assert.ok(woken() >= 30 && woken() <= 31, `${woken()} woken`);
  });

  it('wakes as many as the image server has room for, and more when the woken do not come', async () => {
    bench.free = 8;
    const woken = await hundred({});
    await bench.pass(1);
    assert.equal(woken(), 8);
    bench.free = 0;
    await bench.pass(5);
    assert.equal(woken(), 8);
    bench.free = 5;
    await bench.pass(0.5);
    assert.equal(woken(), 13);
  });

  it('asks again whether the image server has room, where nothing else is due', async () => {
    bench.free = 0;
    const woken = await hundred({ interval: 3600 });
    await bench.pass(1);
    assert.equal(woken(), 0);
    bench.free = 5;
    await bench.pass(0.5);
    assert.equal(woken(), 5);
  });

  it('begins the next wave when nobody of the one before is open', async () => {
    const woken = await hundred({ rate: -1, waveSize: 10 });
    await bench.pass(1);
    assert.equal(woken(), 10);
    for (let i = 0; i < 9; i += 1) bench.fetched('fw', `d${i}`);
    await bench.pass(1);
    assert.equal(woken(), 10);
    bench.fetched('fw', 'd9');
    await bench.pass(1);
    assert.equal(woken(), 20);
  });

  it('aborts after so many failures, and what is open is stopped', async () => {
    const woken = await hundred({ rate: -1, waveSize: 10, abortAfterFailures: 3, repeat: 1 });
    await bench.pass(1);
    for (let i = 0; i < 7; i += 1) bench.fetched('fw', `d${i}`);
    await bench.pass(3);
    assert.equal(woken(), 10);
    assert.equal(bench.events[0]?.kind, 'aborted');
    assert.deepEqual(bench.events[0].counters, {
      total: 100,
      sent: 10,
      reacted: 7,
      failed: 3,
      byStatus: [0, 0, 7, 0, 0, 3, 90],
    });
  });
});
