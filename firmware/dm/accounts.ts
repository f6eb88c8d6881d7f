import type { SchemaStep, Store } from '../store/index.js';
import type { Encoding } from './wire.js';

/** Authentication schemes of an account (DMAcc AAuthType); `none` leaves it to the transport. */
export type AuthScheme = 'basic' | 'md5' | 'mac' | 'none';

export interface AccountCredentials {
  readonly scheme: AuthScheme;
  readonly name: string;
  readonly secret: string;
  /** The one before, as long as the new one has not been seen to work: the other side may not know that yet. */
  readonly secretBefore?: string;
}

/** What the configuration says of a DM Server. */
export interface AccountSettings {
  /** DMAcc ServerID: stands in ACLs and in notifications. */
  readonly serverId: string;
  readonly name: string;
  /** Where sessions are held: http(s) URL. */
  readonly url: string;
  /** In what the gateway begins to speak; later, what the server was last heard to speak. */
  readonly encoding: Encoding;
  /** How the gateway proves itself to the server (CLCRED), with the first nonce. */
  readonly client: AccountCredentials & { readonly nonce: Uint8Array };
  /** How the server proves itself to the gateway (SRVCRED), with the first nonce. */
  readonly server: AccountCredentials & { readonly nonce: Uint8Array };
}

export interface Account extends AccountSettings {
  readonly id: number;
  /** The server's nonce before its last session: a notification that was made then may come now. */
  readonly serverNonceBefore?: Uint8Array;
}

export const accountSchema: readonly SchemaStep[] = [
  {
    owner: 'dm',
    sql: `CREATE TABLE account (
      id INTEGER PRIMARY KEY AUTOINCREMENT,
      server_id TEXT NOT NULL UNIQUE,
      name TEXT NOT NULL,
      url TEXT NOT NULL,
      client_scheme TEXT NOT NULL,
      client_name TEXT NOT NULL,
      client_secret TEXT NOT NULL,
      client_nonce BLOB NOT NULL,
      server_scheme TEXT NOT NULL,
      server_name TEXT NOT NULL,
      server_secret TEXT NOT NULL,
      server_nonce BLOB NOT NULL,
      configured TEXT NOT NULL
    )`,
  },
];

/** What came to `accountSchema` later, for databases that have it already. */
export const accountChanges: readonly SchemaStep[] = [
  { owner: 'dm', sql: `ALTER TABLE account ADD COLUMN encoding TEXT NOT NULL DEFAULT 'xml'` },
];

/** What came after `accountChanges`. */
export const nonceSchema: readonly SchemaStep[] = [
  { owner: 'dm', sql: `ALTER TABLE account ADD COLUMN server_nonce_before BLOB` },
];

/** What came after `nonceSchema`: the secret before the one that is tried first, until that has been seen to work. */
export const rotationSchema: readonly SchemaStep[] = [
  {
    owner: 'dm',
    sql: `ALTER TABLE account ADD COLUMN client_secret_before TEXT;
          ALTER TABLE account ADD COLUMN server_secret_before TEXT;`,
  },
];

interface AccountRow {
  id: number;
  server_id: string;
  name: string;
  url: string;
  client_scheme: AuthScheme;
  client_name: string;
  client_secret: string;
  client_nonce: Uint8Array;
  server_scheme: AuthScheme;
  server_name: string;
  server_secret: string;
  server_nonce: Uint8Array;
  configured: string;
  encoding: Encoding;
  server_nonce_before: Uint8Array | null;
  client_secret_before: string | null;
  server_secret_before: string | null;
}

/** What a DM Server may change of its own account (DMAcc, Replace). */
export type AccountField = 'name' | 'url' | 'clientName' | 'clientSecret' | 'serverName' | 'serverSecret';

const COLUMN: Readonly<Record<AccountField, string>> = {
  name: 'name',
  url: 'url',
  clientName: 'client_name',
  clientSecret: 'client_secret',
  serverName: 'server_name',
  serverSecret: 'server_secret',
};

/** The DM Servers that manage this device, with their nonces. All changes are durable after `store.durable()`. */
export class Accounts {
  readonly #given = new Map<string, Uint8Array>();

  constructor(private readonly store: Store) {}

  /**
   * Takes over the configuration: an account that is new or was changed in the file gets the file's values (and its
   * nonces), an unchanged one keeps what its server changed meanwhile, one that is gone from the file is removed.
   * @returns the servers whose account was removed: they may be named elsewhere
   */
  configure(settings: readonly AccountSettings[]): string[] {
    return this.store.transaction(() => {
      for (const account of settings) this.#configureOne(account);
      const kept = new Set(settings.map((account) => account.serverId));
      const gone = this.list().flatMap(({ serverId }) => (kept.has(serverId) ? [] : [serverId]));
      for (const serverId of gone) this.store.sql('DELETE FROM account WHERE server_id = ?').run(serverId);
      return gone;
    });
  }

  list(): Account[] {
    return this.store.sql<AccountRow>('SELECT * FROM account ORDER BY id').all().map(fromRow);
  }

  byServerId(serverId: string): Account | undefined {
    const row = this.store.sql<AccountRow>('SELECT * FROM account WHERE server_id = ?').get(serverId);
    return row && fromRow(row);
  }

  set(serverId: string, field: AccountField, value: string): void {
    if (field === 'clientSecret' || field === 'serverSecret') this.#keepSecret(serverId, COLUMN[field], value);
    // The column is one of the constants above.
    this.store.sql(`UPDATE account SET ${COLUMN[field]} = ? WHERE server_id = ?`).run(value, serverId);
  }

  /** The other side has shown that it knows this secret: the one before it is good no longer. */
  secretWorked(serverId: string, side: 'client' | 'server', secret: string): void {
    this.store
      .sql(`UPDATE account SET ${side}_secret_before = NULL WHERE server_id = ? AND ${side}_secret = ?`)
      .run(serverId, secret);
  }

  /** A secret is about to give way to another. One that never worked is not worth keeping in place of one that did. */
  #keepSecret(serverId: string, column: string, next: string): void {
    this.store
      .sql(
        `UPDATE account SET ${column}_before = CASE
           WHEN ? = '' OR ${column} = '' THEN NULL
           WHEN ${column}_before = ? THEN ${column}
           ELSE coalesce(${column}_before, ${column}) END
         WHERE server_id = ? AND ${column} <> ?`,
      )
      .run(next, next, serverId, next);
  }

  /** For the next digest that the gateway sends to this server. */
  setClientNonce(serverId: string, nonce: Uint8Array): void {
    this.store.sql('UPDATE account SET client_nonce = ? WHERE server_id = ?').run(nonce, serverId);
  }

  /**
   * For the next digest that this server sends to the gateway, in a message or a notification.
   * @param before with which the session began; still good for notifications, until the next session that changes it
   */
  setServerNonce(serverId: string, nonce: Uint8Array, before: Uint8Array): void {
    this.store
      .sql('UPDATE account SET server_nonce = ?, server_nonce_before = ? WHERE server_id = ?')
      .run(nonce, before, serverId);
  }

  /**
   * The nonce that a session under way has given this server. Its next notification may be made with it, and be here
   * before the session has ended and stored it. Not durable.
   * @param nonce undefined: the session has ended
   */
  giveServerNonce(serverId: string, nonce: Uint8Array | undefined): void {
    if (nonce) this.#given.set(serverId, nonce);
    else this.#given.delete(serverId);
  }

  /** What `giveServerNonce` was told; undefined when no session has given one. */
  serverNonceGiven(serverId: string): Uint8Array | undefined {
    return this.#given.get(serverId);
  }

  /** What the server was heard to speak: the next session begins so. */
  setEncoding(serverId: string, encoding: Encoding): void {
    this.store.sql('UPDATE account SET encoding = ? WHERE server_id = ?').run(encoding, serverId);
  }

  #configureOne(account: AccountSettings): void {
    const configured = textOf(account);
    const known = this.store
      .sql<AccountRow>('SELECT * FROM account WHERE server_id = ?')
      .get(account.serverId)?.configured;
    if (known === configured) return;
    const { client, server } = account;
    this.#keepSecret(account.serverId, 'client_secret', client.secret);
    this.#keepSecret(account.serverId, 'server_secret', server.secret);
    this.store
      .sql(
        `INSERT INTO account (server_id, name, url, client_scheme, client_name, client_secret, client_nonce,
           server_scheme, server_name, server_secret, server_nonce, configured, encoding)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (server_id) DO UPDATE SET name = excluded.name, url = excluded.url,
           client_scheme = excluded.client_scheme, client_name = excluded.client_name,
           client_secret = excluded.client_secret, client_nonce = excluded.client_nonce,
           server_scheme = excluded.server_scheme, server_name = excluded.server_name,
           server_secret = excluded.server_secret, server_nonce = excluded.server_nonce,
           configured = excluded.configured, encoding = excluded.encoding, server_nonce_before = NULL`,
      )
      .run(
        account.serverId,
        account.name,
        account.url,
        client.scheme,
        client.name,
        client.secret,
        client.nonce,
        server.scheme,
        server.name,
        server.secret,
        server.nonce,
        configured,
        account.encoding,
      );
  }
}

/**
 * Tells whether settings are others than before; the secrets in it stand beside it. An account that has no use for a newer
 * setting keeps its text, and with it what its server has changed.
 */
function textOf({ encoding, ...settings }: AccountSettings): string {
  return JSON.stringify(encoding === 'xml' ? settings : { ...settings, encoding });
}

function fromRow(row: AccountRow): Account {
  return {
    id: row.id,
    ...(row.server_nonce_before && { serverNonceBefore: new Uint8Array(row.server_nonce_before) }),
    serverId: row.server_id,
    name: row.name,
    url: row.url,
    encoding: row.encoding,
    client: {
      scheme: row.client_scheme,
      name: row.client_name,
      secret: row.client_secret,
      ...(row.client_secret_before !== null && { secretBefore: row.client_secret_before }),
      nonce: new Uint8Array(row.client_nonce),
    },
    server: {
      scheme: row.server_scheme,
      name: row.server_name,
      secret: row.server_secret,
      ...(row.server_secret_before !== null && { secretBefore: row.server_secret_before }),
      nonce: new Uint8Array(row.server_nonce),
    },
  };
}
