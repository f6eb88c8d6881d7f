import assert from 'node:assert/strict';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { before, describe, it } from 'node:test';
import type { BodyReader, ByteSink } from './body.js';
import { makeCertificate, NO_CERTIFICATES } from './certificate.fixture.js';
import { openHttp, type HttpReply, type TlsIdentity } from './index.js';

/** In which every offset shows. */
const CONTENT = Buffer.alloc(3_000_001);
for (let at = 0; at + 4 <= CONTENT.length; at += 4) CONTENT.writeUInt32LE(Math.imul(at + 1, 2_654_435_761) >>> 0, at);

let identity: TlsIdentity | undefined;
before(() => {
  if (NO_CERTIFICATES === false) identity = makeCertificate('localhost');
});

/** Lets the sender get ahead: whatever it may send comes meanwhile. */
const AHEAD_MS = 5;

/**
 * Takes rooms of these sizes in turn out of a memory that is handed on whole when it is full: for a while there is no
 * room then, and the reader is paused. What stands in the memory meanwhile must stay as it is.
 */
class SlowSink implements ByteSink {
  readonly over: Promise<boolean>;
  reader: BodyReader | undefined;
  readonly #memory: Buffer;
  readonly #got: Buffer[] = [];
  #fill = 0;
  #rooms = 0;
  #tell: (whole: boolean) => void = () => {};

  constructor(
    memoryBytes: number,
    private readonly roomBytes: readonly number[],
    private readonly slow: boolean,
  ) {
    this.#memory = Buffer.alloc(memoryBytes);
    this.over = new Promise((resolve) => (this.#tell = resolve));
  }

  get bytes(): Buffer {
    return Buffer.concat([...this.#got, this.#memory.subarray(0, this.#fill)]);
  }

  room(): Buffer | undefined {
    if (this.#fill === this.#memory.length) return undefined;
    const most = this.roomBytes[this.#rooms++ % this.roomBytes.length] ?? 1;
    return this.#memory.subarray(this.#fill, this.#fill + most);
  }

  came(bytes: number): void {
    this.#fill += bytes;
    if (this.#fill < this.#memory.length) return;
    this.reader?.pause();
    const full = Buffer.from(this.#memory);
    const go = (): void => {
      assert.ok(full.equals(this.#memory), 'the memory was written to while it was full');
      this.#got.push(full);
      this.#fill = 0;
      this.reader?.resume();
    };
    if (this.slow) setTimeout(go, AHEAD_MS);
    else setImmediate(go);
  }

  ended(whole: boolean): void {
    this.#tell(whole);
  }
}

interface Case {
  readonly name: string;
  readonly tls?: true;
  readonly respond: (response: ServerResponse) => void;
  readonly direct: boolean;
  readonly content?: Buffer;
}

const announced = (content: Buffer) => (response: ServerResponse) =>
  void response.writeHead(200, { 'Content-Length': content.length }).end(content);

const CASES: readonly Case[] = [
  { name: 'with its length', respond: announced(CONTENT), direct: true },
  { name: 'with its length, over TLS', tls: true, respond: announced(CONTENT), direct: true },
  {
    name: 'that comes with its headers',
    respond: announced(CONTENT.subarray(0, 99)),
    direct: true,
    content: CONTENT.subarray(0, 99),
  },
  { name: 'that is empty', respond: announced(Buffer.alloc(0)), direct: true, content: Buffer.alloc(0) },
  { name: 'in chunks', respond: (response) => void (response.write(CONTENT), response.end()), direct: false },
  {
    name: 'in chunks, over TLS',
    tls: true,
    respond: (response) => void (response.write(CONTENT), response.end()),
    direct: false,
  },
  {
    name: 'in many pieces',
    direct: true,
    respond: (response) => {
      response.writeHead(200, { 'Content-Length': 100_000 });
      for (let at = 0; at < 100_000; at += 1000) response.write(CONTENT.subarray(at, at + 1000));
      response.end();
    },
    content: CONTENT.subarray(0, 100_000),
  },
];

const SINKS: readonly (readonly [name: string, make: () => SlowSink])[] = [
  ['large rooms', () => new SlowSink(1_000_000, [1_000_000], false)],
  ['small rooms of changing size, and pauses', () => new SlowSink(70_001, [1, 70_001, 999, 20_000], true)],
  ['memory that a single read fills', () => new SlowSink(5_003, [5_003], false)],
];

describe('a body', () => {
  for (const { name, tls, respond, direct, content = CONTENT } of CASES) {
    for (const [sinkName, makeSink] of SINKS) {
      it(`${name} comes whole into ${sinkName}`, { skip: tls && NO_CERTIFICATES }, async () => {
        const answer: RequestListener = (_, response) => respond(response);
        const server = tls ? createTlsServer({ ...identity }, answer) : createServer(answer);
        await withServer(server, async (port) => {
          const sink = makeSink();
          const reply = await ask(port, tls === true);
          sink.reader = reply.readInto(sink);
          assert.equal(sink.reader.leavesGarbage, !direct);
          sink.reader.resume();
          assert.equal(await sink.over, true);
          assert.ok(sink.bytes.equals(content), 'other bytes');
        });
      });
    }
  }

  const cutAt = 50_000;
  for (const [name, head] of [
    ['with its length', 'HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n'],
    ['in chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nea60\r\n'],
  ] as const) {
    it(`${name} that ends early is told as broken, after what has come`, async () => {
      const server = createTcpServer((socket) => {
        socket.on('error', () => {}).resume();
        socket.end(Buffer.concat([Buffer.from(head), CONTENT.subarray(0, cutAt)]));
      });
      await withServer(server, async (port) => {
        const sink = new SlowSink(20_000, [20_000], true);
        sink.reader = (await ask(port)).readInto(sink);
        sink.reader.resume();
        assert.equal(await sink.over, false);
        const { length } = sink.bytes;
        // A stream that breaks drops what it holds.
        if (!sink.reader.leavesGarbage) assert.equal(length, cutAt);
        assert.ok(sink.bytes.equals(CONTENT.subarray(0, length)), 'other bytes');
      });
    });
  }

  it('has no more bytes than it announced', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {}).resume();
      socket.write(
        Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n'), CONTENT.subarray(0, 90_000)]),
      );
    });
    await withServer(server, async (port) => {
      const sink = new SlowSink(200_000, [200_000], false);
      sink.reader = (await ask(port)).readInto(sink);
      sink.reader.resume();
      assert.equal(await sink.over, true);
      assert.ok(sink.bytes.equals(CONTENT.subarray(0, 30_000)), 'other bytes');
    });
  });

  it('whose connection has broken before it is read is told as broken', async () => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {}).resume();
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n', () =>
        setTimeout(() => socket.resetAndDestroy(), 10),
      );
    });
    await withServer(server, async (port) => {
      const reply = await ask(port);
      await new Promise((resolve) => reply.body.once('error', resolve));
      const sink = new SlowSink(1000, [1000], false);
      sink.reader = reply.readInto(sink);
      sink.reader.resume();
      assert.equal(await sink.over, false);
    });
  });

  it('is not told of any more once its reader is destroyed, and the connection is closed', async () => {
    let closed: () => void = () => {};
    const gone = new Promise<void>((resolve) => (closed = resolve));
    const server = createTcpServer((socket) => {
      socket.on('error', () => {}).resume();
      socket.on('close', () => closed());
      socket.write(
        Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n'), CONTENT.subarray(0, 9000)]),
      );
    });
    await withServer(server, async (port) => {
      const sink = new SlowSink(1_000_000, [1_000_000], false);
      let told = false;
      void sink.over.then(() => (told = true));
      sink.reader = (await ask(port)).readInto(sink);
      sink.reader.resume();
      while (sink.bytes.length < 9000) await new Promise(setImmediate);
      sink.reader.destroy();
      await gone;
      await new Promise(setImmediate);
      assert.equal(told, false);
    });
  });
});

async function ask(port: number, tls = false): Promise<HttpReply> {
  const sent = await openHttp({
    method: 'GET',
    url: new URL(tls ? `https://localhost:${port}/` : `http://127.0.0.1:${port}/`),
    headers: {},
    allowAddress: () => true,
    idleTimeoutMs: 10_000,
    large: true,
    ...(tls && identity && { ca: identity.cert }),
  });
  assert.ok(sent.ok, sent.ok ? '' : sent.error.text);
  return sent.value;
}

async function withServer(server: Server, test: (port: number) => Promise<void>): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await test((server.address() as AddressInfo).port);
  } finally {
    if ('closeAllConnections' in server) (server as unknown as { closeAllConnections(): void }).closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}
