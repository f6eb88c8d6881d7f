import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ManualClock, systemClock, type Clock } from '../clock/index.js';
import { LIMITS, openExchange } from '../http-server/connection.fixture.js';
import type { HttpConnection } from '../http-server/index.js';
import { pattern } from './fixture.js';
import type { BlobReader } from './open-blobs.js';
import { OutflowBuffers, PacedReads, sendBody, type BufferKind, type Lease, type OutflowEnd } from './outflow.js';
import type { Span } from './ranges.js';

const MIB = 1024 * 1024;
const CONTENT = pattern(8 * MIB);
const clock = systemClock(0);
const monotonicMs = (): number => clock.monotonicMs();

/** What was asked of the reader: how, and how many bytes it gave. */
interface Call {
  readonly how: 'now' | 'pool' | 'send';
  readonly bytes: number;
}

/** @param send the bytes of the content that a connection takes past Node.js, from this position on */
function reader(calls: Call[], send: BlobReader['sendNow']): BlobReader {
  const read = (how: 'now' | 'pool') => (buffer: Buffer, length: number, position: number) => {
    const bytes = CONTENT.copy(buffer, 0, position, position + length);
    calls.push({ how, bytes });
    return bytes;
  };
  return {
    sha256: '',
    size: CONTENT.length,
    readable: () => CONTENT.length,
    onMore: () => () => {},
    read: (...given) => Promise.resolve(read('pool')(...given)),
    readNow: read('now'),
    sendNow: (socket, length, position) => {
      const sent = send(socket, length, position);
      calls.push({ how: 'send', bytes: sent === 'cold' ? 0 : sent });
      return sent;
    },
    isVoid: () => false,
    close: () => Promise.resolve(),
  };
}

const closings: (() => void)[] = [];
afterEach(() => {
  for (const close of closings.splice(0)) close();
});

/** A connection whose request waits for its answer, and how much of that its client has got. */
async function exchange(): Promise<{ connection: HttpConnection; client: Socket; got: () => number }> {
  const { connection, client, asked, close } = await openExchange(monotonicMs);
  closings.push(close);
  let bytes = 0;
  client.on('data', (chunk) => (bytes += chunk.length));
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await asked;
  connection.begin(200, `Content-Length: ${CONTENT.length}\r\n`);
  return { connection, client, got: () => bytes };
}

async function send(blob: BlobReader): Promise<{ end: OutflowEnd; sent: number; got: () => number }> {
  const { connection, got } = await exchange();
  let sent = 0;
  const end = await sendBody({
    blob,
    connection,
    body: [{ start: 0, length: CONTENT.length }],
    buffers: new OutflowBuffers(monotonicMs),
    reads: new PacedReads(monotonicMs),
    maxWaitMs: 10_000,
    clock,
    sent: (spans) => {
      for (const { start, length } of spans) {
        assert.equal(start, sent, 'in order');
        sent += length;
      }
    },
  });
  return { end, sent, got };
}

const bytesOf = (calls: readonly Call[], how: Call['how']): number =>
  calls.reduce((sum, call) => sum + (call.how === how ? call.bytes : 0), 0);

describe('a body', { timeout: 20_000 }, () => {
  it('goes past Node.js but for the least', async () => {
    const calls: Call[] = [];
    const { end, sent } = await send(reader(calls, (_, length) => length));
    assert.deepEqual([end.kind, sent], ['complete', CONTENT.length]);
    assert.ok(bytesOf(calls, 'send') > CONTENT.length - 8 * 1024, `${bytesOf(calls, 'send')} bytes`);
    assert.equal(bytesOf(calls, 'pool'), 0);
  });

  it('leaves the event loop to others after each time, however fast the connection is', async () => {
    const calls: Call[] = [];
    let turns = 0;
    const others = { ended: false };
    const counting = (async () => {
      for (; !others.ended; turns += 1) await turn();
    })();
    // Takes little at a time, and is never full.
    await send(reader(calls, (_, length) => Math.min(length, 64 * 1024)));
    others.ended = true;
    await counting;
    assert.ok(turns >= CONTENT.length / (64 * 1024) - 1, `${turns} turns`);
  });

  it('is read in the thread pool, in large pieces, from where it is not in memory', async () => {
    const calls: Call[] = [];
    const { end, sent, got } = await send(
      reader(calls, (_, length, position) => (position < MIB ? Math.min(length, MIB - position) : 'cold')),
    );
    assert.deepEqual([end.kind, sent], ['complete', CONTENT.length]);
    // Only the first bytes, of which nothing was known.
    assert.ok(bytesOf(calls, 'now') <= 1024, `${bytesOf(calls, 'now')} bytes`);
    const pieces = calls.filter(({ how }) => how === 'pool');
    assert.ok(pieces.length <= (7 * MIB) / (256 * 1024) + 1, `${pieces.length} pieces`);
    while (got() < bytesOf(calls, 'now') + bytesOf(calls, 'pool')) await turn();
  });

  it('goes through a small buffer once the client has kept a write waiting, and a large one once it drains', async () => {
    const { connection, client, got } = await exchange();
    client.pause();
    const kinds: string[] = [];
    let laterMs = 0;
    const buffers = new (class extends OutflowBuffers {
      override take(kind: BufferKind): Lease {
        kinds.push(kind);
        return super.take(kind);
      }
    })(monotonicMs);
    const ending = sendBody({
      blob: reader([], () => 'cold'),
      connection,
      body: [{ start: 0, length: CONTENT.length }],
      buffers,
      reads: new PacedReads(monotonicMs),
      maxWaitMs: 10_000,
      clock: { ...clock, monotonicMs: () => clock.monotonicMs() + laterMs },
      sent: () => {},
    });
    const { socket } = connection;
    // A write that the kernel does not take, a turn later neither.
    for (let waited = 0; waited < 50; waited = socket.writableLength > 0 ? waited + 1 : 0) await turn();
    assert.deepEqual([kinds[0], new Set(kinds.slice(1))], ['least', new Set(['large'])]);
    const before = kinds.length;
    laterMs = 1_000;
    client.resume();
    assert.equal((await ending).kind, 'complete');
    assert.equal(kinds[before], 'small');
    while (got() < CONTENT.length) await turn();
  });

  /** Content of which nothing has come yet. */
  class Coming {
    bytes = 0;
    more = (): void => {};

    /** @returns the end of a body of it */
    send(connection: HttpConnection, span: Span, time: Clock): Promise<OutflowEnd> {
      const onMore = (told: () => void): (() => void) => ((this.more = told), () => {});
      return sendBody({
        blob: { ...reader([], () => 'cold'), readable: () => this.bytes, onMore },
        connection,
        body: [span],
        buffers: new OutflowBuffers(monotonicMs),
        reads: new PacedReads(monotonicMs),
        maxWaitMs: 10_000,
        clock: time,
        sent: () => {},
      });
    }
  }

  it('that is to come is waited for as long as something comes in, and is late then', async () => {
    const { connection } = await exchange();
    const time = new ManualClock();
    const coming = new Coming();
    const ending = coming.send(connection, { start: MIB, length: 10 }, time);
    for (; coming.bytes < 5; coming.bytes += 1) {
      time.advance(9_000);
      coming.more();
      assert.equal(time.nextInMs(), 10_000);
    }
    time.advance(10_000);
    assert.equal((await ending).kind, 'late');
  });

  it('that has come at last is to be taken in time', async () => {
    const { connection, client } = await exchange();
    client.pause();
    const coming = new Coming();
    const ending = coming.send(connection, { start: 0, length: CONTENT.length }, clock);
    coming.bytes = CONTENT.length;
    coming.more();
    const { socket } = connection;
    for (let waited = 0; waited < 50; waited = socket.writableLength > 0 ? waited + 1 : 0) await turn();
    const nowMs = monotonicMs();
    connection.look(nowMs);
    connection.look(nowMs + LIMITS.idleMs);
    assert.equal((await ending).kind, 'peer-gone');
  });

  it('that is to come is not waited for where the client has ended its side', async () => {
    const { connection, client } = await exchange();
    client.end();
    while (!connection.socket.readableEnded) await turn();
    assert.equal((await new Coming().send(connection, { start: 0, length: 10 }, clock)).kind, 'peer-gone');
  });

  for (const [isVoid, kind] of [
    [true, 'withdrawn'],
    [false, 'disk'],
  ] as const) {
    it(`that cannot be read is ${isVoid ? '' : 'not '}void: ${kind}`, async () => {
      const readNow = (): number => assert.fail('not readable');
      assert.equal((await send({ ...reader([], () => 'cold'), readNow, isVoid: () => isVoid })).end.kind, kind);
    });
  }
});
