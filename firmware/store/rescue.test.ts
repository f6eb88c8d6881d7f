import assert from 'node:assert/strict';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { cpSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { openOrReplace, StoreError, type OpenedStore, type SchemaStep } from './index.js';
import { openTestStore } from './store.fixture.js';

const SCHEMA: readonly SchemaStep[] = [{ owner: 'test', sql: 'CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)' }];

let folder: string;
let file: string;
const opened: OpenedStore[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rescue-'));
  file = join(folder, 'dmgw.db');
});
afterEach(async () => {
  await closeAll();
  rmSync(folder, { recursive: true });
});

async function closeAll(): Promise<void> {
  for (let one = opened.pop(); one; one = opened.pop()) await one.store.close();
}

function open(at = file, schema = SCHEMA): OpenedStore {
  const one = openOrReplace({ file: at, schema, log: silentLog, cacheKib: 512 });
  opened.push(one);
  return one;
}

const rows = ({ store }: OpenedStore): number => store.sql<{ n: number }>('SELECT count(*) AS n FROM t').get()?.n ?? -1;

/** A database of some 250 KB in its file, closed. */
async function fill(): Promise<void> {
  const one = open();
  one.store.transaction(() => {
    for (let n = 0; n < 2000; n += 1) one.store.sql('INSERT INTO t VALUES (?, ?)').run(n, 'x'.repeat(100));
  });
  one.fresh?.settled();
  await closeAll();
}

/** Flips every bit of some bytes of a file. */
function flip(path: string, offset: number, length: number): void {
  const content = readFileSync(path);
  for (let at = offset; at < offset + length; at += 1) content[at] = (content[at] ?? 0) ^ 0xff;
  writeFileSync(path, content);
}

describe('a database', () => {
  it('that was not there is fresh until that is settled, at each start anew', async () => {
    const first = open();
    assert.deepEqual([first.fresh?.damage, first.fresh?.keptAs], [undefined, undefined]);
    first.store.sql('INSERT INTO t (n) VALUES (1)').run();
    await closeAll();
    const second = open();
    assert.ok(second.fresh);
    assert.equal(rows(second), 0);
    second.store.sql('INSERT INTO t (n) VALUES (1)').run();
    second.fresh.settled();
    await closeAll();
    const third = open();
    assert.deepEqual([third.fresh, rows(third)], [undefined, 1]);
    assert.ok(!existsSync(`${file}.corrupt`));
  });

  const damages: readonly [string, () => void][] = [
    ['its header', () => flip(file, 0, 100)],
    ['one byte of its magic', () => flip(file, 3, 1)],
    ['its schema', () => flip(file, 100, 400)],
    ['a page in its middle', () => flip(file, 4096 * Math.floor(statSync(file).size / 8192), 4096)],
    ['its end, which is cut off', () => truncateSync(file, statSync(file).size - 3 * 4096)],
    ['its number of steps', () => flip(file, 60, 1)],
    ['everything', () => writeFileSync(file, 'nothing of a database '.repeat(1000))],
  ];
  for (const [what, damage] of damages) {
    it(`that is damaged in ${what} is set aside as it is, and an empty one is there`, async () => {
      await fill();
      damage();
      const damaged = readFileSync(file);
      const one = open();
      assert.ok(one.fresh?.damage);
      assert.equal(one.fresh.keptAs, `${file}.corrupt`);
      assert.equal(rows(one), 0);
      assert.equal(statSync(`${file}.corrupt`).size, damaged.length);
      await closeAll();
      const again = open();
      assert.ok(again.fresh?.damage, 'the rescue was cut off');
      again.fresh.settled();
      await closeAll();
      assert.equal(open().fresh, undefined);
    });
  }

  it('whose WAL is damaged is as it was at an earlier commit: that is no damage of the database', async () => {
    await fill();
    const { store } = open();
    for (let n = 5000; n < 5100; n += 1) store.sql('INSERT INTO t VALUES (?, ?)').run(n, 'y'.repeat(100));
    await store.durable();
    const copy = join(folder, 'copy.db');
    for (const suffix of ['', '-wal']) cpSync(`${file}${suffix}`, `${copy}${suffix}`);
    flip(`${copy}-wal`, Math.floor(statSync(`${copy}-wal`).size / 2), 5000);
    const one = open(copy);
    assert.equal(one.fresh, undefined);
    const found = rows(one);
    assert.ok(found >= 2000 && found < 2100, `${found} rows`);
  });

  it('that is found damaged while it runs is set aside at the next start, by its mark', async () => {
    await fill();
    const one = openOrReplace({ file, schema: SCHEMA, log: silentLog, cacheKib: 16 });
    opened.push(one);
    // A page that is not in the cache goes bad under the running store.
    const { size } = statSync(file);
    assert.ok(size > 100_000);
    flip(file, 4096 * 10, size - 4096 * 10);
    assert.throws(
      () => one.store.sql('SELECT sum(length(v)) FROM t').get(),
      (thrown) => thrown instanceof StoreError && thrown.code === 'corrupt',
    );
    await closeAll();
    const next = open();
    assert.match(next.fresh?.damage ?? '', /damaged/);
    assert.equal(rows(next), 0);
  });

  it('of a newer version is refused and left alone', async () => {
    const newer = [...SCHEMA, { owner: 'test', sql: 'CREATE TABLE u (n)' }];
    open(file, newer).fresh?.settled();
    await closeAll();
    const before = readFileSync(file);
    assert.throws(() => open(), { code: 'newer-schema' });
    assert.deepEqual(readFileSync(file), before);
    assert.ok(!existsSync(`${file}.corrupt`) && !existsSync(`${file}.fresh`));
  });

  it('that another process has is not moved, whatever its mark says', async () => {
    await fill();
    const store = openTestStore({ file, schema: SCHEMA, log: silentLog });
    try {
      writeFileSync(`${file}.fresh`, 'damaged\n');
      assert.throws(() => open(), { code: 'locked' });
      assert.ok(existsSync(file) && !existsSync(`${file}.corrupt`));
    } finally {
      await store.close();
    }
  });
});

describe('a rescue that is cut off', () => {
  /** What is there after each step of a rescue. */
  const steps: readonly [string, () => void][] = [
    ['after its mark', () => {}],
    ['after the database was moved', () => renameSync(file, `${file}.corrupt`)],
    [
      'after the database and its journal were moved',
      () => {
        for (const suffix of ['', '-wal']) renameSync(`${file}${suffix}`, `${file}.corrupt${suffix}`);
      },
    ],
  ];
  for (const [when, done] of steps) {
    it(`${when} ends the same way`, async () => {
      await fill();
      flip(file, 0, 100);
      writeFileSync(`${file}-wal`, 'the journal of the damaged one');
      writeFileSync(`${file}.fresh`, 'it is damaged\n');
      done();
      for (let start = 0; start < 3; start += 1) {
        const one = open();
        assert.equal(one.fresh?.damage, 'it is damaged');
        assert.equal(rows(one), 0);
        one.store.sql('INSERT INTO t (n) VALUES (1)').run();
        assert.ok(statSync(`${file}.corrupt`).size > 100_000);
        // SQLite, asked whether somebody has the database, drops a journal that is none.
        if (when !== 'after its mark') {
          assert.equal(readFileSync(`${file}.corrupt-wal`, 'utf8'), 'the journal of the damaged one');
        }
        await closeAll();
      }
      open().fresh?.settled();
      await closeAll();
      assert.equal(open().fresh, undefined);
    });
  }

  it('keeps the last damage only', async () => {
    for (const round of [1, 2]) {
      await fill();
      flip(file, 0, 100 * round);
      open().fresh?.settled();
      await closeAll();
      assert.notEqual(readFileSync(`${file}.corrupt`)[100 * round - 1], undefined);
    }
    const aside = readFileSync(`${file}.corrupt`);
    flip(`${file}.corrupt`, 0, 200);
    assert.equal(readFileSync(`${file}.corrupt`).toString('latin1', 0, 15), 'SQLite format 3');
    assert.equal(aside.length, statSync(`${file}.corrupt`).size);
  });
});
