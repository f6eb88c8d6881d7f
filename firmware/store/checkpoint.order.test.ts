/** What the store and its `Checkpoint` flush, and when, seen at its calls of the system: a power cut shows a missing flush only now and then. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import type { Store } from './index.js';

const story: string[] = [];
const names = new Map<number, string>();
/** @param what one line for the calls of this kind that follow each other */
const note = (what: string, fd: number): void => {
  const line = `${what} ${names.get(fd) ?? 'another file'}`;
  if (what === 'flush' || story.at(-1) !== line) story.push(line);
};

const plain = { fdatasync: fs.fdatasync, fsync: fs.fsync, write: fs.write };
Object.assign(fs, {
  fdatasync: (...args: Parameters<typeof plain.fdatasync>) => {
    note('flush', args[0]);
    plain.fdatasync(...args);
  },
  /** Of a folder: nothing else is flushed by it while a store is open. */
  fsync: (...args: Parameters<typeof plain.fsync>) => {
    story.push('flush folder');
    plain.fsync(...args);
  },
  write: (...args: Parameters<typeof plain.write>) => {
    note('write', args[0]);
    plain.write(...args);
  },
});
syncBuiltinESMExports();

// They take hold of the functions above when they are loaded.
const { openStore } = await import('./index.js');
const { Checkpoint } = await import('./checkpoint.js');

describe('what is flushed', () => {
  const folder = fs.mkdtempSync(join(tmpdir(), 'checkpoint-order-'));
  const file = join(folder, 'dmgw.db');
  let store: Store;
  before(() => {
    const schema = [{ owner: 'test', sql: 'CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)' }];
    store = openStore({ file, schema, log: silentLog, cacheKib: 512, checkpointPages: 1_000_000 });
    for (let n = 0; n < 50; n += 1) store.sql('INSERT INTO t VALUES (?, ?)').run(n, 'x'.repeat(2000));
  });
  after(async () => {
    await store.close();
    fs.rmSync(folder, { recursive: true });
  });

  it('is the folder that names the WAL, before the first commit is told to be durable, and never again', async () => {
    await store.durable();
    assert.deepEqual(story, ['flush folder', 'flush another file']);
    store.sql('DELETE FROM t WHERE n = 1').run();
    await store.durable();
    assert.deepEqual(story.slice(2), ['flush another file']);
  });

  /** Of a copy of the files. @param generations told one after the other, the last for good */
  const run = async (...generations: number[]): Promise<void> => {
    const copy = join(folder, 'copy.db');
    for (const suffix of ['', '-wal']) fs.copyFileSync(`${file}${suffix}`, `${copy}${suffix}`);
    const [walFd, databaseFd] = [fs.openSync(`${copy}-wal`, 'r+'), fs.openSync(copy, 'r+')];
    names.set(walFd, 'WAL').set(databaseFd, 'database');
    const frames = (fs.fstatSync(walFd).size - 32) / (24 + 4096);
    let last = 0;
    story.length = 0;
    try {
      await new Checkpoint(
        {
          ...{ walFd, databaseFd },
          generation: () => (last = generations.shift() ?? last),
          passive: () => ({ frames, copied: frames }),
          hold: () => {},
        },
        10,
      ).run(() => false);
    } finally {
      names.clear();
      for (const fd of [walFd, databaseFd]) fs.closeSync(fd);
    }
  };

  const COPIED = ['flush WAL', 'write database', 'flush database'];
  /** Its header is struck out, or comes back. */
  const HEADER = ['write WAL', 'flush WAL'];

  it('by a checkpoint is the WAL before its pages are copied, these before its header is struck out, and that too', async () => {
    await run(1);
    assert.deepEqual(story, [...COPIED, ...HEADER]);
  });

  it('by a checkpoint is the header when it comes back, because there was a commit in between, and the WAL again', async () => {
    await run(1, 1, 2);
    assert.deepEqual(story, [...COPIED, ...HEADER, ...HEADER, 'flush WAL', ...HEADER]);
  });
});
