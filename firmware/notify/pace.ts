/** So much of a second's share may go out at once, when a timer came late; more would be a burst. */
const BURST_SECONDS = 0.1;

/** A number of new devices per second, evenly spread. Times in ms on any one clock. */
export class Tokens {
  #level = 1;

  constructor(private filledMs: number) {}

  /** How many may begin now. */
  available(perSecond: number, nowMs: number): number {
    const most = Math.max(1, perSecond * BURST_SECONDS);
    this.#level = Math.min(most, this.#level + ((nowMs - this.filledMs) * perSecond) / 1000);
    this.filledMs = nowMs;
    return Math.floor(this.#level);
  }

  take(count: number): void {
    this.#level -= count;
  }

  /** Until the next one may begin. */
  nextInMs(perSecond: number): number {
    return Math.ceil(((1 - Math.min(1, this.#level)) / perSecond) * 1000);
  }
}

/**
 * Devices that were woken and may come to the image server any moment, but are not among its readers yet. Each holds a
 * place until its first repetition would be due; then it has come, or sleeps. Those that came count twice until then,
 * which errs on the careful side.
 */
export class ExpectedReaders {
  #holds: { readonly count: number; readonly untilMs: number }[] = [];

  hold(count: number, untilMs: number): void {
    if (count > 0) this.#holds.push({ count, untilMs });
  }

  count(nowMs: number): number {
    this.#holds = this.#holds.filter(({ untilMs }) => untilMs > nowMs);
    return this.#holds.reduce((sum, { count }) => sum + count, 0);
  }
}

/**
 * How many new devices the wave still takes: a wave is filled, and the next one begins when nobody of it is open.
 * @param tried devices tried so far, in all waves
 */
export function restOfWave(waveSize: number, tried: number, anyOpen: boolean): number {
  if (waveSize === 0) return Infinity;
  const rest = waveSize - (tried % waveSize);
  return rest === waveSize && anyOpen ? 0 : rest;
}
