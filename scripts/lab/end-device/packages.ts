import type { SchemaStep, Store } from '../../../firmware/store/index.js';

/** Status of a Download node (SCOMO; facts 12.2). */
export const DownloadStatus = { IDLE: 10, FAILED: 20, PROGRESSING: 30 } as const;

/** A delivery to fetch: `Download/<x>`. A text is null until a server has added its node. */
export interface DownloadRecord {
  readonly name: string;
  readonly pkg_id: string | null;
  readonly pkg_name: string | null;
  readonly pkg_url: string | null;
  readonly description: string | null;
  readonly status: number;
  /** Of the Exec that started it, to be echoed when it has ended. */
  readonly correlator: string | null;
}

/** A package that has arrived: `Inventory/Delivered/<x>`. */
export interface DeliveredRecord {
  readonly name: string;
  readonly pkg_id: string | null;
  readonly pkg_name: string | null;
  readonly description: string | null;
}

export type DownloadText = 'pkg_id' | 'pkg_name' | 'pkg_url' | 'description';

export const packageSchema: readonly SchemaStep[] = [
  {
    owner: 'scomo',
    sql: `CREATE TABLE download (
      name TEXT PRIMARY KEY,
      pkg_id TEXT, pkg_name TEXT, pkg_url TEXT, description TEXT,
      status INTEGER NOT NULL DEFAULT ${DownloadStatus.IDLE},
      correlator TEXT
    ) WITHOUT ROWID;
    CREATE TABLE delivered (
      name TEXT PRIMARY KEY,
      pkg_id TEXT, pkg_name TEXT, description TEXT
    ) WITHOUT ROWID`,
  },
];

/** The deliveries of one device, durable as the store is. */
export class Packages {
  constructor(private readonly store: Store) {}

  download(name: string): DownloadRecord | undefined {
    return this.store.sql<DownloadRecord>('SELECT * FROM download WHERE name = ?').get(name);
  }

  delivered(name: string): DeliveredRecord | undefined {
    return this.store.sql<DeliveredRecord>('SELECT * FROM delivered WHERE name = ?').get(name);
  }

  /** Names in order after `after`, at most `limit`. */
  names(table: 'download' | 'delivered', after: string | undefined, limit: number): string[] {
    return this.store
      .sql<{ name: string }>(`SELECT name FROM ${table} WHERE name > ? ORDER BY name LIMIT ?`)
      .all(after ?? '', limit)
      .map(({ name }) => name);
  }

  /** Names of downloads that were under way when the device stopped. */
  interrupted(): string[] {
    return this.store
      .sql<{ name: string }>(`SELECT name FROM download WHERE status = ${DownloadStatus.PROGRESSING}`)
      .all()
      .map(({ name }) => name);
  }

  add(name: string): void {
    this.store.sql('INSERT INTO download (name) VALUES (?)').run(name);
  }

  setText(name: string, text: DownloadText, value: string): void {
    // The column is one of the constants of the type.
    this.store.sql(`UPDATE download SET ${text} = ? WHERE name = ?`).run(value, name);
  }

  setStatus(name: string, status: number, correlator: string | null): void {
    this.store.sql('UPDATE download SET status = ?, correlator = ? WHERE name = ?').run(status, correlator, name);
  }

  remove(table: 'download' | 'delivered', name: string): void {
    this.store.sql(`DELETE FROM ${table} WHERE name = ?`).run(name);
  }

  /** The Download node becomes a Delivered one; an older package of that name gives way. */
  deliver(name: string): void {
    this.store.transaction(() => {
      this.store
        .sql(
          `INSERT OR REPLACE INTO delivered (name, pkg_id, pkg_name, description)
           SELECT name, pkg_id, pkg_name, description FROM download WHERE name = ?`,
        )
        .run(name);
      this.remove('download', name);
    });
  }
}
