/** What a late timer may make up for, in ms: the depth of the bucket. */
const BURST_MS = 50;

/** Bytes per second for all connections together, as on a WAN link: a token bucket. */
export class Rate {
  /** Monotonic time at which the link is free again. */
  #freeAtMs = 0;

  /** @param bytesPerSecond 0: unlimited */
  constructor(public bytesPerSecond: number) {}

  /** Bytes that one write should have, so that the flow is even: about 20 ms of the link, at most `most`. */
  slice(most: number): number {
    if (this.bytesPerSecond === 0) return most;
    return Math.max(1, Math.min(most, Math.floor(this.bytesPerSecond / 50)));
  }

  /** Resolves when the link has carried so many bytes, after those that were asked for earlier. */
  async carry(bytes: number): Promise<void> {
    if (this.bytesPerSecond === 0) return;
    const nowMs = performance.now();
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - BURST_MS) + (bytes * 1000) / this.bytesPerSecond;
    const waitMs = this.#freeAtMs - nowMs;
    if (waitMs >= 1) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
