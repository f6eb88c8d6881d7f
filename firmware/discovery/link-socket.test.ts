import assert from 'node:assert/strict';
import type { RemoteInfo } from 'node:dgram';
import { describe, it } from 'node:test';
import { decode, type Answer, type StringAnswer } from 'dns-packet';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { LinkBudget } from './budget.js';
import { LinkSocket } from './link-socket.js';
import { LinkWire, type Sent } from './link-wire.fixture.js';

const TYPE = '_omadm-notify._udp.local';
const pointers = (count: number): StringAnswer[] =>
  Array.from({ length: count }, (_, n) => ({ type: 'PTR', name: TYPE, ttl: 4500, data: `lamp-${n}.${TYPE}` }));
const unwritable: Answer = { type: 'TXT', name: `lamp.${TYPE}`, data: ['x'.repeat(256)] };
const resolver: RemoteInfo = { address: '192.168.1.9', port: 40_000, family: 'IPv4', size: 50 };

/** A socket on a link, and what it hears. */
function open(family: 4 | 6 = 4, wire = new LinkWire()) {
  const warnings: unknown[] = [];
  const heard: string[] = [];
  const clock = new ManualClock();
  const lan = Prefixes.parse(['192.168.0.0/16', 'fe80::/10']);
  assert.ok(lan.ok);
  const socket = new LinkSocket(
    { name: 'lan0', address4: '192.168.0.1', neighbours: lan.value } as never,
    family,
    new LinkBudget(clock, () => 0),
    {
      query: () => heard.push('query'),
      response: () => heard.push('response'),
      missed: () => heard.push('missed'),
    },
    clock,
    { ...silentLog, warn: (_, fields) => warnings.push(fields?.reason) },
    () => wire.asSocket(),
  );
  socket.open();
  return { wire, warnings, heard, clock, socket };
}

/** What has left once all of it has, and what was complained of. */
async function sentBy(send: (socket: LinkSocket) => void): Promise<{ sent: readonly Sent[]; warnings: unknown[] }> {
  const { wire, warnings, socket } = open();
  send(socket);
  await new Promise(setImmediate);
  await socket.close();
  return { sent: wire.sent, warnings };
}

/** A response with so many records of a type that nobody has, and other bytes 2 and 3. */
function response(records: number, second = 0x84, third = 0): Buffer {
  const header = Buffer.from([0, 0, second, third, 0, 0, records >> 8, records & 0xff, 0, 0, 0, 0]);
  return Buffer.concat([
    header,
    ...Array.from({ length: records }, () => Buffer.from([0, 0, 99, 0, 1, 0, 0, 0, 9, 0, 0])),
  ]);
}

describe('one link', () => {
  const rows: readonly [string, Buffer, string, boolean][] = [
    ['hears a neighbour', response(1), '192.168.3.4', true],
    ['hears a neighbour by its link-local address', response(1), 'fe80::5%lan0', true],
    ['hears nobody from beyond the link', response(1), '10.1.2.3', false],
    ['hears nobody on another link, although the address could be here', response(1), 'fe80::5%lan1', false],
    ['takes 256 records', response(256), '192.168.3.4', true],
    ['takes no 257 records', response(257), '192.168.3.4', false],
    ['takes 9,000 bytes', Buffer.concat([response(1), Buffer.alloc(9_000 - 23)]), '192.168.3.4', true],
    ['takes no 9,001 bytes', Buffer.concat([response(1), Buffer.alloc(9_001 - 23)]), '192.168.3.4', false],
    ['takes no message without records', response(0), '192.168.3.4', false],
    ['takes no other opcode', response(1, 0x8c), '192.168.3.4', false],
    ['takes no code of an error', response(1, 0x84, 3), '192.168.3.4', false],
  ];
  for (const [what, bytes, from, isHeard] of rows) {
    it(what, async () => {
      const { wire, heard, socket } = open();
      wire.put(bytes, from);
      assert.deepEqual(heard, isHeard ? ['response'] : []);
      await socket.close();
    });
  }

  it('says that something was missed where more comes than the budget allows', async () => {
    const { wire, heard, socket } = open();
    for (let i = 0; i < 2_001; i += 1) wire.put(response(1), '192.168.3.4');
    assert.deepEqual([heard.length, heard.at(-2), heard.at(-1)], [2_001, 'response', 'missed']);
    await socket.close();
  });

  for (const [family, group, own] of [
    [4, '224.0.0.251', '192.168.0.1'],
    [6, 'ff02::fb', '::%lan0'],
  ] as const) {
    it(`is joined by IPv${family}, again and again where that fails, and hears what is sent to the group alone`, async () => {
      let failures = 2;
      class Reluctant extends LinkWire {
        override addMembership(...joined: [string, string]): void {
          failures -= 1;
          if (failures >= 0) throw new Error('ENODEV');
          super.addMembership(...joined);
        }
      }
      const { wire, clock, socket } = open(family, new Reluctant());
      await new Promise(setImmediate);
      assert.deepEqual(wire.done, [
        ['bind', 5353, family === 4 ? group : `${group}%lan0`],
        ['ttl', 255],
        ['send from', own],
      ]);
      clock.advance(10_000);
      assert.deepEqual(wire.done.at(-1), ['join', group, own]);
      await socket.close();
    });
  }
});

describe('what one link is sent', () => {
  it('is cut into messages that fit a frame, each record written once', async () => {
    let reads = 0;
    const records = pointers(500).map((record) =>
      Object.defineProperty({ ...record }, 'data', { get: () => ((reads += 1), record.data) }),
    );
    for (const send of [
      (socket: LinkSocket) => socket.sendQuery([{ type: 'PTR', name: TYPE }], records),
      (socket: LinkSocket) => socket.sendResponse(records),
    ]) {
      reads = 0;
      const { sent } = await sentBy(send);
      assert.equal(reads, records.length);
      assert.ok(sent.length > 1 && sent.every(([bytes]) => bytes.length <= 1_440));
      assert.ok(sent.every(([, port, address]) => port === 5353 && address === '224.0.0.251'));
      assert.equal(sent.flatMap(([bytes]) => decode(bytes).answers).length, records.length);
    }
  });

  it('is no message without records, and one of a query without known answers', async () => {
    const { sent } = await sentBy((socket) => {
      socket.sendResponse([]);
      socket.sendQuery([{ type: 'PTR', name: TYPE }]);
    });
    assert.deepEqual(
      sent.map(([bytes]) => decode(bytes).type),
      ['query'],
    );
  });

  it('is one message for a resolver, to its own port', async () => {
    const { sent } = await sentBy((socket) =>
      socket.sendUnicast(7, [{ type: 'PTR', name: TYPE }], pointers(100), resolver),
    );
    assert.equal(sent.length, 1);
    const [[bytes, port, address]] = sent as [Sent];
    assert.deepEqual([decode(bytes).id, port, address], [7, resolver.port, resolver.address]);
    assert.ok(bytes.length <= 1_440);
  });

  it('is told of where it cannot be written, and ends nothing', async () => {
    for (const send of [
      (socket: LinkSocket) => socket.sendQuery([], [], [unwritable]),
      (socket: LinkSocket) => socket.sendResponse([unwritable]),
      (socket: LinkSocket) => socket.sendUnicast(7, [], [unwritable], resolver),
    ]) {
      const { sent, warnings } = await sentBy((socket) => {
        send(socket);
        socket.sendResponse(pointers(1));
      });
      assert.equal(sent.length, 1);
      assert.match(String(warnings), /256 bytes/);
    }
  });
});
