import type { Clock, TimerHandle } from '../clock/index.js';
import type { BodyReader } from '../net/index.js';
import type { RateCap } from './throttle.js';

/** A body that brings fewer bytes than this in a window of its own time has stalled. */
export interface StallRule {
  readonly windowMs: number;
  /** At least 1, so that silence is a stall. */
  readonly leastBytes: number;
}

export interface FlowOptions {
  readonly body: Pick<BodyReader, 'pause' | 'resume'>;
  readonly clock: Clock;
  readonly throttle: RateCap;
  readonly stall: StallRule;
  /** Told once, when the body has stalled. */
  stalled(): void;
}

/** After so long, in ms, the rate cap is asked again: it may have been raised. */
const MAX_RATE_PAUSE_MS = 1000;

/**
 * Whether a body is read: not while the disk or the rate cap holds it back, by which the sender is held back too. Only
 * the time in which nothing holds it counts towards a stall.
 */
export class Flow {
  readonly #holds = new Set<'disk' | 'rate'>();
  #ratePause: TimerHandle | undefined;
  #window: TimerHandle | undefined;
  /** What has come in during this window, how much of it is left, and since when it runs. */
  #bytes = 0;
  #leftMs: number;
  #sinceMs = 0;

  constructor(private readonly o: FlowOptions) {
    this.#leftMs = o.stall.windowMs;
  }

  start(): void {
    this.#watch();
  }

  /** The body has brought so many bytes. */
  came(bytes: number): void {
    this.#bytes += bytes;
    this.#pay(this.o.throttle.take(bytes));
  }

  /** The disk is behind. */
  holdForDisk(): void {
    this.#hold('disk');
  }

  diskReady(): void {
    this.#release('disk');
  }

  /** Idempotent; the body is left as it is. */
  stop(): void {
    this.#ratePause?.cancel();
    this.#window?.cancel();
  }

  /** Waits until the debt is paid; the cap may change meanwhile. */
  #pay(debtMs: number): void {
    this.#ratePause?.cancel();
    if (debtMs === 0) return this.#release('rate');
    this.#hold('rate');
    this.#ratePause = this.o.clock.after(Math.min(debtMs, MAX_RATE_PAUSE_MS), () => this.#pay(this.o.throttle.take(0)));
  }

  #hold(reason: 'disk' | 'rate'): void {
    if (this.#holds.size === 0) {
      this.o.body.pause();
      this.#window?.cancel();
      this.#leftMs -= this.o.clock.monotonicMs() - this.#sinceMs;
    }
    this.#holds.add(reason);
  }

  #release(reason: 'disk' | 'rate'): void {
    if (!this.#holds.delete(reason) || this.#holds.size > 0) return;
    this.#watch();
    this.o.body.resume();
  }

  #watch(): void {
    this.#sinceMs = this.o.clock.monotonicMs();
    this.#window = this.o.clock.after(this.#leftMs, () => {
      if (this.#bytes < this.o.stall.leastBytes) return this.o.stalled();
      this.#bytes = 0;
      this.#leftMs = this.o.stall.windowMs;
      this.#watch();
    });
  }
}
