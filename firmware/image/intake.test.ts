import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { systemClock } from '../clock/index.js';
import { StreamReader } from '../net/index.js';
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
            for (let turn = 0; turn < 50; turn += 1) await new Promise(setImmediate);
          }
        },
      };
      const end = takeBody({
        readInto: (sink) => new StreamReader(body, sink),
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
        counted: (bytes) => {
          read += bytes;
          atRisk = Math.max(atRisk, read - content.durable);
        },
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
      assert.equal(content.received, received + size);
      assert.ok(atRisk <= volumeBytes, `${atRisk} bytes`);
      // No more flushes than that takes.
      assert.ok(flushes <= (received + size) / (volumeBytes / 2), `${flushes} flushes`);
    });
  }
});
