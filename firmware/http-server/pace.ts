/**
 * How fast a client takes what it is sent: an account in bytes that falls by the minimum rate while we wait for the
 * client and rises by what it takes. It starts full, with what the minimum rate gives in the window, and never holds
 * more; a client whose account is empty is too slow.
 *
 * Worked example, 1 KiB/s over 60 s: one that takes 512 B/s loses 512 B each second and is too slow after 2 min; one
 * that takes nothing, after 1 min; one that keeps 1 KiB/s, never. A write is taken as a whole, so one of n bytes has the
 * time that n bytes may need.
 *
 * What counts is what the client's kernel acknowledges, where that can be known: our own takes more only when a third of
 * what it holds has gone, and after a fast start it holds a megabyte or more.
 */
export class Pace {
  #balanceBytes: number;

  /** @param windowMs  the rate is averaged over so long */
  constructor(
    private readonly bytesPerSecond: number,
    private readonly windowMs: number,
  ) {
    this.#balanceBytes = this.#fullBytes;
  }

  get #fullBytes(): number {
    return (this.bytesPerSecond * this.windowMs) / 1000;
  }

  /** The client is too slow when a write of so many bytes takes longer, in ms. */
  allowanceMs(bytes: number): number {
    return ((this.#balanceBytes + bytes) / this.bytesPerSecond) * 1000;
  }

  /** The client has taken a write of so many bytes within its allowance. */
  took(bytes: number, elapsedMs: number): void {
    const balance = this.#balanceBytes + bytes - (this.bytesPerSecond * elapsedMs) / 1000;
    this.#balanceBytes = Math.min(this.#fullBytes, balance);
  }
}
