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

/** What has left once all of it has, and what was complained of. */
async function sentBy(send: (socket: LinkSocket) => void): Promise<{ sent: readonly Sent[]; warnings: unknown[] }> {
  const wire = new LinkWire();
  const warnings: unknown[] = [];
  const clock = new ManualClock();
  const lan = Prefixes.parse(['192.168.0.0/16']);
  assert.ok(lan.ok);
  const socket = new LinkSocket(
    { name: 'lan0', address4: '192.168.0.1', neighbours: lan.value } as never,
    4,
    new LinkBudget(clock),
    { query: () => {}, response: () => {}, missed: () => {} },
    clock,
    { ...silentLog, warn: (_, fields) => warnings.push(fields?.reason) },
    () => wire.asSocket(),
  );
  socket.open();
  send(socket);
  await new Promise(setImmediate);
  await socket.close();
  return { sent: wire.sent, warnings };
}

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
