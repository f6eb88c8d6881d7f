import type { Clock } from '../clock/index.js';
import { ReadCache, type SchemaStep, type Store } from '../store/index.js';

/**
 * Properties that are stored: ACL, title, version and time of the last change. They belong to the node's identity, which
 * a renaming does not change. The identity of a descendant begins with that of its ancestor and a `/`.
 */
export const treeSchema: readonly SchemaStep[] = [
  {
    owner: 'tree',
    sql: `CREATE TABLE node_property (
      identity TEXT PRIMARY KEY,
      acl TEXT NOT NULL DEFAULT '',
      title TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID`,
  },
];

/** What came to `treeSchema` later, for databases that have it already. */
export const treeChanges: readonly SchemaStep[] = [
  {
    // A row may be there without an ACL since versions are counted: then it is NULL.
    owner: 'tree',
    sql: `CREATE TABLE node (
        identity TEXT PRIMARY KEY,
        acl TEXT,
        title TEXT,
        version INTEGER,
        changed_ms INTEGER
      ) WITHOUT ROWID;
      INSERT INTO node (identity, acl) SELECT identity, acl FROM node_property;
      DROP TABLE node_property;`,
  },
];

/** How often a node has changed, and when it did last. */
export interface Change {
  /** VerNo: 16 bit, wraps. */
  readonly version: number;
  /** Undefined while the clock was not plausible at the last change. */
  readonly changedMs: number | undefined;
}

interface Row {
  readonly acl: string | null;
  readonly title: string | null;
  readonly version: number | null;
  readonly changedMs: number | null;
}

/** A message asks for the nodes of a few management objects, and for those above them. */
const ROWS_AT_HAND = 128;

/** The rows: one for each node that has something of its own to remember, none for the others. */
export class Properties {
  readonly #rows: ReadCache<string, Row | undefined>;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
  ) {
    this.#rows = new ReadCache(() => store.rollbacks, ROWS_AT_HAND);
  }

  /** The stored ACL text; undefined when none was ever stored, empty when it was emptied on purpose. */
  acl(identity: string): string | undefined {
    return this.#row(identity)?.acl ?? undefined;
  }

  setAcl(identity: string, acl: string): void {
    this.store
      .sql('INSERT INTO node (identity, acl) VALUES (?, ?) ON CONFLICT (identity) DO UPDATE SET acl = excluded.acl')
      .run(identity, acl);
    this.#rows.forget(identity);
  }

  title(identity: string): string {
    return this.#row(identity)?.title ?? '';
  }

  setTitle(identity: string, title: string): void {
    this.store
      .sql(
        'INSERT INTO node (identity, title) VALUES (?, ?) ON CONFLICT (identity) DO UPDATE SET title = excluded.title',
      )
      .run(identity, title);
    this.#rows.forget(identity);
  }

  /** Undefined when no change was counted. */
  change(identity: string): Change | undefined {
    const row = this.#row(identity);
    if (row?.version === undefined || row.version === null) return undefined;
    return { version: row.version, changedMs: row.changedMs ?? undefined };
  }

  /** Counts a change of the node; the first one, its creation, is number 0. */
  countChange(identity: string): void {
    const now = this.clock.plausible() ? Math.trunc(this.clock.wallMs()) : null;
    this.store
      .sql(
        `INSERT INTO node (identity, version, changed_ms) VALUES (?, 0, ?)
         ON CONFLICT (identity) DO UPDATE SET version = coalesce((version + 1) % 65536, 0), changed_ms = excluded.changed_ms`,
      )
      .run(identity, now);
    this.#rows.forget(identity);
  }

  /** Every node with an ACL of its own. */
  allAcls(): { readonly identity: string; readonly acl: string }[] {
    return this.store.sql<{ identity: string; acl: string }>("SELECT identity, acl FROM node WHERE acl <> ''").all();
  }

  /** The stored ACL of every node below this one, by identity. */
  aclsBelow(identity: string): ReadonlyMap<string, string> {
    const rows = this.store
      .sql<{ identity: string; acl: string }>(
        'SELECT identity, acl FROM node WHERE identity > ? AND identity < ? AND acl IS NOT NULL',
      )
      .all(...descendants(identity));
    return new Map(rows.map((row) => [row.identity, row.acl]));
  }

  /** Forgets the node and everything below it. */
  forget(identity: string): void {
    this.store
      .sql('DELETE FROM node WHERE identity = ? OR (identity > ? AND identity < ?)')
      .run(identity, ...descendants(identity));
    this.#rows.forgetAll();
  }

  #row(identity: string): Row | undefined {
    return this.#rows.get(identity, () =>
      this.store
        .sql<Row>('SELECT acl, title, version, changed_ms AS changedMs FROM node WHERE identity = ?')
        .get(identity),
    );
  }
}

/** Bounds of the identities that begin with "identity/": '0' is the character after '/'. */
function descendants(identity: string): [string, string] {
  return [`${identity}/`, `${identity}0`];
}
