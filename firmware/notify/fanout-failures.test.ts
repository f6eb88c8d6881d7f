import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { failure, success } from '../outcome/index.js';
import { closeBench, openBench } from './fanout.fixture.js';
import { TARGET_STATUS, type ForwardError } from './index.js';

const { unreachable } = TARGET_STATUS;

describe('fanout over a sender that fails', () => {
  it('corrects what it counted as sent, repeats, and reports unreachable', async () => {
    let tries = 0;
    const bench = openBench(() => {
      tries += 1;
      return Promise.resolve(failure('unreachable', 'no route'));
    });
    bench.addresses.set('d1', { transport: 'udp', host: '127.9.0.1', port: 9, encapsulation: 'raw' });
    const id = bench.make({ targets: 'd1', notification: Buffer.from('x') });
    bench.start(id);
    await bench.pass(1);
    assert.deepEqual(bench.statuses(id), { d1: unreachable });
    assert.equal(bench.fanouts.counters(id)?.sent, 0);
    await bench.pass(30);
    assert.equal(tries, 4);
    assert.deepEqual(bench.events[0]?.counters, {
      total: 1,
      sent: 0,
      reacted: 0,
      failed: 1,
      byStatus: [0, 0, 0, 0, 1, 0, 0],
    });
    await closeBench(bench);
  });

  it('counts a device as unreachable when the network says so after the send', async () => {
    const late: ((error: ForwardError) => void)[] = [];
    const bench = openBench((_address, _notification, onLateFailure) => {
      if (onLateFailure) late.push(onLateFailure);
      return Promise.resolve(success());
    });
    bench.addresses.set('d1', { transport: 'udp', host: '127.9.0.1', port: 9, encapsulation: 'raw' });
    const id = bench.make({ targets: 'd1', notification: Buffer.from('x'), imageRef: 'fw' });
    bench.start(id);
    for (let left = 31; left > 0; left -= 1) {
      await bench.pass(1);
      for (const tell of late.splice(0)) tell({ code: 'unreachable', text: 'no neighbour' });
    }
    await bench.pass(1);
    assert.deepEqual(bench.statuses(id), { d1: unreachable });
    assert.equal(bench.events[0]?.counters.sent, 0);
    await closeBench(bench);
  });

  it('does not let a device hold up a wave that cannot be reached and announces itself again and again', async () => {
    const tries = { a: 0, b: 0 };
    const bench = openBench((address) => {
      const isA = address.transport === 'udp' && address.host === '127.9.0.1';
      tries[isA ? 'a' : 'b'] += 1;
      return Promise.resolve(isA ? failure('unreachable', 'closed port') : success());
    });
    for (const [name, host] of [
      ['a', '127.9.0.1'],
      ['b', '127.9.0.2'],
    ] as const) {
      bench.addresses.set(name, { transport: 'udp', host, port: 9, encapsulation: 'raw' });
      bench.presences.set(name, 'present');
    }
    bench.start(bench.make({ targets: 'a\nb', notification: Buffer.from('x'), imageRef: 'fw', rate: -1, waveSize: 1 }));
    await bench.pass(1);
    assert.deepEqual(tries, { a: 1, b: 0 });
    for (let i = 0; i < 8; i += 1) {
      bench.appeared('a');
      await bench.pass(1);
    }
    assert.ok(tries.a >= 4 && tries.b > 0, JSON.stringify(tries));
    await closeBench(bench);
  });

  it('does not let devices that hang hold up the others', async () => {
    const release: (() => void)[] = [];
    const heard: string[] = [];
    const bench = openBench((address) => {
      if (address.transport === 'udp') {
        heard.push(address.host);
        return Promise.resolve(success());
      }
      return new Promise((resolve) => release.push(() => resolve(success())));
    });
    for (let i = 0; i < 20; i += 1) {
      bench.addresses.set(`web${i}`, { transport: 'http', url: 'http://127.9.0.1/', encapsulation: 'raw' });
    }
    for (let i = 0; i < 200; i += 1) {
      bench.addresses.set(`d${i}`, { transport: 'udp', host: `127.9.4.${i}`, port: 9, encapsulation: 'raw' });
    }
    const id = bench.make({ targets: '*', notification: Buffer.from('x'), rate: -1, repeat: 1 });
    bench.start(id);
    await bench.pass(1);
    assert.equal(new Set(heard).size, 200);
    assert.equal(bench.events.length, 0);
    for (const one of release) one();
    await bench.pass(1);
    assert.equal(bench.events[0]?.counters.sent, 220);
    await closeBench(bench);
  });

  it('pauses and goes on when a listener could not store the end', async () => {
    const bench = openBench(() => Promise.resolve(success()));
    bench.addresses.set('d1', { transport: 'udp', host: '127.9.0.1', port: 9, encapsulation: 'raw' });
    let full = true;
    bench.fanouts.onEvent(() => {
      if (full) throw new Error('no room on the disk');
    });
    const id = bench.make({ targets: 'd1', notification: Buffer.from('x'), repeat: 1 });
    bench.start(id);
    await bench.pass(1);
    assert.equal(bench.fanouts.byId(id)?.state, 'running');
    assert.equal(bench.faults.splice(0).length, 1);
    full = false;
    await bench.pass(5);
    assert.equal(bench.fanouts.byId(id)?.state, 'done');
    await closeBench(bench);
  });
});
