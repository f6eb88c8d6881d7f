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
  /** What has come in during this window, and for how long of it something has held the body: up to when, where it still does. */
  #bytes = 0;
  #heldMs = 0;
  #heldSinceMs = 0;

  constructor(private readonly o: FlowOptions) {}

  start(): void {
    this.#watch(this.o.stall.windowMs);
  }

  /** The body has brought so many bytes. */
  came(bytes: number): void {
    this.#bytes += bytes;
    const debtMs = this.o.throttle.take(bytes);
    if (debtMs > 0 || this.#ratePause) this.#pay(debtMs);
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
    this.#ratePause = undefined;
    if (debtMs === 0) return this.#release('rate');
    this.#hold('rate');
    this.#ratePause = this.o.clock.after(Math.min(debtMs, MAX_RATE_PAUSE_MS), () => this.#pay(this.o.throttle.take(0)));
  }

  #hold(reason: 'disk' | 'rate'): void {
    if (this.#holds.size === 0) {
      this.o.body.pause();
      this.#heldSinceMs = this.o.clock.monotonicMs();
    }
    this.#holds.add(reason);
  }

  #release(reason: 'disk' | 'rate'): void {
    if (!this.#holds.delete(reason) || this.#holds.size > 0) return;
    this.#heldMs += this.o.clock.monotonicMs() - this.#heldSinceMs;
    this.o.body.resume();
  }

  /** Its timer runs on while the body is held, many times a second on a busy disk: the window ends so much later. */
  #watch(ms: number): void {
    this.#window = this.o.clock.after(ms, () => {
      if (this.#holds.size > 0) {
        const nowMs = this.o.clock.monotonicMs();
        this.#heldMs += nowMs - this.#heldSinceMs;
        this.#heldSinceMs = nowMs;
      }
      const heldMs = this.#heldMs;
      this.#heldMs = 0;
      if (heldMs > 0) return this.#watch(heldMs);
      if (this.#bytes < this.o.stall.leastBytes) return this.o.stalled();
      this.#bytes = 0;
      this.#watch(this.o.stall.windowMs);
    });
  }
}
