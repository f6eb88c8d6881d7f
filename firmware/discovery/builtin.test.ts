import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import { describe, it } from 'node:test';
import { decode, encode, type DecodedPacket, type Packet } from 'dns-packet';
import { systemClock, type Clock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { BuiltinDiscovery } from './builtin.js';
import type { AnnouncedService, FoundService } from './service.js';

const GROUP = '224.0.0.251';
const parsed = Prefixes.parse(['127.44.0.0/16']);
assert.ok(parsed.ok);
const links = { names: [], lan: parsed.value, own: ['127.44.0.1'] };

/** What a browser tells, and a wait for it. */
class Events {
  readonly list: string[] = [];
  readonly services: FoundService[] = [];
  #wake: () => void = () => {};

  readonly listener = {
    found: (service: FoundService): string => {
      this.services.push(service);
      this.#add(`found ${service.instance} ${service.addresses.join(' ')}`);
      return service.instance;
    },
    heard: (): void => {},
    gone: (_: string, instance: string): void => this.#add(`gone ${instance}`),
  };

  async until(event: string): Promise<void> {
    const deadline = AbortSignal.timeout(15_000);
    while (!this.list.includes(event)) {
      if (deadline.aborted) throw new Error(`no '${event}' among: ${this.list.join(', ')}`);
      await Promise.race([
        new Promise<void>((resolve) => (this.#wake = resolve)),
        new Promise((r) => setTimeout(r, 200)),
      ]);
    }
  }

  #add(event: string): void {
    this.list.push(event);
    this.#wake();
  }
}

/** Another mDNS host on loopback, made of bare sockets. */
class Host {
  readonly heard: DecodedPacket[] = [];

  private constructor(readonly socket: Socket) {
    socket.on('message', (bytes) => {
      try {
        this.heard.push(decode(bytes));
      } catch {
        // Somebody's fuzz.
      }
    });
  }

  /** @param port 5353 for a real one; 0 for a resolver that knows no more than DNS */
  static async open(port: number): Promise<Host> {
    const socket = createSocket({ type: 'udp4', reuseAddr: true });
    socket.bind(port, port === 0 ? '127.0.0.1' : '0.0.0.0');
    await once(socket, 'listening');
    if (port !== 0) socket.addMembership(GROUP, '127.0.0.1');
    socket.setMulticastInterface('127.0.0.1');
    return new Host(socket);
  }

  send(packet: Packet): void {
    this.socket.send(encode(packet), 5353, GROUP);
  }

  async until(what: string, fits: (packet: DecodedPacket) => boolean): Promise<DecodedPacket> {
    const deadline = AbortSignal.timeout(15_000);
    for (;;) {
      const found = this.heard.find(fits);
      if (found) return found;
      if (deadline.aborted) throw new Error(`waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

/** A type of service and a host of one test only: others speak mDNS on loopback at the same time. */
class Scene {
  static #count = 0;
  readonly #id = `t${process.pid}x${++Scene.#count}e`;
  readonly type = `_omadm-${this.#id}._udp`;
  readonly lamp: AnnouncedService = {
    instance: 'lamp',
    type: this.type,
    port: 2948,
    txt: { devid: 'MAC:02000000AAAA', groups: 'hall' },
    host: `lamp-${this.#id}`,
    addresses: ['127.44.1.7'],
  };
  readonly events = new Events();
  readonly #open: { close(): unknown }[] = [];

  builtin(
    browse: boolean,
    interfaces?: () => NodeJS.Dict<NetworkInterfaceInfo[]>,
    clock: Clock = systemClock(0),
  ): BuiltinDiscovery {
    const discovery = new BuiltinDiscovery({
      links,
      clock,
      random: Math.random,
      log: silentLog,
      ...(browse && { browse: { type: this.type, listener: this.events.listener } }),
      ...(interfaces && { interfaces }),
    });
    this.#open.push(discovery);
    return discovery;
  }

  /** A device that announces the lamp. */
  device(): BuiltinDiscovery {
    const device = this.builtin(false);
    device.announce('lamp', this.lamp);
    device.start();
    return device;
  }

  async host(port = 5353): Promise<Host> {
    const opened = await Host.open(port);
    this.#open.push({ close: () => opened.socket.close() });
    return opened;
  }

  /** Answers of this test that a host has heard. */
  answers(other: Host, type: 'SRV' | 'TXT' | 'A' | 'PTR') {
    return other.heard
      .filter((packet) => packet.type === 'response')
      .flatMap(({ answers = [] }) => answers)
      .filter((one) => one.type === type && JSON.stringify(one).includes(this.#id))
      .filter((one) => one.type !== 'OPT');
  }

  /** The device has told everything, twice. */
  announced(other: Host): Promise<unknown> {
    return other.until('the second announcement', () => this.answers(other, 'SRV').length >= 2);
  }

  /** A host that has heard the device announce itself, so long ago that a question is answered again (section 6). */
  async longAnnounced(): Promise<Host> {
    const other = await this.host();
    this.device();
    await this.announced(other);
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    return other;
  }

  async close(): Promise<void> {
    for (const one of this.#open) await one.close();
  }
}

/** The tests wait for what mDNS takes its time for: all at the same time. */
describe('discovery in the process, on loopback', { concurrency: true }, () => {
  const play = async (test: (scene: Scene) => Promise<void>): Promise<void> => {
    const scene = new Scene();
    try {
      await test(scene);
    } finally {
      await scene.close();
    }
  };

  it('finds what another announces, hears of its changes and of its end', () =>
    play(async (scene) => {
      const { events, lamp } = scene;
      scene.builtin(true).start();
      const device = scene.device();
      await events.until('found lamp 127.44.1.7');
      assert.deepEqual({ ...events.services[0]?.txt }, { devid: 'MAC:02000000AAAA', groups: 'hall' });
      device.announce('lamp', { ...lamp, addresses: ['127.44.1.8'] });
      await events.until('found lamp 127.44.1.8');
      await device.close();
      await events.until('gone lamp');
    }));

  it('finds what was there before it', () =>
    play(async (scene) => {
      const { events } = scene;
      scene.device();
      const other = await scene.host();
      await scene.announced(other);
      scene.builtin(true).start();
      await events.until('found lamp 127.44.1.7');
    }));

  it('probes three times before it announces, twice, with the cache-flush bit on what is its own', () =>
    play(async (scene) => {
      const { lamp } = scene;
      const other = await scene.host();
      scene.device();
      await scene.announced(other);
      const mine = other.heard.filter((packet) => JSON.stringify(packet).includes(lamp.host));
      const probes = mine.filter(({ type }) => type === 'query');
      assert.equal(probes.length, 3);
      assert.ok(probes.every(({ authorities }) => (authorities?.length ?? 0) === 3));
      assert.ok(mine.slice(0, 3).every(({ type }) => type === 'query'));
      for (const type of ['SRV', 'TXT', 'A'] as const)
        assert.ok(scene.answers(other, type).every((one) => one.flush === true));
      assert.ok(scene.answers(other, 'PTR').every((one) => one.flush === false));
    }));

  it('takes another name when its own is in use', () =>
    play(async (scene) => {
      const { type: TYPE } = scene;
      const other = await scene.host();
      const name = `lamp.${TYPE}.local`;
      other.socket.on('message', () => {
        const probe = other.heard.at(-1);
        if (probe?.type !== 'query' || !probe.questions?.some((one) => one.name === name)) return;
        other.send({
          type: 'response',
          answers: [{ type: 'SRV', name, ttl: 120, flush: true, data: { port: 1, target: 'other.local' } }],
        });
      });
      scene.device();
      await other.until('the other name', (packet) => JSON.stringify(packet.answers).includes(`lamp-2.${TYPE}`));
    }));

  it('does not answer what is known well enough, and answers what is known for a short time only', () =>
    play(async (scene) => {
      const other = await scene.longAnnounced();
      const type = `${scene.type}.local`;
      const question = { name: type, type: 'PTR' } as const;
      const known = (ttl: number) => ({ type: 'PTR', name: type, ttl, data: `lamp.${type}` }) as const;
      const before = scene.answers(other, 'PTR').length;
      other.send({ type: 'query', questions: [question], answers: [known(4000)] });
      await new Promise((resolve) => setTimeout(resolve, 300));
      assert.equal(scene.answers(other, 'PTR').length, before);
      other.send({ type: 'query', questions: [question], answers: [known(100)] });
      await other.until('an answer', () => scene.answers(other, 'PTR').length > before);
    }));

  it('takes back an answer that turns out to be known, where known answers come in several messages', () =>
    play(async (scene) => {
      const other = await scene.longAnnounced();
      const type = `${scene.type}.local`;
      const before = scene.answers(other, 'PTR').length;
      other.send({ type: 'query', flags: 1 << 9, questions: [{ name: type, type: 'PTR' }] });
      other.send({ type: 'query', answers: [{ type: 'PTR', name: type, ttl: 4500, data: `lamp.${type}` }] });
      await new Promise((resolve) => setTimeout(resolve, 800));
      assert.equal(scene.answers(other, 'PTR').length, before);
    }));

  it('answers a plain DNS resolver by unicast, without the cache-flush bit, for a short time', () =>
    play(async (scene) => {
      const { type: TYPE } = scene;
      scene.device();
      const watcher = await scene.host();
      await watcher.until('an announcement', () => scene.answers(watcher, 'SRV').length >= 1);
      const resolver = await scene.host(0);
      resolver.send({ id: 77, type: 'query', questions: [{ name: `lamp.${TYPE}.local`, type: 'SRV' }] });
      const reply = await resolver.until('the answer', ({ type }) => type === 'response');
      assert.equal(reply.id, 77);
      assert.equal(reply.questions?.[0]?.name, `lamp.${TYPE}.local`);
      const [first] = reply.answers ?? [];
      assert.ok(first?.type === 'SRV' && first.flush === false && first.ttl === 10);
    }));

  it('does not listen to a response from another port than that of mDNS', () =>
    play(async (scene) => {
      const { events, type: TYPE } = scene;
      scene.builtin(true).start();
      const resolver = await scene.host(0);
      const real = await scene.host();
      const response = (instance: string): Packet => ({
        type: 'response',
        answers: [
          { type: 'PTR', name: `${TYPE}.local`, ttl: 120, data: `${instance}.${TYPE}.local` },
          { type: 'SRV', name: `${instance}.${TYPE}.local`, ttl: 120, data: { port: 9, target: 'x.local' } },
          { type: 'TXT', name: `${instance}.${TYPE}.local`, ttl: 120, data: ['devid=X:1'] },
          { type: 'A', name: 'x.local', ttl: 120, data: '127.44.9.9' },
        ],
      });
      resolver.send(response('forged'));
      real.send(response('real'));
      await events.until('found real 127.44.9.9');
      assert.ok(!events.list.includes('found forged 127.44.9.9'));
    }));

  it('follows an interface that goes and comes back', () =>
    play(async (scene) => {
      const { events } = scene;
      let up = true;
      const clock = new FastClock();
      const browser = scene.builtin(true, () => (up ? { lo: networkInterfaces().lo } : {}), clock);
      browser.start();
      scene.device();
      await events.until('found lamp 127.44.1.7');
      assert.deepEqual(browser.status().links, ['lo']);
      up = false;
      await events.until('gone lamp');
      assert.deepEqual(browser.status().links, []);
      events.list.length = 0;
      up = true;
      await events.until('found lamp 127.44.1.7');
    }));
});

/** The system's clock, with the look at the interfaces twenty times as often. */
class FastClock implements Clock {
  readonly #clock = systemClock(0);
  wallMs = () => this.#clock.wallMs();
  monotonicMs = () => this.#clock.monotonicMs();
  plausible = () => true;
  sleep = (delayMs: number, signal?: AbortSignal) => this.#clock.sleep(delayMs, signal);
  after = (delayMs: number, task: () => void) => this.#clock.after(delayMs === 5_000 ? 250 : delayMs, task);
}
