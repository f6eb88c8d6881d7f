import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { closeBench, openBench, type Bench } from './fanout.fixture.js';
import { TARGET_STATUS } from './index.js';

const { sent, reacted, unknownDevice, gaveUp } = TARGET_STATUS;

describe('a fanout hears of what discovery tells, and', () => {
  let bench: Bench;

  beforeEach(() => {
    bench = openBench();
  });
  afterEach(() => closeBench(bench));

  it('ends the repetition when the device announces the SessionID of its notification, and no other', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    const id = bench.make({}, { d1: '4a' });
    bench.start(id);
    await bench.pass(1);
    bench.announced('d1', '49');
    bench.announced('d2', '4A');
    await bench.pass(2);
    assert.equal(heard.length, 2);
    bench.announced('d1', '4A');
    await bench.pass(30);
    assert.equal(heard.length, 2);
    assert.deepEqual(bench.statuses(id), { d1: reacted });
    assert.equal(bench.events[0]?.kind, 'finished');
  });

  it('takes the silence of a device that announces its SessionIDs for a failure', async () => {
    const { address } = await bench.listen('d1', '127.9.0.1');
    bench.addresses.set('d1', { ...address, showsSession: true });
    const id = bench.make({}, { d1: '4a' });
    bench.start(id);
    await bench.pass(31);
    assert.deepEqual(bench.statuses(id), { d1: gaveUp });
  });

  it('notifies a sleeping device when it appears, as often again as Repeat says', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    bench.presences.set('d1', 'present');
    const id = bench.make({ imageRef: 'fw', lifetime: 1000 }, { d1: 'x' });
    bench.start(id);
    await bench.pass(100);
    assert.equal(heard.length, 4);
    assert.equal(bench.fanouts.byId(id)?.state, 'running');
    bench.appeared('another');
    await bench.pass(1);
    assert.equal(heard.length, 4);
    bench.appeared('d1');
    await bench.pass(100);
    assert.equal(heard.length, 8);
    bench.appeared('d1');
    await bench.pass(1);
    bench.fetched('fw', 'd1');
    await bench.pass(100);
    assert.equal(heard.length, 9);
    assert.deepEqual(bench.statuses(id), { d1: reacted });
  });

  it('notifies a device at once that wakes after its last try', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    bench.presences.set('d1', 'present');
    bench.start(bench.make({ imageRef: 'fw' }, { d1: 'x' }));
    await bench.pass(16);
    assert.equal(heard.length, 4);
    bench.appeared('d1');
    await bench.pass(0.5);
    assert.equal(heard.length, 5);
  });

  it('sends to an unknown device when it appears within the Lifetime, and reports it as unknown when it does not', async () => {
    bench.presences.set('late', 'absent').set('never', 'absent');
    const id = bench.make({ targets: 'late\nnever', notification: Buffer.from('x'), lifetime: 300, repeat: 2 });
    bench.start(id);
    await bench.pass(60);
    const { heard } = await bench.listen('late', '127.9.0.1');
    bench.presences.set('late', 'present');
    bench.appeared('late');
    await bench.pass(0.5);
    assert.equal(heard.length, 1);
    await bench.pass(300);
    assert.deepEqual(bench.statuses(id), { late: sent, never: unknownDevice });
    assert.equal(bench.events[0]?.kind, 'finished');
  });

  it('begins anew with a device that was unknown: tries that went nowhere do not make it wait longer', async () => {
    bench.presences.set('late', 'absent');
    bench.start(
      bench.make({ targets: 'late', notification: Buffer.from('x'), imageRef: 'fw', repeat: 6, interval: 2 }),
    );
    await bench.pass(40);
    const { heard } = await bench.listen('late', '127.9.0.1');
    bench.presences.set('late', 'present');
    bench.appeared('late');
    await bench.pass(0.5);
    assert.equal(heard.length, 1);
    await bench.pass(2);
    assert.equal(heard.length, 2);
  });

  it('waits for a device that was found a moment before its last try, and is written a moment after it', async () => {
    bench.presences.set('d1', 'present');
    const id = bench.make({ repeat: 1, lifetime: 300 }, { d1: 'x' });
    bench.start(id);
    await bench.pass(1);
    assert.equal(bench.fanouts.byId(id)?.state, 'running');
    const { heard } = await bench.listen('d1', '127.9.0.1');
    bench.appeared('d1');
    await bench.pass(1);
    assert.equal(heard.length, 1);
    assert.deepEqual(bench.statuses(id), { d1: sent });
  });

  it('wakes those that appear at the pace of the fanout', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `d${i}`);
    await Promise.all(names.map((name, i) => bench.listen(name, `127.9.5.${i + 1}`)));
    for (const name of names) bench.presences.set(name, 'present');
    bench.start(bench.make({ targets: '*', notification: Buffer.from('x'), imageRef: 'fw', rate: 5, repeat: 1 }));
    await bench.pass(20);
    const total = (): number => bench.listeners.reduce((sum, { heard }) => sum + heard.length, 0);
    assert.equal(total(), 20);
    for (const name of names) bench.appeared(name);
    await bench.pass(1);
    assert.ok(total() - 20 >= 5 && total() - 20 <= 7, `${total() - 20} woken again`);
  });

  it('does not wait for a device that is there and cannot show a reaction, nor where nobody would tell', async () => {
    for (const name of ['there', 'untold']) await bench.listen(name, name === 'there' ? '127.9.0.1' : '127.9.0.2');
    bench.presences.set('there', 'present');
    const id = bench.make({}, { there: 'x', untold: 'y' });
    bench.start(id);
    await bench.pass(31);
    assert.deepEqual(bench.statuses(id), { there: sent, untold: sent });
    assert.equal(bench.events.length, 1);
  });

  it('lets no sleeping device hold up a wave, and counts it for an abort', async () => {
    for (const name of ['a', 'b', 'c']) {
      await bench.listen(name, `127.9.0.${name.charCodeAt(0)}`);
      bench.presences.set(name, 'present');
    }
    const leaves = { imageRef: 'fw', rate: -1, waveSize: 1, abortAfterFailures: 2, repeat: 1 };
    const id = bench.make({ ...leaves, targets: 'a\nb\nc', notification: Buffer.from('x') });
    bench.start(id);
    await bench.pass(10);
    assert.equal(bench.events[0]?.kind, 'aborted');
    assert.deepEqual(
      bench.listeners.map(({ heard }) => heard.length),
      [1, 1, 0],
    );
  });

  it('is bounded: announcing a device again and again does not notify it without end', async () => {
    const { heard } = await bench.listen('d1', '127.9.0.1');
    bench.presences.set('d1', 'present');
    bench.start(bench.make({ imageRef: 'fw', repeat: 1, interval: 1 }, { d1: 'x' }));
    for (let i = 0; i < 200; i += 1) {
      bench.appeared('d1');
      await bench.pass(1.1);
    }
    assert.equal(heard.length, 32);
  });
});
