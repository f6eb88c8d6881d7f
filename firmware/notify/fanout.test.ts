import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { closeBench, openBench, type Bench } from './fanout.fixture.js';
import { TARGET_STATUS } from './index.js';

const { sent, reacted, unknownDevice, unreachable, gaveUp, stopped } = TARGET_STATUS;

describe('fanout', () => {
  let bench: Bench;

  beforeEach(() => {
    bench = openBench();
  });
  afterEach(() => closeBench(bench));

  it('sends each device its own notification unchanged, as often as Repeat says, at doubled intervals', async () => {
    const one = await bench.listen('d1', '127.9.0.1');
    const two = await bench.listen('d2', '127.9.0.2');
    const id = bench.make({}, { d1: 'for one', d2: 'for two' });
    bench.start(id);
    const heardAfter: number[] = [];
    for (const seconds of [0, 1.9, 0.2, 3.8, 0.2, 7.8, 0.2]) {
      await bench.pass(seconds);
      heardAfter.push(one.heard.length);
    }
    assert.deepEqual(heardAfter, [1, 1, 2, 2, 3, 3, 4]);
    assert.deepEqual(new Set(one.heard.map(String)), new Set(['for one']));
    assert.deepEqual(two.heard.map(String), Array<string>(4).fill('for two'));
    await bench.pass(60);
    assert.equal(one.heard.length, 4);
    assert.deepEqual(bench.statuses(id), { d1: sent, d2: sent });
    assert.equal(bench.fanouts.byId(id)?.state, 'done');
    const [event, ...more] = bench.events;
    assert.equal(more.length, 0);
    assert.deepEqual([event?.kind, event?.requester, event?.correlator], ['finished', 'server1', 'c1']);
    assert.deepEqual(event?.counters, { total: 2, sent: 2, reacted: 0, failed: 0, byStatus: [0, 2, 0, 0, 0, 0, 0] });
  });

  it('stops repeating to a device that fetched ImageRef, and gives up on one that did not', async () => {
    const awake = await bench.listen('awake', '127.9.0.1');
    const asleep = await bench.listen('asleep', '127.9.0.2');
    const id = bench.make({ imageRef: 'fw-7', targets: 'awake\r\nasleep\n', notification: Buffer.from('all') });
    bench.start(id);
    await bench.pass(1);
    assert.deepEqual(bench.fanouts.activeImageRefs(), ['fw-7']);
    bench.fetched('another', 'asleep');
    bench.fetched('fw-7', 'awake');
    bench.fetched('fw-7', 'a stranger');
    await bench.pass(28);
    assert.equal(bench.fanouts.byId(id)?.state, 'running');
    await bench.pass(2);
    assert.deepEqual([awake.heard.length, asleep.heard.length], [1, 4]);
    assert.deepEqual(bench.statuses(id), { awake: reacted, asleep: gaveUp });
    assert.deepEqual(bench.events[0]?.counters, {
      total: 2,
      sent: 2,
      reacted: 1,
      failed: 1,
      byStatus: [0, 0, 1, 0, 0, 1, 0],
    });
    assert.deepEqual(bench.fanouts.activeImageRefs(), []);
  });

  it('ends the repetition when the server says that the device reacted', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    const id = bench.make({}, { d1: 'x' });
    bench.start(id);
    await bench.pass(1);
    assert.ok(bench.fanouts.setTargetLeaf(id, 'd1', 'reacted', true).ok);
    await bench.pass(30);
    assert.equal(heard.length, 1);
    assert.deepEqual(bench.statuses(id), { d1: reacted });
    assert.equal(bench.fanouts.getTargetLeaf(id, 'd1', 'reacted'), true);
    assert.equal(bench.events[0]?.counters.reacted, 1);
  });

  it('reports an unknown device, one without address and one outside the LAN, and ends', async () => {
    bench.addresses.set('no address', undefined);
    bench.addresses.set('far', { transport: 'udp', host: '127.8.0.1', port: 9, encapsulation: 'raw' });
    const id = bench.make({ targets: 'nobody\nno address\nfar', notification: Buffer.from('x') });
    bench.start(id);
    await bench.pass(31);
    assert.deepEqual(bench.statuses(id), { nobody: unknownDevice, 'no address': unreachable, far: unreachable });
    assert.equal(bench.events[0]?.kind, 'finished');
    assert.deepEqual(bench.events[0].counters, {
      total: 3,
      sent: 0,
      reacted: 0,
      failed: 3,
      byStatus: [0, 0, 0, 1, 2, 0, 0],
    });
  });

  it('sends to a device that becomes known between two tries', async () => {
    const id = bench.make({ targets: 'late', notification: Buffer.from('x') });
    bench.start(id);
    await bench.pass(1);
    assert.deepEqual(bench.statuses(id), { late: unknownDevice });
    const { heard } = await bench.listen('late', '127.9.0.1');
    await bench.pass(30);
    assert.equal(heard.length, 3);
    assert.deepEqual(bench.statuses(id), { late: sent });
  });

  it('expands Targets once per device, and a Target node with its own notification goes before', async () => {
    const heard = await Promise.all(['a', 'b', 'c'].map((name, i) => bench.listen(name, `127.9.1.${i + 1}`)));
    bench.groups.set('group:g', ['a', 'b']);
    const id = bench.make(
      { targets: 'group:g\na\n*', notification: Buffer.from('all'), repeat: 1 },
      { b: 'own', t000001: 'named like one of ours' },
    );
    bench.addresses.set('t000001', undefined);
    bench.start(id);
    await bench.pass(1);
    assert.deepEqual(
      heard.map((listener) => listener.heard.map(String)),
      [['all'], ['own'], ['all']],
    );
    assert.equal(bench.events[0]?.counters.total, 4);
    bench.groups.set('group:g', []);
    assert.ok(bench.fanouts.setLeaf(id, 'targets', 'group:g\nc').ok);
    bench.start(id);
    await bench.pass(1);
    assert.deepEqual(Object.keys(bench.statuses(id)).sort(), ['b', 'c', 't000001']);
  });

  it('does nothing before the outermost transaction has committed, and nothing at all when it rolls back', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    const id = bench.make({}, { d1: 'x' });
    assert.throws(() =>
      bench.store.transaction(() => {
        bench.start(id);
        throw new Error('the message failed');
      }),
    );
    await bench.pass(10);
    assert.equal(heard.length, 0);
    assert.equal(bench.fanouts.byId(id)?.state, 'idle');
  });

  it('stops: open targets are stopped, nothing more is sent, the event has both correlators', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    const id = bench.make({}, { d1: 'x', nobody: 'y' });
    bench.start(id);
    await bench.pass(1);
    assert.ok(bench.fanouts.stop(id, { requester: 'server1', correlator: 'c2' }).ok);
    await bench.pass(60);
    assert.equal(heard.length, 1);
    assert.deepEqual(bench.statuses(id), { d1: stopped, nobody: stopped });
    assert.equal(bench.fanouts.byId(id)?.state, 'stopped');
    assert.deepEqual(
      bench.events.map(({ kind, correlator, stop }) => [kind, correlator, stop?.correlator]),
      [['stopped', 'c1', 'c2']],
    );
    assert.equal(bench.events[0]?.counters.sent, 1);
    bench.start(id);
    await bench.pass(60);
    assert.equal(heard.length, 5);
    assert.equal(bench.fanouts.byId(id)?.state, 'done');
  });

  it('ends at the Lifetime, and what never had its turn is given up', async () => {
    await bench.listen('d1', '127.9.0.1');
    await bench.listen('d2', '127.9.0.2');
    const id = bench.make({ lifetime: 10, rate: 1, waveSize: 1 }, { d1: 'x', d2: 'y' });
    bench.start(id);
    await bench.pass(9);
    assert.equal(bench.events.length, 0);
    await bench.pass(2);
    assert.deepEqual(bench.statuses(id), { d1: sent, d2: gaveUp });
    assert.deepEqual([bench.events[0]?.counters.sent, bench.events[0]?.counters.failed], [1, 1]);
  });

  it('removes a running fanout without an event', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    const id = bench.make({}, { d1: 'x' });
    bench.start(id);
    await bench.pass(1);
    assert.ok(bench.fanouts.remove(id).ok);
    await bench.pass(30);
    assert.deepEqual([heard.length, bench.events.length, bench.fanouts.counters(id)], [1, 0, undefined]);
    assert.equal(bench.store.sql<{ n: number }>('SELECT count(*) AS n FROM fanout_target').get()?.n, 0);
  });
});
