import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { BlobReader } from './blobs.js';
import { CHUNK_BYTES, OutflowBuffers, SMALL_BYTES, type ContentLease } from './chunks.js';
import { pattern } from './fixture.js';
import { PacedReads } from './paced-reads.js';

const SIZE = 20 * CHUNK_BYTES + 1000;
const CONTENT = pattern(SIZE);

let nowMs: number;
let readAt: number[];
let failing: boolean;
let buffers: OutflowBuffers;

function blobOf(sha256: string): BlobReader {
  const readNow = (buffer: Buffer, length: number, position: number): number => {
    if (failing) throw new Error('EIO');
    readAt.push(position);
    return CONTENT.copy(buffer, 0, position, position + length);
  };
  return {
    sha256,
    size: SIZE,
    readNow,
    read: (buffer, length, position) => Promise.resolve(readNow(buffer, length, position)),
    close: () => Promise.resolve(),
  };
}
const blob = blobOf('a');

async function lease(position: number, of = blob): Promise<ContentLease> {
  return (await buffers.content(of, position)) ?? assert.fail('every chunk is in use');
}

describe('the buffers between disk and clients', () => {
  beforeEach(() => {
    nowMs = 0;
    readAt = [];
    failing = false;
    buffers = new OutflowBuffers(new PacedReads(() => nowMs), () => nowMs);
  });

  it('hold aligned chunks of content, from the position that is asked for', async () => {
    const { bytes, position } = await lease(CHUNK_BYTES + 5);
    assert.equal(position, CHUNK_BYTES + 5);
    assert.ok(bytes.equals(CONTENT.subarray(CHUNK_BYTES + 5, 2 * CHUNK_BYTES)));
    const last = await lease(20 * CHUNK_BYTES);
    assert.ok(last.bytes.equals(CONTENT.subarray(20 * CHUNK_BYTES)));
  });

  it('are read once for all who want the same chunk of the same blob', async () => {
    const all = await Promise.all([lease(0), lease(0), lease(10)]);
    all[0].release();
    await lease(20);
    assert.deepEqual(readAt, [0]);
    await lease(0, blobOf('b'));
    assert.deepEqual(readAt, [0, 0]);
  });

  it('are not read over while somebody sends from them', async () => {
    const held = await lease(0);
    for (let i = 1; i <= 20; i += 1) (await lease(i * CHUNK_BYTES)).release();
    assert.ok(held.bytes.equals(CONTENT.subarray(0, CHUNK_BYTES)));
  });

  it('are few: who comes when all are held gets none; a few more replace those that are held for long', async () => {
    const held = await Promise.all(Array.from({ length: 8 }, (_, i) => lease(i * CHUNK_BYTES)));
    assert.equal(await buffers.content(blob, 8 * CHUNK_BYTES), undefined);
    assert.equal(buffers.own().bytes.length, SMALL_BYTES);
    nowMs = 1_000;
    const more = [];
    for (let i = 8; i < 20; i += 1) more.push(await buffers.content(blob, i * CHUNK_BYTES));
    assert.equal(more.filter((one) => one !== undefined).length, 4);
    for (const one of [...held, ...more]) one?.release();
    assert.equal(buffers.own().bytes.length, CHUNK_BYTES);
  });

  it('count what is lent, and a release counts once', async () => {
    const leases = [await lease(0), await lease(0), buffers.small(), buffers.own()];
    assert.equal(buffers.lent, 4);
    for (const one of leases) {
      one.release();
      one.release();
    }
    assert.equal(buffers.lent, 0);
  });

  it('hold nothing of a read that failed', async () => {
    failing = true;
    await assert.rejects(buffers.content(blob, 0));
    assert.equal(buffers.lent, 0);
    failing = false;
    assert.ok((await lease(0)).bytes.equals(CONTENT.subarray(0, CHUNK_BYTES)));
  });

  it('that somebody fills for himself are not taken for content', async () => {
    (await lease(0)).release();
    for (let i = 0; i < 8; i += 1) {
      const own = buffers.own();
      own.bytes.fill(0);
      own.release();
    }
    assert.ok((await lease(0)).bytes.equals(CONTENT.subarray(0, CHUNK_BYTES)));
  });
});
