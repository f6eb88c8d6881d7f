import { setTimeout as sleep } from 'node:timers/promises';
import { PATIENCE } from './project.js';

export interface WaitOptions {
  /** Default 20 s. */
  readonly timeoutMs?: number;
  /** Default 50 ms. */
  readonly everyMs?: number;
}

/**
 * Asks again and again until the probe has an answer.
 * @throws when the time is over, with `what` was waited for
 */
export async function eventually<T>(
  what: string,
  probe: () => T | undefined | Promise<T | undefined>,
  { timeoutMs = 20_000, everyMs = 50 }: WaitOptions = {},
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs * PATIENCE;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (performance.now() >= deadlineMs) throw new Error(`waited ${timeoutMs * PATIENCE} ms in vain for ${what}`);
    await sleep(everyMs);
  }
}
