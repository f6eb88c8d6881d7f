import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import type { Store } from '../store/index.js';
import type { DeviceInventory } from './inventory.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** First look: not while the gateway starts. */
const FIRST_MS = 60_000;

/** A device that was seen for a moment only need not be kept for long: it may never have been one. */
const FLEETING_DAYS = 1;

/** Records removed in one transaction. */
const AT_ONCE = 256;

export interface DepartedOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly inventory: DeviceInventory;
  /** A discovered device that was not seen for so long is removed. */
  readonly forgetAfterDays: number;
  readonly onFault: (thrown: unknown) => void;
}

/** Removes discovered devices that have departed. Those of a server or of the configuration are theirs to remove. */
export class Departed {
  #timer: TimerHandle | undefined;

  constructor(private readonly o: DepartedOptions) {}

  start(): void {
    this.#timer = this.o.clock.after(FIRST_MS, () => this.#sweep());
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #sweep(): void {
    const { clock, log, onFault } = this.o;
    let removed = 0;
    try {
      removed = this.remove();
      if (removed > 0) log.info('departed devices were removed', { count: removed });
    } catch (thrown) {
      onFault(thrown);
    }
    this.#timer = clock.after(removed < AT_ONCE ? HOUR_MS : 0, () => this.#sweep());
  }

  /** @returns how many were removed now; while the clock is not set, none. @throws StoreError */
  remove(): number {
    const { store, clock, inventory, forgetAfterDays } = this.o;
    if (!clock.plausible()) return 0;
    inventory.flush();
    const nowMs = Math.trunc(clock.wallMs());
    return store.transaction(() => {
      // Found while the clock was not set: its age counts from now on.
      store.sql("UPDATE device SET last_seen_ms = ? WHERE source = 'mdns' AND last_seen_ms IS NULL").run(nowMs);
      const departed = store
        .sql<{ id: number; node: string }>(
          `SELECT id, node FROM device WHERE source = 'mdns' AND reachable = 0
             AND last_seen_ms < CASE confirmed WHEN 1 THEN ? ELSE ? END LIMIT ${AT_ONCE}`,
        )
        .all(nowMs - forgetAfterDays * DAY_MS, nowMs - Math.min(forgetAfterDays, FLEETING_DAYS) * DAY_MS);
      inventory.discard(departed);
      return departed.length;
    });
  }
}
