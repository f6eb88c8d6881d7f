import type { BlobReader } from './blobs.js';

/** A read or write that takes longer, in ms, has waited: a read for the disk, or either of them for the CPU. */
const SLOW_MS = 8;
/** Slow ones count half after so many ms. */
const HALF_LIFE_MS = 5_000;
/** It is the disk when slow reads count so much, or it was not long ago, and so many times more than slow writes. */
const SUSPICIOUS = 2.5;
const READS_PER_WRITE = 4;
/** For so long, in ms, reads then leave the event loop alone; twice as long each time the disk is still slow. */
const FIRST_SPELL_MS = 250;
const LONGEST_SPELL_MS = 4_000;
/** A disk that was not slow for so long, in ms, is trusted again. */
const TRUSTED_MS = 10_000;
/** The read that tries the disk after a spell has at most so many bytes: the event loop waits for it. */
const TRIAL_BYTES = 16 * 1024;

/**
 * Reads at once while the page cache answers, in the thread pool while the disk does. A read from the page cache costs
 * four times the CPU in the thread pool, but a cold read of raw flash on the event loop would hold everybody else: so the
 * loop sees three slow reads, and then short ones, fewer and fewer.
 *
 * A busy CPU makes reads slow too, and the thread pool would make it busier. It makes writes to sockets just as slow,
 * which never wait for anything else: so slow writes speak for slow reads.
 */
export class PacedReads {
  #inPool = false;
  #poolUntilMs = -Infinity;
  #spellMs = FIRST_SPELL_MS;
  readonly #slowReads = new Fading();
  readonly #slowWrites = new Fading();

  constructor(private readonly monotonicMs: () => number) {}

  async read(blob: BlobReader, buffer: Buffer, length: number, position: number): Promise<number> {
    const begunMs = this.monotonicMs();
    if (begunMs < this.#poolUntilMs) return blob.read(buffer, length, position);
    const trial = this.#inPool;
    this.#inPool = false;
    const bytes = blob.readNow(buffer, trial ? Math.min(length, TRIAL_BYTES) : length, position);
    const endedMs = this.monotonicMs();
    if (endedMs - begunMs > SLOW_MS) this.#slow(endedMs);
    return bytes;
  }

  /** A write to a socket has returned after so long, its bytes taken or not. */
  wrote(elapsedMs: number): void {
    if (elapsedMs > SLOW_MS) this.#slowWrites.count(this.monotonicMs());
  }

  #slow(nowMs: number): void {
    const reads = this.#slowReads.count(nowMs);
    const again = nowMs < this.#poolUntilMs + TRUSTED_MS;
    if ((!again && reads < SUSPICIOUS) || reads < READS_PER_WRITE * this.#slowWrites.at(nowMs)) return;
    this.#spellMs = again ? Math.min(this.#spellMs * 2, LONGEST_SPELL_MS) : FIRST_SPELL_MS;
    this.#inPool = true;
    this.#poolUntilMs = nowMs + this.#spellMs;
  }
}

/** A count of events of which the older ones count less. */
class Fading {
  #value = 0;
  #atMs = 0;

  at(nowMs: number): number {
    return this.#value * 2 ** ((this.#atMs - nowMs) / HALF_LIFE_MS);
  }

  /** One more. @returns the count now */
  count(nowMs: number): number {
    this.#value = this.at(nowMs) + 1;
    this.#atMs = nowMs;
    return this.#value;
  }
}
