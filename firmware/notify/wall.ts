import type { Clock } from '../clock/index.js';

/** Wall time in ms, or null while the clock is not set. */
export function plausibleWallMs(clock: Clock): number | null {
  return clock.plausible() ? Math.trunc(clock.wallMs()) : null;
}
