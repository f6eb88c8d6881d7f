import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { decode, encode, type Answer, type Packet } from 'dns-packet';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { BuiltinDiscovery } from './builtin.js';
import { LAN0, LinkWire } from './link-wire.fixture.js';

const TYPE = '_dmgw._tcp.local';
const NAME = `gw.${TYPE}`;
const OTHER = '192.168.1.9';

const parsed = Prefixes.parse(['192.168.0.0/16']);
assert.ok(parsed.ok);
const lan = parsed.value;

describe('what is announced', () => {
  let clock: ManualClock;
  let wire: LinkWire;
  let discovery: BuiltinDiscovery;

  beforeEach(async () => {
    clock = new ManualClock();
    clock.advance(1e7);
    wire = new LinkWire();
    discovery = new BuiltinDiscovery({
      links: { names: [], lan, own: [] },
      clock,
      random: () => 0.5,
      log: silentLog,
      interfaces: () => LAN0,
      openSocket: () => wire.asSocket(),
    });
    discovery.announce('gateway', { instance: 'gw', type: '_dmgw._tcp', host: 'gw', port: 80, txt: {} });
    discovery.start();
    await pass(5_000);
    wire.sent.splice(0);
  });
  afterEach(() => discovery.close());

  const pass = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left -= 50) {
      clock.advance(50);
      await new Promise(setImmediate);
    }
  };
  /** Ports that are told now for the name. */
  const told = (): number[] =>
    wire.sent
      .splice(0)
      .flatMap(([bytes]) => decode(bytes).answers ?? [])
      .flatMap((one) => (one.type === 'SRV' && one.name === NAME ? [one.data.port] : []));
  const put = (packet: Packet): void => wire.put(encode(packet), OTHER);
  const claim: Answer = { type: 'SRV', name: NAME, ttl: 120, flush: true, data: { port: 1, target: 'other.local' } };
  const question = { name: TYPE, type: 'PTR' } as const;

  it('is told again where another host says something else of it, no more than once a second', async () => {
    for (let i = 0; i < 20; i += 1) {
      put({ type: 'response', answers: [claim] });
      await pass(100);
    }
    assert.deepEqual(told(), [80, 80]);
  });

  it('is told no more than once a second, however often it is asked for', async () => {
    for (let i = 0; i < 20; i += 1) {
      put({ type: 'query', questions: [question] });
      await pass(100);
    }
    assert.deepEqual(told(), [80, 80]);
  });

  it('is told at once to one that probes for its name', async () => {
    put({ type: 'query', questions: [question] });
    await pass(300);
    assert.deepEqual(told(), [80]);
    put({ type: 'query', questions: [{ name: NAME, type: 'SRV' }], authorities: [claim] });
    await pass(50);
    assert.deepEqual(told(), [80]);
  });
});
