import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { failure, success } from '../outcome/index.js';
import { openStore, type Store } from '../store/index.js';
import {
  Fanouts,
  Forwarder,
  endSchema,
  notifySchema,
  sleepersSchema,
  TARGET_STATUS,
  type AddressBook,
  type DeviceAddress,
  type FanoutEvent,
  type FanoutLeaf,
  type Fetch,
  type ForwardError,
  type LeafValue,
  type Presence,
  type SendNotification,
} from './index.js';

const parsed = Prefixes.parse(['127.9.0.0/16']);
assert.ok(parsed.ok);
const lan = parsed.value;

/** A device on its own loopback address, and what it heard. */
interface Listener {
  readonly socket: Socket;
  readonly address: DeviceAddress;
  readonly heard: Buffer[];
}

/** One gateway's worth of parts on one database file; `reopen` is what a restart makes of it. */
class Bench {
  readonly events: FanoutEvent[] = [];
  readonly faults: unknown[] = [];
  readonly addresses = new Map<string, DeviceAddress | undefined>();
  readonly groups = new Map<string, string[]>();
  readonly listeners: Listener[] = [];
  readonly presences = new Map<string, Presence>();
  announced: (deviceId: string, sessionId: string) => void = () => {};
  appeared: (deviceId: string) => void = () => {};
  free = 1000;
  clock = new ManualClock();
  #file = '';
  #tell: (fetch: Fetch) => void = () => {};
  store!: Store;
  fanouts!: Fanouts;
  forwarder!: Forwarder;

  constructor(
    readonly folder: string,
    readonly sending?: SendNotification,
  ) {
    this.open('dmgw.db');
  }

  open(name: string): void {
    this.#file = join(this.folder, name);
    this.store = openStore({
      file: this.#file,
      schema: [...notifySchema, ...endSchema, ...sleepersSchema],
      log: silentLog,
    });
    this.forwarder = new Forwarder({ clock: this.clock, log: silentLog, lan, wrap: (bytes) => bytes });
    this.fanouts = new Fanouts({
      store: this.store,
      clock: this.clock,
      log: silentLog,
      book: this.#book(),
      capacity: { free: () => this.free },
      reactions: {
        onFetched: (listener) => {
          this.#tell = listener;
          return () => (this.#tell = () => {});
        },
        onSession: (listener) => {
          this.announced = listener;
          return () => {};
        },
      },
      appearances: {
        onAppeared: (listener) => {
          this.appeared = listener;
          return () => {};
        },
        presenceOf: (deviceId) => this.presences.get(deviceId) ?? 'untold',
      },
      sessionIdOf: (notification) => Buffer.from(notification).toString(),
      defaults: { repeat: 4, interval: 2, lifetime: 86_400, rate: 0 },
      send: this.sending ?? this.forwarder.send,
      onFault: (thrown) => this.faults.push(thrown),
    });
    this.fanouts.onEvent((event) => this.events.push(event));
    this.fanouts.resume();
  }

  /**
   * A kill and a restart: goes on with a copy of the files as they stand, and with a new monotonic clock.
   * @param awayMs what the wall clock went on meanwhile
   */
  async restart(awayMs: number, plausible = true): Promise<void> {
    const name = `after-${this.clock.monotonicMs()}.db`;
    for (const suffix of ['', '-wal']) {
      copyFileSync(`${this.#file}${suffix}`, join(this.folder, `${name}${suffix}`));
    }
    await this.#end();
    const wallMs = this.clock.wallMs() + awayMs;
    this.clock = new ManualClock();
    this.clock.jumpWall(wallMs - this.clock.wallMs());
    this.clock.isPlausible = plausible;
    this.open(name);
  }

  fetched(imageId: string, deviceId: string): void {
    this.#tell({ imageId, address: '127.9.255.255', deviceId });
  }

  async close(): Promise<void> {
    await this.#end();
    for (const { socket } of this.listeners) socket.close();
    assert.deepEqual(this.faults, []);
  }

  /** What is on its way is waited for; its time passes here too. */
  async #end(): Promise<void> {
    const closing = this.fanouts.close();
    this.clock.advance(100);
    await closing;
    await this.forwarder.close();
    await this.store.close();
  }

  async listen(deviceId: string, host: string): Promise<Listener> {
    const socket = createSocket('udp4');
    const heard: Buffer[] = [];
    socket.on('message', (bytes) => heard.push(bytes));
    socket.bind(0, host);
    await once(socket, 'listening');
    const address: DeviceAddress = { transport: 'udp', host, port: socket.address().port, encapsulation: 'raw' };
    this.addresses.set(deviceId, address);
    this.listeners.push({ socket, address, heard });
    return { socket, address, heard };
  }

  /** @returns id of a new fanout with these leaves and targets (DeviceID: Package#0 of its own) */
  make(leaves: Partial<Record<FanoutLeaf, LeafValue>>, targets: Record<string, string> = {}): number {
    const created = this.fanouts.create(`f${this.fanouts.nodes(undefined, 100).length}`, 'server1');
    assert.ok(created.ok);
    const { id } = created.value;
    for (const [leaf, value] of Object.entries(leaves)) {
      const set = this.fanouts.setLeaf(id, leaf as FanoutLeaf, value);
      assert.ok(set.ok, set.ok ? '' : set.error.text);
    }
    for (const [deviceId, notification] of Object.entries(targets)) {
      assert.ok(this.fanouts.addTarget(id, deviceId).ok);
      assert.ok(this.fanouts.setTargetLeaf(id, deviceId, 'deviceId', deviceId).ok);
      assert.ok(this.fanouts.setTargetLeaf(id, deviceId, 'notification', Buffer.from(notification)).ok);
    }
    return id;
  }

  start(id: number): void {
    const started = this.fanouts.start(id, 'server1', 'c1');
    assert.ok(started.ok, started.ok ? '' : started.error.text);
  }

  /** Lets what is due now happen: turns, datagrams, flushes. */
  async settle(): Promise<void> {
    await this.store.durable();
    for (let quiet = 0; quiet < 4; quiet += 1) await pause(1);
  }

  /** Lets time pass in steps, so that each wait begins when the one before is over. */
  async pass(seconds: number): Promise<void> {
    await this.settle();
    for (let left = seconds * 1000; left > 0;) {
      const step = Math.min(left, Math.max(1, this.clock.nextInMs() ?? left));
      this.clock.advance(step);
      left -= step;
      await this.settle();
    }
  }

  statuses(id: number): Record<string, number> {
    const targets = this.fanouts.targets(id, undefined, 20_000);
    return Object.fromEntries(targets.map(({ deviceId, status }) => [deviceId ?? '', status]));
  }

  #book(): AddressBook {
    return {
      resolve: (deviceId) => {
        if (!this.addresses.has(deviceId)) return failure('unknown-device', deviceId);
        const address = this.addresses.get(deviceId);
        return address ? success(address) : failure('no-address', deviceId);
      },
      deviceAt: () => undefined,
      expand: (target) =>
        target === '*'
          ? this.addresses.keys()
          : (this.groups.get(target) ?? (target.startsWith('group:') ? [] : [target])),
    };
  }
}

const { sent, reacted, unknownDevice, unreachable, gaveUp, stopped } = TARGET_STATUS;

describe('fanout', () => {
  let folder: string;
  let bench: Bench;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-fanout-'));
    bench = new Bench(folder);
  });
  afterEach(async () => {
    await bench.close();
    rmSync(folder, { recursive: true });
  });

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

  describe('what discovery tells', () => {
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

  describe('what is refused', () => {
    const codeOf = (outcome: { ok: true } | { ok: false; error: { code: string } }): string =>
      outcome.ok ? 'ok' : outcome.error.code;

    it('a start without targets, without notification, without DeviceID, or twice', () => {
      const { fanouts } = bench;
      const empty = bench.make({ targets: '\n', notification: Buffer.from('x') });
      assert.equal(codeOf(fanouts.start(empty, 's')), 'no-targets');
      const mute = bench.make({ targets: 'd1' }, { d2: 'own' });
      assert.equal(codeOf(fanouts.start(mute, 's')), 'no-notification');
      assert.deepEqual(Object.keys(bench.statuses(mute)), ['d2']);
      const anonymous = bench.make({ notification: Buffer.from('x') });
      assert.ok(fanouts.addTarget(anonymous, 't').ok);
      assert.equal(codeOf(fanouts.start(anonymous, 's')), 'target-without-device');
      assert.equal(codeOf(fanouts.start(99, 's')), 'no-such-fanout');
      const fine = bench.make({}, { d1: 'x' });
      assert.equal(codeOf(fanouts.stop(fine, { requester: 's' })), 'not-running');
      bench.start(fine);
      assert.equal(codeOf(fanouts.start(fine, 's')), 'running');
    });

    it('changes while it runs, except Reacted', () => {
      const { fanouts } = bench;
      const id = bench.make({}, { d1: 'x' });
      bench.start(id);
      assert.deepEqual(
        [
          fanouts.setLeaf(id, 'rate', 5),
          fanouts.addTarget(id, 't2'),
          fanouts.setTargetLeaf(id, 'd1', 'notification', Buffer.from('y')),
          fanouts.removeTarget(id, 'd1'),
          fanouts.setTargetLeaf(id, 'd1', 'reacted', false),
          fanouts.setTargetLeaf(id, 'nobody', 'reacted', true),
          fanouts.rename(id, 'other'),
          fanouts.renameTarget(id, 'd1', 'other'),
        ].map(codeOf),
        ['running', 'running', 'running', 'running', 'ok', 'no-such-target', 'ok', 'ok'],
      );
    });

    it('names and devices that are there already', () => {
      const { fanouts } = bench;
      const id = bench.make({}, { d1: 'x', d2: 'y' });
      assert.equal(codeOf(fanouts.create('f0', 's')), 'node-exists');
      assert.equal(codeOf(fanouts.addTarget(id, 'd1')), 'node-exists');
      assert.equal(codeOf(fanouts.renameTarget(id, 'd1', 'd2')), 'node-exists');
      assert.equal(codeOf(fanouts.setTargetLeaf(id, 'd1', 'deviceId', 'd2')), 'device-id-taken');
    });

    const values: readonly [FanoutLeaf, LeafValue, string][] = [
      ['type', 'notification', 'ok'],
      ['type', 'command', 'invalid-value'],
      ['repeat', 0, 'invalid-value'],
      ['repeat', 16, 'ok'],
      ['repeat', 17, 'invalid-value'],
      ['repeat', '4', 'invalid-value'],
      ['interval', 0, 'invalid-value'],
      ['interval', 1.5, 'invalid-value'],
      ['lifetime', 86_400, 'ok'],
      ['rate', -1, 'ok'],
      ['rate', -2, 'invalid-value'],
      ['waveSize', 0, 'ok'],
      ['abortAfterFailures', -1, 'invalid-value'],
      ['imageRef', 'fw-1.2_3', 'ok'],
      ['imageRef', 'a/b', 'invalid-value'],
      ['targets', 'a\nb\r\n\n*', 'ok'],
      ['targets', 'a\tb', 'invalid-value'],
      ['targets', 'x'.repeat(512 * 1024 + 1), 'too-long'],
      ['notification', Buffer.alloc(0), 'invalid-value'],
      ['notification', Buffer.alloc(1400), 'ok'],
      ['notification', Buffer.alloc(1401), 'too-long'],
    ];
    for (const [leaf, value, expected] of values) {
      it(`${leaf} = ${String(value).slice(0, 20).replace(/\s/g, ' ')} (${typeof value}) gives ${expected}`, () => {
        const id = bench.make({});
        assert.equal(codeOf(bench.fanouts.setLeaf(id, leaf, value)), expected);
        assert.deepEqual(bench.fanouts.getLeaf(id, leaf), expected === 'ok' ? value : null);
      });
    }
  });

  describe('restart', () => {
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
      assert.ok(counted <= 64, `${counted} in the first batch`);
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
  });

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

  describe('pace', () => {
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

  describe('that has ended', () => {
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
});

describe('fanout over a sender that fails', () => {
  it('corrects what it counted as sent, repeats, and reports unreachable', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-fanout-'));
    let tries = 0;
    const bench = new Bench(folder, () => {
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
    await bench.close();
    rmSync(folder, { recursive: true });
  });

  it('counts a device as unreachable when the network says so after the send', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-fanout-'));
    const late: ((error: ForwardError) => void)[] = [];
    const bench = new Bench(folder, (_address, _notification, onLateFailure) => {
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
    await bench.close();
    rmSync(folder, { recursive: true });
  });

  it('does not let devices that hang hold up the others', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-fanout-'));
    const release: (() => void)[] = [];
    const heard: string[] = [];
    const bench = new Bench(folder, (address) => {
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
    await bench.close();
    rmSync(folder, { recursive: true });
  });

  it('pauses and goes on when a listener could not store the end', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-fanout-'));
    const bench = new Bench(folder, () => Promise.resolve(success()));
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
    await bench.close();
    rmSync(folder, { recursive: true });
  });
});
