import { createSocket, type Socket } from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { encode, type Answer } from 'dns-packet';
import { END_DEVICE_TYPE } from '../../../firmware/device/index.js';
import { sessionIdText } from '../../../firmware/dm/index.js';
import { deviceAddress, deviceIdOf, readMark } from './protocol.js';

const GROUP = '224.0.0.251';
const MDNS_PORT = 5353;
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** Addresses that say so: one takes a part only of the time that a gateway has for all. */
const SOURCES = 8;

/** Devices that share a message; what a gateway hears of one source and of new devices, per second, is bounded. */
const PER_MESSAGE = 4;
const PAUSE_MS = 10;
/** RFC 6762 section 8.3. */
const AGAIN_MS = 1_000;
const NEWCOMERS_PER_SECOND = 400;
const ANNOUNCED_PER_SECOND = 1_600;

/** 75 minutes: nothing expires while it is measured. */
const TTL_SECONDS = 4_500;

/** The notifications of one round as they came. */
export interface Arrivals {
  readonly devices: Set<number>;
  /** When the first of the last device came, by the monotonic clock of the machine. */
  lastNs: bigint;
}

/** All devices of the LAN: one socket takes their notifications, another announces them by mDNS on loopback. */
export class Devices {
  readonly #arrivals = new Map<number, Arrivals>();

  private constructor(
    private readonly notifications: Socket,
    private readonly mdns: readonly Socket[],
  ) {
    notifications.on('message', (datagram) => {
      const nowNs = process.hrtime.bigint();
      const [round, index] = readMark(datagram) ?? [];
      if (round === undefined || index === undefined) return;
      const arrivals = this.of(round);
      if (arrivals.devices.has(index)) return;
      arrivals.devices.add(index);
      arrivals.lastNs = nowNs;
    });
  }

  static async open(): Promise<Devices> {
    const notifications = createSocket('udp4');
    await new Promise<void>((resolve) => notifications.bind(0, '0.0.0.0', resolve));
    notifications.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
    const mdns = await Promise.all(
      Array.from({ length: SOURCES }, async (_, index) => {
        const socket = createSocket({ type: 'udp4', reuseAddr: true });
        await new Promise<void>((resolve) => socket.bind(MDNS_PORT, '0.0.0.0', resolve));
        socket.setMulticastInterface(deviceAddress(index));
        socket.setMulticastLoopback(true);
        return socket;
      }),
    );
    return new Devices(notifications, mdns);
  }

  get port(): number {
    return this.notifications.address().port;
  }

  of(round: number): Arrivals {
    const present = this.#arrivals.get(round) ?? { devices: new Set<number>(), lastNs: 0n };
    this.#arrivals.set(round, present);
    return present;
  }

  /** Devices up to `end` come up, and tell of it again and again until they have been found. */
  async appear(first: number, end: number, found: () => boolean): Promise<void> {
    const indexes = Array.from({ length: end - first }, (_, at) => first + at);
    while (!found()) {
      await this.#announce(indexes, undefined, NEWCOMERS_PER_SECOND, found);
      await sleep(AGAIN_MS);
    }
  }

  /** What the notification of this round asked for is done: the devices announce its SessionID. */
  async react(round: number, isOver: () => boolean): Promise<void> {
    await this.#announce([...this.of(round).devices], round, ANNOUNCED_PER_SECOND, isOver);
  }

  close(): void {
    this.notifications.close();
    for (const socket of this.mdns) socket.close();
  }

  async #announce(
    indexes: readonly number[],
    sessionId: number | undefined,
    perSecond: number,
    isOver: () => boolean,
  ): Promise<void> {
    const startMs = performance.now();
    for (let at = 0; at < indexes.length && !isOver(); at += PER_MESSAGE) {
      const answers = indexes.slice(at, at + PER_MESSAGE).flatMap((index) => this.#records(index, sessionId));
      this.mdns[(at / PER_MESSAGE) % SOURCES]?.send(
        encode({ type: 'response', flags: 1 << 10, answers }),
        MDNS_PORT,
        GROUP,
      );
      while ((performance.now() - startMs) * perSecond < at * 1000) await sleep(PAUSE_MS);
    }
  }

  #records(index: number, sessionId: number | undefined): Answer[] {
    const type = `${END_DEVICE_TYPE}.local`;
    const name = `device-${index}`;
    const txt = [`devid=${deviceIdOf(index)}`, `sid=${sessionIdText(sessionId ?? 0xffff)}`];
    const once = { ttl: TTL_SECONDS, flush: true, class: 'IN' } as const;
    return [
      { type: 'PTR', name: type, ttl: TTL_SECONDS, data: `${name}.${type}` },
      { type: 'SRV', name: `${name}.${type}`, ...once, data: { port: this.port, target: `${name}.local` } },
      { type: 'TXT', name: `${name}.${type}`, ...once, data: txt },
      { type: 'A', name: `${name}.local`, ...once, data: deviceAddress(index) },
    ];
  }
}
