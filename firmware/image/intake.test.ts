import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { systemClock } from '../clock/index.js';
import { StreamReader, type BodyReader, type ByteSink } from '../net/index.js';
import { systemDisk, type Disk } from './disk.js';
import { intakeBuffers, PartialContent, takeBody } from './intake.js';
import { Throttle } from './throttle.js';

const MIB = 1024 * 1024;

describe('what is read and not recorded as durable', () => {
  const rows = [MIB, 2 * MIB, 8 * MIB].flatMap((volumeBytes) => [
    { volumeBytes, received: 0, from: 'the beginning' },
    { volumeBytes, received: volumeBytes - 4_321, from: 'almost a volume that is not durable' },
  ]);
  for (const { volumeBytes, received, from } of rows) {
    it(`is never more than the fsync volume of ${volumeBytes / MIB} MiB, however slow the disk, from ${from} on`, async () => {
      const size = 4 * volumeBytes;
      const content = new PartialContent();
      content.received = received;
      let read = received;
      const body = new PassThrough();
      const clock = systemClock(0);
      let counted = 0;
      let atRisk = 0;
      let flushes = 0;
      // A flush ends only when nothing else goes on: whatever is read meanwhile has been read.
      const disk: Disk = {
        ...systemDisk,
        write: () => Promise.resolve(),
        flushData: async () => {
          flushes += 1;
          for (let before = -1; before !== read;) {
            before = read;
            for (let turn = 0; turn < 50; turn += 1) await setImmediate();
          }
        },
      };
      const end = takeBody({
        readInto: (sink) =>
          new StreamReader(body, {
            room: () => sink.room(),
            came: (bytes) => {
              read += bytes;
              atRisk = Math.max(atRisk, read - content.durable);
              sink.came(bytes);
            },
            ended: (whole) => sink.ended(whole),
          }),
        content,
        disk,
        fd: -1,
        buffers: intakeBuffers(),
        limitBytes: size,
        volumeBytes,
        flushFirst: false,
        clock,
        throttle: new Throttle(clock, 0),
        stall: { windowMs: 60_000, leastBytes: 1 },
        signal: new AbortController().signal,
        ready: Promise.resolve(true),
        counted: (bytes) => (counted += bytes),
        written: () => {},
        durable: () => {},
        mayGrowTo: () => Promise.resolve(true),
      });
      const chunk = Buffer.alloc(64 * 1024);
      for (let sent = 0; sent < size; sent += chunk.length) {
        if (!body.write(chunk)) await new Promise((resolve) => body.once('drain', resolve));
      }
      body.end();
      assert.equal((await end).kind, 'complete');
      assert.deepEqual([content.received, counted], [received + size, size]);
      assert.ok(atRisk <= volumeBytes, `${atRisk} bytes`);
      // No more flushes than that takes.
      assert.ok(flushes <= (received + size) / (volumeBytes / 2), `${flushes} flushes`);
    });
  }
});

/** What becomes of one body, its disk and its end. Times are turns of the event loop. */
const fates = fc.record({
  size: fc.nat(3_000_000),
  chunk: fc.constantFrom(1_000, 65_536, MIB),
  volumeBytes: fc.constantFrom(400_000, 4 * MIB),
  flushFirst: fc.boolean(),
  isReady: fc.constantFrom(true, true, true, true, false),
  writeFailsAt: fc.oneof({ weight: 3, arbitrary: fc.constant(Infinity) }, { weight: 1, arbitrary: fc.nat(3_000_000) }),
  flushFailsAt: fc.constantFrom(Infinity, Infinity, Infinity, 0, 1),
  growsTo: fc.oneof({ weight: 4, arbitrary: fc.constant(Infinity) }, { weight: 1, arbitrary: fc.nat(3_000_000) }),
  abortAtTurn: fc.oneof({ weight: 4, arbitrary: fc.constant(Infinity) }, { weight: 1, arbitrary: fc.nat(40) }),
  isCut: fc.boolean(),
  turns: fc.array(fc.nat(6), { minLength: 1, maxLength: 12 }),
});

describe('a body that comes in, whatever becomes of it and of the disk', () => {
  const given = randomBytes(3_000_000);
  const buffers = intakeBuffers();

  it('is in the file and in the digest without gaps, and durable only where it was flushed', async () => {
    const kinds = new Set<string>();
    const one = async (fate: typeof fates extends fc.Arbitrary<infer T> ? T : never): Promise<void> => {
      const { size, chunk, turns, isCut } = fate;
      const file = Buffer.alloc(size);
      let waits = 0;
      const wait = async (): Promise<void> => {
        for (let left = turns[waits++ % turns.length] ?? 0; left > 0; left -= 1) await setImmediate();
      };
      let [inFile, flushed, flushes, told, read, counted, writing] = [0, 0, 0, 0, 0, 0, false];
      const content = new PartialContent();
      const disk: Disk = {
        ...systemDisk,
        write: async (_, bytes, position) => {
          assert.ok(!writing && position === inFile && position + bytes.length <= fate.growsTo, 'a write out of turn');
          writing = true;
          await wait();
          writing = false;
          if (position + bytes.length > fate.writeFailsAt) throw new Error('EIO');
          file.set(bytes, position);
          inFile += bytes.length;
        },
        flushData: async () => {
          const before = inFile;
          await wait();
          if (flushes++ === fate.flushFailsAt) throw new Error('EIO');
          flushed = before;
        },
      };
      const abort = new AbortController();
      const readInto = (sink: ByteSink): BodyReader => {
        const state = { isRead: false, isOver: false };
        const reads = (): boolean => state.isRead && !state.isOver;
        const pump = async (): Promise<void> => {
          for (let turn = 0; !state.isOver; turn += 1) {
            await setImmediate();
            if (turn === fate.abortAtTurn) abort.abort();
            const room = reads() && read < size ? sink.room() : undefined;
            const bytes = Math.min(room?.length ?? 0, chunk, size - read);
            if (room) given.copy(room, 0, read, read + bytes);
            read += bytes;
            if (bytes > 0) sink.came(bytes);
            if (reads() && read === size) sink.ended(!isCut);
          }
        };
        void pump();
        const set = (value: boolean) => () => void (state.isRead = value);
        return { leavesGarbage: false, resume: set(true), pause: set(false), destroy: () => (state.isOver = true) };
      };
      const clock = systemClock(0);
      const end = await takeBody({
        readInto,
        content,
        disk,
        fd: -1,
        buffers,
        limitBytes: size,
        volumeBytes: fate.volumeBytes,
        flushFirst: fate.flushFirst,
        clock,
        throttle: new Throttle(clock, 0),
        stall: { windowMs: 60_000, leastBytes: 1 },
        signal: abort.signal,
        ready: wait().then(() => fate.isReady),
        counted: (bytes) => (counted += bytes),
        written: (bytes) => {
          assert.ok(bytes > told && bytes <= inFile, `${bytes} of ${inFile} written, after ${told}`);
          told = bytes;
        },
        durable: (bytes) => assert.ok(bytes <= flushed, `${bytes} durable, ${flushed} flushed`),
        mayGrowTo: (bytes) =>
          turns.length % 2 === 0 ? bytes <= fate.growsTo : wait().then(() => bytes <= fate.growsTo),
      });
      kinds.add(end.kind);
      assert.ok(!writing, 'written after the end');
      assert.equal(counted, read);
      assert.ok(content.durable <= flushed);
      assert.ok(file.subarray(0, inFile).equals(given.subarray(0, inFile)));
      if (end.kind === 'disk' || end.kind === 'refused') return;
      assert.deepEqual([content.received, inFile], [read, read]);
      assert.equal(content.sha256(), createHash('sha256').update(given.subarray(0, read)).digest('hex'));
    };
    await fc.assert(fc.asyncProperty(fates, one), { numRuns: 120, seed: 1 });
    assert.deepEqual([...kinds].sort(), ['aborted', 'complete', 'cut', 'disk', 'refused']);
  });
});
