import type { Store } from '../store/index.js';
import type { Counters } from './fanout-store.js';
import { STAGE, TARGET_STATUS, type TargetStatus } from './states.js';

/** A target whose turn it is. */
export interface DueTarget {
  readonly id: number;
  readonly deviceId: string;
  /** Its own Package#0; null where the one for all is meant. */
  readonly notification: Uint8Array | null;
  readonly attempts: number;
}

/** What is known of a device when its turn comes. */
export interface Prospect {
  /** When it is looked at again. */
  readonly dueMs: number;
  /** A reaction of it can be seen. */
  readonly hearable: boolean;
  /** It is told when it appears. */
  readonly mayAppear: boolean;
}

/**
 * Rounds of Repeat tries for one target at most, one for each time that it appears: somebody who announces a device again
 * and again does not make the gateway notify it without end. Sends that failed are not counted: they reach nobody.
 */
const MAX_ROUNDS = 32;

/** Status of a target that was sent its notification and showed no reaction. */
const UNHEARD = `CASE WHEN sends = 0 THEN status WHEN hearable THEN ${TARGET_STATUS.gaveUp} ELSE ${TARGET_STATUS.sent} END`;

const { sent, reacted, unknownDevice, unreachable, gaveUp, stopped, waiting } = TARGET_STATUS;

const FAILED = [unknownDevice, unreachable, gaveUp].join(', ');

/** The rows of `fanout_target` as the runner moves them: tries, outcomes, ends. `nowMs` is the run's clock. */
export class Attempts {
  constructor(private readonly store: Store) {}

  /** Targets that were tried before and are due again. */
  dueAgain(fanoutId: number, nowMs: number, limit: number): DueTarget[] {
    return this.#due(`stage = ${STAGE.begun} AND due_ms <= ? ORDER BY due_ms`, fanoutId, nowMs, limit);
  }

  /** Targets that were never tried, in the order in which they were added. */
  waiting(fanoutId: number, limit: number): DueTarget[] {
    return this.#due(`stage = ${STAGE.waiting} ORDER BY due_ms, id`, fanoutId, limit);
  }

  /** When the next target that was tried before is due. */
  nextDueMs(fanoutId: number): number | undefined {
    const row = this.store
      .sql<{ due: number | null }>(
        `SELECT min(due_ms) AS due FROM fanout_target WHERE fanout_id = ? AND stage = ${STAGE.begun}`,
      )
      .get(fanoutId);
    return row?.due ?? undefined;
  }

  hasWaiting(fanoutId: number): boolean {
    return this.#has(fanoutId, STAGE.waiting);
  }

  hasOpen(fanoutId: number): boolean {
    return [STAGE.waiting, STAGE.begun, STAGE.dormant].some((stage) => this.#has(fanoutId, stage));
  }

  /** Targets tried so far, and whether one of them is still open: what the waves go by. */
  begun(fanoutId: number): { readonly tried: number; readonly anyOpen: boolean } {
    return { tried: this.#count(fanoutId, 'attempts > 0'), anyOpen: this.#has(fanoutId, STAGE.begun) };
  }

  /** Written before the datagrams leave, and as if they had: only a failure needs a second write. */
  recordSends(targetIds: readonly number[], { dueMs, hearable, mayAppear }: Prospect): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.begun}, status = ${sent}, attempts = attempts + 1, sends = sends + 1,
           due_ms = ?, hearable = ?, may_appear = ? WHERE id IN (SELECT value FROM json_each(?))`,
      )
      .run(dueMs, Number(hearable), Number(mayAppear), JSON.stringify(targetIds));
  }

  /** A try that could not even be made. */
  recordFailure(targetId: number, status: TargetStatus, { dueMs, hearable, mayAppear }: Prospect): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.begun}, status = ?, attempts = attempts + 1, due_ms = ?, hearable = ?,
           may_appear = ? WHERE id = ?`,
      )
      .run(status, dueMs, Number(hearable), Number(mayAppear), targetId);
  }

  /** The send that was recorded failed. A target that was closed meanwhile on the strength of it is corrected. */
  revokeSend(targetId: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET sends = sends - 1,
           status = CASE WHEN stage IN (${STAGE.begun}, ${STAGE.dormant}) OR (status IN (${sent}, ${gaveUp}) AND sends = 1)
             THEN ${unreachable} ELSE status END
         WHERE id = ? AND sends > 0`,
      )
      .run(targetId);
  }

  /** A reaction counts as long as the fanout runs, even when the target was given up before. */
  react(fanoutId: number, deviceId: string): boolean {
    const { changes } = this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.closed}, status = ${reacted}
         WHERE fanout_id = ? AND device_id = ? AND status <> ${reacted}`,
      )
      .run(fanoutId, deviceId);
    return changes > 0;
  }

  /** The notification that a target is to react to, if it has not yet: its own, or `null` for the one for all. */
  expected(fanoutId: number, deviceId: string): { readonly notification: Uint8Array | null } | undefined {
    return this.store
      .sql<{ notification: Uint8Array | null }>(
        `SELECT notification FROM fanout_target WHERE fanout_id = ? AND device_id = ? AND status <> ${reacted}`,
      )
      .get(fanoutId, deviceId);
  }

  /**
   * The device is there. A dormant target waits for its turn as a new one, and so does one that could not be reached the
   * last time either: it must not hold up a wave by appearing again and again. One that could not be reached before is
   * tried now; one that was unknown begins anew, for tries that went nowhere are no reason to wait longer for the next. One
   * that was sent its last notification is sent one more.
   * @returns whether there is something to do
   */
  appear(fanoutId: number, deviceId: string, repeat: number, nowMs: number): boolean {
    const woken = this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.waiting}, attempts = 0, due_ms = ?
         WHERE fanout_id = ? AND device_id = ? AND sends < ?
           AND (stage = ${STAGE.dormant} OR stage = ${STAGE.begun} AND status = ${unreachable} AND attempts >= ?)`,
      )
      .run(nowMs, fanoutId, deviceId, repeat * MAX_ROUNDS, repeat).changes;
    const hurried = this.store
      .sql(
        `UPDATE fanout_target SET due_ms = ?,
           attempts = CASE status WHEN ${unknownDevice} THEN 0 ELSE min(attempts, ?) END
         WHERE fanout_id = ? AND device_id = ? AND stage = ${STAGE.begun} AND sends < ?
           AND (attempts >= ? OR status IN (${unknownDevice}, ${unreachable}))`,
      )
      .run(nowMs, repeat - 1, fanoutId, deviceId, repeat * MAX_ROUNDS, repeat).changes;
    return woken + hurried > 0;
  }

  /** Targets that were tried `repeat` times and whose last wait is over: closed, or dormant where they may appear. */
  closeExhausted(fanoutId: number, repeat: number, nowMs: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = CASE may_appear WHEN 1 THEN ${STAGE.dormant} ELSE ${STAGE.closed} END,
           status = CASE may_appear WHEN 1 THEN status ELSE ${UNHEARD} END
         WHERE fanout_id = ? AND stage = ${STAGE.begun} AND due_ms <= ? AND attempts >= ?`,
      )
      .run(fanoutId, nowMs, repeat);
  }

  /** Closes what is open at the end of the Lifetime. */
  closeExpired(fanoutId: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.closed},
           status = CASE WHEN sends = 0 AND status = ${waiting} THEN ${gaveUp} ELSE ${UNHEARD} END
         WHERE fanout_id = ? AND stage <> ${STAGE.closed}`,
      )
      .run(fanoutId);
  }

  /** Closes what is open when the fanout is stopped or aborted. */
  closeStopped(fanoutId: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.closed}, status = ${stopped}
         WHERE fanout_id = ? AND stage <> ${STAGE.closed}`,
      )
      .run(fanoutId);
  }

  /** Failed ones, and those that were tried in vain and sleep, or worse: what an abort goes by. */
  inVain(fanoutId: number): number {
    return (
      this.failed(fanoutId) + this.#count(fanoutId, `stage = ${STAGE.dormant} AND (hearable OR status IN (${FAILED}))`)
    );
  }

  failed(fanoutId: number): number {
    return this.#count(fanoutId, `stage = ${STAGE.closed} AND status IN (${FAILED})`);
  }

  /** Counted on demand, so that it always adds up: some milliseconds for 10,000 targets. */
  counters(fanoutId: number): Counters {
    const byStatus = Object.values(TARGET_STATUS).map(() => 0);
    let total = 0;
    let sentCount = 0;
    const rows = this.store
      .sql<{ status: number; n: number; sent: number }>(
        'SELECT status, count(*) AS n, sum(sends > 0) AS sent FROM fanout_target WHERE fanout_id = ? GROUP BY status',
      )
      .all(fanoutId);
    for (const row of rows) {
      byStatus[row.status] = row.n;
      total += row.n;
      sentCount += row.sent;
    }
    return { total, sent: sentCount, reacted: byStatus[reacted] ?? 0, failed: this.failed(fanoutId), byStatus };
  }

  #count(fanoutId: number, which: string): number {
    const row = this.store
      .sql<{ n: number }>(`SELECT count(*) AS n FROM fanout_target WHERE fanout_id = ? AND ${which}`)
      .get(fanoutId);
    return row?.n ?? 0;
  }

  #due(which: string, ...values: number[]): DueTarget[] {
    const rows = this.store
      .sql(`SELECT id, device_id, notification, attempts FROM fanout_target WHERE fanout_id = ? AND ${which} LIMIT ?`)
      .lists(...values) as [number, string, Uint8Array | null, number][];
    return rows.map(([id, deviceId, notification, attempts]) => ({ id, deviceId, notification, attempts }));
  }

  #has(fanoutId: number, stage: number): boolean {
    return (
      this.store.sql('SELECT 1 FROM fanout_target WHERE fanout_id = ? AND stage = ? LIMIT 1').get(fanoutId, stage) !==
      undefined
    );
  }
}
