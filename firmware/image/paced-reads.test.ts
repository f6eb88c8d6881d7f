import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { BlobReader } from './blobs.js';
import { PacedReads } from './paced-reads.js';

/** `<where><bytes>` for each read: now (on the event loop) or pool. */
let calls: string[];
let nowMs: number;
/** What a read on the event loop takes. */
let diskMs: number;
let reads: PacedReads;

const blob: BlobReader = {
  sha256: '',
  size: 1_000_000,
  readNow: (_, length) => {
    calls.push(`now ${length}`);
    nowMs += diskMs;
    return length;
  },
  read: (_, length) => {
    calls.push(`pool ${length}`);
    return Promise.resolve(length);
  },
  close: () => Promise.resolve(),
};

const buffer = Buffer.alloc(1);
const read = (): Promise<number> => reads.read(blob, buffer, 100_000, 0);

describe('reads of what is sent', () => {
  beforeEach(() => {
    calls = [];
    nowMs = 1_000_000;
    diskMs = 20;
    reads = new PacedReads(() => nowMs);
  });

  it('leave the event loop alone after three slow ones, then try a short one', async () => {
    for (let i = 0; i < 5; i += 1) await read();
    nowMs += 251;
    await read();
    assert.deepEqual(calls, ['now 100000', 'now 100000', 'now 100000', 'pool 100000', 'pool 100000', 'now 16384']);
  });

  it('try a disk that stays slow ever less often: every four seconds at last', async () => {
    const tries: number[] = [];
    for (; nowMs < 1_060_000; nowMs += 10) {
      calls = [];
      await read();
      if (calls[0]?.startsWith('now')) tries.push(nowMs);
    }
    const waits = tries.slice(1).map((at, i) => at - tries[i]!);
    assert.deepEqual(waits.slice(0, 2), [30, 30]);
    assert.ok(waits.slice(2).every((wait, i) => wait >= Math.min(4_000, 250 * 2 ** i)));
    assert.ok(tries.length < 25);
  });

  it('are at once again when the disk answers at once', async () => {
    for (let i = 0; i < 4; i += 1) await read();
    diskMs = 0;
    nowMs += 300;
    await read();
    await read();
    assert.deepEqual(calls.slice(-2), ['now 16384', 'now 100000']);
  });

  it('are not taken for slow when writes to sockets are as slow: it is the CPU that is busy', async () => {
    for (let i = 0; i < 50; i += 1) {
      await read();
      if (i % 2 === 0) reads.wrote(diskMs);
    }
    assert.ok(calls.every((call) => call === 'now 100000'));
  });
});
