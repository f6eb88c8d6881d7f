import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Store } from '../store/index.js';

/** What was last noticed of a device. */
export interface Sighting {
  readonly reachable: boolean;
  /** Wall time in ms; undefined while the clock is not plausible or when the device did not answer. */
  readonly lastSeenMs: number | undefined;
}

/** Flash wears: sightings are written together, at most once in this time. A kill loses no more than this. */
const FLUSH_AFTER_MS = 60_000;

/** LastSeen is so exact. */
const NEWS_AFTER_MS = 30_000;

/** Sightings in memory; when so many devices were seen they are written at once. */
const MAX_PENDING = 1024;

/** A device that was seen twice, so long apart, is taken for real. */
const CONFIRMED_AFTER_MS = 60_000;

/** Sightings that wait to be written. Readers overlay them on the rows. */
export class Sightings {
  readonly #pending = new Map<string, Sighting>();
  #timer: TimerHandle | undefined;

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  of(deviceId: string): Sighting | undefined {
    return this.#pending.get(deviceId);
  }

  /**
   * One that says nothing new is not noted: a device that announces itself all the time costs neither memory nor flash.
   * @param lastSeenMs undefined leaves what was noted before
   * @param written what the database has
   */
  note(deviceId: string, reachable: boolean, lastSeenMs: number | undefined, written: Sighting): void {
    const { reachable: before, lastSeenMs: beforeMs } = this.#pending.get(deviceId) ?? written;
    const news = lastSeenMs !== undefined && Math.abs(lastSeenMs - (beforeMs ?? -Infinity)) >= NEWS_AFTER_MS;
    if (reachable === before && !news) return;
    this.#pending.set(deviceId, { reachable, lastSeenMs: lastSeenMs ?? beforeMs });
    if (this.#pending.size >= MAX_PENDING) this.#flushOrRetry();
    else this.#timer ??= this.clock.after(FLUSH_AFTER_MS, () => this.#flushOrRetry());
  }

  /** Writes what is pending, in one transaction. @throws StoreError */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    this.store.transaction(() => {
      for (const [deviceId, { reachable, lastSeenMs }] of this.#pending) {
        this.store
          .sql(
            `UPDATE device SET confirmed = confirmed OR coalesce(? - last_seen_ms >= ${CONFIRMED_AFTER_MS}, 0),
               reachable = ?, last_seen_ms = coalesce(?, last_seen_ms) WHERE device_id = ?`,
          )
          .run(lastSeenMs ?? null, reachable ? 1 : 0, lastSeenMs ?? null, deviceId);
      }
    });
    this.#pending.clear();
  }

  /** What could not be written waits for the next time; where no more fit, it is dropped: it is of little worth by then. */
  #flushOrRetry(): void {
    try {
      this.flush();
    } catch (thrown) {
      const dropped = this.#pending.size >= MAX_PENDING;
      this.log.warn('sightings of devices could not be written', { dropped, reason: describeThrown(thrown) });
      if (dropped) this.#pending.clear();
      this.#timer = this.clock.after(FLUSH_AFTER_MS, () => this.#flushOrRetry());
    }
  }
}
