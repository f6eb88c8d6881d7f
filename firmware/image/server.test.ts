import assert from 'node:assert/strict';
import { Agent, request, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it, mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../clock/eventually.fixture.js';
import { systemClock, type TimerHandle } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Deliveries, rangesText, type Delivery } from './deliveries.js';
import type { BlobReader } from './open-blobs.js';
import { systemDisk, type Disk } from './disk.js';
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
import { BUFFER_BYTES, OutflowBuffers, PacedReads } from './outflow.js';
import { ImageServer, type ServerOptions } from './server.js';

const CONTENT = pattern(3_000_001);
const SHA = sha256(CONTENT);
const ETAG = `"${SHA}"`;

let house: House;
let imageId: number;
let readFails = false;
const fetched: string[] = [];
const servers: ImageServer[] = [];

before(async () => {
  const origin = await startOrigin(serveFile(CONTENT));
  const disk: Disk = {
    ...systemDisk,
    readNow: (...given) => {
      if (readFails && given[3] > 0) throw new Error('EIO');
      return systemDisk.readNow(...given);
    },
    sendNow: (...given) => (readFails ? 0 : systemDisk.sendNow(...given)),
    read: (...given) => (readFails && given[3] > 0 ? Promise.reject(new Error('EIO')) : systemDisk.read(...given)),
  };
  house = openHouse({ blobs: { disk } });
  await house.downloader.start();
  imageId = house.add('fw.bin', origin.url).id;
  house.add('pending', 'http://127.0.0.1:1/x');
  await house.until(imageId, 'available');
  await origin.close();
});
after(async () => {
  for (const server of servers) await server.close();
  await house.close();
  removeFolder(house.folder);
});

async function serve(options: Partial<ServerOptions> = {}): Promise<{ server: ImageServer; port: number }> {
  const server = new ImageServer({
    ...serverOptions(house),
    reactions: {
      // Behind .8 there are two.
      devicesAt: (address) => [`device at ${address}`, ...(address.endsWith('.8') ? ['another'] : [])],
      fetched: (id, address, complete) => fetched.push(`${id} ${address} ${complete}`),
    },
    ...options,
  });
  servers.push(server);
  const started = await server.start();
  assert.ok(started.ok);
  return { server, port: started.value[0]!.port };
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly broken: boolean;
}

function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
  from?: string,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        port,
        host: '127.0.0.1',
        path,
        method,
        headers,
        agent: false,
        ...(from !== undefined && { localAddress: from }),
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        let broken = false;
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', () => (broken = true));
        incoming.on('close', () =>
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks), broken }),
        );
      },
    );
    sent.on('error', reject);
    sent.end();
  });
}

describe('the image server', () => {
  let port: number;
  let server: ImageServer;
  before(async () => {
    ({ server, port } = await serve());
  });

  it('answers a GET with the content and what caches need', async () => {
    const { status, headers, body } = await get(port, '/scomo/fw.bin');
    assert.equal(status, 200);
    assert.ok(body.equals(CONTENT));
    assert.equal(headers.etag, ETAG);
    assert.equal(headers['accept-ranges'], 'bytes');
    assert.equal(headers['content-type'], 'application/x-firmware');
    assert.equal(headers['content-length'], String(CONTENT.length));
    assert.equal(headers['repr-digest'], `sha-256=:${Buffer.from(SHA, 'hex').toString('base64')}:`);
    assert.ok(Date.parse(headers['last-modified'] ?? '') > 0);
    assert.equal(headers['cache-control'], 'no-cache');
  });

  it('answers HEAD as GET, without content', async () => {
    const { status, headers, body } = await get(port, '/scomo/fw.bin', {}, 'HEAD');
    assert.deepEqual([status, headers['content-length'], body.length], [200, String(CONTENT.length), 0]);
  });

  const whole = CONTENT.length;
  const rows: readonly (readonly [
    string,
    string,
    Record<string, string>,
    number,
    Record<string, string | undefined>,
  ])[] = [
    [
      'GET',
      '/scomo/fw.bin',
      { Range: 'bytes=1-4' },
      206,
      { 'content-range': `bytes 1-4/${whole}`, 'content-length': '4', etag: ETAG, 'accept-ranges': 'bytes' },
    ],
    [
      'GET',
      '/scomo/fw.bin',
      { Range: 'bytes=-5' },
      206,
      { 'content-range': `bytes ${whole - 5}-${whole - 1}/${whole}` },
    ],
    ['GET', '/scomo/fw.bin', { Range: `bytes=${whole}-` }, 416, { 'content-range': `bytes */${whole}` }],
    ['GET', '/scomo/fw.bin', { Range: 'bytes=0-1', 'If-Range': '"x"' }, 200, { 'content-range': undefined }],
    ['GET', '/scomo/fw.bin', { 'If-None-Match': ETAG }, 304, { etag: ETAG, 'content-length': undefined }],
    ['GET', '/scomo/fw.bin', { 'If-Match': '"x"' }, 412, {}],
    ['GET', '/scomo/fw.bin?query', {}, 200, {}],
    ['GET', 'http://any.host/scomo/fw.bin', {}, 200, {}],
    ['OPTIONS', '/scomo/fw.bin', {}, 204, { allow: 'GET, HEAD, OPTIONS' }],
    ['POST', '/scomo/fw.bin', {}, 405, { allow: 'GET, HEAD, OPTIONS' }],
    ['DELETE', '/scomo/fw.bin', {}, 405, {}],
    ['GET', '/', {}, 404, { 'content-length': '0' }],
    ['GET', '/scomo/', {}, 404, {}],
    ['GET', '/scomo/none', {}, 404, {}],
    ['GET', '/scomo/pending', {}, 404, {}],
    ['GET', '/scomo/../dmgw.db', {}, 404, {}],
    ['GET', '/scomo/%2e%2e/dmgw.db', {}, 404, {}],
    ['GET', '/scomo/fw.bin/', {}, 404, {}],
    ['GET', '/scomo/fw.bin%00', {}, 404, {}],
    ['GET', `/scomo/${SHA}`, {}, 404, {}],
    ['POST', '/scomo/none', {}, 404, { allow: undefined }],
    ['GET', `/scomo/${'x'.repeat(9000)}`, {}, 431, {}],
  ];
  for (const [method, path, headers, status, expected] of rows) {
    it(`${method} ${path.slice(0, 40)} ${JSON.stringify(headers)}: ${status}`, async () => {
      const reply = await get(port, path, headers, method);
      assert.equal(reply.status, status);
      for (const [name, given] of Object.entries(expected)) assert.equal(reply.headers[name], given);
      if (status >= 400) assert.equal(reply.body.length, 0);
    });
  }

  it('sends the bytes that the range names', async () => {
    const { body } = await get(port, '/scomo/fw.bin', { Range: 'bytes=1000001-2000000' });
    assert.ok(body.equals(CONTENT.subarray(1_000_001, 2_000_001)));
  });

  it('gives the LocalImageURI of available images only', () => {
    assert.equal(server.localUri(house.catalog.byId(imageId)!), `http://192.168.1.1:${port}/scomo/fw.bin`);
    assert.equal(server.localUri(house.catalog.byNode('pending')!), '');
  });

  it('serves many at once', async () => {
    const replies = await Promise.all(Array.from({ length: 12 }, () => get(port, '/scomo/fw.bin')));
    for (const { body } of replies) assert.ok(body.equals(CONTENT));
  });

  it('answers pipelined requests in order', async () => {
    const socket = connect(port, '127.0.0.1');
    const one = (range: string) => `GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=${range}\r\n\r\n`;
    socket.write(one('0-3') + one('4-7') + one('-4'));
    let text = Buffer.alloc(0);
    socket.on('data', (chunk) => (text = Buffer.concat([text, chunk])));
    while (text.toString('latin1').split('HTTP/1.1 206').length < 4) await sleep(2);
    await sleep(10);
    const bodies = text
      .toString('latin1')
      .split('\r\n\r\n')
      .slice(1)
      .map((part) => part.slice(0, 4));
    const expected = [CONTENT.subarray(0, 4), CONTENT.subarray(4, 8), CONTENT.subarray(-4)];
    assert.deepEqual(
      bodies,
      expected.map((bytes) => bytes.toString('latin1')),
    );
    socket.destroy();
  });

  it('breaks off when the disk fails, and never ends as if complete', async () => {
    readFails = true;
    try {
      const { status, body, broken } = await get(port, '/scomo/fw.bin');
      assert.equal(status, 200);
      assert.ok(body.length < CONTENT.length);
      assert.ok(broken);
    } finally {
      readFails = false;
    }
  });

  it('outlives clients that go away in the middle', async () => {
    for (let round = 0; round < 20; round += 1) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write('GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\n\r\n');
      await new Promise((resolve) => socket.once('data', resolve));
      socket.resetAndDestroy();
    }
    assert.ok((await get(port, '/scomo/fw.bin')).body.equals(CONTENT));
    while (server.load.connections > 0) await sleep(2);
    assert.equal(house.blobs.isRead(SHA), false);
  });

  it('finishes a blob that is superseded while it is sent', async () => {
    const socket = connect(port, '127.0.0.1');
    socket.write('GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await new Promise((resolve) => socket.once('readable', resolve));
    await house.blobs.forget(SHA, () => false);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    assert.ok(Buffer.concat(chunks).subarray(-CONTENT.length).equals(CONTENT));
    assert.equal((await get(port, '/scomo/fw.bin')).status, 404);
    house.catalog.lost(SHA);
    const origin = await startOrigin(serveFile(CONTENT));
    house.catalog.setLeaf(imageId, 'imageUri', origin.url, 's');
    await house.until(imageId, 'available');
    await origin.close();
  });
});

/** What is found, once it is there. */
async function seen<T>(look: () => T | undefined): Promise<T> {
  for (let round = 0; round < 5_000; round += 1) {
    const found = look();
    if (found !== undefined) return found;
    await sleep(2);
  }
  assert.fail(`waited in vain for ${look.toString().slice(6)}`);
}

/** What one address was sent, once that is so. */
function rowOf(address: string, is: (row: Delivery) => boolean = () => true): Delivery | undefined {
  return house.deliveries.list(imageId, 0, 100).find((row) => row.address === address && is(row));
}

describe('the accounts', () => {
  it('say who got how much, and complete only when all was taken', async () => {
    const { port, server } = await serve();
    fetched.length = 0;
    await get(port, '/scomo/fw.bin', {}, 'GET', '127.0.0.5');
    await get(port, '/scomo/fw.bin', { Range: 'bytes=0-999' }, 'GET', '127.0.0.6');
    await get(port, '/scomo/fw.bin', { Range: 'bytes=1000-' }, 'GET', '127.0.0.6');
    await get(port, '/scomo/fw.bin', { Range: 'bytes=1000-' }, 'GET', '127.0.0.7');
    while (server.load.connections > 0) await sleep(2);
    const rows = house.deliveries.list(imageId, 0, 100).filter(({ address }) => /^127\.0\.0\.[567]$/.test(address));
    assert.deepEqual(
      rows.map(({ address, device, bytes, complete }) => [address, device, bytes, complete]),
      [
        ['127.0.0.5', 'device at 127.0.0.5', CONTENT.length, true],
        ['127.0.0.6', 'device at 127.0.0.6', CONTENT.length, true],
        ['127.0.0.7', 'device at 127.0.0.7', CONTENT.length - 1000, false],
      ],
    );
    assert.ok(house.deliveries.delivered(imageId) >= 2);
    assert.deepEqual(fetched, [
      'fw.bin 127.0.0.5 false',
      'fw.bin 127.0.0.5 true',
      'fw.bin 127.0.0.6 false',
      'fw.bin 127.0.0.6 false',
      'fw.bin 127.0.0.6 true',
      'fw.bin 127.0.0.7 false',
    ]);
    assert.equal(server.lanBytes, 3 * CONTENT.length - 1000);
  });

  it('do not guess which of several devices behind one address it was', async () => {
    const { port } = await serve();
    await get(port, '/scomo/fw.bin', {}, 'GET', '127.0.0.8');
    const row = await seen(() => rowOf('127.0.0.8'));
    assert.deepEqual([row.device, row.ambiguous], [null, true]);
  });

  it('that cannot be kept end no connection', async () => {
    const deliveries = new Deliveries({ ...house, clock: systemClock(0), log: silentLog });
    const failing = mock.method(deliveries, 'sent', () => {
      throw new Error('the disk is full');
    });
    const { port } = await serve({ deliveries });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const statuses: unknown[] = [];
    for (let asked = 0; asked < 3; asked += 1) {
      const options = { port, host: '127.0.0.1', path: '/scomo/fw.bin', headers: { Range: 'bytes=0-9' }, agent };
      const reply = await new Promise<IncomingMessage>((resolve, reject) =>
        request(options, resolve).on('error', reject).end(),
      );
      statuses.push([reply.statusCode, reply.socket.localPort]);
      await new Promise((resolve) => reply.resume().once('end', resolve));
    }
    const [first] = statuses;
    assert.deepEqual(statuses, [first, first, first]);
    assert.equal(failing.mock.callCount(), 2);
    agent.destroy();
  });

  it('join pieces in any order, and know when the first one was sent', async () => {
    const { port } = await serve();
    const last = CONTENT.length - 1;
    const piece = async (range: string): Promise<void> => {
      await get(port, '/scomo/fw.bin', { Range: `bytes=${range}` }, 'GET', '127.0.0.9');
    };
    await piece(`2000000-${last}`);
    await piece('1000-1999,0-99');
    const early = await seen(() => rowOf('127.0.0.9', (row) => row.spans.length === 3));
    assert.equal(rangesText(early.spans), `0-99,1000-1999,2000000-${last}`);
    assert.equal(early.complete, false);
    await piece('100-1999999');
    const { complete, spans, firstMs, timeMs } = await seen(() => rowOf('127.0.0.9', (row) => row.complete));
    assert.deepEqual([complete, spans], [true, [{ start: 0, length: CONTENT.length }]]);
    assert.ok(firstMs! <= timeMs! && firstMs! === early.firstMs);
  });

  for (const [version, header] of [
    ['HTTP/1.0', ''],
    ['HTTP/1.1', 'Host: x\r\nConnection: close\r\n'],
  ] as const) {
    it(`do not take what waits in the kernel for delivered, where an answer ends its connection (${version})`, async () => {
      const { port, server } = await serve();
      const from = version === 'HTTP/1.0' ? '127.0.0.10' : '127.0.0.11';
      const isComplete = (): boolean => rowOf(from)?.complete === true;
      const last = 100_000;
      await get(port, '/scomo/fw.bin', { Range: `bytes=0-${CONTENT.length - last - 1}` }, 'GET', from);
      await seen(() => rowOf(from));
      const ask = async (): Promise<Socket> => {
        const before = server.lanBytes;
        const socket = connect({ port, host: '127.0.0.1', localAddress: from });
        socket.on('error', () => {});
        socket.pause();
        socket.write(`GET /scomo/fw.bin ${version}\r\n${header}Range: bytes=-${last}\r\n\r\n`);
        await seen(() => server.lanBytes === before + last || undefined);
        return socket;
      };
      const lost = await ask();
      assert.equal(isComplete(), false, 'nobody knows yet');
      lost.resetAndDestroy();
      await seen(() => server.load.connections === 0 || undefined);
      assert.equal(isComplete(), false);
      const taken = await ask();
      taken.resume();
      await seen(() => isComplete() || undefined);
    });
  }
});

describe('a whole image', () => {
  const LAST = 400_000;
  /** Has fetched all but the last bytes, and then asks for them. */
  async function ask(server: ImageServer, port: number, from: string, headers: string): Promise<Socket> {
    const range = `bytes=0-${CONTENT.length - LAST - 1}`;
    await get(port, '/scomo/fw.bin', { Range: range, Connection: 'close' }, 'GET', from);
    await seen(() => rowOf(from));
    const before = server.lanBytes;
    const socket = connect({ port, host: '127.0.0.1', localAddress: from, allowHalfOpen: true });
    socket.on('error', () => {}).pause();
    socket.write(`GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\n${headers}Range: bytes=-${LAST}\r\n\r\n`);
    if (headers.includes('half')) socket.end();
    await seen(() => server.lanBytes === before + LAST || undefined);
    return socket;
  }

  for (const [name, headers, from] of [
    ['has ended its side behind its request', 'X: half\r\n', '127.0.0.12'],
    ['stays silent, keeping the connection', '', '127.0.0.13'],
    ['stays silent behind the last answer', 'Connection: close\r\n', '127.0.0.14'],
  ] as const) {
    it(`was not taken by a client that ${name} and reads nothing`, async () => {
      const { port, server } = await serve({ limits: { keepAliveMs: 200, minRateMs: 200 } });
      const socket = await ask(server, port, from, headers);
      await seen(() => server.load.connections === 0 || undefined);
      socket.resetAndDestroy();
      assert.equal(rowOf(from)?.complete, false);
      assert.ok(!fetched.includes(`fw.bin ${from} true`));
    });
  }

  for (const [name, headers, from, waits] of [
    ['keeping the connection', '', '127.0.0.15', 0],
    ['behind the last answer', 'Connection: close\r\n', '127.0.0.16', 0],
    ['keeping the connection, long after the last byte was sent', '', '127.0.0.17', 5],
    ['behind the last answer, long after the last byte was sent', 'Connection: close\r\n', '127.0.0.18', 5],
  ] as const) {
    it(`was taken by a client that has read it and stays silent ${name}`, async () => {
      const { port, server } = await serve({ limits: { keepAliveMs: 200 } });
      const socket = await ask(server, port, from, headers);
      await sleep(waits * 200);
      socket.resume();
      await seen(() => rowOf(from)?.complete || undefined);
      socket.destroy();
    });
  }
});

describe('a whole image, when the server ends', () => {
  /** In the database: whoever asks for the accounts has them written first. */
  const written = (address: string) =>
    house.store
      .sql<{ bytes: number; complete: number }>('SELECT bytes, complete FROM image_delivery WHERE address = ?')
      .get(address);

  it('was taken by who has it and is silent, and that is written', async () => {
    const { port, server } = await serve();
    const from = '127.0.0.19';
    const agent = new Agent({ keepAlive: true });
    await new Promise<void>((resolve, reject) => {
      const options = { port, host: '127.0.0.1', path: '/scomo/fw.bin', localAddress: from, agent };
      request(options, (response) => response.resume().on('end', resolve))
        .on('error', reject)
        .end();
    });
    await server.close();
    assert.deepEqual(written(from), { bytes: CONTENT.length, complete: 1 });
    agent.destroy();
  });

  it('was not taken by who reads nothing; what was sent is written', async () => {
    const { port, server } = await serve();
    const from = '127.0.0.21';
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    socket.on('error', () => {}).pause();
    // More than the kernel takes.
    socket.write('GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(6));
    let before = 0;
    await seen(() => {
      const isStuck = server.load.buffers > 0 && server.lanBytes === before;
      before = server.lanBytes;
      return isStuck || undefined;
    });
    await server.close();
    assert.deepEqual(written(from), { bytes: before, complete: 0 });
    assert.equal(server.lanBytes, before);
    socket.destroy();
  });

  it('was not taken by who has asked on before it came, and reads nothing', async () => {
    const { port, server } = await serve({ limits: { keepAliveMs: 200, minRateMs: 200 } });
    const from = '127.0.0.20';
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    socket.on('error', () => {}).pause();
    const asked = (method: string): string => `${method} /scomo/fw.bin HTTP/1.1\r\nHost: x\r\n\r\n`;
    socket.write(asked('GET') + asked('HEAD'));
    await seen(() => server.lanBytes === CONTENT.length || undefined);
    socket.resetAndDestroy();
    await seen(() => server.load.connections === 0 || undefined);
    assert.equal(rowOf(from)?.complete, false);
  });
});

describe('a client that ends its side of the connection behind its request', () => {
  it('is answered', async () => {
    const { port } = await serve();
    const socket = connect(port, '127.0.0.1');
    socket.end('GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\n\r\n');
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    assert.ok(Buffer.concat(chunks).subarray(-CONTENT.length).equals(CONTENT));
  });
});

describe('the time of an answer', () => {
  it('is in Date, but where the clock is not set', async () => {
    const { port } = await serve();
    const before = Math.floor(Date.now() / 1000) * 1000;
    const { headers } = await get(port, '/scomo/fw.bin', {}, 'HEAD');
    const atMs = Date.parse(headers.date ?? '');
    assert.ok(before <= atMs && atMs <= Date.now());
    assert.equal(headers.date, new Date(atMs).toUTCString());
    const unset = await serve({ clock: systemClock(Infinity) });
    assert.equal((await get(unset.port, '/scomo/fw.bin', {}, 'HEAD')).headers.date, undefined);
  });
});

describe('addresses that come and go', () => {
  it('are looked for every 5 s', async () => {
    const clock = systemClock(0);
    const looks: (() => void)[] = [];
    const after = (ms: number, task: () => void): TimerHandle => {
      if (ms === 5_000) looks.push(task);
      return clock.after(ms === 5_000 ? 1e9 : ms, task);
    };
    let there: string[] = [];
    const { server } = await serve({ clock: { ...clock, after }, movingAddresses: () => there });
    for (const addresses of [['127.0.0.2'], ['127.0.0.2', '127.0.0.3'], []]) {
      there = addresses;
      assert.equal(looks.length, 1);
      looks.shift()?.();
      await seen(() => looks.length === 1 || undefined);
      assert.deepEqual(
        server.listening.map(({ address }) => address),
        ['127.0.0.1', ...addresses],
      );
    }
  });
});

describe('bounds', () => {
  function idle(port: number): Promise<Socket> {
    return new Promise((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(socket));
      socket.on('error', () => {});
    });
  }

  for (const [name, limits] of [
    ['in all', { connections: 3 }],
    ['of one address', { connectionsPerAddress: 3 }],
  ] as const) {
    it(`more connections ${name} than allowed get 503 with Retry-After`, async () => {
      const { port, server } = await serve({ limits });
      const sockets = await Promise.all([idle(port), idle(port), idle(port)]);
      while (server.load.connections < 3) await sleep(2);
      const { status, headers } = await get(port, '/scomo/fw.bin');
      assert.deepEqual([status, headers['retry-after'], headers.connection], [503, '5', 'close']);
      for (const socket of sockets) socket.destroy();
      while (server.load.connections > 0) await sleep(2);
      assert.equal((await get(port, '/scomo/fw.bin', {}, 'HEAD')).status, 200);
    });
  }

  it('a client that never finishes its headers is dropped', async () => {
    const { port } = await serve({ limits: { headerMs: 100 } });
    const socket = await idle(port);
    socket.write('GET /scomo/fw.bin HTTP/1.1\r\nHost: ');
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
  });

  it('a client that never reads is dropped after the idle time, and its buffer is free again', async () => {
    const { port, server } = await serve({ limits: { idleMs: 200 } });
    const sockets = await Promise.all(Array.from({ length: 6 }, () => idle(port)));
    for (const socket of sockets) {
      socket.pause();
      for (let i = 0; i < 8; i += 1) socket.write('GET /scomo/fw.bin HTTP/1.1\r\nHost: x\r\n\r\n');
    }
    assert.ok((await get(port, '/scomo/fw.bin')).body.equals(CONTENT));
    await eventually('all of them to be dropped', () => server.load.connections === 0);
    for (const socket of sockets) socket.destroy();
  });

  it('an address that is taken is told as such', async () => {
    const { port } = await serve();
    const second = new ImageServer({
      catalog: house.catalog,
      blobs: house.blobs,
      deliveries: house.deliveries,
      clock: systemClock(0),
      log: silentLog,
      addresses: ['127.0.0.1'],
      port,
      publicHost: 'x',
    });
    const started = await second.start();
    assert.equal(started.ok ? 'ok' : started.error.code, 'address-in-use');
    await second.close();
  });
});

describe('reads', () => {
  it('leave the event loop alone for a while after a slow one', async () => {
    let nowMs = 0;
    const calls: string[] = [];
    const blob: BlobReader = {
      sha256: SHA,
      size: 1,
      readNow: (_, length) => {
        calls.push('now');
        nowMs += 10;
        return length;
      },
      read: (_, length) => {
        calls.push('pool');
        return Promise.resolve(length);
      },
      sendNow: () => 'cold',
      readable: () => 1,
      onMore: () => () => {},
      isVoid: () => false,
      close: () => Promise.resolve(),
    };
    const reads = new PacedReads(() => nowMs);
    const buffer = Buffer.alloc(1);
    await reads.read(blob, buffer, 1, 0, false);
    await reads.read(blob, buffer, 1, 0, false);
    nowMs += 1_000;
    await reads.read(blob, buffer, 1, 0, true);
    await reads.read(blob, buffer, 1, 0, false);
    assert.deepEqual(calls, ['now', 'pool', 'pool', 'now']);
  });
});

describe('the buffers', () => {
  it('are large for four who drain, small for others, and large again when slow clients hold the large ones', () => {
    let nowMs = 0;
    const buffers = new OutflowBuffers(() => nowMs);
    const held = Array.from({ length: 4 }, () => buffers.take('large'));
    assert.ok(held.every(({ bytes }) => bytes.length === BUFFER_BYTES.large));
    assert.equal(buffers.take('large').bytes.length, BUFFER_BYTES.small);
    assert.equal(buffers.take('small').bytes.length, BUFFER_BYTES.small);
    nowMs = 1_000;
    const extra = Array.from({ length: 100 }, () => buffers.take('large')).filter(
      ({ bytes }) => bytes.length === BUFFER_BYTES.large,
    );
    assert.equal(extra.length, 4);
    held[0]!.release();
    held[0]!.release();
    for (const lease of extra) lease.release();
    assert.equal(buffers.take('large').bytes.length, BUFFER_BYTES.large);
  });

  it('of a crowd serve the next crowd, and go when none has come for a while', () => {
    let nowMs = 0;
    const buffers = new OutflowBuffers(() => nowMs);
    const crowd = (clients: number): void => {
      const leases = Array.from({ length: clients }, () => buffers.take('small'));
      for (const lease of leases) lease.release();
    };
    for (let round = 0; round < 50; round += 1) crowd(500);
    assert.equal(buffers.held, 500);
    nowMs += 100_000;
    crowd(1);
    assert.equal(buffers.held, 64);
  });
});
