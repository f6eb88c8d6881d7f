/** Uniform in [0, 1), as `Math.random`. */
export type Random = () => number;

export interface BackoffPolicy {
  /** Upper bound of the first delay. */
  readonly firstMs: number;
  /** Upper bound of every delay. */
  readonly maxMs: number;
}

/**
 * Delays between tries: exponential with full jitter. The n-th delay is uniform in [0, min(maxMs, firstMs * 2^n)], which
 * spreads best those that have failed together; a patient one is uniform in the upper half of that, so that it is sure to
 * grow.
 */
export class Backoff {
  #tries = 0;

  constructor(
    private readonly policy: BackoffPolicy,
    private readonly random: Random,
  ) {}

  /** Tries since the last success. */
  get tries(): number {
    return this.#tries;
  }

  nextMs(patient = false): number {
    const { firstMs, maxMs } = this.policy;
    const ceiling = Math.min(maxMs, firstMs * 2 ** Math.min(this.#tries, 30));
    this.#tries += 1;
    const floor = patient ? ceiling / 2 : 0;
    return Math.round(floor + this.random() * (ceiling - floor));
  }

  reset(): void {
    this.#tries = 0;
  }
}
