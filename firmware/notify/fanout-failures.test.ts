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

  /** Of each send a failure may be told afterwards. */
  const failingLate = () => {
    const late: ((error: ForwardError) => void)[] = [];
    const bench = openBench((_address, _notification, onLateFailure) => {
      if (onLateFailure) late.push(onLateFailure);
      return Promise.resolve(success());
    });
    bench.addresses.set('d1', { transport: 'udp', host: '127.9.0.1', port: 9, encapsulation: 'raw' });
    return { bench, late };
  };

  it('counts a device as unreachable when the network says so after the send', async () => {
    const { bench, late } = failingLate();
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

  it('hears of that at once, not with the next try', async () => {
    const { bench, late } = failingLate();
    const id = bench.make({ targets: 'd1', notification: Buffer.from('x'), imageRef: 'fw', interval: 3600 });
    bench.start(id);
    await bench.pass(1);
    assert.equal(bench.fanouts.counters(id)?.sent, 1);
    late[0]?.({ code: 'unreachable', text: 'no neighbour' });
    await bench.settle();
    assert.deepEqual([bench.fanouts.counters(id)?.sent, bench.statuses(id)], [0, { d1: unreachable }]);
    await closeBench(bench);
  });

  /** Sends that are on their way until the test ends them, by the port of the device. */
  const held = () => {
    const sends: { readonly port: number; readonly end: (isSent: boolean) => void }[] = [];
    const bench = openBench((address) => {
      const port = address.transport === 'udp' ? address.port : 0;
      return new Promise((resolve) => {
        sends.push({ port, end: (isSent) => resolve(isSent ? success() : failure('unreachable', 'no route')) });
      });
    });
    const address = (port: number) => ({ transport: 'udp', host: '127.9.0.1', port, encapsulation: 'raw' }) as const;
    return { bench, sends, address };
  };

  it('records what fails while it is closed, and leaves the report of one that was stopped as it is', async () => {
    const { bench, sends, address } = held();
    for (const port of [1, 2]) bench.addresses.set(`d${port}`, address(port));
    const [stopped, running] = [1, 2].map((port) =>
      bench.make({ targets: `d${port}`, notification: Buffer.from('x') }),
    );
    assert.ok(stopped !== undefined && running !== undefined);
    bench.start(stopped);
    bench.start(running);
    await bench.pass(0);
    assert.ok(bench.fanouts.stop(stopped, {}).ok);
    assert.equal(bench.events[0]?.counters.sent, 1);
    const closing = bench.fanouts.close();
    for (const { end } of sends) end(false);
    await closing;
    assert.equal(bench.fanouts.counters(stopped)?.sent, 1);
    assert.deepEqual([bench.fanouts.counters(running)?.sent, bench.statuses(running)], [0, { d2: unreachable }]);
    await closeBench(bench);
  });

  it('gives a small fanout its turn beside a large one', async () => {
    const { bench, sends, address } = held();
    const names = Array.from({ length: 400 }, (_, i) => `d${i}`);
    for (const [port, name] of names.entries()) bench.addresses.set(name, address(port + 1));
    const [large, small] = [names.slice(1), names.slice(0, 1)].map((targets) =>
      bench.make({ targets: targets.join('\n'), notification: Buffer.from('x'), rate: -1, repeat: 1 }),
    );
    assert.ok(large !== undefined && small !== undefined);
    bench.start(large);
    bench.start(small);
    for (let ended = 0; ended < 400;) {
      await bench.pass(0);
      const now = sends.slice(ended);
      assert.ok(now.length > 0, `${ended} sends`);
      for (const { end } of now) end(true);
      ended += now.length;
    }
    const turn = sends.findIndex(({ port }) => port === 1);
    assert.ok(turn <= 128, `after ${turn} others`);
    await bench.pass(1);
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
