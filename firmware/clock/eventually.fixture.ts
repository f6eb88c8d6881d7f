/** For the tests of all rooms: waits for what comes when it comes. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  /** Default 20 s. */
  readonly timeoutMs?: number;
  /** Default 5 ms. */
  readonly everyMs?: number;
  /** What there is instead, for the error. */
  readonly tell?: () => string;
}

/**
 * Looks again and again until something is there: neither undefined nor false.
 * @throws when the time is over, with `what` was waited for
 */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = 20_000, everyMs = 5, tell }: Patience = {},
): Promise<T> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadlineMs) throw new Error(`waited in vain for ${what}${tell ? `: ${tell()}` : ''}`);
    await sleep(everyMs);
  }
}
