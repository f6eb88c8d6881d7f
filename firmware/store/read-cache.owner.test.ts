import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { openStore, ReadCache, type SchemaStep, type Store } from './index.js';

const schema: readonly SchemaStep[] = [
  { owner: 'test', sql: 'CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER); CREATE TABLE others (n INTEGER)' },
];

describe('ReadCache of an owner', () => {
  const folder = mkdtempSync(join(tmpdir(), 'owner-cache-'));
  let store: Store;
  let cache: ReadCache<string, number | undefined>;
  let reads = 0;
  const stored = (key = 'a'): number | undefined =>
    cache.get(key, () => {
      reads += 1;
      return store.sql<{ v: number }>('SELECT v FROM t WHERE k = ?').get(key)?.v;
    });
  const put = (v: number): void => {
    store.sql('INSERT OR REPLACE INTO t VALUES (?, ?)').run('a', v);
    cache.forget('a');
  };
  before(() => {
    store = openStore({ file: join(folder, 'db'), schema, log: silentLog });
  });
  beforeEach(() => {
    cache = new ReadCache(() => store.rollbacks, 3);
    put(1);
    reads = 0;
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('reads once, also what is not there, and whatever becomes of other tables', () => {
    assert.deepEqual([stored(), stored(), stored('b'), stored('b')], [1, 1, undefined, undefined]);
    store.sql('INSERT INTO others VALUES (1)').run();
    assert.deepEqual([stored(), stored('b')], [1, undefined]);
    assert.equal(reads, 2);
  });
  it('reads again what its owner has changed, and only that', () => {
    assert.deepEqual([stored(), stored('b')], [1, undefined]);
    put(2);
    assert.deepEqual([stored(), stored('b')], [2, undefined]);
    assert.equal(reads, 3);
  });
  it('reads again after a change was taken back, with a savepoint or with all', () => {
    store.transaction(() => {
      store.tentative(() => {
        put(3);
        assert.equal(stored(), 3);
        return { ok: false };
      });
      assert.equal(stored(), 1);
    });
    assert.throws(() =>
      store.transaction(() => {
        put(4);
        assert.equal(stored(), 4);
        throw new Error('taken back');
      }),
    );
    assert.equal(stored(), 1);
  });
  it('keeps no more than it may, and nothing once all is forgotten', () => {
    for (const key of ['a', 'b', 'c', 'd', 'a']) stored(key);
    assert.equal(reads, 5);
    cache.forgetAll();
    stored();
    assert.equal(reads, 6);
  });
});
