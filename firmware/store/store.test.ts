import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { openStore, StoreError, type SchemaStep, type Store } from './index.js';

const SCHEMA: readonly SchemaStep[] = [{ owner: 'test', sql: 'CREATE TABLE t (n INTEGER PRIMARY KEY, v TEXT)' }];

let folder: string;
let file: string;
const opened: Store[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'store-'));
  file = join(folder, 'dmgw.db');
});
afterEach(async () => {
  for (let store = opened.pop(); store; store = opened.pop()) await store.close();
  rmSync(folder, { recursive: true });
});

function open(schema = SCHEMA, at = file): Store {
  const store = openStore({ file: at, schema, log: silentLog, cacheKib: 512 });
  opened.push(store);
  return store;
}

const rows = (store: Store): number[] =>
  store
    .sql<{ n: number }>('SELECT n FROM t ORDER BY n')
    .all()
    .map(({ n }) => n);
const insert = (store: Store, n: number): void => void store.sql('INSERT INTO t (n) VALUES (?)').run(n);

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (thrown) {
    return thrown instanceof StoreError ? thrown.code : String(thrown);
  }
  return 'nothing thrown';
}

describe('transaction', () => {
  it('commits what it did and returns the result', () => {
    const store = open();
    assert.equal(
      store.transaction(() => {
        insert(store, 1);
        return 'done';
      }),
      'done',
    );
    assert.deepEqual(rows(store), [1]);
  });
  it('rolls back on a throw, which goes on up unchanged', () => {
    const store = open();
    const thrown = new TypeError('mine');
    assert.throws(
      () =>
        store.transaction(() => {
          insert(store, 1);
          throw thrown;
        }),
      thrown,
    );
    assert.deepEqual(rows(store), []);
    store.transaction(() => insert(store, 2));
    assert.deepEqual(rows(store), [2]);
  });
  it('refuses work that is not synchronous', () => {
    const store = open();
    assert.throws(() => store.transaction(() => Promise.resolve()), /synchronous/);
    assert.deepEqual(rows(store), []);
  });
  it('inside another is a savepoint: its throw, when caught, undoes only its own', () => {
    const store = open();
    store.transaction(() => {
      insert(store, 1);
      assert.throws(() =>
        store.transaction(() => {
          insert(store, 2);
          store.transaction(() => insert(store, 3));
          throw new Error('inner');
        }),
      );
      insert(store, 4);
    });
    assert.deepEqual(rows(store), [1, 4]);
  });
});

describe('tentative', () => {
  it('keeps a success and undoes a failure, alone or inside a transaction', () => {
    const store = open();
    const attempt = (n: number, ok: boolean): { readonly ok: boolean } =>
      store.tentative(() => {
        insert(store, n);
        return { ok };
      });
    assert.deepEqual(attempt(1, true), { ok: true });
    assert.deepEqual(attempt(2, false), { ok: false });
    store.transaction(() => {
      attempt(3, true);
      attempt(4, false);
    });
    assert.deepEqual(rows(store), [1, 3]);
  });
  it('undoes exactly what failed, however successes and failures, with changes or without, stand in one another', () => {
    const store = open();
    const wanted: number[] = [];
    let [seed, next] = [1, 0];
    const choose = (choices: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % choices;
    };
    /** One level: what it changes, and the levels inside it, in any order. @returns what stays of it */
    const level = (depth: number, changed: number[]): number[] => {
      const kept = [...changed];
      for (let steps = choose(4); steps > 0; steps -= 1) {
        if (depth === 5 || choose(2) === 0) {
          if (choose(3) === 0) assert.deepEqual(rows(store), kept);
          next += 1;
          insert(store, next);
          kept.push(next);
          continue;
        }
        const ok = choose(2) === 0;
        const { inner } = store.tentative(() => ({ ok, inner: level(depth + 1, kept) }));
        if (ok) kept.splice(0, Infinity, ...inner);
        assert.deepEqual(rows(store), kept);
      }
      return kept;
    };
    for (let round = 0; round < 300; round += 1) {
      wanted.splice(0, Infinity, ...store.transaction(() => level(0, wanted)));
      assert.deepEqual(rows(store), wanted);
      store.sql('DELETE FROM t').run();
      wanted.length = 0;
    }
  });
  it('a success inside a failure is undone with it', () => {
    const store = open();
    store.tentative(() => {
      store.tentative(() => {
        insert(store, 1);
        return { ok: true };
      });
      return { ok: false };
    });
    assert.deepEqual(rows(store), []);
  });
});

describe('afterCommit', () => {
  it('runs at once outside a transaction, and after the outermost one in order', () => {
    const store = open();
    const story: string[] = [];
    store.afterCommit(() => story.push('alone'));
    store.transaction(() => {
      store.afterCommit(() => story.push('outer'));
      store.transaction(() => {
        insert(store, 1);
        store.afterCommit(() => story.push('inner'));
      });
      assert.deepEqual(story, ['alone']);
    });
    assert.deepEqual(story, ['alone', 'outer', 'inner']);
  });
  it('is dropped with the savepoint in which it was asked for, and with that only', () => {
    const store = open();
    const story: string[] = [];
    store.transaction(() => {
      store.afterCommit(() => story.push('kept'));
      store.tentative(() => {
        store.transaction(() => store.afterCommit(() => story.push('dropped with the outer one')));
        store.afterCommit(() => story.push('dropped'));
        return { ok: false };
      });
      store.afterCommit(() => story.push('kept too'));
    });
    assert.throws(() =>
      store.transaction(() => {
        store.afterCommit(() => story.push('dropped'));
        throw new Error('no');
      }),
    );
    assert.deepEqual(story, ['kept', 'kept too']);
  });
  it('may itself write, and ask for more', () => {
    const store = open();
    const story: string[] = [];
    store.transaction(() => {
      store.afterCommit(() => {
        story.push('first');
        store.transaction(() => {
          insert(store, 1);
          store.afterCommit(() => story.push('of the effect'));
        });
      });
      store.afterCommit(() => story.push('second'));
    });
    assert.deepEqual(story, ['first', 'of the effect', 'second']);
    assert.deepEqual(rows(store), [1]);
  });
});

describe('durable', () => {
  it('is shared by all who wait for the same flush', async () => {
    const store = open();
    insert(store, 1);
    const [first, second] = [store.durable(), store.durable()];
    assert.equal(first, second);
    await first;
    insert(store, 2);
    assert.notEqual(store.durable(), first);
  });
  it('asked for while a flush runs waits for the next one, which covers what was written meanwhile', async () => {
    const store = open();
    insert(store, 1);
    const running = store.durable();
    await Promise.resolve();
    insert(store, 2);
    const next = store.durable();
    assert.notEqual(next, running);
    await next;
  });
  it('has nothing to flush after a transaction that only read', async () => {
    const store = open();
    insert(store, 1);
    await store.durable();
    const settled = store.durable();
    store.transaction(() => rows(store));
    assert.equal(store.durable(), settled);
  });
  it('what was durable is in the files as they stand, without a close', async () => {
    const store = open();
    store.transaction(() => insert(store, 7));
    await store.durable();
    const copy = join(folder, 'copy.db');
    for (const end of ['', '-wal']) if (existsSync(`${file}${end}`)) copyFileSync(`${file}${end}`, `${copy}${end}`);
    assert.deepEqual(rows(open(SCHEMA, copy)), [7]);
  });
});

describe('openStore', () => {
  it('makes a file that only its owner reads', () => {
    open();
    assert.equal(statSync(file).mode & 0o777, 0o600);
  });
  it('keeps what was written over a restart', async () => {
    const store = open();
    insert(store, 1);
    await store.close();
    assert.deepEqual(rows(open()), [1]);
  });
  it('refuses a second instance, in this process or another: locked', async () => {
    const store = open();
    assert.equal(
      codeOf(() => open()),
      'locked',
    );
    const other = `import('${import.meta.resolve('./index.js')}').then(({ openStore }) => {
      const silent = () => {};
      try {
        openStore({ file: process.argv[1], schema: [], log: { error: silent, warn: silent, info: silent, debug: silent }, cacheKib: 512 });
      } catch (error) { console.log(error.code); }
    })`;
    const { stdout } = spawnSync(process.execPath, [...process.execArgv, '-e', other, file], { encoding: 'utf8' });
    assert.equal(stdout.trim(), 'locked');
    insert(store, 1);
    await store.close();
    assert.deepEqual(rows(open()), [1]);
  });
  it('takes the schema steps that are new, and those only', async () => {
    await open().close();
    const more: SchemaStep[] = [...SCHEMA, { owner: 'test', sql: 'ALTER TABLE t ADD COLUMN w INTEGER DEFAULT 5' }];
    const store = open(more);
    insert(store, 1);
    assert.deepEqual(store.sql('SELECT w FROM t').get(), { w: 5 });
  });
  it('undoes a schema step that fails, and keeps those before it', () => {
    const broken: SchemaStep[] = [...SCHEMA, { owner: 'test', sql: 'CREATE TABLE u (n); CREATE TABLE t (n);' }];
    assert.match(
      codeOf(() => open(broken)),
      /already exists/,
    );
    const store = open();
    assert.equal(store.sql("SELECT name FROM sqlite_master WHERE name = 'u'").get(), undefined);
  });
  it('refuses a newer schema with a word on what to do', async () => {
    await open([...SCHEMA, ...SCHEMA.map(() => ({ owner: 'test', sql: 'CREATE TABLE u (n)' }))]).close();
    assert.throws(() => open(), { name: 'StoreError', code: 'newer-schema', message: /newer version/ });
  });
  it('refuses what is no database, or a damaged one: corrupt', async () => {
    writeFileSync(file, 'no database, but long enough to look like one '.repeat(100));
    assert.equal(
      codeOf(() => open()),
      'corrupt',
    );
    rmSync(file);
    const store = open();
    store.transaction(() => {
      for (let n = 0; n < 2000; n += 1) store.sql('INSERT INTO t VALUES (?, ?)').run(n, 'x'.repeat(100));
    });
    await store.close();
    writeFileSync(file, Buffer.alloc(statSync(file).size - 4096, 0xaa), { flag: 'r+' });
    assert.equal(
      codeOf(() => open()),
      'corrupt',
    );
  });
  it('refuses a folder that does not exist, or a folder in place of the file', () => {
    assert.equal(
      codeOf(() => open(SCHEMA, join(folder, 'none', 'dmgw.db'))),
      'unusable',
    );
    mkdirSync(file);
    assert.equal(
      codeOf(() => open()),
      'unusable',
    );
  });
  it('uses a TRUNCATE journal, and says so, where a WAL cannot be written', async () => {
    const warnings: string[] = [];
    // The name of the WAL leads nowhere.
    symlinkSync(join(folder, 'none', 'wal'), `${file}-wal`);
    const store = openStore({
      file,
      schema: SCHEMA,
      log: { ...silentLog, warn: (text) => warnings.push(text) },
      cacheKib: 512,
    });
    opened.push(store);
    assert.equal(store.journal, 'truncate');
    assert.equal(warnings.length, 1);
    store.transaction(() => insert(store, 1));
    await store.durable();
    assert.deepEqual(rows(store), [1]);
    assert.equal(
      codeOf(() => open()),
      'locked',
    );
  });
  it('uses a WAL otherwise', () => assert.equal(open().journal, 'wal'));
});

describe('a closed store', () => {
  it('may be closed again', async () => {
    const store = open();
    await store.close();
    await store.close();
  });
});

describe('statements', () => {
  it('a mistake in a statement or a constraint is no StoreError: it is ours', () => {
    const store = open();
    insert(store, 1);
    for (const work of [() => store.sql('SELEC'), () => insert(store, 1)]) {
      assert.throws(work, (thrown) => !(thrown instanceof StoreError));
    }
  });
  it('binds every kind of value and gives it back', () => {
    const store = open([{ owner: 'test', sql: 'CREATE TABLE k (a, b, c, d)' }]);
    store.sql('INSERT INTO k VALUES (?, ?, ?, ?)').run('é', 2 ** 53 - 1, Uint8Array.of(0, 255), null);
    const row = store.sql<{ a: string; b: number; c: Uint8Array; d: null }>('SELECT * FROM k').get();
    assert.deepEqual({ ...row, c: [...(row?.c ?? [])] }, { a: 'é', b: 2 ** 53 - 1, c: [0, 255], d: null });
  });
});
