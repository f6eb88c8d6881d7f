/** Buckets for each doubling of a value: a figure is exact to some 3 percent. */
const PER_DOUBLING = 24;
/** The smallest value told apart, in the unit of the values: less counts as this. */
const LEAST = 1 / 1024;

/** Counts values of any number in a fixed amount of memory, so that percentiles of millions can be told. */
export class Histogram {
  readonly #counts = new Map<number, number>();
  #total = 0;
  #max = 0;

  add(value: number): void {
    const bucket = Math.ceil(Math.log2(Math.max(value, LEAST)) * PER_DOUBLING);
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1);
    this.#total += 1;
    this.#max = Math.max(this.#max, value);
  }

  get max(): number {
    return this.#max;
  }

  /** The value that so many percent do not exceed: the upper end of its bucket, at most 3 percent too large. 0 for none. */
  percentile(percent: number): number {
    let below = 0;
    for (const bucket of [...this.#counts.keys()].sort((a, b) => a - b)) {
      below += this.#counts.get(bucket) ?? 0;
      if (below >= (percent / 100) * this.#total) return Math.min(this.#max, 2 ** (bucket / PER_DOUBLING));
    }
    return 0;
  }
}
