import type { Clock } from '../clock/index.js';

/** A share that refills: so many at once, so many per second afterwards. */
export class Bucket {
  #level: number;
  #filledMs: number;

  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
    nowMs: number,
  ) {
    this.#level = burst;
    this.#filledMs = nowMs;
  }

  /** @returns whether there was so much left */
  take(amount: number, nowMs: number): boolean {
    if (!this.has(amount, nowMs)) return false;
    this.#level -= amount;
    return true;
  }

  /** Whether there is so much left. */
  has(amount: number, nowMs: number): boolean {
    this.#level = Math.min(this.burst, this.#level + ((nowMs - this.#filledMs) * this.perSecond) / 1000);
    this.#filledMs = nowMs;
    return this.#level >= amount;
  }

  /** Takes what was used already, beyond what is left; no more beyond it than a whole burst. */
  charge(amount: number): void {
    this.#level = Math.max(-this.burst, this.#level - amount);
  }
}

/**
 * Datagrams of one source, per second. A source is an address: that of a host that plays some hundred devices, and that of
 * a repeater or mDNS reflector, which all devices behind it share.
 */
const SOURCE_PER_SECOND = 500;
const SOURCE_BURST = 2_000;

/** Of all sources. A switch-on of 10,000 devices is taken over some seconds; for what was missed, all are asked again. */
const LINK_PER_SECOND = 2_000;
const LINK_BURST = 4_000;

/** Bytes of all sources: decoding takes time by the byte. */
const LINK_BYTES_PER_SECOND = 1024 * 1024;
const LINK_BYTES_BURST = 4 * 1024 * 1024;

/** Processor time: a hostile message takes many times what others of the same size do. */
const LINK_MS_PER_SECOND = 400;
const LINK_MS_BURST = 1_000;

/** Of bytes and time one source has a quarter to itself: no address takes them from the others. */
const OF_SOURCE = 1 / 4;

/**
 * What nobody uses is lent to a source that has used up its share: behind a reflector are all devices of a LAN. This part of
 * each burst is never lent: whoever begins to speak finds it.
 */
const NEVER_LENT = 1 / 2;

/** Sources with a share of their own; when a flood forges more, they share that of the link. */
const MAX_SOURCES = 1_024;

/** What one source has left. */
interface SourceShare {
  readonly packets: Bucket;
  readonly bytes: Bucket;
  readonly time: Bucket;
}

/** How much one link may make the gateway look at. What is over is dropped before it is decoded. */
export class LinkBudget {
  readonly #sources = new Map<string, SourceShare>();
  readonly #packets: Bucket;
  readonly #bytes: Bucket;
  readonly #time: Bucket;
  #dropped = 0;

  /** @param processorMs what this process has used of its processor so far */
  constructor(
    private readonly clock: Clock,
    private readonly processorMs = usedByThisProcess,
  ) {
    const nowMs = clock.monotonicMs();
    this.#packets = new Bucket(LINK_PER_SECOND, LINK_BURST, nowMs);
    this.#bytes = new Bucket(LINK_BYTES_PER_SECOND, LINK_BYTES_BURST, nowMs);
    this.#time = new Bucket(LINK_MS_PER_SECOND, LINK_MS_BURST, nowMs);
  }

  get dropped(): number {
    return this.#dropped;
  }

  /** @returns whether a datagram of this size may be looked at */
  admits(source: string, bytes: number): boolean {
    const nowMs = this.clock.monotonicMs();
    const share = this.#ofSource(source, nowMs);
    const isOwn = share.packets.has(1, nowMs) && share.bytes.has(bytes, nowMs) && share.time.has(0, nowMs);
    const kept = isOwn ? 0 : NEVER_LENT;
    const fits =
      this.#packets.has(1 + kept * LINK_BURST, nowMs) &&
      this.#bytes.has(bytes + kept * LINK_BYTES_BURST, nowMs) &&
      this.#time.has(kept * LINK_MS_BURST, nowMs);
    if (!fits) {
      this.#dropped += 1;
      return false;
    }
    this.#packets.charge(1);
    this.#bytes.charge(bytes);
    share.packets.charge(1);
    share.bytes.charge(bytes);
    return true;
  }

  /** Looks at a datagram of this source that was admitted, on account of the time that it takes. */
  look(source: string, work: () => void): void {
    const beforeMs = this.processorMs();
    try {
      work();
    } finally {
      const usedMs = this.processorMs() - beforeMs;
      this.#sources.get(source)?.time.charge(usedMs);
      this.#time.charge(usedMs);
    }
  }

  #ofSource(source: string, nowMs: number): SourceShare {
    let share = this.#sources.get(source);
    if (!share) {
      // The one that was first heard goes: a forger drives out other forged ones as much as real ones, who start afresh.
      if (this.#sources.size >= MAX_SOURCES) {
        for (const oldest of this.#sources.keys()) {
          this.#sources.delete(oldest);
          break;
        }
      }
      share = {
        packets: new Bucket(SOURCE_PER_SECOND, SOURCE_BURST, nowMs),
        bytes: new Bucket(LINK_BYTES_PER_SECOND * OF_SOURCE, LINK_BYTES_BURST * OF_SOURCE, nowMs),
        time: new Bucket(LINK_MS_PER_SECOND * OF_SOURCE, LINK_MS_BURST * OF_SOURCE, nowMs),
      };
      this.#sources.set(source, share);
    }
    return share;
  }
}

function usedByThisProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
