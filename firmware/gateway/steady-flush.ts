import type { Clock, TimerHandle } from '../clock/index.js';
import type { Store } from '../store/index.js';

/** What nobody waits for is flushed after at most so long. */
const FLUSH_MS = 60_000;

export interface SteadyFlushOptions {
  readonly store: Pick<Store, 'durable'>;
  readonly clock: Clock;
  /** Told of the StoreError of a flush. */
  readonly onFault: (thrown: unknown) => void;
}

/**
 * Flushes what has been committed and what nobody waits for: sightings of devices, counters of deliveries. A power cut
 * costs no more than a minute of it; and because the WAL is copied into the database only after a flush, it stays short
 * where many devices are seen and few DM sessions are held. Nothing new, nothing flushed.
 */
export class SteadyFlush {
  #timer: TimerHandle | undefined;

  constructor(private readonly o: SteadyFlushOptions) {}

  start(): void {
    this.#timer = this.o.clock.after(FLUSH_MS, () => {
      this.o.store.durable().catch((thrown: unknown) => this.o.onFault(thrown));
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
