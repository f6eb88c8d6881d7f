import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { openStore, ReadCache, type Store } from './index.js';

describe('ReadCache', () => {
  const folder = mkdtempSync(join(tmpdir(), 'read-cache-'));
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
  };
  before(() => {
    const schema = [{ owner: 'test', sql: 'CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER)' }];
    store = openStore({ file: join(folder, 'db'), schema, log: silentLog });
  });
  beforeEach(() => {
    cache = new ReadCache(() => store.generation, 3);
    put(1);
    reads = 0;
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('reads once, also what is not there, and also over transactions that only read', () => {
    assert.deepEqual([stored(), stored(), stored('b'), stored('b')], [1, 1, undefined, undefined]);
    store.transaction(() => stored());
    assert.equal(reads, 2);
  });
  it('reads again after a change, inside its transaction too', () => {
    stored();
    store.transaction(() => {
      put(2);
      assert.equal(stored(), 2);
    });
    assert.equal(stored(), 2);
  });
  it('reads again after a change was taken back', () => {
    stored();
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
  it('reads again after a change by a statement that returns rows', () => {
    stored();
    store.sql("UPDATE t SET v = 5 WHERE k = 'a' RETURNING v").get();
    assert.equal(stored(), 5);
  });
  it('keeps no more than it may', () => {
    for (const key of ['a', 'b', 'c', 'd', 'a']) stored(key);
    assert.equal(reads, 5);
  });
});
