import {
  formatTunable,
  parseTunable,
  TUNABLES,
  type TunableKey,
  type TunableValue,
  type TunableValues,
} from '../config/index.js';
import type { Logger } from '../log/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Store } from '../store/index.js';

export type SettingErrorCode =
  | 'locked' // the configuration keeps it
  | 'bad-value';

export type SettingError = CodedError<SettingErrorCode>;

export interface SettingsOptions {
  readonly store: Store;
  readonly log: Logger;
  /** What the configuration says. */
  readonly configured: TunableValues;
  /** Keys that keep what the configuration says. */
  readonly locked: readonly TunableKey[];
}

/** A value that a DM Server has set in place of the configuration's. */
export interface ChangedSetting {
  readonly key: TunableKey;
  readonly value: TunableValue;
  readonly serverId: string;
}

interface Row {
  readonly key: TunableKey;
  readonly value: string;
  readonly configured: string;
  readonly server_id: string;
}

/**
 * The values in force. What a DM Server has set holds until the configuration says something else than it did then, locks
 * the key, or no longer has the account of that server: a person who edits the file has the last word.
 */
export class Settings {
  readonly #o: SettingsOptions;
  readonly #locked: ReadonlySet<TunableKey>;
  /** As committed. */
  readonly #inForce = new Map<TunableKey, TunableValue>();
  readonly #listeners = new Map<TunableKey, ((value: never) => void)[]>();

  constructor(options: SettingsOptions) {
    this.#o = options;
    this.#locked = new Set(options.locked);
    options.store.transaction(() => {
      for (const row of this.#rows()) if (this.#isOver(row)) this.#drop(row);
    });
    for (const { key } of TUNABLES) this.#inForce.set(key, this.#current(key));
  }

  /** The value in force: that of the last commit. */
  get<K extends TunableKey>(key: K): TunableValues[K] {
    return this.#inForce.get(key) as TunableValues[K];
  }

  /** Tells each new value, after the commit that brought it. */
  onChange<K extends TunableKey>(key: K, listener: (value: TunableValues[K]) => void): void {
    this.#listeners.set(key, [...(this.#listeners.get(key) ?? []), listener]);
  }

  /** The value as text, as it stands in the running transaction. */
  text(key: TunableKey): string {
    return formatTunable(this.#current(key));
  }

  /** A DM Server sets a value, as text. To be called in a transaction; the value is in force after its commit. */
  set(key: TunableKey, text: string, serverId: string): Outcome<undefined, SettingError> {
    if (this.#locked.has(key)) return failure('locked', `the configuration keeps ${key} as it is`);
    const parsed = parseTunable(key, text);
    if (!parsed.ok) return parsed;
    this.#o.store
      .sql(
        `INSERT INTO setting (key, value, configured, server_id) VALUES (?, ?, ?, ?)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value, configured = excluded.configured,
           server_id = excluded.server_id`,
      )
      .run(key, formatTunable(parsed.value), this.#configuredText(key), serverId);
    this.#o.store.afterCommit(() => this.#apply(key, serverId));
    return success();
  }

  /** What DM Servers have set. */
  changed(): ChangedSetting[] {
    return this.#rows().map(({ key, server_id }) => ({ key, value: this.#current(key), serverId: server_id }));
  }

  /** The account of a server is gone: what it has set goes with it. To be called before anything asks for a value. */
  forget(serverId: string): void {
    for (const row of this.#rows()) {
      if (row.server_id !== serverId) continue;
      this.#drop(row);
      this.#o.store.afterCommit(() => this.#apply(row.key, serverId));
    }
  }

  #apply(key: TunableKey, serverId: string): void {
    const value = this.#current(key);
    if (formatTunable(value) === formatTunable(this.#inForce.get(key) ?? [])) return;
    this.#inForce.set(key, value);
    this.#o.log.info('setting changed', {
      key,
      value: formatTunable(value).replaceAll('\n', '; '),
      server_id: serverId,
    });
    for (const listener of this.#listeners.get(key) ?? []) listener(value as never);
  }

  #current(key: TunableKey): TunableValue {
    const row = this.#o.store.sql<Row>('SELECT * FROM setting WHERE key = ?').get(key);
    const parsed = row && parseTunable(key, row.value);
    return parsed?.ok ? parsed.value : this.#o.configured[key];
  }

  #rows(): Row[] {
    return this.#o.store.sql<Row>('SELECT * FROM setting ORDER BY key').all();
  }

  /** Whether the configuration has overtaken it; a newer version of the gateway may have set what this one cannot. */
  #isOver({ key, value, configured }: Row): boolean {
    const known = TUNABLES.some((tunable) => tunable.key === key);
    return !known || this.#locked.has(key) || configured !== this.#configuredText(key) || !parseTunable(key, value).ok;
  }

  #drop({ key, server_id }: Row): void {
    this.#o.store.sql('DELETE FROM setting WHERE key = ?').run(key);
    this.#o.log.info('what a DM Server had set no longer holds', { key, server_id });
  }

  #configuredText(key: TunableKey): string {
    return formatTunable(this.#o.configured[key]);
  }
}
