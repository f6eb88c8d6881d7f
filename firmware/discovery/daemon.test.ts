/** What the helper and the daemon may do, played by a process that speaks as the helper does; see avahi.test.ts for real ones. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { decode, encode, type Answer, type Question } from 'dns-packet';
import { eventually } from '../clock/eventually.fixture.js';
import { ManualClock, systemClock, type Clock } from '../clock/index.js';
import { createLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { DaemonDiscovery, PROBE_TYPE } from './daemon.js';
import type { FoundService } from './service.js';

const TYPE = `_omadm-d${process.pid}._udp`;
const parsed = Prefixes.parse(['127.45.0.0/16']);
assert.ok(parsed.ok);
const lan = parsed.value;

const probe = encode({ type: 'query', questions: [{ type: 'PTR', name: `${PROBE_TYPE}.local` }] }).toString('hex');

/** Plays the helper: argument `mode`. Tells by the port of what it resolves how many it had to resolve at a time. */
const HELPER = `
const [mode, marker] = process.argv.slice(1);
const say = (news) => process.stdout.write(JSON.stringify(news) + '\\n');
if (mode === 'late' && !require('fs').existsSync(marker)) { say({ is: 'failed', code: 'daemon', text: 'not there' }); process.exit(0); }
if (mode === 'no-addon') { say({ is: 'failed', code: 'no-addon', text: 'the package mdns does not load' }); process.exit(0); }
const socket = require('dgram').createSocket('udp4');
socket.bind(0, '127.0.0.1', () => { socket.setMulticastInterface('127.0.0.1'); say({ is: 'ready' }); });
let open = 0, most = 0, probes = 0, browses = 0;
const hesitated = new Set();
require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  if (command.do === 'probe') probes++;
  if (command.do === 'probe' && mode !== 'deaf' && !(mode === 'stalls' && probes > 1)) {
    socket.send(mode === 'mute' || (mode === 'fades' && probes > 1) ? 'mute ${process.pid}' : Buffer.from('${probe}', 'hex'), 5353, '224.0.0.251');
    say({ is: 'probed' });
  }
  if (command.do === 'browse' && mode === 'hostile') {
    for (const instance of ['', 'bell\\u0007', 'x'.repeat(300), 'no\\ufffd', 'port', 'host', 'txt', 'i7'])
      for (const link of ['nowhere', 'lo']) say({ is: 'up', instance, domain: 'local.', link, interfaceIndex: 1 });
    for (let i = 0; i < 3000; i++) say({ is: 'up', instance: 'fake' + i, domain: 'local.', link: 'lo', interfaceIndex: 1 });
  } else if (command.do === 'browse')
    for (let i = mode === 'forgets' && browses++ > 0 ? 1 : 0; i < 40; i++) say({ is: 'up', instance: 'i' + i, domain: 'local.', link: 'lo', interfaceIndex: 1 });
  if (command.do === 'resolve' && mode === 'hostile') {
    const { id, instance } = command;
    const host = instance === 'host' ? 'a..b.local' : (instance === 'i7' ? 'i7' : 'i9') + '-${process.pid}.local';
    const txt = Buffer.from(instance === 'txt' ? [250, 65, 0, 3] : [5, 115, 105, 100, 61, 49]).toString('base64');
    if (instance.startsWith('fake')) say({ is: 'unresolved', id, text: 'no answer' });
    else say({ is: 'resolved', id, host, port: instance === 'port' ? 0 : 7, txt });
  } else if (command.do === 'resolve' && mode === 'hesitates' && !hesitated.has(command.instance)) {
    hesitated.add(command.instance);
    say({ is: 'unresolved', id: command.id, text: 'no answer' });
  } else if (command.do === 'resolve') {
    most = Math.max(most, ++open);
    setTimeout(() => {
      open--;
      say({ is: 'resolved', id: command.id, host: command.instance + '-${process.pid}.local', port: 1000 + most, txt: 'BXNpZD0x' });
    }, 5);
  }
  if (command.do === 'announce') socket.send(Buffer.from('announced ' + command.service.instance), 5353, '224.0.0.251', () => {
    if (mode === 'dies') process.kill(process.pid, 'SIGABRT');
  });
}).on('close', () => process.exit(0));
`;

describe('discovery through a daemon', () => {
  const open: { close(): unknown }[] = [];
  let log: string[];
  let found: Map<string, FoundService>;
  let gone: string[];
  let net: Socket;
  let heard: string[];
  /** All that was asked for. */
  let questions: Question[];
  let folder: string;
  /** A daemon that comes late is there as soon as this file is. */
  let marker: string;

  beforeEach(async () => {
    log = [];
    found = new Map();
    gone = [];
    heard = [];
    questions = [];
    folder = mkdtempSync(join(tmpdir(), 'dmgw-daemon-'));
    marker = join(folder, 'there');
    net = createSocket({ type: 'udp4', reuseAddr: true });
    net.bind(5353, '0.0.0.0');
    await once(net, 'listening');
    net.addMembership('224.0.0.251', '127.0.0.1');
    net.setMulticastInterface('127.0.0.1');
    net.on('message', (bytes) => {
      heard.push(bytes.toString('latin1'));
      questions.push(...answerForAddresses(net, bytes));
    });
    open.push(net);
  });
  afterEach(async () => {
    for (const one of open.splice(0).reverse()) await one.close();
    rmSync(folder, { recursive: true });
  });

  const daemon = (mode: string, standIn: boolean, clock: Clock = systemClock(0)): DaemonDiscovery => {
    const discovery = new DaemonDiscovery({
      links: { names: [], lan, own: ['127.45.0.1'] },
      clock,
      random: () => 0,
      log: createLog({ level: 'info', write: (line) => log.push(line) })('discovery'),
      browse: {
        type: TYPE,
        listener: {
          found: (service) => {
            found.set(service.instance, service);
            return service.instance;
          },
          heard: () => {},
          gone: (_, instance) => gone.push(instance),
        },
      },
      command: [process.execPath, '-e', HELPER, mode, marker],
      standIn,
    });
    open.push(discovery);
    return discovery;
  };
  const own = { instance: `own-${process.pid}`, type: TYPE, port: 1, txt: {}, host: `own-${process.pid}` };

  it('resolves eight at a time, and asks for the addresses itself', async () => {
    daemon('well', false).start();
    await eventually('all instances', () => found.size === 40);
    const { addresses, port, txt } = found.get('i39') ?? {};
    assert.deepEqual([addresses, port, { ...txt }], [['127.45.1.40'], 1008, { sid: '1' }]);
    assert.equal(log.filter((line) => line.includes('through the mDNS daemon')).length, 1);
  });

  it('takes what a hostile network makes a daemon tell for no more than it is', async () => {
    const discovery = daemon('hostile', false);
    discovery.start();
    await eventually('the good ones', () => found.has('i7') && found.has('txt'));
    assert.deepEqual({ ...found.get('i7')?.txt }, { sid: '1' });
    assert.deepEqual({ ...found.get('txt')?.txt }, {});
    await eventually('the questions for the others', () => questions.some(({ name }) => name === `host.${TYPE}.local`));
    assert.deepEqual([...found.keys()].sort(), ['i7', 'txt']);
    for (const { name } of questions) assert.doesNotMatch(name, /\.\.|[\p{Cc}\ufffd]|nowhere/u);
    assert.equal(discovery.status().daemon, 'working');
  });

  it('hears by itself that a device has said something else, and does not believe in what the daemon does not tell', async () => {
    daemon('well', false).start();
    await eventually('all instances', () => found.size === 40);
    const txtOf = (instance: string, sid: string): Answer => {
      return { type: 'TXT', name: `${instance}.${TYPE}.local`, ttl: 120, flush: true, data: [`sid=${sid}`] };
    };
    const ptr = { type: 'PTR', name: `${TYPE}.local`, ttl: 120, data: `forged.${TYPE}.local` } as const;
    net.send(encode({ type: 'response', answers: [ptr, txtOf('forged', '3'), txtOf('i3', '2')] }), 5353, '224.0.0.251');
    await eventually('the other SessionID', () => found.get('i3')?.txt.sid === '2');
    assert.equal(found.size, 40);
  });

  it('stands in at once where there is no addon, says so once, and does not try again', async () => {
    const clock = new ManualClock();
    const discovery = daemon('no-addon', true, clock);
    discovery.announce('own', own);
    discovery.start();
    await eventually('the turn', () => {
      clock.advance(1);
      return log.length > 0 && discovery.status().backend === 'builtin';
    });
    assert.match(log.join(), /without an mDNS daemon.*the package mdns does not load/);
    await eventually('its own announcement', () => {
      clock.advance(200);
      return heard.some((text) => text.includes(own.instance));
    });
    clock.advance(600_000);
    assert.deepEqual([discovery.status().daemon, log.length], ['away', 2]);
  });

  for (const [mode, reason] of [
    ['deaf', 'it does not answer'],
    ['mute', 'it does not speak on the interfaces of the LAN'],
  ] as const) {
    it(`does not take a daemon that is ${mode}`, async () => {
      const clock = new ManualClock();
      const discovery = daemon(mode, false, clock);
      discovery.start();
      if (mode === 'mute') await eventually('the probe', () => heard.includes(`mute ${process.pid}`));
      await eventually('the end of patience', () => {
        clock.advance(mode === 'deaf' ? 500 : 100);
        return log.some((line) => line.includes('does not work'));
      });
      assert.match(log.join(), new RegExp(reason));
      assert.doesNotMatch(log.join(), /through the mDNS daemon/);
      assert.equal(discovery.status().daemon, 'away');
    });
  }

  for (const [mode, reason] of [
    ['stalls', 'it does not answer'],
    ['fades', 'it does not speak on the interfaces of the LAN'],
  ] as const) {
    it(`leaves a daemon that ${mode} after it has worked`, async () => {
      const clock = new ManualClock();
      const discovery = daemon(mode, true, clock);
      discovery.start();
      await eventually('the daemon', () => discovery.status().daemon === 'working');
      await eventually('the end of patience', () => {
        clock.advance(500);
        return log.some((line) => line.includes('does not work'));
      });
      assert.match(log.join(), new RegExp(reason));
    });
  }

  it('says goodbye to what it has announced itself before a daemon that has come announces it', async () => {
    const discovery = daemon('late', true);
    /** When the goodbye and the announcement by the daemon were heard. */
    const atMs: number[] = [];
    net.on('message', (bytes) => {
      const text = bytes.toString('latin1');
      if (text === `announced ${own.instance}` || isGoodbye(text, own.instance)) atMs.push(performance.now());
    });
    discovery.announce('own', own);
    discovery.start();
    await eventually('its own announcement', () => heard.some((text) => text.includes(own.instance)));
    await eventually('the second one', () => heard.filter((text) => text.charCodeAt(2) === 0x84).length >= 2);
    writeFileSync(marker, '');
    await eventually('the announcement by the daemon', () => heard.includes(`announced ${own.instance}`));
    const [goodbyeMs = 0, announcedMs = 0] = atMs;
    // Section 10.1: a record lives for another second.
    assert.ok(atMs.length === 2 && announcedMs - goodbyeMs >= 1_000, `${announcedMs - goodbyeMs} ms apart`);
    assert.equal(discovery.status().backend, 'daemon');
  });

  it('has what was not resolved resolved again', async () => {
    daemon('hesitates', false, hurried(2_000)).start();
    await eventually('all instances', () => found.size === 40);
  });

  it('asks a daemon again for all there are, and looks after those that it does not tell of any more', async () => {
    daemon('forgets', false, hurried(2_000, 10_000, 600_000)).start();
    await eventually('all instances', () => found.size === 40);
    await eventually('the end of one', () => gone.length > 0);
    assert.deepEqual(gone, ['i0']);
  });

  it('tries again when the helper dies, and says so once', async () => {
    const discovery = daemon('dies', false);
    discovery.announce('own', own);
    discovery.start();
    await eventually('the second helper', () => heard.filter((text) => text.startsWith('announced')).length >= 2);
    assert.ok(log.some((line) => line.includes('signal SIGABRT')));
  });
});

/** Has pauses that long be over soon. */
function hurried(...pausesMs: readonly number[]): Clock {
  const clock = systemClock(0);
  return { ...clock, after: (delayMs, task) => clock.after(pausesMs.includes(delayMs) ? 200 : delayMs, task) };
}

function isGoodbye(text: string, instance: string): boolean {
  if (!text.includes(instance) || text.startsWith('announced ')) return false;
  const { type, answers = [] } = decode(Buffer.from(text, 'latin1'));
  return type === 'response' && answers.some((one) => one.type === 'SRV' && one.ttl === 0);
}

/** Answers for the hosts of the helper's instances. @returns what was asked for in this test file */
function answerForAddresses(net: Socket, bytes: Buffer): readonly Question[] {
  if (bytes.length < 12 || /^(?:announced|mute) /.test(bytes.toString('latin1'))) return [];
  const { type, questions = [] } = decode(bytes);
  if (type !== 'query') return [];
  const answers = questions.flatMap(({ name, type: asked }) => {
    const number = new RegExp(`^i(\\d+)-${process.pid}\\.local$`).exec(name)?.[1];
    if (number === undefined || asked !== 'A') return [];
    return [{ type: 'A', name, ttl: 120, flush: true, data: `127.45.1.${Number(number) + 1}` } as const];
  });
  if (answers.length > 0) net.send(encode({ type: 'response', answers }), 5353, '224.0.0.251');
  return questions.filter(({ name }) => name.includes(String(process.pid)));
}
