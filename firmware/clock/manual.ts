import type { Clock, TimerHandle } from './index.js';

/** A clock for tests: time passes when it is told to. */
export class ManualClock implements Clock {
  isPlausible = true;
  #monotonicMs = 1_000;
  #wallMs = 1_700_000_000_000;
  readonly #timers = new Set<{ readonly atMs: number; readonly task: () => void }>();

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  plausible(): boolean {
    return this.isPlausible;
  }

  after(delayMs: number, task: () => void): TimerHandle {
    const timer = { atMs: this.#monotonicMs + Math.max(0, delayMs), task };
    this.#timers.add(timer);
    return { cancel: () => this.#timers.delete(timer) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const finish = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', finish);
        resolve();
      };
      const timer = this.after(delayMs, finish);
      signal?.addEventListener('abort', finish, { once: true });
    });
  }

  /** Lets time pass and runs what became due, in order. */
  advance(ms: number): void {
    const endMs = this.#monotonicMs + ms;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (!next) break;
      this.#timers.delete(next);
      this.#pass(next.atMs - this.#monotonicMs);
      next.task();
    }
    this.#pass(endMs - this.#monotonicMs);
  }

  /** The wall clock is set, as NTP does. */
  jumpWall(ms: number): void {
    this.#wallMs += ms;
  }

  /** How long until the next timer; undefined when none is set. */
  nextInMs(): number | undefined {
    const times = [...this.#timers].map(({ atMs }) => atMs - this.#monotonicMs);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  #pass(ms: number): void {
    this.#monotonicMs += ms;
    this.#wallMs += ms;
  }
}
