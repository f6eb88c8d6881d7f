import type { Clock } from '../clock/index.js';

/** What a quiet time saves up: the bytes of so many ms may come in at full speed. */
const BURST_MS = 250;
/** Debts that are paid sooner, in ms, are not waited for: a timer per chunk would cost more than it evens out. */
const LEAST_PAUSE_MS = 20;

/** No more than the bytes of so many ms are read at once: a cap that is low must not come in large steps. */
const PIECE_MS = 60;
/** But so many bytes may be. */
const LEAST_PIECE_BYTES = 4096;

/** Limits how fast a source is read. */
export interface RateCap {
  /** Most bytes to be read at once. */
  readonly pieceBytes: number;
  /**
   * Counts bytes that have come in.
   * @returns ms for which their source is to be left unread; 0 to read on
   */
  take(bytes: number): number;
}

/** Both caps hold; each counts every byte. */
export function bothCaps(one: RateCap, other: RateCap): RateCap {
  return {
    get pieceBytes() {
      return Math.min(one.pieceBytes, other.pieceBytes);
    },
    take: (bytes) => Math.max(one.take(bytes), other.take(bytes)),
  };
}

/**
 * A rate cap, of the WAN or of one image in it: one token bucket for all retrievals. Bytes are counted when they have come in, so the bucket
 * can be in debt, by at most what each body hands over at once; the debt is paid before anybody reads on, and the mean
 * rate is exact. What the kernel accepts ahead of us is not ours to limit: a sender sees the cap once its window is full.
 */
export class Throttle implements RateCap {
  /** Bytes that may come in now; negative is debt. */
  #balance: number;
  #countedMs: number;

  /** @param maxBytesPerSecond 0 for no cap */
  constructor(
    private readonly clock: Clock,
    private maxBytesPerSecond: number,
  ) {
    this.#balance = this.#burstBytes;
    this.#countedMs = clock.monotonicMs();
  }

  /** Another cap from now on; 0 for none. */
  setRate(maxBytesPerSecond: number): void {
    this.take(0);
    this.maxBytesPerSecond = maxBytesPerSecond;
    this.#countedMs = this.clock.monotonicMs();
    this.#balance = Math.min(this.#burstBytes, Math.max(0, this.#balance));
  }

  get pieceBytes(): number {
    if (this.maxBytesPerSecond === 0) return Infinity;
    return Math.max(LEAST_PIECE_BYTES, Math.ceil((this.maxBytesPerSecond * PIECE_MS) / 1000));
  }

  take(bytes: number): number {
    if (this.maxBytesPerSecond === 0) return 0;
    const nowMs = this.clock.monotonicMs();
    const earned = ((nowMs - this.#countedMs) * this.maxBytesPerSecond) / 1000;
    this.#countedMs = nowMs;
    this.#balance = Math.min(this.#burstBytes, this.#balance + earned) - bytes;
    const debtMs = (-this.#balance * 1000) / this.maxBytesPerSecond;
    return debtMs < LEAST_PAUSE_MS ? 0 : debtMs;
  }

  get #burstBytes(): number {
    return (this.maxBytesPerSecond * BURST_MS) / 1000;
  }
}
