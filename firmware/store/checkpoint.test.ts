import assert from 'node:assert/strict';
import { closeSync, copyFileSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import type { SchemaStep, Store } from './index.js';
import { openTestStore } from './store.fixture.js';
import { WalReader } from './wal.js';

const SCHEMA: readonly SchemaStep[] = [{ owner: 'test', sql: 'CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)' }];

/** Of a frame: its header and a page. */
const FRAME_BYTES = 24 + 4096;

let folder: string;
let file: string;
const opened: Store[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'checkpoint-'));
  file = join(folder, 'dmgw.db');
});
afterEach(async () => {
  for (let store = opened.pop(); store; store = opened.pop()) await store.close();
  rmSync(folder, { recursive: true });
});

function open(checkpointPages: number, at = file): Store {
  const store = openTestStore({ file: at, schema: SCHEMA, log: silentLog, checkpointPages });
  opened.push(store);
  return store;
}

/** A transaction over several pages. */
function insert(store: Store, n: number): void {
  store.transaction(() => {
    store.sql('INSERT INTO t VALUES (?, ?)').run(n, `row ${n} `.repeat(n % 5 === 0 ? 1500 : 20));
    // Old rows change too, so that no page is written once only.
    store.sql('UPDATE t SET v = v || ? WHERE n = ?').run('.', 1 + ((n * 7) % Math.max(1, n - 1)));
  });
}

const last = (store: Store): number => store.sql<{ n: number | null }>('SELECT max(n) AS n FROM t').get()?.n ?? 0;

/** Waits until a checkpoint that is due is about to end: it has struck out the header. */
async function checkpointed(pages: number): Promise<void> {
  const fd = openSync(`${file}-wal`, 'r');
  try {
    while (await new WalReader(fd).reaches(pages)) await new Promise((resolve) => setTimeout(resolve, 1));
  } finally {
    closeSync(fd);
  }
}

/** Another one for each time that the WAL has begun; that of a header that is struck out counts once. */
function saltOfWal(): string {
  return readFileSync(`${file}-wal`).toString('hex', 16, 24);
}

/** The files as they stand, as a kill at this moment leaves them. @returns the number of its rows, once it is sound */
async function rowsOfCopy(): Promise<number> {
  const copy = join(folder, 'copy.db');
  for (const suffix of ['', '-wal']) copyFileSync(`${file}${suffix}`, `${copy}${suffix}`);
  const store = openTestStore({ file: copy, schema: SCHEMA, log: silentLog });
  try {
    const [sound] = store.sql<{ integrity_check: string }>('PRAGMA integrity_check').all();
    assert.equal(sound?.integrity_check, 'ok');
    const { count } = store.sql<{ count: number }>('SELECT count(*) AS count FROM t').get() ?? { count: -1 };
    assert.equal(count, last(store));
    return count;
  } finally {
    await store.close();
  }
}

describe('the WAL', () => {
  it('begins anew when it has so many pages, and everything is in the database then', async () => {
    const store = open(16);
    const generations = new Set<string>();
    for (let n = 1; n <= 300; n += 1) {
      insert(store, n);
      await store.durable();
      await checkpointed(16);
      generations.add(saltOfWal());
    }
    assert.ok(statSync(file).size > 100_000, `${statSync(file).size} bytes in the database`);
    // Some 900 pages are written; a commit that meets the end of a checkpoint puts it off for some more.
    assert.ok(generations.size >= 10, `${generations.size} generations`);
    assert.equal(await rowsOfCopy(), 300);
  });

  it('begins anew where commits come in all the time, and a kill at any moment loses nothing that was promised', async () => {
    const store = open(16);
    const generations = new Set<string>();
    let [written, promised] = [0, 0];
    for (let turn = 0; turn < 1500 || generations.size < 10; turn += 1) {
      assert.ok(turn < 30_000, `${generations.size} generations, ${statSync(`${file}-wal`).size} bytes in the WAL`);
      if (turn % 3 === 0) {
        const n = (written += 1);
        insert(store, n);
        const durable = store.durable().then(() => (promised = Math.max(promised, n)));
        if (n % 4 === 0) await durable;
      }
      await new Promise(setImmediate);
      generations.add(saltOfWal());
      const before = promised;
      if (turn % 37 === 0 && turn > 0) {
        const rows = await rowsOfCopy();
        assert.ok(rows >= before, `${rows} rows of ${before}`);
      }
    }
    await store.durable();
    assert.equal(await rowsOfCopy(), written);
  });

  it('is gone after a close, and everything is in the database', async () => {
    const store = open(16);
    for (let n = 1; n <= 50; n += 1) insert(store, n);
    await store.close();
    assert.equal(statSync(`${file}-wal`, { throwIfNoEntry: false }), undefined);
    assert.equal(last(open(16)), 50);
  });
});

/** The last row in a database, with its WAL if there is one. */
async function lastOf(path: string): Promise<number> {
  const store = openTestStore({ file: path, schema: SCHEMA, log: silentLog });
  try {
    return last(store);
  } finally {
    await store.close();
  }
}

describe('what is read of a WAL', () => {
  it('is what a recovery finds: up to the last commit, as far as the checksums hold', async () => {
    const store = open(100_000);
    for (let n = 1; n <= 40; n += 1) insert(store, n);
    const [wal, database] = [readFileSync(`${file}-wal`), readFileSync(file)];
    const frames = Math.floor((wal.length - 32) / FRAME_BYTES);
    const [recovered, copied] = [join(folder, 'recovered.db'), join(folder, 'copied.db')];
    const found = new Set<number>();
    for (let bad = 0; bad <= frames; bad += 1) {
      const damaged = Buffer.from(wal);
      if (bad < frames) damaged[32 + bad * FRAME_BYTES + 1000]! ^= 1;
      writeFileSync(recovered, database);
      writeFileSync(`${recovered}-wal`, damaged);
      const fd = openSync(`${recovered}-wal`, 'r');
      const reader = new WalReader(fd);
      await reader.advance();
      closeSync(fd);
      assert.ok(reader.frames <= bad);
      // What it says, put into a database without a WAL, is what SQLite makes of both.
      const pages = reader.taken();
      const content = Buffer.alloc(Math.max(database.length, ...pages.map(([page]) => page * 4096)));
      database.copy(content);
      for (const [page, offset] of pages) damaged.copy(content, (page - 1) * 4096, offset, offset + 4096);
      writeFileSync(copied, content);
      const n = await lastOf(recovered);
      assert.equal(await lastOf(copied), n, `with frame ${bad} damaged`);
      found.add(n);
    }
    assert.ok(found.size > 20 && found.has(40), `${found.size} ends`);
  });
});
