import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { ReadCache, type SchemaStep, type Store } from './index.js';
import { openTestStore } from './store.fixture.js';

const schema: readonly SchemaStep[] = [
  { owner: 'test', sql: 'CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER); CREATE TABLE others (n INTEGER)' },
];

const folder = mkdtempSync(join(tmpdir(), 'read-cache-'));
let store: Store;
let cache: ReadCache<string, number | undefined>;
let reads = 0;
before(() => {
  store = openTestStore({ file: join(folder, 'db'), schema, log: silentLog });
});
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function stored(key = 'a'): number | undefined {
  return cache.get(key, () => {
    reads += 1;
    return store.sql<{ v: number }>('SELECT v FROM t WHERE k = ?').get(key)?.v;
  });
}

function insert(v: number): void {
  store.sql('INSERT OR REPLACE INTO t VALUES (?, ?)').run('a', v);
}

describe('ReadCache', () => {
  const put = insert;
  beforeEach(() => {
    cache = new ReadCache(() => store.generation, 3);
    put(1);
    reads = 0;
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

describe('ReadCache of an owner', () => {
  const put = (v: number): void => {
    insert(v);
    cache.forget('a');
  };
  beforeEach(() => {
    cache = new ReadCache(() => store.rollbacks, 3);
    put(1);
    reads = 0;
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
