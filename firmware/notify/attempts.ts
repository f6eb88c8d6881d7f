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

const { sent, reacted, unknownDevice, unreachable, gaveUp, stopped, waiting } = TARGET_STATUS;

const FAILED = [unknownDevice, unreachable, gaveUp].join(', ');

const DUE_FIELDS = 'id, device_id AS deviceId, notification, attempts';

/** The rows of `fanout_target` as the runner moves them: tries, outcomes, ends. `nowMs` is the run's clock. */
export class Attempts {
  constructor(private readonly store: Store) {}

  /** Targets that were tried before and are due again. */
  dueAgain(fanoutId: number, nowMs: number, limit: number): DueTarget[] {
    return this.store
      .sql<DueTarget>(
        `SELECT ${DUE_FIELDS} FROM fanout_target
         WHERE fanout_id = ? AND stage = ${STAGE.begun} AND due_ms <= ? ORDER BY due_ms LIMIT ?`,
      )
      .all(fanoutId, nowMs, limit);
  }

  /** Targets that were never tried, in the order in which they were added. */
  waiting(fanoutId: number, limit: number): DueTarget[] {
    return this.store
      .sql<DueTarget>(
        `SELECT ${DUE_FIELDS} FROM fanout_target
         WHERE fanout_id = ? AND stage = ${STAGE.waiting} ORDER BY due_ms, id LIMIT ?`,
      )
      .all(fanoutId, limit);
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
    return this.#has(fanoutId, STAGE.waiting) || this.#has(fanoutId, STAGE.begun);
  }

  /** Targets tried so far, and whether one of them is still open: what the waves go by. */
  begun(fanoutId: number): { readonly tried: number; readonly anyOpen: boolean } {
    const row = this.store
      .sql<{ n: number }>('SELECT count(*) AS n FROM fanout_target WHERE fanout_id = ? AND attempts > 0')
      .get(fanoutId);
    return { tried: row?.n ?? 0, anyOpen: this.#has(fanoutId, STAGE.begun) };
  }

  /** Written before the datagram leaves, and as if it had: only a failure needs a second write. */
  recordSend(targetId: number, dueMs: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.begun}, status = ${sent}, attempts = attempts + 1, sends = sends + 1,
           due_ms = ? WHERE id = ?`,
      )
      .run(dueMs, targetId);
  }

  /** A try that could not even be made. */
  recordFailure(targetId: number, status: TargetStatus, dueMs: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.begun}, status = ?, attempts = attempts + 1, due_ms = ? WHERE id = ?`,
      )
      .run(status, dueMs, targetId);
  }

  /** The send that was recorded failed. A target that was closed meanwhile on the strength of it is corrected. */
  revokeSend(targetId: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET sends = sends - 1,
           status = CASE WHEN stage = ${STAGE.begun} OR (status IN (${sent}, ${gaveUp}) AND sends = 1)
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

  /** Closes targets that were tried `repeat` times and whose last wait is over. @param unheard status of those sent */
  closeExhausted(fanoutId: number, repeat: number, nowMs: number, unheard: TargetStatus): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.closed}, status = CASE WHEN sends > 0 THEN ? ELSE status END
         WHERE fanout_id = ? AND stage = ${STAGE.begun} AND due_ms <= ? AND attempts >= ?`,
      )
      .run(unheard, fanoutId, nowMs, repeat);
  }

  /** Closes what is open at the end of the Lifetime. @param unheard status of those sent */
  closeExpired(fanoutId: number, unheard: TargetStatus): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.closed},
           status = CASE WHEN sends > 0 THEN ? WHEN status = ${waiting} THEN ${gaveUp} ELSE status END
         WHERE fanout_id = ? AND stage < ${STAGE.closed}`,
      )
      .run(unheard, fanoutId);
  }

  /** Closes what is open when the fanout is stopped or aborted. */
  closeStopped(fanoutId: number): void {
    this.store
      .sql(
        `UPDATE fanout_target SET stage = ${STAGE.closed}, status = ${stopped}
         WHERE fanout_id = ? AND stage < ${STAGE.closed}`,
      )
      .run(fanoutId);
  }

  failed(fanoutId: number): number {
    const row = this.store
      .sql<{ n: number }>(
        `SELECT count(*) AS n FROM fanout_target
         WHERE fanout_id = ? AND stage = ${STAGE.closed} AND status IN (${FAILED})`,
      )
      .get(fanoutId);
    return row?.n ?? 0;
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

  #has(fanoutId: number, stage: number): boolean {
    return (
      this.store.sql('SELECT 1 FROM fanout_target WHERE fanout_id = ? AND stage = ? LIMIT 1').get(fanoutId, stage) !==
      undefined
    );
  }
}
