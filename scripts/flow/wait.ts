import { eventually as wait, type Patience } from '../../firmware/clock/eventually.fixture.js';
import { PATIENCE } from './project.js';

export type { Patience };

/** As the one of the rooms' tests, for what other processes do: every 50 ms by default, with the patience of the lab. */
export async function eventually<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  { timeoutMs = 20_000, everyMs = 50, ...rest }: Patience = {},
): Promise<T> {
  return wait(what, look, { timeoutMs: timeoutMs * PATIENCE, everyMs, ...rest });
}
