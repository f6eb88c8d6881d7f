import type { BlobReader } from './blobs.js';
import type { PacedReads } from './paced-reads.js';

/** For clients that take what they are sent: a write costs little beside its bytes. */
export const CHUNK_BYTES = 256 * 1024;
/** For clients that keep us waiting while others need the chunks: hundreds of them may each hold one. */
export const SMALL_BYTES = 8 * 1024;

/** Chunks in rotation. */
const CHUNKS = 8;
/** More of them that may replace those which slow clients hold: 3 MiB at most in all. */
const EXTRA_CHUNKS = 4;
/** A chunk that has been in use for longer, in ms, is not in rotation any more. */
const HELD_MS = 200;
/** Small buffers kept for reuse when nobody uses any; what is above was for a crowd that has gone. */
const SMALL_KEPT = 64;

/** Bytes that somebody sends; they stay as they are until they are released. */
export interface Lease {
  readonly bytes: Buffer;
  readonly release: () => void;
}

/** A piece of content in memory. */
export interface ContentLease extends Lease {
  /** `bytes` are the content from here on. */
  readonly position: number;
}

interface Chunk {
  readonly buffer: Buffer;
  /** What it holds: content of this file from `position` on, once `filled` resolves. Undefined: nothing of use. */
  holds: { readonly sha256: string; readonly position: number; readonly filled: Promise<number> } | undefined;
  users: number;
  /** Since when, by the monotonic clock, it has been in use without a pause. */
  sinceMs: number;
}

/**
 * The buffers between disk and LAN clients. A write that the kernel does not take at once holds its buffer until the
 * client reads on, and nothing can take it back: so there are few large ones. They hold aligned chunks of content and
 * are shared: many clients that fetch the same image at the same time read the disk once, and stalled ones that began
 * together hold one chunk between them. Whoever finds all chunks in use gets a small buffer of its own.
 */
export class OutflowBuffers {
  /** Least recently used first. */
  readonly #chunks: Chunk[] = [];
  readonly #smallFree: Buffer[] = [];
  #smallLent = 0;
  #leases = 0;

  constructor(
    private readonly reads: PacedReads,
    private readonly monotonicMs: () => number,
  ) {}

  /** Buffers that are lent now: one for each lease. */
  get lent(): number {
    return this.#leases;
  }

  /**
   * Content from `position` on, as far as the aligned chunk around it goes; undefined when every chunk is in use for
   * something else. Rejects when the disk fails.
   */
  async content(blob: BlobReader, position: number): Promise<ContentLease | undefined> {
    const start = position - (position % CHUNK_BYTES);
    const chunk = this.#holding(blob.sha256, start) ?? this.#fill(blob, start);
    if (!chunk?.holds) return undefined;
    const { filled } = chunk.holds;
    const lease = this.#use(chunk);
    try {
      const bytes = chunk.buffer.subarray(position - start, await filled);
      return { ...lease, bytes, position };
    } catch (thrown) {
      lease.release();
      throw thrown;
    }
  }

  /** A buffer of its own for whoever puts several small pieces together; small when every chunk is in use. */
  own(): Lease {
    const chunk = this.#free();
    if (!chunk) return this.small();
    chunk.holds = undefined;
    return { ...this.#use(chunk), bytes: chunk.buffer };
  }

  small(): Lease {
    const bytes = this.#smallFree.pop() ?? Buffer.allocUnsafeSlow(SMALL_BYTES);
    this.#smallLent += 1;
    return {
      bytes,
      release: this.#lease(() => {
        this.#smallLent -= 1;
        this.#smallFree.push(bytes);
        if (this.#smallLent === 0) this.#smallFree.length = Math.min(this.#smallFree.length, SMALL_KEPT);
      }),
    };
  }

  #holding(sha256: string, start: number): Chunk | undefined {
    return this.#chunks.find(({ holds }) => holds?.position === start && holds.sha256 === sha256);
  }

  #fill(blob: BlobReader, position: number): Chunk | undefined {
    const chunk = this.#free();
    if (!chunk) return undefined;
    const holds = { sha256: blob.sha256, position, filled: this.#read(blob, chunk.buffer, position) };
    chunk.holds = holds;
    holds.filled.catch(() => {
      if (chunk.holds === holds) chunk.holds = undefined;
    });
    return chunk;
  }

  /** @returns bytes that were read: to the end of the buffer or of the blob */
  async #read(blob: BlobReader, buffer: Buffer, position: number): Promise<number> {
    const wanted = Math.min(buffer.length, blob.size - position);
    let filled = 0;
    while (filled < wanted) {
      const bytes = await this.reads.read(blob, buffer.subarray(filled), wanted - filled, position + filled);
      if (bytes === 0) throw new Error(`the blob ends at byte ${position + filled}`);
      filled += bytes;
    }
    return filled;
  }

  /** The chunk whose content was wanted least recently, of those that nobody uses; a new one while there may be more. */
  #free(): Chunk | undefined {
    const heldSince = this.monotonicMs() - HELD_MS;
    const held = this.#chunks.filter(({ users, sinceMs }) => users > 0 && sinceMs < heldSince).length;
    if (this.#chunks.length < CHUNKS + Math.min(held, EXTRA_CHUNKS)) {
      const unused = this.#chunks.find(({ users, holds }) => users === 0 && holds === undefined);
      if (unused) return unused;
      const chunk: Chunk = { buffer: Buffer.allocUnsafeSlow(CHUNK_BYTES), holds: undefined, users: 0, sinceMs: 0 };
      this.#chunks.push(chunk);
      return chunk;
    }
    return this.#chunks.find(({ users }) => users === 0);
  }

  #use(chunk: Chunk): { release: () => void } {
    if (chunk.users === 0) chunk.sinceMs = this.monotonicMs();
    chunk.users += 1;
    // To the end: wanted most recently.
    this.#chunks.splice(this.#chunks.indexOf(chunk), 1);
    this.#chunks.push(chunk);
    return {
      release: this.#lease(() => {
        chunk.users -= 1;
      }),
    };
  }

  /** Counts a lease. @returns its release, which works once */
  #lease(release: () => void): () => void {
    this.#leases += 1;
    let released = false;
    return () => {
      if (released) return;
      released = true;
      this.#leases -= 1;
      release();
    };
  }
}
