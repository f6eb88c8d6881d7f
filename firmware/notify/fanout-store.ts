import type { Logger } from '../log/index.js';
import { nextState } from '../machine/index.js';
import { failure, success, type Outcome } from '../outcome/index.js';
import { ReadCache, type Store } from '../store/index.js';
import { checkFanoutLeaf, toColumn, type FanoutError, type FanoutLeaf, type LeafValue } from './leaves.js';
import { FANOUT_STATES, type FanoutMove, type FanoutState } from './states.js';

/** One fanout without its large leaves (`targets` and `notification`, see `getLeaf`). A leaf not added is null. */
export interface FanoutRecord {
  /** Identity: never used again, not touched by `rename`. */
  readonly id: number;
  /** Name <x> of the node. */
  readonly node: string;
  /** Who added it, as given to `create`. */
  readonly requester: string;
  readonly state: FanoutState;
  readonly type: string | null;
  readonly repeat: number | null;
  /** Seconds. */
  readonly interval: number | null;
  /** Seconds. */
  readonly lifetime: number | null;
  readonly rate: number | null;
  readonly waveSize: number | null;
  readonly abortAfterFailures: number | null;
  readonly imageRef: string | null;
}

/** Result/{Total, Sent, Reacted, Failed} and each status by itself. `total` is the sum of `byStatus`. */
export interface Counters {
  readonly total: number;
  /** Targets to which a notification left the gateway at least once, whatever came of it. */
  readonly sent: number;
  /** Targets with status reacted. */
  readonly reacted: number;
  /** Targets closed as unknown device, unreachable or gave up. Those may be among `sent` too. */
  readonly failed: number;
  /** Index: Target/<y>/Status, see TARGET_STATUS. */
  readonly byStatus: readonly number[];
}

/** What a run is known by: who started it, and how far its clock is. */
export interface RunRow {
  readonly requester: string;
  readonly correlator: string | null;
  /** Milliseconds since the start, as last written. */
  readonly elapsedMs: number;
  /** Wall time in ms of that writing; null when the clock was not set. */
  readonly savedWallMs: number | null;
}

/** Fanouts that the gateway keeps, those that ended among them: a server deletes what it has read. */
const MAX_FANOUTS = 256;

const COLUMNS: Readonly<Record<FanoutLeaf, string>> = {
  type: 'type',
  targets: 'targets',
  notification: 'notification',
  repeat: 'repeat',
  interval: 'interval_seconds',
  lifetime: 'lifetime_seconds',
  rate: 'rate',
  waveSize: 'wave_size',
  abortAfterFailures: 'abort_after_failures',
  imageRef: 'image_ref',
};

const FIELDS = `id, node, requester, state, type, repeat, interval_seconds AS "interval", lifetime_seconds AS lifetime,
  rate, wave_size AS waveSize, abort_after_failures AS abortAfterFailures, image_ref AS imageRef`;

/** A message asks for the leaves of a few fanouts. */
const NODES_AT_HAND = 16;

/** The rows of `fanout` and `fanout_run`. */
export class FanoutStore {
  readonly #byNode: ReadCache<string, FanoutRecord | undefined>;

  constructor(
    private readonly store: Store,
    private readonly log: Logger,
  ) {
    this.#byNode = new ReadCache(() => store.generation, NODES_AT_HAND);
  }

  create(node: string, requester: string): Outcome<FanoutRecord, FanoutError> {
    if (this.byNode(node)) return failure('node-exists', `there is a fanout ${node} already`);
    const count = this.store.sql<{ n: number }>('SELECT count(*) AS n FROM fanout').get()?.n ?? 0;
    if (count >= MAX_FANOUTS) return failure('too-many', `${MAX_FANOUTS} fanouts are kept: delete one that has ended`);
    const { lastInsertRowid } = this.store
      .sql('INSERT INTO fanout (node, requester) VALUES (?, ?)')
      .run(node, requester);
    const fanout = this.byId(lastInsertRowid);
    if (!fanout) throw new Error('a row that was just inserted is missing');
    return success(fanout);
  }

  byNode(node: string): FanoutRecord | undefined {
    return this.#byNode.get(node, () =>
      this.store.sql<FanoutRecord>(`SELECT ${FIELDS} FROM fanout WHERE node = ?`).get(node),
    );
  }

  byId(id: number): FanoutRecord | undefined {
    return this.store.sql<FanoutRecord>(`SELECT ${FIELDS} FROM fanout WHERE id = ?`).get(id);
  }

  nodes(after: string | undefined, limit: number): FanoutRecord[] {
    return this.store
      .sql<FanoutRecord>(`SELECT ${FIELDS} FROM fanout WHERE node > ? ORDER BY node LIMIT ?`)
      .all(after ?? '', limit);
  }

  running(): FanoutRecord[] {
    return this.store.sql<FanoutRecord>(`SELECT ${FIELDS} FROM fanout WHERE state = 'running' ORDER BY id`).all();
  }

  /** The fanout, if it may be changed now: it exists and does not run. */
  resting(id: number): Outcome<FanoutRecord, FanoutError> {
    const fanout = this.byId(id);
    if (!fanout) return noSuchFanout(id);
    return fanout.state === 'running'
      ? failure('running', `fanout ${fanout.node} runs: stop it first`)
      : success(fanout);
  }

  /** @returns undefined when there is no such fanout, null when the leaf was not added */
  getLeaf(id: number, leaf: FanoutLeaf): LeafValue | null | undefined {
    const row = this.store
      .sql<{ value: LeafValue | null }>(`SELECT ${COLUMNS[leaf]} AS value FROM fanout WHERE id = ?`)
      .get(id);
    return row?.value;
  }

  /** The Package#0 for all targets. */
  notification(id: number): Uint8Array | undefined {
    const value = this.getLeaf(id, 'notification');
    return value instanceof Uint8Array ? value : undefined;
  }

  setLeaf(id: number, leaf: FanoutLeaf, value: LeafValue | null): Outcome<undefined, FanoutError> {
    const resting = this.resting(id);
    if (!resting.ok) return resting;
    const checked = value === null ? success() : checkFanoutLeaf(leaf, value);
    if (!checked.ok) return checked;
    this.store.sql(`UPDATE fanout SET ${COLUMNS[leaf]} = ? WHERE id = ?`).run(toColumn(value), id);
    return success();
  }

  rename(id: number, node: string): Outcome<undefined, FanoutError> {
    const holder = this.byNode(node);
    if (holder && holder.id !== id) return failure('node-exists', `there is a fanout ${node} already`);
    const { changes } = this.store.sql('UPDATE fanout SET node = ? WHERE id = ?').run(node, id);
    return changes > 0 ? success() : noSuchFanout(id);
  }

  remove(id: number): Outcome<undefined, FanoutError> {
    const { changes } = this.store.sql('DELETE FROM fanout WHERE id = ?').run(id);
    return changes > 0 ? success() : noSuchFanout(id);
  }

  /** The only way in which a state changes. @throws Error when the table of states has no such move */
  move(fanout: FanoutRecord, event: FanoutMove): FanoutRecord {
    const state = nextState(FANOUT_STATES, fanout.state, event, 'fanout');
    this.store.sql('UPDATE fanout SET state = ? WHERE id = ?').run(state, fanout.id);
    this.store.afterCommit(() => this.log.info('fanout changed its state', { fanout: fanout.node, state }));
    return { ...fanout, state };
  }

  startRun(id: number, requester: string, correlator: string | undefined, wallMs: number | null): void {
    this.store
      .sql('INSERT OR REPLACE INTO fanout_run VALUES (?, ?, ?, 0, ?)')
      .run(id, requester, correlator ?? null, wallMs);
  }

  run(id: number): RunRow | undefined {
    return this.store
      .sql<RunRow>(
        `SELECT requester, correlator, elapsed_ms AS elapsedMs, saved_wall_ms AS savedWallMs
         FROM fanout_run WHERE fanout_id = ?`,
      )
      .get(id);
  }

  /** Notes that the fanout has ended, now. @param wallMs null when the clock was not set */
  noteEnd(id: number, wallMs: number | null): void {
    this.store.sql('INSERT OR REPLACE INTO fanout_end (fanout_id, at_ms) VALUES (?, ?)').run(id, wallMs);
  }

  /** Gives ends without a time the present one. */
  dateEnds(wallMs: number): void {
    this.store.sql('UPDATE fanout_end SET at_ms = ? WHERE at_ms IS NULL').run(wallMs);
  }

  /** The fanouts that have ended, the latest first, each with the wall time of its end. */
  ended(): { readonly id: number; readonly node: string; readonly atMs: number | null }[] {
    return this.store
      .sql<{ id: number; node: string; atMs: number | null }>(
        `SELECT id, node, at_ms AS atMs FROM fanout LEFT JOIN fanout_end ON fanout_id = id
         WHERE state IN ('done', 'stopped', 'aborted') ORDER BY seq DESC, id DESC`,
      )
      .all();
  }

  saveRunClock(id: number, elapsedMs: number, wallMs: number | null): void {
    this.store
      .sql('UPDATE fanout_run SET elapsed_ms = ?, saved_wall_ms = ? WHERE fanout_id = ?')
      .run(elapsedMs, wallMs, id);
  }

  /** ImageIDs that a running fanout has as its ImageRef. */
  activeImageRefs(): string[] {
    return this.store
      .sql<{ ref: string }>(
        "SELECT DISTINCT image_ref AS ref FROM fanout WHERE state = 'running' AND image_ref IS NOT NULL",
      )
      .all()
      .map(({ ref }) => ref);
  }
}

export function noSuchFanout(id: number): Outcome<never, FanoutError> {
  return failure('no-such-fanout', `there is no fanout with id ${id}`);
}
