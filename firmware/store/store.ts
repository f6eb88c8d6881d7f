/** One step of the schema. Steps are appended, never changed: the database's version is the number of steps taken. */
export interface SchemaStep {
  /** The room that owns the tables. */
  readonly owner: string;
  readonly sql: string;
}

export type SqlValue = string | number | bigint | Uint8Array | null;

/** A prepared statement. Rows are plain objects; integers are JavaScript numbers (exact up to 2^53). */
export interface Statement<Row> {
  run(...values: SqlValue[]): { readonly changes: number; readonly lastInsertRowid: number };
  get(...values: SqlValue[]): Row | undefined;
  all(...values: SqlValue[]): Row[];
  /** As `all`, each row as the list of its columns, which takes half the time: for thousands of rows. */
  lists(...values: SqlValue[]): SqlValue[][];
}

export type StoreErrorCode =
  | 'locked' // another process uses this state directory
  | 'newer-schema' // written by a newer version of the gateway
  | 'corrupt'
  | 'full' // no room on the disk
  | 'io'
  | 'unusable'; // cannot be opened at all

/**
 * Thrown by every operation of the store when the disk or the file fails; `cause` is the driver's error.
 * After `io` or `corrupt` the process should stop: what was written last may be lost.
 */
export class StoreError extends Error {
  constructor(
    readonly code: StoreErrorCode,
    text: string,
    cause?: unknown,
  ) {
    super(text, { cause });
    this.name = 'StoreError';
  }
}

export interface Store {
  /** The prepared statement for this text, kept for the life of the store: pass constant texts only. */
  sql<Row = Record<string, SqlValue>>(text: string): Statement<Row>;

  /**
   * Runs `work` in a transaction and commits; a throw rolls back and goes on up. Inside another transaction it is a
   * savepoint of it. `work` is synchronous. The commit is visible at once. It survives a kill of the process, but
   * for one that meets the end of a checkpoint (see `Checkpoint`), and everything once `durable()` has resolved.
   */
  transaction<T>(work: () => T): T;

  /** As `transaction`, but rolled back unless `work` returns a success. */
  tentative<R extends { readonly ok: boolean }>(work: () => R): R;

  /**
   * Runs `effect` after the outermost transaction has committed; dropped when it, or the savepoint in which this was
   * called, rolls back. Outside a transaction it runs at once. For side effects: starting work, telling listeners.
   */
  afterCommit(effect: () => void): void;

  /**
   * Resolves when everything committed so far survives a power cut. Calls that come while a flush runs share the next
   * one (group commit); the flush does not block the event loop where the journal is a WAL.
   */
  durable(): Promise<void>;

  /**
   * Grows with every statement that may have changed something, and with every rollback: while it stays the same, so
   * does everything that was read (`ReadCache`).
   */
  readonly generation: number;

  /** Grows with every rollback. While it stays the same, only who writes to a table changes it (`ReadCache`). */
  readonly rollbacks: number;

  /** `wal`, or `truncate` where the file system cannot do WAL. */
  readonly journal: 'wal' | 'truncate';

  /** Waits for a running flush and closes. Idempotent. */
  close(): Promise<void>;
}
