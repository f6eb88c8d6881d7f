import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, encode, type Answer } from 'dns-packet';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { BuiltinDiscovery } from './builtin.js';
import { LAN0, LinkWire } from './link-wire.fixture.js';

const TYPE = '_omadm-notify._udp.local';
const STEP_MS = 10;
const FIRST_STEP = 1_234;

const parsed = Prefixes.parse(['192.168.0.0/16']);
assert.ok(parsed.ok);
const neighbours = parsed.value;

const addressOf = (n: number): string => `192.168.${1 + Math.floor(n / 250)}.${1 + (n % 250)}`;

/** All that a device says of itself. */
function message(n: number): Buffer {
  const name = `device-${n}.${TYPE}`;
  const host = `device-${n}.local`;
  const answers: Answer[] = [
    { type: 'PTR', name: TYPE, ttl: 4500, data: name },
    { type: 'SRV', name, ttl: 4500, flush: true, data: { port: 2948, target: host } },
    { type: 'TXT', name, ttl: 4500, flush: true, data: [`devid=X:${n}`] },
    { type: 'A', name: host, ttl: 4500, flush: true, data: addressOf(n) },
  ];
  return encode({ type: 'response', answers });
}

interface Lan {
  readonly devices: number;
  /** The address that a device speaks from. */
  readonly from: (n: number) => string;
  /** What looking at one message takes of the processor. */
  readonly costMs: number;
  readonly untilMs: number;
  /** Whether it ends when all are found. */
  readonly endsWhenFound: boolean;
}

/** All devices of a LAN speak at once, and answer every query that does not show them as known. */
async function simulate(lan: Lan): Promise<{ readonly found: number; readonly queriesAtMs: readonly number[] }> {
  const { devices, from, costMs, untilMs, endsWhenFound } = lan;
  const clock = new ManualClock();
  clock.advance(1e7);
  const wire = new LinkWire();
  const found = new Set<string>();
  let usedMs = 0;
  const discovery = new BuiltinDiscovery({
    links: { names: [], lan: neighbours, own: [] },
    clock,
    random: () => 0.5,
    log: silentLog,
    // It is read before and behind each message.
    processorMs: () => (usedMs += costMs),
    browse: {
      type: '_omadm-notify._udp',
      listener: {
        found: ({ instance }) => {
          found.add(instance);
          return instance;
        },
        heard: () => {},
        gone: () => {},
      },
    },
    interfaces: () => LAN0,
    openSocket: () => wire.asSocket(),
  });
  discovery.start();
  const messages = Array.from({ length: devices }, (_, n) => message(n));
  let first = 0;
  const saySo = (known: ReadonlySet<string>): void => {
    // Each time another one is the first: answers are delayed at random (RFC 6762 section 6).
    first += FIRST_STEP;
    for (let at = 0; at < devices; at += 1) {
      const n = (first + at) % devices;
      if (!known.has(`device-${n}.${TYPE}`)) wire.put(messages[n]!, from(n));
    }
  };
  const queriesAtMs: number[] = [];
  saySo(new Set());
  for (let atMs = 0; atMs < untilMs && !(endsWhenFound && found.size === devices); atMs += STEP_MS) {
    clock.advance(STEP_MS);
    await new Promise((resolve) => setImmediate(resolve));
    const known = new Set<string>();
    let isAsked = false;
    for (const [bytes] of wire.sent.splice(0)) {
      const { questions = [], answers = [] } = decode(bytes);
      for (const answer of answers) if (answer.type === 'PTR') known.add(answer.data);
      isAsked ||= questions.some(({ type }) => type === 'PTR');
    }
    if (!isAsked) continue;
    queriesAtMs.push(atMs);
    saySo(known);
  }
  await discovery.close();
  return { found: found.size, queriesAtMs };
}

describe('more devices than a link is listened to at once', () => {
  it('are found all behind an mDNS reflector, where they have one address', async () => {
    const { found, queriesAtMs } = await simulate({
      devices: 900,
      from: () => '192.168.255.1',
      costMs: 3,
      untilMs: 60_000,
      endsWhenFound: true,
    });
    assert.equal(found, 900, `asked at ${queriesAtMs.join(', ')} ms`);
  });

  it('are found all, and not asked without end although their answers are too many each time', async () => {
    const { found, queriesAtMs } = await simulate({
      devices: 6_000,
      from: addressOf,
      costMs: 0,
      untilMs: 600_000,
      endsWhenFound: false,
    });
    const times = `asked at ${queriesAtMs.join(', ')} ms`;
    assert.equal(found, 6_000, times);
    assert.ok(queriesAtMs.length <= 24, times);
  });
});
