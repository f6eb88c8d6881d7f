import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock, type Clock } from '../clock/index.js';
import { CONNECTIONS_TOLD, type HttpLimits } from '../http-server/index.js';
import { createLog } from '../log/index.js';
import {
  openHouse,
  pattern,
  removeFolder,
  serveFile,
  sha256,
  startOrigin,
  type House,
  serverOptions,
} from './fixture.js';

import { ImageServer, type ServerOptions } from './server.js';
import { converse, parseReplies, requestOf } from './wire.fixture.js';

const SIZE = 3_000_001;
const CONTENT = pattern(SIZE);
const SHA = sha256(CONTENT);
const GET = requestOf('GET /scomo/fw.bin HTTP/1.1\nHost: x');
const HEAD = requestOf('HEAD /scomo/fw.bin HTTP/1.1\nHost: x');

let house: House;
let imageId: number;
const servers: ImageServer[] = [];

before(async () => {
  const origin = await startOrigin(serveFile(CONTENT));
  house = openHouse();
  await house.downloader.start();
  imageId = house.add('fw.bin', origin.url).id;
  await house.until(imageId, 'available');
  await origin.close();
});
after(async () => {
  for (const server of servers) await server.close();
  await house.close();
  removeFolder(house.folder);
});

async function serve(
  limits: Partial<HttpLimits> = {},
  options: Partial<ServerOptions> = {},
): Promise<{ server: ImageServer; port: number }> {
  const server = new ImageServer({
    ...serverOptions(house),
    ...options,
    limits: { connectionsPerAddress: 512, ...limits },
  });
  servers.push(server);
  const started = await server.start();
  assert.ok(started.ok);
  return { server, port: started.value[0]!.port };
}

function open(port: number): Promise<Socket> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket));
    socket.on('error', () => {});
  });
}

/** Resolves when the socket is closed, also when it has been for long. */
function closed(socket: Socket): Promise<unknown> {
  return socket.closed ? Promise.resolve() : new Promise((resolve) => socket.once('close', resolve));
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

/** What is left after a full collection: V8's heap and the buffers outside of it, in bytes. */
function memoryInUse(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** How long something may take to happen, on a machine that is busy with other things. */
const PATIENCE_MS = 20_000;

/** @throws when it has not become true in time: a loop without an end would hide which test it was */
async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (!condition()) {
    assert.ok(
      performance.now() < deadlineMs,
      `waited ${PATIENCE_MS} ms in vain until ${condition.toString().slice(6)}`,
    );
    await sleep(2);
  }
}

/** Nothing is left of the clients: no connection, no buffer, no open blob, no descriptor. */
async function allIsFree(server: ImageServer, before: number): Promise<void> {
  await until(() => server.load.connections === 0 && !house.blobs.isRead(SHA) && descriptors() <= before);
  assert.equal(server.load.buffers, 0);
}

/** The same, and no memory more than after the first of two works. */
async function leavesNothing(
  server: ImageServer,
  [first, more]: [() => Promise<void>, () => Promise<void>],
): Promise<void> {
  const before = descriptors();
  await first();
  const memory = memoryInUse();
  await more();
  await allIsFree(server, before);
  const grown = memoryInUse() - memory;
  assert.ok(grown < 3_000_000, `${grown} bytes more`);
}

async function isServed(port: number): Promise<void> {
  const { replies } = await converse(port, GET);
  assert.ok(replies[0]!.body.equals(CONTENT));
}

describe('clients that want to hold the server', { timeout: 180_000 }, () => {
  it('by headers that never end are dropped, and others are served meanwhile', async () => {
    const { server, port } = await serve({ headerMs: 400 });
    const before = descriptors();
    const sockets = await Promise.all(Array.from({ length: 100 }, () => open(port)));
    const drip = setInterval(() => sockets.forEach((socket) => socket.write('G')), 50);
    sockets.forEach((socket) => socket.write('GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\nX: '));
    const dropped = Promise.all(sockets.map((socket) => closed(socket)));
    sockets.forEach((socket) => socket.resume());
    await isServed(port);
    await dropped;
    clearInterval(drip);
    await allIsFree(server, before);
  });

  it('by empty lines behind a request are dropped', async () => {
    const { server, port } = await serve({ headerMs: 300, keepAliveMs: 300 });
    const socket = await open(port);
    socket.resume().write(HEAD);
    const lines = ['\r', '\n'];
    const drip = setInterval(() => {
      socket.write(lines[0]!);
      lines.reverse();
    }, 20);
    await closed(socket);
    clearInterval(drip);
    await until(() => server.load.connections === 0);
  });

  it('by silence are dropped', async () => {
    const { server, port } = await serve({ headerMs: 200 });
    const before = descriptors();
    const sockets = await Promise.all(Array.from({ length: 50 }, () => open(port)));
    sockets.forEach((socket) => socket.resume());
    await allIsFree(server, before);
  });

  it('by many silent connections of one address keep few of them; others are served meanwhile', async () => {
    const allowed = 16;
    const { server, port } = await serve({ connections: 40, connectionsPerAddress: allowed });
    const before = descriptors();
    const flood = Array.from({ length: 400 }, () => connect({ port, host: '127.0.0.1', localAddress: '127.0.0.5' }));
    const heard: string[] = [];
    for (const socket of flood) {
      socket.on('error', () => {}).once('data', (bytes) => heard.push(bytes.toString('latin1')));
    }
    await isServed(port);
    await until(() => flood.filter(({ closed }) => !closed).length === allowed && server.load.connections === allowed);
    assert.equal(server.load.free, 40 - allowed);
    assert.ok(heard.length > 0 && heard.every((text) => /^HTTP\/1\.1 503 .*\r\nRetry-After: 5\r\n/.test(text)));
    await isServed(port);
    flood.forEach((socket) => socket.destroy());
    await allIsFree(server, before);
    assert.equal(server.load.free, 40);
  });

  it('by staying on a connection that is turned away are cut off, and few of them are held', async () => {
    const { server, port } = await serve({ connectionsPerAddress: 1 });
    const before = descriptors();
    const first = await open(port);
    await until(() => server.load.connections === 1);
    const holding = Array.from({ length: 300 }, () => connect({ port, host: '127.0.0.1', allowHalfOpen: true }));
    holding.forEach((socket) => socket.on('error', () => {}).resume());
    await until(() => server.load.turnedAway > 0);
    let most = 0;
    await until(() => {
      most = Math.max(most, server.load.turnedAway);
      return server.load.turnedAway === 0;
    });
    assert.ok(most <= CONNECTIONS_TOLD, `${most}`);
    for (const socket of [first, ...holding]) socket.destroy();
    await allIsFree(server, before);
  });

  it('have not such a wish when they close as soon as they are turned away: the place is free again', async () => {
    // Nobody is cut off by a timer.
    const clock: Clock = { ...systemClock(0), after: () => ({ cancel: () => {} }) };
    const { server, port } = await serve({ connectionsPerAddress: 1 }, { clock });
    const first = await open(port);
    await until(() => server.load.connections === 1);
    const turned = await Promise.all(Array.from({ length: CONNECTIONS_TOLD }, () => open(port)));
    for (const socket of turned)
      socket
        .on('end', () => socket.destroy())
        .resume()
        .write(GET);
    await Promise.all(turned.map((socket) => closed(socket)));
    await until(() => server.load.turnedAway === 0);
    first.destroy();
  });

  it('by reading slower than the minimum are dropped, however steadily; others are served meanwhile', async () => {
    const lines: string[] = [];
    const log = createLog({ level: 'info', write: (line) => lines.push(line) })('serve');
    const { server, port } = await serve({ minBytesPerSecond: 5_000_000, minRateMs: 300 }, { log });
    const before = descriptors();
    const sockets = await Promise.all(Array.from({ length: 4 }, () => open(port)));
    const sip = setInterval(() => sockets.forEach((socket) => void socket.read(1024)), 5);
    for (const socket of sockets) {
      socket.pause();
      socket.on('readable', () => {});
      socket.write(GET.repeat(8));
    }
    await isServed(port);
    await until(() => server.load.connections === 0);
    clearInterval(sip);
    sockets.forEach((socket) => socket.destroy());
    await allIsFree(server, before);
    assert.ok(lines.length === 4 && lines.every((line) => line.includes('reads too slowly')), lines.join('\n'));
  });

  it('by headers that never end, or by reading next to nothing, leave no memory behind', async () => {
    const { server, port } = await serve({ headerMs: 200, minBytesPerSecond: 5_000_000, minRateMs: 300 });
    const attack = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        const sockets = await Promise.all(Array.from({ length: 100 }, () => open(port)));
        sockets.forEach((socket, index) => {
          if (index % 2 === 0)
            socket.resume().write(`GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(7_000)}`);
          else socket.pause().write(GET.repeat(8));
        });
        await until(() => server.load.connections === 0);
        sockets.forEach((socket) => socket.destroy());
        await Promise.all(sockets.map((socket) => closed(socket)));
      }
    };
    await leavesNothing(server, [() => attack(2), () => attack(4)]);
    await isServed(port);
  });

  it('have not such a wish when they read slowly, but faster than the minimum, after a fast start', async () => {
    const { server, port } = await serve({ minBytesPerSecond: 100_000, minRateMs: 1_000 });
    const socket = await open(port);
    // Once the kernel has taken all that it can, it takes more only when a third of that has gone.
    socket.pause().write(GET.repeat(12));
    let read = 0;
    socket.on('readable', () => {});
    const sip = setInterval(() => (read += (socket.read(64 * 1024) as Buffer | null)?.length ?? 0), 100);
    await sleep(4_000);
    clearInterval(sip);
    assert.equal(server.load.connections, 1, `dropped after ${read} bytes`);
    assert.ok(read < 5_000_000);
    socket.destroy();
  });

  it('by hundreds that come and go at any moment leave nothing behind', async () => {
    const { server, port } = await serve();
    await isServed(port);
    await until(() => server.load.connections === 0);
    const before = descriptors();
    const phases: readonly ((socket: Socket) => unknown)[] = [
      (socket) => socket.destroy(),
      (socket) => socket.resetAndDestroy(),
      (socket) => socket.write('GET /sc', () => socket.resetAndDestroy()),
      (socket) => socket.write(GET, () => socket.destroy()),
      (socket) => socket.write(GET) && socket.once('data', () => socket.resetAndDestroy()),
      (socket) => socket.write(GET.repeat(5)) && socket.once('data', () => socket.destroy()),
      (socket) => socket.end(HEAD).resume(),
      (socket) => socket.write('\0\r\n\r\n') && socket.resume(),
    ];
    for (let round = 0; round < 6; round += 1) {
      const sockets = await Promise.all(Array.from({ length: 64 }, () => open(port)));
      sockets.forEach((socket, i) => phases[i % phases.length]!(socket));
      await Promise.all(sockets.map((socket) => closed(socket)));
    }
    await allIsFree(server, before);
    await isServed(port);
  });

  it('by 10,000 connections opened and dropped leave neither memory nor descriptors behind', async () => {
    const { server, port } = await serve();
    /** In groups of 250, some with a request under way. */
    const churn = async (connections: number): Promise<void> => {
      for (let opened = 0; opened < connections; opened += 250) {
        const sockets = await Promise.all(Array.from({ length: 250 }, () => open(port)));
        sockets.forEach((socket, index) => {
          if (index % 10 === 0) socket.write(GET, () => socket.resetAndDestroy());
          else if (index % 2 === 0) socket.resetAndDestroy();
          else socket.destroy();
        });
        await Promise.all(sockets.map((socket) => closed(socket)));
        await until(() => server.load.connections === 0);
      }
    };
    await leavesNothing(server, [() => churn(2_500), () => churn(7_500)]);
    await isServed(port);
  });

  it('from addresses that are not allowed are cut off unheard, others are served', async () => {
    const allowed = new Set(['127.0.0.1']);
    const { server, port } = await serve({}, { allowAddress: (address) => allowed.has(address) });
    await isServed(port);
    await until(() => server.load.connections === 0);
    const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' });
    const heard: Buffer[] = [];
    socket.on('data', (bytes) => heard.push(bytes)).on('error', () => {});
    socket.write(GET);
    await closed(socket);
    assert.deepEqual([heard.length, server.load.connections], [0, 0]);
    await isServed(port);
  });

  for (const [name, sent] of [
    ['garbage', '\x01\x02 junk\r\n'],
    ['requests', HEAD],
    ['requests that do not end where a piece does', `${HEAD}X`],
  ] as const) {
    it(`by sending ${name} without end behind an answer that they do not read are not read either`, async () => {
      const { server, port } = await serve();
      const before = descriptors();
      const socket = await open(port);
      // More than the kernel takes: the answers last.
      socket.pause().write(GET.repeat(8));
      await until(() => server.load.connections === 1 && house.blobs.isRead(SHA));
      const piece = Buffer.from(sent.repeat(1_000), 'latin1');
      let taken = 0;
      const send = (): boolean => socket.write(piece, (error) => error ?? ((taken += piece.length), send()));
      send();
      for (let had = -1; taken > had && taken < 50_000_000;) {
        had = taken;
        await sleep(500);
      }
      socket.destroy();
      // The buffers of the kernel at both ends.
      assert.ok(taken < 16_000_000, `${taken} bytes are taken`);
      await allIsFree(server, before);
    });
  }

  it('by pipelining without end get as many answers as a connection may carry, and the last one closes', async () => {
    const { server, port } = await serve({ keepAliveMs: 300, requestsPerConnection: 300 });
    const { replies, rest, closed } = await converse(port, HEAD.repeat(500), {
      count: 500,
      methods: Array.from({ length: 500 }, () => 'HEAD'),
    });
    assert.deepEqual([replies.length, rest.length, closed], [300, 0, true]);
    assert.deepEqual(
      replies.map(({ headers }) => headers['connection']),
      replies.map((_, i) => (i === 299 ? 'close' : 'keep-alive')),
    );
    await until(() => server.load.connections === 0);
  });

  it('are answered in all that they have asked, although they have ended their side behind it', async () => {
    const { port } = await serve();
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    socket.end(HEAD.repeat(100));
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const { replies, rest } = parseReplies(
      Buffer.concat(chunks),
      Array.from({ length: 100 }, () => 'HEAD'),
    );
    assert.deepEqual([replies.filter(({ status }) => status === 200).length, rest.length], [100, 0]);
  });

  it('are heard again when all that they pipelined behind an answer that lasts is answered', async () => {
    const { port } = await serve();
    const socket = await open(port);
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    const many = 40;
    const methods = ['GET', ...Array.from({ length: many + 1 }, () => 'HEAD')];
    const answered = (): number => parseReplies(Buffer.concat(chunks), methods).replies.length;
    socket.write(GET + HEAD.repeat(many));
    await until(() => answered() === 1 + many);
    socket.write(HEAD);
    await until(() => answered() === 2 + many);
    socket.destroy();
  });

  it('by pipelining behind an answer that lasts get what may wait, as long as a head, and the last one closes', async () => {
    const { server, port } = await serve({ keepAliveMs: 300 });
    const { replies, rest, closed } = await converse(port, GET + HEAD.repeat(500), {
      count: 501,
      methods: ['GET', ...Array.from({ length: 500 }, () => 'HEAD')],
    });
    const most = 1 + (8 * 1024 + 4) / HEAD.length;
    assert.ok(replies.length > 1 && replies.length <= most, `${replies.length} of ${most}`);
    assert.deepEqual([rest.length, closed], [0, true]);
    assert.deepEqual(
      replies.map(({ headers }) => headers['connection']),
      replies.map((_, i) => (i === replies.length - 1 ? 'close' : 'keep-alive')),
    );
    await until(() => server.load.connections === 0);
  });
});

describe('connections', () => {
  it('end with the answer to the last request that they may carry', async () => {
    const { port } = await serve({ requestsPerConnection: 3 });
    const { replies, closed } = await converse(port, HEAD.repeat(4), { count: 4, methods: Array(4).fill('HEAD') });
    assert.deepEqual(
      replies.map(({ status, headers }) => [status, headers['connection']]),
      [
        [200, 'keep-alive'],
        [200, 'keep-alive'],
        [200, 'close'],
      ],
    );
    assert.ok(closed);
  });

  it('that were there first are served when more come than allowed', async () => {
    const { server, port } = await serve({ connections: 2 });
    const first = await open(port);
    const second = await open(port);
    await until(() => server.load.connections >= 2);
    assert.equal(server.load.free, 0);
    const refused = await converse(port, HEAD, { methods: ['HEAD'], count: 2 });
    assert.deepEqual(
      [
        refused.replies.map(({ status, headers }) => [status, headers['retry-after'], headers['connection']]),
        refused.closed,
      ],
      [[[503, '5', 'close']], true],
    );
    first.write(HEAD);
    const answer = await new Promise<Buffer>((resolve) => first.once('data', resolve));
    assert.match(answer.toString('latin1'), /^HTTP\/1\.1 200 /);
    second.destroy();
    await until(() => server.load.free === 1);
    assert.equal((await converse(port, HEAD, { methods: ['HEAD'] })).replies[0]?.status, 200);
    first.destroy();
  });
});

describe('the accounts of several ranges', () => {
  it('count every part, and join what is covered from 0', async () => {
    const { server, port } = await serve();
    const range = (set: string): string => requestOf(`GET /scomo/fw.bin HTTP/1.1\nHost: x\nRange: bytes=${set}`);
    const before = house.deliveries.list(imageId, 0, 10).reduce((sum, { bytes }) => sum + bytes, 0);
    const lanBefore = server.lanBytes;
    for (const set of ['5000-5999,0-1999', '10-19,1990-', '30-30,20-20']) {
      await converse(port, range(set));
      await until(() => server.load.connections === 0);
    }
    const sent = 3000 + 10 + (SIZE - 1990) + 2;
    const rows = house.deliveries.list(imageId, 0, 10);
    assert.deepEqual([rows.length, rows[0]!.bytes - before, rows[0]!.complete], [1, sent, true]);
    assert.equal(server.lanBytes - lanBefore, sent);
  });
});

describe('requests that others may read otherwise', { timeout: 60_000 }, () => {
  const hidden = 'GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n';
  const post = (headers: string, content: string): string =>
    requestOf(`POST /scomo/fw.bin HTTP/1.1\nHost: x\n${headers}`, content);
  const chunked = `0\r\n\r\n${hidden}`;
  /** What is sent, and all statuses that come back before the server closes. `/hidden` would be a 404. */
  const rows: readonly (readonly [name: string, sent: string, statuses: readonly number[]])[] = [
    ['Content-Length and Transfer-Encoding', post('Content-Length: 4\nTransfer-Encoding: chunked', chunked), [400]],
    ['Transfer-Encoding and Content-Length', post('Transfer-Encoding: chunked\nContent-Length: 4', chunked), [400]],
    ['two Content-Lengths', post('Content-Length: 0\nContent-Length: 35', hidden), [400]],
    ['two equal Content-Lengths', post('Content-Length: 35\nContent-Length: 35', hidden), [400]],
    ['a list of Content-Lengths', post('Content-Length: 35, 35', hidden), [400]],
    ['a signed Content-Length', post('Content-Length: +35', hidden), [400]],
    ['a negative Content-Length', post('Content-Length: -1', hidden), [400]],
    ['a hexadecimal Content-Length', post('Content-Length: 0x23', hidden), [400]],
    ['space before the colon', post('Content-Length : 35', hidden), [400]],
    ['a folded header', post('X: a\n Content-Length: 35', hidden), [400]],
    ['a bare CR in a header', post('X: a\rContent-Length: 35', hidden), [400]],
    ['an encoding that nobody knows', post('Transfer-Encoding: xchunked', chunked), [405]],
    ['chunked, then identity', post('Transfer-Encoding: chunked, identity', chunked), [400]],
    ['a chunk size of nonsense', post('Transfer-Encoding: chunked', `x\r\n${hidden}`), [405]],
    ['a request after chunks', post('Transfer-Encoding: chunked', chunked), [405]],
    ['a request after content', post('Content-Length: 2', `ab${hidden}`), [405]],
    ['a request in the content', post(`Content-Length: ${hidden.length}`, hidden), [405]],
    ['content of GET', requestOf(`GET /scomo/none HTTP/1.1\nHost: x\nContent-Length: 2`, `ab${hidden}`), [404]],
    [
      'a request after one that closes',
      requestOf('HEAD /scomo/fw.bin HTTP/1.1\nHost: x\nConnection: close', hidden),
      [200],
    ],
    ['a request after HTTP/1.0', requestOf('HEAD /scomo/fw.bin HTTP/1.0', hidden), [200]],
    ['nonsense after a request', `${HEAD}\0\0\0\r\n\r\n${hidden}`, [200, 400]],
    ['nonsense after two requests', `${HEAD}${GET}\0\0\0\r\n\r\n${hidden}`, [200, 200, 400]],
    ['a space before the header', `HEAD / HTTP/1.1\r\n Host: x\r\n\r\n${hidden}`, [400]],
    ['CONNECT', `CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n${hidden}`, [501]],
  ];
  let port: number;
  let server: ImageServer;
  // Those who send on behind their last request are not heard.
  before(async () => ({ server, port } = await serve({ keepAliveMs: 300 })));
  for (const [name, sent, statuses] of rows) {
    it(name, async () => {
      const methods = sent.split('\r\n\r\n').map((part) => part.split(' ')[0]!);
      const { replies, rest, closed } = await converse(port, sent, { count: 9, methods });
      assert.deepEqual([replies.map(({ status }) => status), rest.length, closed], [statuses, 0, true]);
      await until(() => server.load.connections === 0);
    });
  }

  it('all of them, and tricks with paths, leave neither memory nor descriptors behind', async () => {
    const { server, port } = await serve({ keepAliveMs: 50 });
    const paths = [
      '/scomo/../x',
      '/scomo/%2e%2e/x',
      '//x',
      '/scomo%2ffw.bin',
      '/scomo/fw.bin%00',
      '/scomo/..\\x',
      '/\0',
    ];
    const long = [7000, 9000, 100_000].map((length) => `/scomo/${'x'.repeat(length)}`);
    const tricks = [...paths, ...long].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const all = [...rows.map(([, sent]) => sent), ...tricks];
    const send = async (rounds: number): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        const sockets = await Promise.all(all.map(() => open(port)));
        sockets.forEach((socket, i) => socket.resume().write(Buffer.from(all[i]!, 'latin1')));
        await Promise.all(sockets.map((socket) => closed(socket)));
        await until(() => server.load.connections === 0);
      }
    };
    await leavesNothing(server, [() => send(10), () => send(30)]);
    await isServed(port);
  });

  it('lines that end with LF alone are lines, or an error: never something between', async () => {
    const lf = 'HEAD /scomo/fw.bin HTTP/1.1\nHost: x\n\n';
    const { replies } = await converse(port, `${lf}${hidden}`, { count: 2, methods: ['HEAD'] });
    const statuses = replies.map(({ status }) => status).join();
    assert.ok(statuses === '200,404' || statuses === '400', statuses);
  });
});
