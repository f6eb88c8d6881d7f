import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { SteadyFlush } from './steady-flush.js';
import { openTestStore } from '../store/store.fixture.js';

const SCHEMA = [{ owner: 'test', sql: 'CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)' }];

describe('a steady flush', () => {
  it('brings what nobody waits for into the database', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'steady-'));
    const file = join(folder, 'dmgw.db');
    const store = openTestStore({ file, schema: SCHEMA, log: silentLog });
    const clock = new ManualClock();
    const steady = new SteadyFlush({ store, clock, onFault: (thrown) => assert.fail(String(thrown)) });
    try {
      steady.start();
      // More than makes a checkpoint due.
      for (let n = 0; n < 400; n += 1) store.sql('INSERT INTO t VALUES (?, ?)').run(n, 'x'.repeat(3000));
      await sleep(50);
      assert.ok(statSync(file).size < 400 * 3000);
      clock.advance(60_000);
      const deadlineMs = performance.now() + 20_000;
      while (statSync(file).size < 400 * 3000 && performance.now() < deadlineMs) await sleep(5);
      assert.ok(statSync(file).size > 400 * 3000);
    } finally {
      steady.stop();
      await store.close();
      rmSync(folder, { recursive: true });
    }
  });

  it('begins each minute until it is stopped, and tells of a failure', async () => {
    const clock = new ManualClock();
    const faults: string[] = [];
    let flushes = 0;
    const durable = (): Promise<void> => {
      flushes += 1;
      return flushes === 2 ? Promise.reject(new Error('disk')) : Promise.resolve();
    };
    const steady = new SteadyFlush({ store: { durable }, clock, onFault: (thrown) => faults.push(String(thrown)) });
    steady.start();
    for (let minute = 0; minute < 3; minute += 1) clock.advance(60_000);
    await new Promise(setImmediate);
    assert.deepEqual([flushes, faults], [3, ['Error: disk']]);
    steady.stop();
    clock.advance(600_000);
    assert.equal(flushes, 3);
  });
});
