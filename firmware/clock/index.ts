/**
 * Time as a parameter: wall clock, monotonic clock, timers and random delays; and times of the week at a place.
 * Leaves to others what they wait for. Durations and deadlines use `monotonicMs`, because a router's wall clock jumps
 * at its first NTP synchronisation.
 */
import type { Random } from './backoff.js';

export { ManualClock } from './manual.js';
export { Backoff, type BackoffPolicy, type Random } from './backoff.js';
export { WeeklyWindows } from './windows.js';
export { TimeZone } from './zone.js';

export interface TimerHandle {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since 1970 by the wall clock; may jump. */
  wallMs(): number;
  /** Milliseconds from an arbitrary start; never jumps. */
  monotonicMs(): number;
  /** False while the wall clock stands before the build date: a router without a battery clock at boot. */
  plausible(): boolean;
  /** Runs `task` once after `delayMs` (0 or more). The timer does not hold the process. */
  after(delayMs: number, task: () => void): TimerHandle;
  /** Resolves after `delayMs`, or at once when `signal` is aborted (it does not reject). */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}

/** Longest delay that one Node.js timer can hold; longer ones fire at once, so they are cut to this. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * The machine's clock.
 * @param buildTimeMs wall time of the build; an earlier wall clock is not plausible
 */
export function systemClock(buildTimeMs: number): Clock {
  const after = (delayMs: number, task: () => void): TimerHandle => {
    const timer = setTimeout(task, Math.min(Math.max(0, delayMs), MAX_TIMER_MS));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  };
  return {
    wallMs: () => Date.now(),
    // Not performance.now(): its module takes longer to load than all else here, and nobody else needs it.
    monotonicMs: () => {
      const [seconds, nanoseconds] = process.hrtime();
      return seconds * 1000 + nanoseconds / 1e6;
    },
    plausible: () => Date.now() >= buildTimeMs,
    after,
    sleep: (delayMs, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const finish = (): void => {
          timer.cancel();
          signal?.removeEventListener('abort', finish);
          resolve();
        };
        const timer = after(delayMs, finish);
        signal?.addEventListener('abort', finish, { once: true });
      }),
  };
}

/** A random delay of up to `spreadMs`, so that many gateways do not act at the same instant. */
export function jitterMs(spreadMs: number, random: Random): number {
  return Math.floor(random() * Math.max(0, spreadMs));
}
