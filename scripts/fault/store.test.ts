import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '../../firmware/log/index.js';
import type { Store } from '../../firmware/store/index.js';
import { openTestStore } from '../../firmware/store/store.fixture.js';
import { eventually } from '../flow/wait.js';
import { campaign, ROUNDS, type Campaign } from './campaign.js';
import { buildProgram, FaultyDisk, whyNoFaults } from './faulty-disk.js';
import { rowSchema } from './rows.js';
import { storeSubject } from './store-subject.js';

const skip = whyNoFaults() ?? false;

let writer = '';
before(() => {
  if (skip === false) writer = buildProgram('writer');
});

const run = (name: string, rules: string, rounds: number, until?: number): Promise<Campaign> =>
  campaign(storeSubject(name, writer), rules, rounds, until);

describe('the store when the power goes', { skip }, () => {
  it('keeps every row that it promised, whole, at whatever moment', async (t) => {
    const done = await run('store', '', ROUNDS);
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promises} rows promised`);
    assert.deepEqual(done.faults, []);
    assert.ok(done.promises > 10 * ROUNDS, `only ${done.promises} rows`);
  });

  it('keeps them also where a disk writes what stands last in a file first', async (t) => {
    const done = await run('store-back', 'loss back', ROUNDS);
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promises} rows promised`);
    assert.deepEqual(done.faults, []);
  });

  it('is seen to lose rows where the sync of its journal does nothing', async (t) => {
    const done = await run('lies', 'lie sync *-wal', ROUNDS, 2);
    t.diagnostic(`${done.faults.length} faults found in ${done.rounds} cuts: ${done.faults.join(' | ')}`);
    assert.ok(done.faults.length > 0, 'a lost sync was not noticed: this harness proves nothing');
  });

  it('is seen to break where the sync of the database file does nothing when the WAL begins anew', async (t) => {
    const done = await run('database-lies', 'lie sync *.db', ROUNDS, 1);
    t.diagnostic(`${done.faults.length} faults found in ${done.rounds} cuts: ${done.faults.join(' | ')}`);
    assert.ok(done.faults.length > 0);
  });

  it('is seen to break where no sync does anything', async () => {
    const done = await run('all-lies', 'lie sync', ROUNDS, 1);
    assert.ok(done.faults.length > 0);
  });
});

describe('the store where no flush succeeds', { skip }, () => {
  const disk = new FaultyDisk('unflushed', '');
  after(() => disk.remove());
  const file = join(disk.folder, 'dmgw.db');
  const room = (name: string): string => JSON.stringify(new URL(`../../firmware/${name}/index.js`, import.meta.url));

  /** Opens the database in a process that is killed behind it. @returns how: its journal, or the code of the error */
  const opens = (rules: string, steps: readonly string[], behind = ''): string => {
    const schema = JSON.stringify(steps.map((sql) => ({ owner: 'test', sql })));
    const script = `import { openStore } from ${room('store')}; import { silentLog } from ${room('log')};
      import { writeSync } from 'node:fs';
      const opened = () => openStore({ file: ${JSON.stringify(file)}, schema: ${schema}, log: silentLog, cacheKib: 512 });
      try { const store = opened(); writeSync(1, store.journal); ${behind} } catch (thrown) { writeSync(1, thrown.code); }
      process.kill(process.pid, 'SIGKILL');`;
    disk.rules = rules;
    const env = { ...process.env, ...disk.environment };
    return spawnSync(process.execPath, ['--input-type=module', '-e', script], { env, encoding: 'utf8' }).stdout;
  };

  it('is opened, and flushes nothing for it', () => {
    const made = opens('', ['CREATE TABLE t (n INTEGER)'], 'await store.close();');
    assert.equal(made, 'wal');
    assert.equal(opens('fail EIO sync 1+', ['CREATE TABLE t (n INTEGER)']), 'wal');
  });

  it('lets no WAL go when it is refused', () => {
    const { size } = statSync(`${file}-wal`);
    assert.ok(size > 0);
    assert.equal(opens('fail EIO sync 1+', []), 'newer-schema');
    assert.ok(statSync(`${file}-wal`).size >= size);
    assert.equal(opens('', []), 'newer-schema');
    assert.equal(statSync(`${file}-wal`, { throwIfNoEntry: false }), undefined);
  });
});

describe('the store on a slow disk', { skip }, () => {
  it('copies its WAL into the database without a flush in the event loop, where each takes 100 ms', (t) => {
    const bursts = buildProgram('bursts');
    const disk = new FaultyDisk('bursts', 'slow sync 100');
    try {
      const text = execFileSync(process.execPath, [bursts, disk.folder], {
        env: { ...process.env, ...disk.environment },
        encoding: 'utf8',
      });
      const figures = JSON.parse(text) as Record<'p99Ms' | 'longestMs' | 'grownBytes' | 'walBytes', number>;
      t.diagnostic(text.trim());
      assert.deepEqual(disk.notCovered, []);
      // It was copied, and began anew: all rows would take more.
      assert.ok(figures.grownBytes > 50_000 && figures.walBytes < 350_000);
      assert.ok(figures.p99Ms < 50);
      // SQLite's own checkpoint waits for three flushes.
      assert.ok(figures.longestMs < 200);
    } finally {
      disk.remove();
    }
  });
});

describe('the store where the disk of its database is full', { skip }, () => {
  it('keeps everything in its WAL, and copies it once there is room', async () => {
    const bursts = buildProgram('bursts');
    const disk = new FaultyDisk('full', 'full 0 */dmgw.db');
    // The file is there: what fails is that it grows.
    const file = join(disk.folder, 'dmgw.db');
    await openTestStore({ file, schema: rowSchema, log: silentLog }).close();
    const rows = (store: Store): number => store.sql<{ n: number }>('SELECT count(*) AS n FROM written').get()?.n ?? 0;
    try {
      const text = execFileSync(process.execPath, [bursts, disk.folder], {
        env: { ...process.env, ...disk.environment },
        encoding: 'utf8',
      });
      const figures = JSON.parse(text) as Record<'rows' | 'grownBytes' | 'walBytes', number>;
      assert.ok(disk.told.some((line) => line.startsWith('full ')));
      assert.ok(figures.grownBytes === 0 && figures.walBytes > 250_000, text);
      const { size } = statSync(file);
      const store = openTestStore({ file, schema: rowSchema, log: silentLog, checkpointPages: 24 });
      assert.equal(rows(store), figures.rows);
      store.sql('UPDATE total SET count = 1').run();
      await store.durable();
      await eventually('the rows in the database', () => statSync(file).size > size + 40_000 || undefined);
      assert.equal(rows(store), figures.rows);
      await store.close();
    } finally {
      disk.remove();
    }
  });
});
