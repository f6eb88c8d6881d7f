import { failure, success, type Outcome } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { checkTargetLeaf, toColumn, type FanoutError, type LeafValue, type TargetLeaf } from './leaves.js';
import type { AddressBook } from './ports.js';
import { STAGE, TARGET_STATUS, type TargetStatus } from './states.js';

/** Target/<y> without its notification. */
export interface TargetRecord {
  /** Identity: never used again, not touched by a rename. */
  readonly id: number;
  /** Name <y> of the node. */
  readonly name: string;
  /** Null while it was not added. */
  readonly deviceId: string | null;
  /** Whether it has a Package#0 of its own. */
  readonly hasNotification: boolean;
  readonly status: TargetStatus;
  /** What the server set; null while it was not added. */
  readonly reacted: boolean | null;
  /** Tries so far, those that never left the gateway among them. */
  readonly attempts: number;
}

/** Targets of one fanout: twice the largest LAN that the gateway is made for. */
const MAX_TARGETS = 20_000;

const COLUMNS: Readonly<Record<TargetLeaf, string>> = {
  deviceId: 'device_id',
  notification: 'notification',
  reacted: 'reacted',
};

const FIELDS = `id, name, device_id AS deviceId, notification IS NOT NULL AS hasNotification, status, reacted, attempts`;

type Row = Omit<TargetRecord, 'hasNotification' | 'reacted'> & {
  readonly hasNotification: number;
  readonly reacted: number | null;
};

/** The rows of `fanout_target` as the management tree sees them. That the fanout rests is checked by the caller. */
export class TargetStore {
  /** The fanout that got the last target, and how many it has at most: ten thousand are not counted for each of them. */
  #filled = { fanoutId: 0, most: 0 };

  constructor(private readonly store: Store) {}

  add(fanoutId: number, name: string): Outcome<TargetRecord, FanoutError> {
    if (this.get(fanoutId, name)) return failure('node-exists', `there is a target ${name} already`);
    if (this.#filled.fanoutId !== fanoutId || this.#filled.most >= MAX_TARGETS) {
      this.#filled = { fanoutId, most: this.count(fanoutId) };
    }
    if (this.#filled.most >= MAX_TARGETS) return tooManyTargets();
    this.store.sql('INSERT INTO fanout_target (fanout_id, name) VALUES (?, ?)').run(fanoutId, name);
    this.#filled.most += 1;
    const target = this.get(fanoutId, name);
    if (!target) throw new Error('a row that was just inserted is missing');
    return success(target);
  }

  get(fanoutId: number, name: string): TargetRecord | undefined {
    const row = this.store
      .sql<Row>(`SELECT ${FIELDS} FROM fanout_target WHERE fanout_id = ? AND name = ?`)
      .get(fanoutId, name);
    return row && toRecord(row);
  }

  page(fanoutId: number, after: string | undefined, limit: number): TargetRecord[] {
    return this.store
      .sql<Row>(`SELECT ${FIELDS} FROM fanout_target WHERE fanout_id = ? AND name > ? ORDER BY name LIMIT ?`)
      .all(fanoutId, after ?? '', limit)
      .map(toRecord);
  }

  count(fanoutId: number): number {
    const row = this.store
      .sql<{ n: number }>('SELECT count(*) AS n FROM fanout_target WHERE fanout_id = ?')
      .get(fanoutId);
    return row?.n ?? 0;
  }

  /** @returns undefined when there is no such target, null when the leaf was not added */
  getLeaf(fanoutId: number, name: string, leaf: TargetLeaf): LeafValue | null | undefined {
    const row = this.store
      .sql<{ value: LeafValue | null }>(
        `SELECT ${COLUMNS[leaf]} AS value FROM fanout_target WHERE fanout_id = ? AND name = ?`,
      )
      .get(fanoutId, name);
    return row && leaf === 'reacted' && row.value !== null ? row.value === 1 : row?.value;
  }

  setLeaf(fanoutId: number, name: string, leaf: TargetLeaf, value: LeafValue | null): Outcome<undefined, FanoutError> {
    const checked = value === null ? success() : checkTargetLeaf(leaf, value);
    if (!checked.ok) return checked;
    if (leaf === 'deviceId' && value !== null && this.#isTaken(fanoutId, name, toColumn(value))) {
      return failure('device-id-taken', 'another target of this fanout is the same device');
    }
    const { changes } = this.store
      .sql(`UPDATE fanout_target SET ${COLUMNS[leaf]} = ? WHERE fanout_id = ? AND name = ?`)
      .run(toColumn(value), fanoutId, name);
    return changes > 0 ? success() : noSuchTarget(name);
  }

  rename(fanoutId: number, name: string, to: string): Outcome<undefined, FanoutError> {
    if (name !== to && this.get(fanoutId, to)) return failure('node-exists', `there is a target ${to} already`);
    const { changes } = this.store
      .sql('UPDATE fanout_target SET name = ? WHERE fanout_id = ? AND name = ?')
      .run(to, fanoutId, name);
    return changes > 0 ? success() : noSuchTarget(name);
  }

  remove(fanoutId: number, name: string): Outcome<undefined, FanoutError> {
    const { changes } = this.store
      .sql('DELETE FROM fanout_target WHERE fanout_id = ? AND name = ?')
      .run(fanoutId, name);
    return changes > 0 ? success() : noSuchTarget(name);
  }

  /**
   * All targets from the beginning, and Targets expanded anew: what the last start expanded is taken away, what it means
   * now is added, except devices that have a Target node of their own. A target whose Reacted the server set stays closed.
   */
  prepare(fanoutId: number, targets: string, book: AddressBook): Outcome<undefined, FanoutError> {
    this.store.sql('DELETE FROM fanout_target WHERE fanout_id = ? AND expanded = 1').run(fanoutId);
    const nameless = this.store
      .sql<{ name: string }>('SELECT name FROM fanout_target WHERE fanout_id = ? AND device_id IS NULL LIMIT 1')
      .get(fanoutId);
    if (nameless) return failure('target-without-device', `target ${nameless.name} has no DeviceID`);
    this.store
      .sql(
        `UPDATE fanout_target SET attempts = 0, sends = 0, due_ms = 0,
           stage = CASE reacted WHEN 1 THEN ${STAGE.closed} ELSE ${STAGE.waiting} END,
           status = CASE reacted WHEN 1 THEN ${TARGET_STATUS.reacted} ELSE ${TARGET_STATUS.waiting} END
         WHERE fanout_id = ?`,
      )
      .run(fanoutId);
    return this.#expand(fanoutId, targets, book);
  }

  /** A target that has no notification of its own. */
  withoutNotification(fanoutId: number): string | undefined {
    return this.store
      .sql<{ name: string }>('SELECT name FROM fanout_target WHERE fanout_id = ? AND notification IS NULL LIMIT 1')
      .get(fanoutId)?.name;
  }

  #expand(fanoutId: number, targets: string, book: AddressBook): Outcome<undefined, FanoutError> {
    this.#filled.fanoutId = 0;
    let count = this.count(fanoutId);
    let number = 0;
    const insert = this.store.sql(
      'INSERT INTO fanout_target (fanout_id, name, device_id, expanded) VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING',
    );
    for (const line of targets.split('\n')) {
      const target = line.trim();
      if (target === '') continue;
      for (const deviceId of book.expand(target)) {
        // Nothing inserted: the device is a target already, or the server uses this name, and the next one is tried.
        let inserted = false;
        while (!inserted) {
          number += 1;
          inserted = insert.run(fanoutId, `t${String(number).padStart(6, '0')}`, deviceId).changes > 0;
          if (!inserted && this.#hasDevice(fanoutId, deviceId)) break;
        }
        if (inserted) count += 1;
        if (count > MAX_TARGETS) return tooManyTargets();
      }
    }
    return success();
  }

  #hasDevice(fanoutId: number, deviceId: string): boolean {
    const row = this.store
      .sql('SELECT 1 FROM fanout_target WHERE fanout_id = ? AND device_id = ?')
      .get(fanoutId, deviceId);
    return row !== undefined;
  }

  #isTaken(fanoutId: number, name: string, deviceId: string | number | Uint8Array | null): boolean {
    const row = this.store
      .sql('SELECT 1 FROM fanout_target WHERE fanout_id = ? AND device_id = ? AND name <> ?')
      .get(fanoutId, deviceId, name);
    return row !== undefined;
  }
}

function toRecord(row: Row): TargetRecord {
  return {
    id: row.id,
    name: row.name,
    deviceId: row.deviceId,
    hasNotification: row.hasNotification === 1,
    status: row.status,
    reacted: row.reacted === null ? null : row.reacted === 1,
    attempts: row.attempts,
  };
}

function tooManyTargets(): Outcome<never, FanoutError> {
  return failure('too-many', `a fanout has at most ${MAX_TARGETS} targets`);
}

function noSuchTarget(name: string): Outcome<never, FanoutError> {
  return failure('no-such-target', `there is no target ${name}`);
}
