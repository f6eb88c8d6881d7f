import type { SchemaStep, Store } from '../store/index.js';

/**
 * Properties that are stored: the ACL and the title of a node. They belong to the node's identity, which a renaming
 * does not change. The identity of a descendant begins with that of its ancestor and a `/`.
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

export class Properties {
  constructor(private readonly store: Store) {}

  /** The stored ACL text; undefined when none was ever stored, empty when it was emptied on purpose. */
  acl(identity: string): string | undefined {
    return this.store.sql<{ acl: string }>('SELECT acl FROM node_property WHERE identity = ?').get(identity)?.acl;
  }

  setAcl(identity: string, acl: string): void {
    this.store
      .sql(
        'INSERT INTO node_property (identity, acl) VALUES (?, ?) ON CONFLICT (identity) DO UPDATE SET acl = excluded.acl',
      )
      .run(identity, acl);
  }

  /** Every node with an ACL of its own. */
  allAcls(): { readonly identity: string; readonly acl: string }[] {
    return this.store
      .sql<{ identity: string; acl: string }>("SELECT identity, acl FROM node_property WHERE acl <> ''")
      .all();
  }

  /** The stored ACL of every node below this one, by identity. */
  aclsBelow(identity: string): ReadonlyMap<string, string> {
    const rows = this.store
      .sql<{ identity: string; acl: string }>(
        'SELECT identity, acl FROM node_property WHERE identity > ? AND identity < ?',
      )
      .all(...descendants(identity));
    return new Map(rows.map((row) => [row.identity, row.acl]));
  }

  /** Forgets the node and everything below it. */
  forget(identity: string): void {
    this.store
      .sql('DELETE FROM node_property WHERE identity = ? OR (identity > ? AND identity < ?)')
      .run(identity, ...descendants(identity));
  }
}

/** Bounds of the identities that begin with "identity/": '0' is the character after '/'. */
function descendants(identity: string): [string, string] {
  return [`${identity}/`, `${identity}0`];
}
