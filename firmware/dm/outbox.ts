import type { SchemaStep, Store } from '../store/index.js';
import { Alert, Status } from './codes.js';
import type { AlertCommand } from './message.js';

/** A generic alert (1226) for one DM Server (DMPRO 8.7, facts 3.5). */
export interface GenericAlert {
  readonly serverId: string;
  /** URI of the node that the alert is about. */
  readonly source: string;
  readonly target?: string;
  readonly type: string;
  readonly format: string;
  readonly mark: 'informational' | 'warning' | 'minor' | 'critical';
  readonly data: string;
  /** Of the Exec that this alert answers; absent for an unsolicited one. */
  readonly correlator?: string;
}

/** A client event (1224, facts 3.4): something that the gateway's owner tells a server. */
export interface ClientEvent {
  readonly serverId: string;
  readonly type: string;
  readonly data: string;
}

/** An alert of either kind as it waits. */
export interface WaitingAlert extends Omit<GenericAlert, 'source'> {
  /** Stays the same however often it is sent. */
  readonly id: number;
  readonly code: typeof Alert.GENERIC | typeof Alert.CLIENT_EVENT;
  /** A client event is about no node. */
  readonly source?: string;
}

export const outboxSchema: readonly SchemaStep[] = [
  {
    owner: 'dm',
    sql: `CREATE TABLE outbox (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      server_id TEXT NOT NULL,
      source TEXT NOT NULL,
      target TEXT,
      type TEXT NOT NULL,
      format TEXT NOT NULL,
      mark TEXT NOT NULL,
      data TEXT NOT NULL,
      correlator TEXT,
      refusals INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX outbox_by_server ON outbox (server_id, id)`,
  },
];

/** What came to `outboxSchema` later, for databases that have it already. */
export const outboxChanges: readonly SchemaStep[] = [
  { owner: 'dm', sql: `ALTER TABLE outbox ADD COLUMN code INTEGER NOT NULL DEFAULT ${Alert.GENERIC}` },
];

/** Alerts kept for one server; the oldest give way, so that a server that never answers cannot fill the flash. */
const MAX_WAITING = 1000;

interface OutboxRow {
  id: number;
  server_id: string;
  source: string;
  target: string | null;
  type: string;
  format: string;
  mark: GenericAlert['mark'];
  data: string;
  correlator: string | null;
  code: WaitingAlert['code'];
}

/**
 * Alerts that wait for delivery, durable. An alert is delivered at least once until a 2xx Status and never
 * after it.
 */
export class Outbox {
  readonly #listeners: ((serverId: string) => void)[] = [];

  constructor(private readonly store: Store) {}

  /** Calls `listener` after each commit that put an alert in. */
  onWaiting(listener: (serverId: string) => void): void {
    this.#listeners.push(listener);
  }

  /** Part of the caller's transaction: the alert exists exactly if what it tells does. */
  put(alert: GenericAlert): void {
    this.#insert({ ...alert, code: Alert.GENERIC });
  }

  /** Part of the caller's transaction, as `put`. */
  putEvent({ serverId, type, data }: ClientEvent): void {
    this.#insert({ serverId, type, data, format: 'chr', mark: 'informational', code: Alert.CLIENT_EVENT });
  }

  #insert(alert: Omit<WaitingAlert, 'id'>): void {
    this.store
      .sql(
        `INSERT INTO outbox (server_id, source, target, type, format, mark, data, correlator, code)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        alert.serverId,
        alert.source ?? '',
        alert.target ?? null,
        alert.type,
        alert.format,
        alert.mark,
        alert.data,
        alert.correlator ?? null,
        alert.code,
      );
    this.store
      .sql(
        `DELETE FROM outbox WHERE server_id = ? AND id <=
           (SELECT id FROM outbox WHERE server_id = ? ORDER BY id DESC LIMIT 1 OFFSET ${MAX_WAITING})`,
      )
      .run(alert.serverId, alert.serverId);
    this.store.afterCommit(() => {
      for (const listener of this.#listeners) listener(alert.serverId);
    });
  }

  /** A node got another name: what waits for delivery tells of it under the new one. Part of the caller's transaction. */
  moved(source: string, newSource: string): void {
    this.store.sql('UPDATE outbox SET source = ? WHERE source = ?').run(newSource, source);
  }

  /** The oldest `limit` alerts for a server; those that it has refused stand behind. */
  waiting(serverId: string, limit: number): WaitingAlert[] {
    return this.store
      .sql<OutboxRow>('SELECT * FROM outbox WHERE server_id = ? ORDER BY refusals, id LIMIT ?')
      .all(serverId, limit)
      .map(fromRow);
  }

  /** True while there is an alert that the server has not been offered yet. */
  hasUnsent(serverId: string): boolean {
    return (
      this.store.sql('SELECT 1 FROM outbox WHERE server_id = ? AND refusals = 0 LIMIT 1').get(serverId) !== undefined
    );
  }

  /** Alerts that wait for a server. */
  count(serverId: string): number {
    return this.store.sql<{ n: number }>('SELECT count(*) AS n FROM outbox WHERE server_id = ?').get(serverId)?.n ?? 0;
  }

  /** The account of the server is gone: nobody will take its alerts. */
  forget(serverId: string): void {
    this.store.sql('DELETE FROM outbox WHERE server_id = ?').run(serverId);
  }

  /**
   * The server's Status for an alert: 2xx ends it, and so does 406 for a client event (facts 3.5: not processed);
   * anything else counts as `refused`.
   * @returns whether the alert has ended
   */
  answered({ id, code }: WaitingAlert, status: number): boolean {
    const taken = status >= 200 && status < 300;
    const ended = taken || (code === Alert.CLIENT_EVENT && status === Status.NOT_SUPPORTED);
    if (ended) this.store.sql('DELETE FROM outbox WHERE id = ?').run(id);
    else this.refused(id);
    return ended;
  }

  /**
   * The server has not taken the alert, or not answered: it goes along with each later session, behind those that were
   * refused less often, until the server takes it. No session is opened for it alone.
   */
  refused(id: number): void {
    this.store.sql('UPDATE outbox SET refusals = refusals + 1 WHERE id = ?').run(id);
  }
}

/** The alert as a command of package 1, without its CmdID. A client event needs Type and Format only (facts 3.4). */
export function alertPart(alert: WaitingAlert): Omit<AlertCommand, 'cmdId'> {
  const { format, type, mark } = alert;
  return {
    kind: 'Alert',
    data: String(alert.code),
    ...(alert.correlator !== undefined && { correlator: alert.correlator }),
    items: [
      {
        ...(alert.source !== undefined && { source: { uri: alert.source } }),
        ...(alert.target !== undefined && { target: { uri: alert.target } }),
        meta: alert.code === Alert.GENERIC ? { format, type, mark } : { format, type },
        data: alert.data,
      },
    ],
  };
}

function fromRow(row: OutboxRow): WaitingAlert {
  return {
    id: row.id,
    code: row.code,
    serverId: row.server_id,
    ...(row.source !== '' && { source: row.source }),
    ...(row.target !== null && { target: row.target }),
    type: row.type,
    format: row.format,
    mark: row.mark,
    data: row.data,
    ...(row.correlator !== null && { correlator: row.correlator }),
  };
}
