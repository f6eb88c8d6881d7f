import type Sqlite from 'better-sqlite3';
import { loadAddon } from '../native/index.js';

/**
 * What the gateway calls of better-sqlite3, straight on its addon: as its lib/ does in the version that package.json pins.
 */
interface Addon {
  isInitialized?: boolean;
  setErrorConstructor(made: typeof SqliteError): void;
  readonly Database: new (
    file: string,
    named: string,
    inMemory: boolean,
    readonly: boolean,
    mustExist: boolean,
    timeoutMs: number,
    verbose: null,
    content: null,
  ) => Connection;
}

export type DriverStatement = Sqlite.Statement;

interface Connection {
  readonly inTransaction: boolean;
  prepare(sql: string, database: object, isPragma: boolean): DriverStatement;
  exec(sql: string): void;
  close(): void;
}

/** What the addon throws; its `code` is SQLite's, such as SQLITE_BUSY. */
class SqliteError extends Error {
  constructor(
    text: string,
    readonly code: string,
  ) {
    super(text);
  }
}

/** An open database. Each call throws `SqliteError`. */
export class Database {
  readonly #connection: Connection;

  /** A lock of another process is not waited for. @throws AddonError where the addon cannot be loaded */
  constructor(file: string, mustExist: boolean) {
    const addon = loadAddon('better-sqlite3') as Addon;
    if (addon.isInitialized !== true) addon.setErrorConstructor(SqliteError);
    addon.isInitialized = true;
    this.#connection = new addon.Database(file, file, false, false, mustExist, 0, null, null);
  }

  get inTransaction(): boolean {
    return this.#connection.inTransaction;
  }

  prepare(sql: string): DriverStatement {
    return this.#connection.prepare(sql, this, false);
  }

  exec(sql: string): void {
    this.#connection.exec(sql);
  }

  /** Rows of `PRAGMA text`. */
  pragma(text: string): unknown[] {
    return this.#connection.prepare(`PRAGMA ${text}`, this, true).all();
  }

  /** The first value of `PRAGMA text`. */
  pragmaValue(text: string): unknown {
    return this.#connection.prepare(`PRAGMA ${text}`, this, true).pluck().get();
  }

  close(): void {
    this.#connection.close();
  }
}
