/** One gateway's worth of notify/ on a database, with devices that listen on loopback. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import {
  endSchema,
  Fanouts,
  Forwarder,
  notifySchema,
  sleepersSchema,
  type AddressBook,
  type DeviceAddress,
  type FanoutEvent,
  type FanoutLeaf,
  type Fetch,
  type LeafValue,
  type Presence,
  type SendNotification,
} from './index.js';

const parsed = Prefixes.parse(['127.9.0.0/16']);
assert.ok(parsed.ok);
const lan = parsed.value;

/** A device on its own loopback address, and what it heard. */
export interface Listener {
  readonly socket: Socket;
  readonly address: DeviceAddress;
  readonly heard: Buffer[];
}

/** One gateway's worth of parts on one database file; `reopen` is what a restart makes of it. */
export class Bench {
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
    this.store = openTestStore({
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
      resolve: (deviceIds) => new Map([...this.addresses].filter(([deviceId]) => deviceIds.includes(deviceId))),
      deviceAt: () => undefined,
      expand: (target) =>
        target === '*'
          ? this.addresses.keys()
          : (this.groups.get(target) ?? (target.startsWith('group:') ? [] : [target])),
    };
  }
}

/** A folder with a bench in it, for one test. */
export function openBench(sending?: SendNotification): Bench {
  return new Bench(mkdtempSync(join(tmpdir(), 'dmgw-fanout-')), sending);
}

/** Ends it; a fault that nobody has asked for fails the test. */
export async function closeBench(bench: Bench): Promise<void> {
  await bench.close();
  rmSync(bench.folder, { recursive: true });
}
