import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { get, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpLimits } from '../http-server/index.js';
import { Arrivals } from './arrivals.js';
import { systemDisk } from './disk.js';
import {
  openHouse,
  pattern,
  removeFolder,
  serveFile,
  serverOptions,
  sha256,
  startOrigin,
  type House,
  type Origin,
} from './fixture.js';
import type { BlobReader } from './open-blobs.js';
import { ImageServer } from './server.js';
import { converse, requestOf } from './wire.fixture.js';

/** Of an odd size: several pieces of an intake and a bit. */
const CONTENT = pattern(1_300_001);
const OTHER = pattern(CONTENT.length, 7);
const DIGEST = sha256(CONTENT);
const ETAG = `"${DIGEST}"`;
const INTAKE = 256 * 1024;

/** An origin that sends as far as it is let. */
class Tap {
  #sent = 0;
  #to = 0;
  #response: ServerResponse | undefined;

  constructor(private readonly content: Buffer) {}

  readonly behave = (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(200, { 'Content-Length': this.content.length, ETag: '"v"' }).flushHeaders();
    this.#response = response;
    this.#sent = 0;
    this.#flow();
  };

  open(to: number): void {
    this.#to = to;
    this.#flow();
  }

  #flow(): void {
    if (!this.#response || this.#to <= this.#sent) return;
    this.#response.write(this.content.subarray(this.#sent, this.#to));
    this.#sent = this.#to;
    if (this.#sent === this.content.length) this.#response.end();
  }

  cut(): void {
    this.#response?.destroy();
    this.#response = undefined;
  }
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** The connection ended before Content-Length. */
  readonly broken: boolean;
}

/** A client that reads; `got` tells how much it has. */
function fetching(port: number, headers: Record<string, string> = {}, method = 'GET') {
  const chunks: Buffer[] = [];
  let arrived: (incoming: IncomingMessage) => void;
  const begun = new Promise<IncomingMessage>((resolve) => (arrived = resolve));
  const reply = new Promise<Reply>((resolve, reject) => {
    const sent = get({ port, host: '127.0.0.1', path: '/scomo/fw', headers, method, agent: false }, (incoming) => {
      arrived(incoming);
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', () => {});
      incoming.on('close', () =>
        resolve({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          body: Buffer.concat(chunks),
          broken: !incoming.complete,
        }),
      );
    });
    sent.on('error', reject);
  });
  return { got: () => chunks.reduce((sum, { length }) => sum + length, 0), begun, reply };
}

async function until(condition: () => boolean): Promise<void> {
  for (let round = 0; !condition(); round += 1) {
    assert.ok(round < 2000, 'waited in vain');
    await sleep(2);
  }
}

let house: House;
let server: ImageServer;
let port: number;
let origin: Origin;
let tap: Tap;
let id: number;
const folders: string[] = [];

async function open(folder?: string, limits: Partial<HttpLimits> = {}, fsyncVolumeBytes = 64 * 1024): Promise<void> {
  house = openHouse({
    catalog: { cutThrough: true },
    ...(folder !== undefined && { folder }),
    follow: (catalog, blobs) => new Arrivals({ catalog, blobs }),
    // An origin that waits for its test is not given up.
    downloader: { backoff: { firstMs: 5, maxMs: 5 }, maxAttempts: 2, idleTimeoutMs: 60_000, fsyncVolumeBytes },
  });
  folders.push(house.folder);
  await house.downloader.start();
  server = new ImageServer({ ...serverOptions(house), arrivals: house.arrivals, limits });
  const started = await server.start();
  assert.ok(started.ok);
  port = started.value[0]!.port;
}

/** An image of which first bytes are durable, and some more come. */
async function begin(content = CONTENT): Promise<void> {
  tap = new Tap(content);
  origin.behave = tap.behave;
  id = house.store.transaction(() => {
    const created = house.catalog.create('fw', 'server-1');
    assert.ok(created.ok);
    house.catalog.setLeaf(created.value.id, 'digest', DIGEST, 'server-1');
    house.catalog.setLeaf(created.value.id, 'imageUri', origin.url, 'server-1');
    return created.value.id;
  });
  tap.open(INTAKE + 1000);
  await until(() => localUri() !== '');
}

const localUri = (): string => {
  const image = house.catalog.byId(id);
  return image ? server.localUri(image) : '';
};
const told = (): string[] => house.events.map(({ kind }) => kind);

beforeEach(async () => {
  origin = await startOrigin(serveFile(CONTENT));
  await open();
});
afterEach(async () => {
  await server.close();
  await house.close();
  await origin.close();
  for (const folder of folders.splice(0)) removeFolder(folder);
});

describe('an image that comes in', () => {
  it('is served from its first durable bytes on; who reads ahead waits, and gets all of it', async () => {
    await begin();
    assert.equal(localUri(), `http://192.168.1.1:${port}/scomo/fw`);
    assert.deepEqual(told(), ['local-uri']);
    assert.ok(house.catalog.byId(id)!.received > 0);
    const clients = [fetching(port), fetching(port), fetching(port, { Range: `bytes=${CONTENT.length - 10}-` })];
    await until(() => clients[0]!.got() >= INTAKE && clients[1]!.got() >= INTAKE);
    await until(() => server.load.buffers === 0);
    assert.ok(house.catalog.byId(id)!.state === 'downloading', 'it waits for the origin');
    tap.open(4 * INTAKE);
    await until(() => clients[0]!.got() >= 3 * INTAKE);
    tap.open(CONTENT.length);
    const [whole, second, tail] = await Promise.all(clients.map(({ reply }) => reply));
    assert.ok(whole!.body.equals(CONTENT) && second!.body.equals(CONTENT));
    assert.deepEqual([whole!.status, whole!.headers.etag, whole!.broken], [200, ETAG, false]);
    assert.ok(tail!.body.equals(CONTENT.subarray(-10)));
    await house.until(id, 'available');
    // The URI stays: nothing more to tell of it.
    assert.deepEqual(told(), ['local-uri', 'retrieved']);
    await until(() => server.load.connections === 0);
    const [delivery] = house.deliveries.list(id, 0, 1);
    assert.deepEqual([delivery?.complete, delivery?.bytes], [true, 2 * CONTENT.length + 10]);
    assert.ok((await fetching(port).reply).body.equals(CONTENT));
  });

  it('is served from its first bytes on, however rarely it is flushed', async () => {
    await server.close();
    await house.close();
    await open(undefined, {}, 64 * 1024 * 1024);
    await begin();
    assert.notEqual(localUri(), '');
  });

  it('answers by the same table as one that is there, where an answer needs no bytes that are missing', async () => {
    await begin();
    const size = CONTENT.length;
    const rows: readonly (readonly [Record<string, string>, string, number, Record<string, string | undefined>])[] = [
      [{}, 'HEAD', 200, { etag: ETAG, 'content-length': String(size), 'accept-ranges': 'bytes' }],
      [{ Range: 'bytes=5-9' }, 'GET', 206, { 'content-range': `bytes 5-9/${size}`, etag: ETAG }],
      [{ Range: 'bytes=5-9', 'If-Range': ETAG }, 'GET', 206, { 'content-length': '5' }],
      [{ Range: 'bytes=5-9,100-109' }, 'GET', 206, { 'accept-ranges': 'bytes' }],
      [{ Range: `bytes=${size}-` }, 'GET', 416, { 'content-range': `bytes */${size}` }],
      [{ 'If-None-Match': ETAG }, 'GET', 304, { etag: ETAG }],
      [{ 'If-Match': '"x"' }, 'GET', 412, {}],
      [{}, 'OPTIONS', 204, {}],
      [{}, 'PUT', 405, {}],
    ];
    for (const [headers, method, status, expected] of rows) {
      const reply = await fetching(port, headers, method).reply;
      assert.deepEqual([reply.status, reply.broken], [status, false], `${method} ${JSON.stringify(headers)}`);
      for (const [name, value] of Object.entries(expected)) assert.equal(reply.headers[name], value);
      // No time of arrival yet: a date is no validator.
      assert.equal(reply.headers['last-modified'], undefined);
      if (status === 206) assert.ok(reply.body.includes(CONTENT.subarray(5, 10)));
    }
  });

  it('sends the parts of a multipart answer as they come', async () => {
    await begin();
    const client = fetching(port, { Range: `bytes=0-9,${2 * INTAKE}-${2 * INTAKE + 9}` });
    await until(() => client.got() > 10);
    assert.equal(server.load.buffers, 0);
    tap.open(CONTENT.length);
    const { body, broken } = await client.reply;
    assert.ok(body.includes(CONTENT.subarray(2 * INTAKE, 2 * INTAKE + 10)) && !broken);
  });

  it('whose digest is wrong breaks all connections off before their last byte, and is withdrawn', async () => {
    await begin(OTHER);
    const clients = [fetching(port), fetching(port, { Range: 'bytes=-10' }), fetching(port, { Range: 'bytes=0-9' })];
    // The one for the last bytes has no answer before they are verified; it has asked before the last one.
    await Promise.all([clients[0]!.begun, clients[2]!.begun]);
    tap.open(OTHER.length);
    // The end may come before the answer for the last bytes has begun.
    const hungUp = { body: Buffer.alloc(0), broken: true };
    const [whole, last, first] = await Promise.all(clients.map(({ reply }) => reply.catch(() => hungUp)));
    assert.ok(whole?.broken && whole.body.length < OTHER.length, `${whole?.body.length} bytes`);
    assert.ok(last?.broken && last.body.length < 10, `${last?.body.length} bytes`);
    assert.deepEqual([first?.body.length, first?.broken], [10, false]);
    await house.until(id, 'failed');
    assert.equal(localUri(), '');
    assert.deepEqual(told(), ['local-uri', 'local-uri', 'failed']);
    assert.equal((await fetching(port).reply).status, 404);
    // The right content has the same ETag: nothing of the wrong one may be left in any memory.
    origin.behave = serveFile(CONTENT);
    assert.ok(house.catalog.request(id, 'server-1').ok);
    await house.until(id, 'available');
    assert.ok((await fetching(port).reply).body.equals(CONTENT));
  });

  it('that comes anew from the start, in another version, breaks the connections off', async () => {
    await begin(OTHER);
    const client = fetching(port);
    await until(() => client.got() >= INTAKE);
    origin.behave = serveFile(CONTENT, { ranges: false });
    tap.cut();
    const { broken, body } = await client.reply;
    assert.ok(broken && body.equals(OTHER.subarray(0, body.length)));
    await house.until(id, 'available');
    assert.ok((await fetching(port, { 'If-Range': ETAG, Range: 'bytes=0-' }).reply).body.equals(CONTENT));
  });

  it('whose origin fails for good is withdrawn with its connections', async () => {
    await begin();
    const client = fetching(port);
    await until(() => client.got() >= INTAKE);
    origin.behave = (_, response) => response.writeHead(404).end();
    tap.cut();
    assert.ok((await client.reply).broken);
    await house.until(id, 'failed');
    assert.equal(localUri(), '');
    assert.deepEqual(told(), ['local-uri', 'local-uri', 'failed']);
  });

  it('whose connection breaks goes on after it, and the clients with it', async () => {
    await begin();
    const client = fetching(port);
    await until(() => client.got() >= INTAKE);
    origin.behave = serveFile(CONTENT, { etag: '"v"' });
    tap.cut();
    assert.ok((await client.reply).body.equals(CONTENT));
    assert.equal(origin.seen.at(-1)?.headers['range']?.startsWith('bytes='), true);
  });

  it('that is cancelled or removed breaks the connections off', async () => {
    for (const end of ['cancel', 'remove'] as const) {
      await begin();
      const client = fetching(port);
      await client.begun;
      house.catalog[end](id);
      assert.ok((await client.reply).broken);
      assert.equal((await fetching(port).reply).status, 404);
      house.catalog.remove(id);
    }
  });

  it('that is cancelled in the middle of an answer has no other one follow on that connection', async () => {
    await begin();
    const conversation = converse(port, requestOf('GET /scomo/fw HTTP/1.1\nHost: x').repeat(2), { count: 2 });
    await until(() => server.lanBytes >= INTAKE);
    house.catalog.cancel(id);
    const { replies, rest, closed } = await conversation;
    assert.deepEqual([replies.length, closed, rest.includes('HTTP/1.1 404')], [0, true, false]);
  });

  it('whose file is not there in this moment is to be asked for again soon', async () => {
    await begin();
    house.blobs.openArriving = () => Promise.resolve(undefined);
    const { status, headers } = await fetching(port).reply;
    assert.deepEqual([status, headers['retry-after']], [503, '5']);
  });

  it('leaves no descriptor open when its clients go', async () => {
    await begin();
    const descriptors = (): number => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const client = fetching(port);
    (await client.begun).destroy();
    await until(() => server.load.connections === 0 && descriptors() <= before);
    tap.open(CONTENT.length);
    await house.until(id, 'available');
    await until(() => !house.blobs.isRead(DIGEST));
  });

  it('is served again up to its durable bytes after a restart, before anything more has come', async () => {
    await begin();
    tap.open(3 * INTAKE);
    await until(() => house.catalog.byId(id)!.received >= 2 * INTAKE);
    const { received } = house.catalog.byId(id)!;
    await server.close();
    await house.close();
    origin.behave = () => {};
    await open(house.folder);
    assert.notEqual(localUri(), '');
    const client = fetching(port, { Range: 'bytes=10-', 'If-Range': ETAG });
    await until(() => client.got() >= received - 10);
    const part = await fetching(port, { Range: `bytes=0-${received - 1}` }).reply;
    assert.ok(part.body.equals(CONTENT.subarray(0, received)));
  });
});

describe('the reader of an image that comes in', () => {
  const open = async (): Promise<BlobReader> => {
    await begin();
    const reader = await house.arrivals?.open(house.catalog.byId(id)!);
    assert.ok(reader);
    return reader;
  };

  it('has no last byte before the whole is verified', async () => {
    const reader = await open();
    house.arrivals?.written(id, CONTENT.length);
    assert.equal(reader.readable(), CONTENT.length - 1);
    tap.open(CONTENT.length);
    await house.until(id, 'available');
    assert.equal(reader.readable(), CONTENT.length);
    await reader.close();
  });

  it('is void once what was written is in doubt, because the flush before a pause has failed', async (test) => {
    const reader = await open();
    // All that is flushed while it comes in has been: half a volume is 32 KiB, and pieces are of 16.
    const received = (): number => house.catalog.byId(id)!.received;
    await until(() => house.downloader.wanBytes === INTAKE + 1000 && received() >= INTAKE - 16 * 1024);
    test.mock.method(systemDisk, 'flushData', () => Promise.reject(new Error('EIO')));
    origin.behave = () => {};
    tap.cut();
    await until(() => reader.isVoid());
    assert.notEqual(house.catalog.byId(id)?.state, 'failed');
    await reader.close();
  });
});

describe('who waits for a download', () => {
  it('leaves its place when it has gone', async () => {
    await begin();
    const late = [1, 2].map((ask) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => {}).resume();
      socket.write('GET /scomo/fw HTTP/1.1\r\nHost: x\r\nRange: bytes=-1\r\n\r\n');
      // One is gone at once, the other while it waits.
      if (ask === 1) socket.end();
      return socket;
    });
    await until(() => server.load.connections === 1);
    late[1]?.end();
    await until(() => server.load.connections === 0);
  });

  it('is accounted for when it goes, or is cut off, before all has come', async () => {
    await begin();
    /** In the database: whoever asks for the accounts has them written first. */
    const written = (): unknown[] => house.store.sql('SELECT bytes, complete FROM image_delivery').all();
    const part = await fetching(port, { Range: 'bytes=0-9' }).reply;
    assert.equal(part.status, 206);
    const goes = fetching(port);
    await until(() => goes.got() >= INTAKE);
    (await goes.begun).destroy();
    await until(() => server.load.connections === 0);
    house.deliveries.flush();
    assert.deepEqual(written(), [{ bytes: server.lanBytes, complete: 0 }]);
    const stays = fetching(port);
    await until(() => stays.got() >= INTAKE);
    await server.close();
    assert.ok((await stays.reply).broken);
    assert.deepEqual(written(), [{ bytes: server.lanBytes, complete: 0 }]);
    assert.ok(server.lanBytes >= 2 * INTAKE + 10);
  });

  it('is not taken for a slow client', async () => {
    await server.close();
    await house.close();
    await open(undefined, { minBytesPerSecond: 10_000_000, minRateMs: 20, idleMs: 3_000 });
    await begin();
    const client = fetching(port);
    await until(() => client.got() >= INTAKE);
    await sleep(150);
    tap.open(CONTENT.length);
    assert.ok((await client.reply).body.equals(CONTENT));
  });

  it('is broken off when nothing at all has come in for the idle time', async () => {
    await server.close();
    await house.close();
    await open(undefined, { idleMs: 100 });
    await begin();
    const { broken, body } = await fetching(port).reply;
    assert.ok(broken && body.length < CONTENT.length);
    assert.notEqual(localUri(), '');
  });
});

describe('an image is not served before it is there', () => {
  interface Coming {
    readonly digest?: string;
    readonly signature?: string;
    readonly type?: string;
    readonly etag?: string;
    readonly length?: boolean;
  }
  const cases: readonly (readonly [string, Coming])[] = [
    ['without a Digest', {}],
    ['without a size', { digest: DIGEST, length: false }],
    ['when it looks like the page of a captive portal', { digest: DIGEST, type: 'text/html' }],
    ['when it is a text of no strong version', { digest: DIGEST, type: 'text/plain', etag: 'W/"v"' }],
    ['when nobody whom we know has signed it', { digest: DIGEST, signature: Buffer.alloc(64).toString('base64') }],
  ];
  for (const [name, { digest, signature, type = 'application/x-firmware', etag = '"v"', length = true }] of cases) {
    it(name, async () => {
      origin.behave = (_, response) => {
        response.writeHead(200, {
          'Content-Type': type,
          ETag: etag,
          ...(length && { 'Content-Length': CONTENT.length }),
        });
        response.write(CONTENT.subarray(0, 3 * INTAKE));
      };
      ({ id } = house.add('fw', origin.url, digest));
      if (signature !== undefined) assert.ok(house.catalog.setLeaf(id, 'signature', signature, 's').ok);
      await until(() => house.catalog.byId(id)!.received >= INTAKE);
      assert.equal(localUri(), '');
      assert.equal((await fetching(port).reply).status, 404);
    });
  }
});
