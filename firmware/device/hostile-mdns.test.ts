/** What anybody in the LAN may send to the port of mDNS, against discovery and recognition together, with a real database. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { decode, encode, type Answer, type Packet } from 'dns-packet';
import { ManualClock } from '../clock/index.js';
import { BuiltinDiscovery } from '../discovery/index.js';
import { LAN0, LinkWire } from '../discovery/link-wire.fixture.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';
import { AddressBook, DeviceInventory, type Recognition } from './index.js';
import { openDevices, recogniser } from './recognition.fixture.js';

const TYPE = '_omadm-notify._udp.local';
const THIEF = '192.168.66.6';
const REAL = 50;
const MAX_DEVICES = 1_000;
/** Of the browser: instances that it knows nothing of yet. */
const MAX_INCOMPLETE = 512;

const parsed = Prefixes.parse(['192.168.0.0/16']);
assert.ok(parsed.ok);
const lan = parsed.value;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const idOf = (n: number): string => `X:real-${n}`;
const addressOf = (n: number): string => `192.168.1.${n + 1}`;

interface Said {
  readonly devid: string;
  readonly address: string;
  readonly host?: string;
}

/** The records of an instance, in the order PTR, SRV, TXT, A. */
function recordsOf(instance: string, { devid, address, host = instance }: Said): [Answer, Answer, Answer, Answer] {
  const name = `${instance}.${TYPE}`;
  const own = { ttl: 120, flush: true } as const;
  return [
    { type: 'PTR', name: TYPE, ttl: 4500, data: name },
    { type: 'SRV', name, ...own, data: { port: 2948, target: `${host}.local` } },
    { type: 'TXT', name, ...own, data: [`devid=${devid}`] },
    { type: 'A', name: `${host}.local`, ...own, data: address },
  ];
}

const real = (n: number): [Answer, Answer, Answer, Answer] =>
  recordsOf(`real-${n}`, { devid: idOf(n), address: addressOf(n) });
const message = (answers: readonly Answer[]): Buffer => encode({ type: 'response', answers: [...answers] });

describe('hostile mDNS', () => {
  let folder: string;
  let store: Store;
  let clock: ManualClock;
  let wire: LinkWire;
  let inventory: DeviceInventory;
  let recognition: Recognition;
  let discovery: BuiltinDiscovery;
  /** Real devices hear what is asked. They do no more than answer. */
  let areAwake: boolean;
  /** What looking at a message takes. Measured, it would depend on who runs the test. */
  let costMs: number;
  let usedMs: number;
  const faults: unknown[] = [];
  const warnings: string[] = [];

  const open = async (): Promise<void> => {
    store = openDevices(folder);
    wire = new LinkWire();
    inventory = new DeviceInventory({ store, clock, log: silentLog, lan });
    ({ recognition } = recogniser({
      store,
      clock,
      lan,
      inventory,
      maxDiscovered: MAX_DEVICES,
      verify: (deviceIds) => discovery.verify(deviceIds),
      onFault: (thrown) => faults.push(thrown),
    }));
    discovery = new BuiltinDiscovery({
      links: { names: [], lan, own: [] },
      clock,
      random: () => 0.5,
      log: { ...silentLog, warn: (text) => warnings.push(text) },
      processorMs: () => (usedMs += costMs),
      browse: { type: '_omadm-notify._udp', listener: recognition },
      interfaces: () => LAN0,
      openSocket: () => wire.asSocket(),
    });
    discovery.announce('gateway', { instance: 'gw', type: '_dmgw._tcp', host: 'gw', port: 80, txt: {} });
    discovery.start();
    await new Promise((resolve) => setImmediate(resolve));
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-hostile-'));
    clock = new ManualClock();
    clock.advance(1e7);
    areAwake = true;
    costMs = 0;
    usedMs = 0;
    await open();
  });
  afterEach(async () => {
    await discovery.close();
    recognition.flush();
    await store.close();
    rmSync(folder, { recursive: true });
    assert.deepEqual(faults, []);
    assert.ok(!warnings.includes('cannot send mDNS'));
  });

  /** As RFC 6763 section 12 says: with a PTR comes everything, with an SRV the address. */
  const answers = (): void => {
    for (const [bytes] of wire.sent.splice(0)) {
      const { type, questions = [], answers: known = [] } = decode(bytes);
      if (type !== 'query' || !areAwake) continue;
      const isKnown = (name: string): boolean => known.some((one) => one.type === 'PTR' && one.data === name);
      for (let n = 0; n < REAL; n += 1) {
        const [ptr, srv, txt, a] = real(n);
        for (const { name, type: asked } of questions) {
          if (asked === 'PTR' && name === TYPE && !isKnown(srv.name))
            wire.put(message([ptr, srv, txt, a]), addressOf(n));
          else if (asked === 'SRV' && name === srv.name) wire.put(message([srv, a]), addressOf(n));
          else if (asked === 'TXT' && name === txt.name) wire.put(message([txt]), addressOf(n));
          else if (asked === 'A' && name === a.name) wire.put(message([a]), addressOf(n));
        }
      }
    }
  };
  /** Lets time pass, in which devices answer what they are asked. */
  const pass = async (ms: number, stepMs = 50): Promise<void> => {
    for (let left = ms; left > 0; left -= stepMs) {
      clock.advance(Math.min(left, stepMs));
      await new Promise((resolve) => setImmediate(resolve));
      answers();
    }
  };
  const findAll = async (): Promise<void> => {
    for (let n = 0; n < REAL; n += 1) wire.put(message(real(n)), addressOf(n));
    await pass(61_000, 500);
    for (let n = 0; n < REAL; n += 1) wire.put(message(real(n)), addressOf(n));
    await pass(1_000);
    inventory.flush();
  };
  const wrong = (): string[] =>
    Array.from({ length: REAL }, (_, n) => idOf(n)).filter((id, n) => {
      return new AddressBook(store).resolve([id]).get(id)?.host !== addressOf(n);
    });
  const absent = (): string[] =>
    Array.from({ length: REAL }, (_, n) => idOf(n)).filter((id) => !recognition.isPresent(id));

  it('does no harm as 15,000 messages, at random and made of real ones', async () => {
    await findAll();
    for (const seed of [1, 2, 3]) {
      const fuzz = new Fuzz(seed);
      for (let i = 0; i < 5_000; i += 1) {
        wire.put(fuzz.next(), i % 7 === 0 ? THIEF : `192.168.${fuzz.below(256)}.${fuzz.below(256)}`);
        if (i % 20 === 0) await pass(20, 20);
      }
      assert.deepEqual(wrong(), [], `seed ${seed}`);
      // Real ones announce themselves now and then, and what was said in their name is over.
      for (let n = 0; n < REAL; n += 1) wire.put(message(real(n)), addressOf(n));
      await pass(120_000, 500);
      assert.deepEqual([wrong(), absent()], [[], []], `seed ${seed}`);
    }
    assert.ok(inventory.count() <= MAX_DEVICES);
  });

  it('takes bounded memory for a flood of a million names from everywhere, and finds real devices afterwards', async () => {
    await findAll();
    const flood = async (from: number, to: number): Promise<void> => {
      for (let i = from; i < to; i += 100) {
        const names = Array.from({ length: 100 }, (_, k): Answer => {
          return { type: 'PTR', name: TYPE, ttl: 4500, data: `fake-${i + k}.${TYPE}` };
        });
        wire.put(message(names), `192.168.${100 + (i % 3)}.${(i / 100) % 256}`);
        if (i % 1_000 === 0) await pass(10, 10);
      }
    };
    await flood(0, 50_000);
    collectGarbage();
    const before = process.memoryUsage().heapUsed;
    await flood(50_000, 1_000_000);
    collectGarbage();
    const grown = process.memoryUsage().heapUsed - before;
    assert.ok(grown < 2 * 1024 * 1024, `${grown} bytes more`);
    const kept = discovery.browserOn('lan0')?.size ?? 0;
    assert.ok(kept <= REAL + MAX_INCOMPLETE, `${kept} instances`);
    assert.ok(discovery.status().dropped > 0);
    await pass(10_000, 100);
    assert.deepEqual([wrong(), absent()], [[], []]);
    wire.put(message(recordsOf('new', { devid: 'X:new', address: '192.168.2.2' })), '192.168.2.2');
    await pass(1_000);
    assert.ok(recognition.isPresent('X:new'));
  });

  it('drives out no real device with invented ones, each at an address of its own', async () => {
    await findAll();
    for (let i = 0; i < 5_000; i += 1) {
      const said = { devid: `X:fake-${i}`, address: `192.168.${10 + Math.floor(i / 250)}.${1 + (i % 250)}` };
      wire.put(message(recordsOf(`fake-${i}`, said)), said.address);
      if (i % 10 === 0) await pass(20, 20);
    }
    await pass(5_000);
    assert.ok(inventory.count() <= MAX_DEVICES, `${inventory.count()} devices`);
    assert.deepEqual([wrong(), absent()], [[], []]);
  });

  const goodbyes: readonly [string, (n: number) => Answer[]][] = [
    ['of its instance', (n) => [{ ...real(n)[0], ttl: 0 } as Answer]],
    ['of all its records', (n) => real(n).map((record) => ({ ...record, ttl: 0 }) as Answer)],
    ['of its address, with the cache-flush bit', (n) => [{ ...real(n)[3], ttl: 0 } as Answer]],
  ];
  for (const [what, forged] of goodbyes) {
    it(`believes no goodbye ${what} that the device contradicts`, async () => {
      await findAll();
      for (let round = 0; round < 20; round += 1) {
        for (let n = 0; n < REAL; n += 1) wire.put(message(forged(n)), THIEF);
        await pass(1_000);
      }
      await pass(10_000);
      assert.deepEqual([wrong(), absent()], [[], []]);
    });
  }

  it('hears what devices contradict beside one who sends messages that take much time', async () => {
    await findAll();
    for (let round = 0; round < 20; round += 1) {
      for (let n = 0; n < REAL; n += 1) wire.put(message([{ ...real(n)[0], ttl: 0 } as Answer]), '192.168.66.7');
      for (let i = 0; i < 10; i += 1) {
        costMs = 25;
        for (let k = 0; k < 10; k += 1) wire.put(message(real(0)), THIEF);
        costMs = 0;
        await pass(100);
      }
    }
    // Half a second at once, then two fifths: 500 ms + 20 s * 400 ms/s, at 25 ms each. The clock is read twice for each.
    const looked = usedMs / (2 * 25);
    assert.ok(looked <= (500 + 20 * 400) / 25 + 1, `${looked} messages were looked at`);
    assert.ok(discovery.status().dropped > 1_000);
    await pass(10_000);
    assert.deepEqual([wrong(), absent()], [[], []]);
  });

  it('keeps the addresses of devices that cannot contradict', async () => {
    await findAll();
    areAwake = false;
    for (let n = 0; n < REAL; n += 1)
      wire.put(message(real(n).map((record) => ({ ...record, ttl: 0 }) as Answer)), THIEF);
    await pass(60_000);
    assert.equal(absent().length, REAL);
    assert.deepEqual(wrong(), []);
  });

  it('lets nobody have the DeviceID of a device that was said to be gone, and could not contradict for a moment', async () => {
    await findAll();
    // The query for all that comes by itself is too far off to help.
    await pass(400_000, 5_000);
    areAwake = false;
    wire.put(message([{ ...real(0)[0], ttl: 0 } as Answer]), THIEF);
    await pass(4_000);
    assert.deepEqual(absent(), [idOf(0)]);
    areAwake = true;
    wire.put(message(own(idOf(0))), THIEF);
    await pass(130_000, 100);
    assert.deepEqual([wrong(), absent()], [[], []]);
  });

  const own = (devid: string): Answer[] => recordsOf('thief', { devid, address: THIEF });
  const thefts: readonly [string, (n: number) => Answer[]][] = [
    ['its address', (n) => [{ ...real(n)[3], data: THIEF } as Answer]],
    ['its host', (n) => recordsOf(`real-${n}`, { devid: idOf(n), address: THIEF, host: 'thief' })],
    ['its DeviceID', (n) => own(idOf(n))],
    [
      'its DeviceID, when its instance has been given another one',
      (n) => [{ ...real(n)[2], data: ['devid=X:other'] } as Answer, ...own(idOf(n))],
    ],
    [
      'its DeviceID, when its address has been moved out of the LAN',
      (n) => [{ ...real(n)[3], data: '8.8.8.8' } as Answer, ...own(idOf(n))],
    ],
    ['its DeviceID, when it has been said to be gone', (n) => [{ ...real(n)[0], ttl: 0 } as Answer, ...own(idOf(n))]],
  ];
  for (const [what, forged] of thefts) {
    it(`lets nobody have ${what}, who says so for two minutes, as long as the device answers`, async () => {
      await findAll();
      for (let round = 0; round < 250; round += 1) {
        wire.put(message(forged(round % 3)), THIEF);
        await pass(500, 100);
        // The last word is the thief's.
        wire.put(message(forged(round % 3)), THIEF);
        if (round % 10 === 0) assert.deepEqual(wrong(), [], `after ${round} rounds`);
      }
      await pass(130_000, 500);
      for (let n = 0; n < REAL; n += 1) wire.put(message(real(n)), addressOf(n));
      await pass(2_000);
      assert.deepEqual([wrong(), absent()], [[], []]);
    });
  }
});

/** Many questions with many known answers; many long names that lead from one to the next. */
const costly: readonly Buffer[] = [
  encode({
    type: 'query',
    questions: Array.from({ length: 150 }, () => ({ type: 'PTR', name: '_dmgw._tcp.local' }) as const),
    answers: Array.from({ length: 100 }, (_, i): Answer => {
      return { type: 'PTR', name: '_dmgw._tcp.local', ttl: 1, data: `x${i}._dmgw._tcp.local` };
    }),
  }),
  chained(),
];

/** 250 records, each with a name of 120 labels that is written once. */
function chained(): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt16BE(0x8400, 2);
  header.writeUInt16BE(251, 6);
  const labels = Buffer.concat([...Array.from({ length: 120 }, () => Buffer.from([1, 0x61])), Buffer.from([0])]);
  const rest = Buffer.from([0, 12, 0, 1, 0, 0, 0, 60, 0, 2, 0xc0, 12]);
  const pointing = Buffer.concat([Buffer.from([0xc0, 12]), rest]);
  return Buffer.concat([header, labels, rest, ...Array.from({ length: 250 }, () => pointing)]);
}

/** Messages that are the same in each run: real ones changed in some places, and bytes at random. */
class Fuzz {
  readonly #seeds: readonly Buffer[];
  #state: number;

  constructor(seed: number) {
    this.#state = seed * 0x9e3779b1;
    const query: Packet = { type: 'query', questions: [{ type: 'PTR', name: TYPE }], answers: [real(1)[0]] };
    this.#seeds = [
      ...Array.from({ length: 5 }, (_, n) => message(real(n))),
      message(real(3).map((record) => ({ ...record, ttl: 0 }) as Answer)),
      message(recordsOf('thief', { devid: 'X:thief', address: THIEF })),
      encode(query),
      encode({ type: 'query', questions: [{ type: 'SRV', name: 'gw._dmgw._tcp.local' }], authorities: real(2) }),
      ...costly,
    ];
  }

  /** mulberry32. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  next(): Buffer {
    const kind = this.below(10);
    if (kind === 0) return Buffer.from(Array.from({ length: this.below(200) }, () => this.below(256)));
    // Most of the time small ones: the large ones take most of the test otherwise.
    const from = this.below(this.#seeds.length - (this.below(100) === 0 ? 0 : costly.length));
    const bytes = Buffer.from(this.#seeds[from] ?? '');
    for (let changes = 1 + this.below(4); changes > 0; changes -= 1) this.#change(bytes);
    if (kind === 1) return bytes.subarray(0, this.below(bytes.length));
    if (kind === 2) return Buffer.concat([bytes, Buffer.from(this.#seeds[this.below(5)] ?? '')]);
    return bytes;
  }

  #change(bytes: Buffer): void {
    const at = this.below(bytes.length);
    const how = this.below(5);
    if (how === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << this.below(8));
    else if (how === 1) bytes[at] = this.below(256);
    else if (how === 2 && at + 1 < bytes.length) bytes.writeUInt16BE(0xc000 | this.below(bytes.length), at);
    else if (how === 3) bytes[4 + this.below(8)] = this.below(256);
    else bytes.copy(bytes, at, this.below(bytes.length));
  }
}
