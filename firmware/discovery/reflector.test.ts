import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, encode, type Answer } from 'dns-packet';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { BuiltinDiscovery } from './builtin.js';
import { LAN0, LinkWire } from './link-wire.fixture.js';

const TYPE = '_omadm-notify._udp.local';
const DEVICES = 900;
/** What looking at one message takes of a slow processor. */
const COST_MS = 3;
const STEP_MS = 10;

const parsed = Prefixes.parse(['192.168.0.0/16']);
assert.ok(parsed.ok);
const lan = parsed.value;

/** All that a device says of itself. */
function message(n: number): Buffer {
  const name = `device-${n}.${TYPE}`;
  const host = `device-${n}.local`;
  const answers: Answer[] = [
    { type: 'PTR', name: TYPE, ttl: 4500, data: name },
    { type: 'SRV', name, ttl: 4500, flush: true, data: { port: 2948, target: host } },
    { type: 'TXT', name, ttl: 4500, flush: true, data: [`devid=X:${n}`] },
    { type: 'A', name: host, ttl: 4500, flush: true, data: `192.168.${1 + Math.floor(n / 250)}.${1 + (n % 250)}` },
  ];
  return encode({ type: 'response', answers });
}

describe('devices behind an mDNS reflector, which have one address,', () => {
  it('are found all, although they all speak at once and more than there is time for', async () => {
    const clock = new ManualClock();
    clock.advance(1e7);
    const wire = new LinkWire();
    const found = new Set<string>();
    let usedMs = 0;
    const discovery = new BuiltinDiscovery({
      links: { names: [], lan, own: [] },
      clock,
      random: () => 0.5,
      log: silentLog,
      // It is read before and behind each message.
      processorMs: () => (usedMs += COST_MS),
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
    const messages = Array.from({ length: DEVICES }, (_, n) => message(n));
    const saySo = (known: ReadonlySet<string>): void => {
      for (const [n, bytes] of messages.entries())
        if (!known.has(`device-${n}.${TYPE}`)) wire.put(bytes, '192.168.255.1');
    };
    const queriesAtMs: number[] = [];
    saySo(new Set());
    for (let atMs = 0; atMs < 60_000 && found.size < DEVICES; atMs += STEP_MS) {
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
    assert.equal(found.size, DEVICES, `asked at ${queriesAtMs.join(', ')} ms`);
  });
});
