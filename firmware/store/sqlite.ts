import { chmodSync, closeSync, fdatasync, fsync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { inPool } from '../files/index.js';
import { describeThrown, systemErrorCode } from '../outcome/index.js';
import type { Logger } from '../log/index.js';
import { Checkpoint } from './checkpoint.js';
import { Database, type DriverStatement } from './driver.js';
import { markDamaged } from './mark.js';
import {
  StoreError,
  type SchemaStep,
  type SqlValue,
  type Statement,
  type Store,
  type StoreErrorCode,
} from './store.js';

export interface StoreOptions {
  /** Path of the database file; its folder exists. */
  readonly file: string;
  readonly schema: readonly SchemaStep[];
  readonly log: Logger;
  /** Page cache in KiB. */
  readonly cacheKib: number;
  /** After so many pages in the WAL it is copied into the database: bounds the file and the next start. Default 256. */
  readonly checkpointPages?: number;
}

/**
 * Opens (or makes) the database: exclusive to this process, probed with a real write, migrated to the newest schema.
 * @throws StoreError `locked`, `newer-schema`, `corrupt`, `full`, `io` or `unusable`; AddonError
 */
export function openStore(options: StoreOptions): Store {
  let db: Database | undefined;
  try {
    db = new Database(options.file, false);
    chmodSync(options.file, 0o600);
    const journal = chooseJournal(db, options.log);
    checkVersion(db, options.schema);
    checkContent(db);
    db.pragma(`cache_size = -${options.cacheKib}`);
    db.pragma('temp_store = MEMORY');
    db.pragma('foreign_keys = ON');
    migrate(db, options.schema);
    return new SqliteStore(db, options.file, journal, options.checkpointPages ?? 256);
  } catch (thrown) {
    if (db) closeFlushed(db);
    throw asStoreError(thrown, options.file);
  }
}

/** Closing copies what is in the WAL into the database and removes it: that is flushed, or the WAL stays. */
function closeFlushed(db: Database): void {
  try {
    db.pragma('synchronous = FULL');
  } catch {
    // Of a database in which nothing can be read, nothing is copied.
  }
  db.close();
}

/** True while another process has the database. Leaves the file as it is. */
export function isLocked(file: string): boolean {
  let db: Database | undefined;
  try {
    db = new Database(file, true);
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN IMMEDIATE; ROLLBACK');
    return false;
  } catch (thrown) {
    return storeErrorCode(thrown) === 'locked';
  } finally {
    db?.close();
  }
}

/** What opening a database would do to it. */
export interface Migration {
  /** Steps that it has taken, and that there are. */
  readonly from: number;
  readonly to: number;
  /** Those that are missing, with the rooms that own them, in their order. */
  readonly steps: readonly { readonly number: number; readonly owner: string }[];
}

/**
 * Tries out the steps of the schema that a database has not taken, all in one transaction that is then rolled back: what
 * is in the database stays as it was.
 * @throws StoreError as `openStore`, and where a step fails; the database is not another process's
 */
export function rehearseMigration({ file, schema }: Pick<StoreOptions, 'file' | 'schema'>): Migration {
  let db: Database | undefined;
  try {
    db = new Database(file, true);
    db.pragma('locking_mode = EXCLUSIVE');
    db.exec('BEGIN IMMEDIATE');
    checkVersion(db, schema);
    checkContent(db);
    const from = stepsTaken(db);
    for (const { sql } of schema.slice(from)) db.exec(sql);
    const steps = schema.slice(from).map(({ owner }, index) => ({ number: from + index + 1, owner }));
    return { from, to: schema.length, steps };
  } catch (thrown) {
    throw asStoreError(thrown, file);
  } finally {
    if (db?.inTransaction === true) db.exec('ROLLBACK');
    db?.close();
  }
}

/**
 * EXCLUSIVE locking needs no shared memory for the WAL and refuses a second process. Some file systems report `wal` and
 * fail at the first write, hence the real write; then TRUNCATE with FULL, which asks the least of a file system.
 */
function chooseJournal(db: Database, log: Logger): 'wal' | 'truncate' {
  db.pragma('locking_mode = EXCLUSIVE');
  try {
    if (db.pragmaValue('journal_mode = WAL') === 'wal') {
      // What is committed SQLite writes: durable() flushes it, outside the event loop.
      db.pragma('synchronous = OFF');
      db.pragma('wal_autocheckpoint = 0');
      probe(db);
      return 'wal';
    }
  } catch (thrown) {
    const code = storeErrorCode(thrown);
    if (code === 'locked' || code === 'corrupt' || code === 'full') throw thrown;
    log.warn('this file system cannot do a WAL, using the slower TRUNCATE journal', { reason: describeThrown(thrown) });
  }
  db.pragma('journal_mode = TRUNCATE');
  db.pragma('synchronous = FULL');
  probe(db);
  return 'truncate';
}

function probe(db: Database): void {
  db.exec(
    'CREATE TABLE IF NOT EXISTS store_probe (at INTEGER); INSERT INTO store_probe VALUES (1); DELETE FROM store_probe;',
  );
}

/** More steps than that were never taken: the number itself is damaged. */
const MAX_STEPS = 10_000;

/** A database of a newer version is refused, and not looked at any further. */
function checkVersion(db: Database, schema: readonly SchemaStep[]): void {
  const taken = stepsTaken(db);
  if (taken > MAX_STEPS || taken < 0) throw new StoreError('corrupt', `schema ${taken} cannot be`);
  if (taken > schema.length) {
    throw new StoreError(
      'newer-schema',
      `the database has schema ${taken}, this version of dmgw knows ${schema.length}: install the newer version again, or move the file away`,
    );
  }
}

/**
 * Reads every page, and finds what is not a sound tree. It does not compare tables with their indices, which takes three
 * times as long; measured: 1.5 ms per MB that is in the page cache.
 */
function checkContent(db: Database): void {
  const found = String(db.pragmaValue('quick_check(1)'));
  if (found !== 'ok') throw new StoreError('corrupt', `the check at the start found: ${found.replace(/\s+/g, ' ')}`);
}

function stepsTaken(db: Database): number {
  return Number(db.pragmaValue('user_version'));
}

function migrate(db: Database, schema: readonly SchemaStep[]): void {
  const taken = stepsTaken(db);
  for (const [index, step] of schema.entries()) {
    if (index < taken) continue;
    db.exec('BEGIN');
    db.exec(step.sql);
    db.pragma(`user_version = ${index + 1}`);
    db.exec('COMMIT');
  }
}

class SqliteStore implements Store {
  readonly #statements = new Map<string, Statement<unknown>>();
  /** What begins and ends transactions and savepoints. There are so few levels that each has its own texts. */
  readonly #controls = new Map<string, DriverStatement>();
  #effects: (() => void)[] = [];
  /** Open transactions, one inside the other. */
  #depth = 0;
  /**
   * For each of them, from the outermost, in whose savepoint it began; those beyond the end have changed nothing so far,
   * and need none.
   */
  readonly #beginnings: number[] = [];
  #dirty = false;
  #generation = 0;
  #rollbacks = 0;
  #flushing: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  /** Where the journal is a WAL. */
  readonly #wal: { readonly walFd: number; readonly databaseFd: number; readonly checkpoint: Checkpoint } | undefined;
  /** Until it is flushed: in it SQLite makes a WAL at each start. */
  #folder: number | undefined;
  /** Flushes begin after this. */
  #held: Promise<void> | undefined;
  #checkpointing: Promise<void> | undefined;
  /** There was a flush while a checkpoint ran, which may have looked at the WAL before it. */
  #checkpointDue = false;
  #closed = false;

  constructor(
    private readonly db: Database,
    private readonly file: string,
    readonly journal: 'wal' | 'truncate',
    checkpointPages: number,
  ) {
    if (journal !== 'wal') return;
    this.#folder = openSync(dirname(file), 'r');
    const walFd = openSync(`${file}-wal`, 'r+');
    // It stays open until SQLite has closed its own: closing it would take away SQLite's lock, as POSIX wants it.
    const databaseFd = openSync(file, 'r+');
    const parts = {
      walFd,
      databaseFd,
      generation: () => this.#generation,
      passive: (how: 'unflushed' | 'flushed') => this.#passive(how),
      hold: (until: Promise<void>) => this.#hold(until),
    };
    this.#wal = { walFd, databaseFd, checkpoint: new Checkpoint(parts, checkpointPages) };
  }

  get generation(): number {
    return this.#generation;
  }

  get rollbacks(): number {
    return this.#rollbacks;
  }

  sql<Row>(text: string): Statement<Row> {
    let statement = this.#statements.get(text);
    if (!statement) {
      statement = this.#prepare(text);
      this.#statements.set(text, statement);
    }
    return statement as Statement<Row>;
  }

  /** Some thousands of calls per message or fanout: nothing is made for one but what the driver makes. */
  #prepare(text: string): Statement<unknown> {
    const statement = this.db.prepare(text);
    // A transaction that only reads leaves nothing to flush.
    const begin = statement.readonly ? (): void => {} : (): void => this.#changing();
    let listing: DriverStatement | undefined;
    const guarded =
      <T>(call: (values: SqlValue[]) => T) =>
      (...values: SqlValue[]): T => {
        begin();
        try {
          return call(values);
        } catch (thrown) {
          throw this.#failed(thrown);
        }
      };
    return {
      run: guarded((values) => {
        const { changes, lastInsertRowid } = statement.run(...values);
        return { changes, lastInsertRowid: Number(lastInsertRowid) };
      }),
      get: guarded((values) => statement.get(...values)),
      all: guarded((values) => statement.all(...values)),
      lists: guarded((values) => {
        listing ??= this.db.prepare(text).raw();
        return listing.all(...values) as SqlValue[][];
      }),
    };
  }

  #changing(): void {
    this.#dirty = true;
    this.#generation += 1;
    this.#mark();
  }

  transaction<T>(work: () => T): T {
    return this.#run(work, () => true);
  }

  tentative<R extends { readonly ok: boolean }>(work: () => R): R {
    return this.#run(work, (result) => result.ok);
  }

  afterCommit(effect: () => void): void {
    if (this.#depth === 0) effect();
    else this.#effects.push(effect);
  }

  durable(): Promise<void> {
    if (!this.#dirty) return this.#flushing;
    // A flush that already runs may have begun before the newest commit: all who come now share the one after it.
    return (this.#queued ??= this.#flushing.then(() => this.#flush()));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.durable();
      await this.#checkpointing;
    } finally {
      closeFlushed(this.db);
      for (const fd of [this.#folder, this.#wal?.walFd, this.#wal?.databaseFd]) if (fd !== undefined) closeSync(fd);
    }
  }

  /** A failed flush stays failed: the kernel may have dropped the pages, a second flush would lie. */
  #flush(): Promise<void> {
    this.#queued = undefined;
    this.#dirty = false;
    if (!this.#wal) return Promise.resolve();
    const { walFd } = this.#wal;
    this.#flushing = this.#flushWal(walFd).catch((thrown: unknown) => {
      throw asStoreError(thrown, this.file);
    });
    this.#flushing.then(
      () => this.#checkpoint(),
      () => undefined,
    );
    return this.#flushing;
  }

  async #flushWal(fd: number): Promise<void> {
    await this.#held;
    const folder = this.#folder;
    if (folder !== undefined) {
      await inPool((done) => fsync(folder, done));
      this.#folder = undefined;
      closeSync(folder);
    }
    await inPool((done) => fdatasync(fd, done));
  }

  #checkpoint(): void {
    this.#checkpointDue = this.#checkpointing !== undefined;
    if (this.#checkpointDue || this.#closed || !this.#wal) return;
    const run = this.#wal.checkpoint
      .run(() => this.#closed)
      .catch((thrown: unknown) => {
        throw asStoreError(thrown, this.file);
      });
    this.#checkpointing = run
      .catch(() => {
        this.#flushing = run;
        this.#checkpointDue = false;
      })
      .finally(() => {
        this.#checkpointing = undefined;
        if (this.#checkpointDue) this.#checkpoint();
      });
  }

  #hold(until: Promise<void>): void {
    const held = until.finally(() => {
      if (this.#held === held) this.#held = undefined;
    });
    held.catch(() => undefined);
    this.#held = held;
  }

  #passive(how: 'unflushed' | 'flushed'): { frames: number; copied: number } {
    if (how === 'flushed') this.db.pragma('synchronous = NORMAL');
    try {
      const [done] = this.db.pragma('wal_checkpoint(PASSIVE)') as { log: number; checkpointed: number }[];
      return { frames: done?.log ?? -1, copied: done?.checkpointed ?? -2 };
    } finally {
      this.db.pragma('synchronous = OFF');
    }
  }

  #run<T>(work: () => T, keep: (result: T) => boolean): T {
    const level = this.#depth;
    const effectsBefore = this.#effects.length;
    if (level === 0) {
      this.#control('BEGIN IMMEDIATE');
      this.#beginnings.push(0);
    }
    this.#depth += 1;
    let result: T;
    let committed = false;
    try {
      result = work();
      if (result instanceof Promise) throw new Error('a transaction is synchronous: its work returned a promise');
      if (keep(result)) {
        if (level === 0) this.#control('COMMIT');
        else if (this.#beginnings[level] === level) this.#control(`RELEASE s${level}`);
        committed = true;
      }
    } finally {
      this.#depth = level;
      const began = this.#beginnings[level];
      this.#beginnings.length = Math.min(this.#beginnings.length, level);
      if (!committed) {
        this.#effects.length = effectsBefore;
        if (began !== undefined) this.#rollback(level, began);
      }
    }
    if (this.#depth === 0) this.#runEffects();
    return result;
  }

  /**
   * Before a change: where the innermost transactions began. Nothing was changed since the outermost of those that have
   * no savepoint yet, so one serves all of them.
   */
  #mark(): void {
    const first = this.#beginnings.length;
    if (first === this.#depth) return;
    this.#control(`SAVEPOINT s${first}`);
    while (this.#beginnings.length < this.#depth) this.#beginnings.push(first);
  }

  /** SQLite may have rolled back by itself (disk full, I/O error): then there is nothing left to undo. */
  #rollback(level: number, began: number): void {
    this.#generation += 1;
    this.#rollbacks += 1;
    if (!this.db.inTransaction) return;
    if (level === 0) this.#control('ROLLBACK');
    else {
      this.#control(`ROLLBACK TO s${began}`);
      // A savepoint that an outer transaction began with stays for it.
      if (began === level) this.#control(`RELEASE s${level}`);
    }
  }

  #runEffects(): void {
    const effects = this.#effects;
    this.#effects = [];
    for (const effect of effects) effect();
  }

  #control(text: string): void {
    let statement = this.#controls.get(text);
    if (!statement) {
      statement = this.db.prepare(text);
      this.#controls.set(text, statement);
    }
    try {
      statement.run();
    } catch (thrown) {
      throw this.#failed(thrown);
    }
  }

  #failed(thrown: unknown): unknown {
    const error = asStoreError(thrown, this.file);
    if (error instanceof StoreError && error.code === 'corrupt') this.#noteDamage(error.message);
    return error;
  }

  /** The check at a start does not find everything: so that the next one does not come here again. */
  #noteDamage(reason: string): void {
    try {
      markDamaged(this.file, reason);
    } catch {
      // The disk has failed altogether; the damage is found again.
    }
  }
}

function storeErrorCode(thrown: unknown): StoreErrorCode {
  const code = systemErrorCode(thrown) ?? '';
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) return 'locked';
  if (code === 'SQLITE_FULL' || code === 'ENOSPC') return 'full';
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') return 'corrupt';
  if (code.startsWith('SQLITE_IOERR') || code === 'EIO') return 'io';
  return 'unusable';
}

const TEXT: Readonly<Record<StoreErrorCode, string>> = {
  locked: 'is in use by another process: only one dmgw may run on a state directory',
  'newer-schema': 'was written by a newer version',
  corrupt: 'is damaged',
  full: 'cannot be written: no room on the disk',
  io: 'cannot be read or written',
  unusable: 'cannot be opened',
};

/** Driver and system errors become ours; a mistake of ours (a wrong statement) stays what it is. */
function asStoreError(thrown: unknown, file: string): unknown {
  if (thrown instanceof StoreError) return thrown;
  const code = systemErrorCode(thrown) ?? '';
  if (!/^(SQLITE_|E[A-Z]+$)/.test(code) || code === 'SQLITE_ERROR' || code.startsWith('SQLITE_CONSTRAINT'))
    return thrown;
  const kind = storeErrorCode(thrown);
  return new StoreError(kind, `${file} ${TEXT[kind]} (${describeThrown(thrown)})`, thrown);
}
