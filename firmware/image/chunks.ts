import type { BlobReader } from './blobs.js';
import type { PacedReads } from './outflow.js';

/** What is read at once: on a busy machine, larger ones took no less CPU time, smaller ones more. */
const CHUNK_BYTES = 512 * 1024;
/** More of them do not stay in the CPU's cache; so 1 MiB in all, however many clients there are. */
const CHUNKS = 2;

interface Chunk {
  readonly bytes: Buffer;
  source: object | undefined;
  /** Of the blob: where it begins, and behind its last byte. */
  from: number;
  to: number;
  /** Ordinal number of its last use. */
  used: number;
}

/**
 * What was read last, for all clients: those that fetch the same image at the same time share their reads. A chunk is
 * never lent: who asks uses the bytes before the event loop goes on.
 */
export class SharedChunks {
  readonly #chunks: Chunk[] = [];
  #uses = 0;

  constructor(private readonly reads: PacedReads) {}

  /**
   * Bytes of a blob from `position` on, at most to `end`; good until the event loop goes on.
   * @returns at least one byte; undefined while the disk is slow, or before they have come. Throws as `readNow` does
   */
  at(blob: BlobReader, position: number, end: number): Buffer | undefined {
    const chunk = this.#holder(blob, position) ?? this.#read(blob, position, end);
    if (!chunk) return undefined;
    this.#uses += 1;
    chunk.used = this.#uses;
    return chunk.bytes.subarray(position - chunk.from, Math.min(end, chunk.to) - chunk.from);
  }

  #holder(blob: BlobReader, position: number): Chunk | undefined {
    // What has changed on the disk is not sent from memory either: `readNow` says so.
    if (blob.isVoid()) return undefined;
    return this.#chunks.find(({ source, from, to }) => position >= from && position < to && source === blob.source);
  }

  /** Up to a boundary that all clients have in common. */
  #read(blob: BlobReader, position: number, end: number): Chunk | undefined {
    const boundary = (Math.floor(position / CHUNK_BYTES) + 1) * CHUNK_BYTES;
    const chunk = this.#leastUsed();
    chunk.to = chunk.from;
    const read = this.reads.tryNow(blob, chunk.bytes, Math.min(end, boundary) - position, position);
    if (read === undefined) return undefined;
    if (read === 0) throw new Error(`the blob ends at byte ${position}`);
    chunk.source = blob.source;
    chunk.from = position;
    chunk.to = position + read;
    return chunk;
  }

  #leastUsed(): Chunk {
    if (this.#chunks.length < CHUNKS) {
      const chunk = { bytes: Buffer.allocUnsafeSlow(CHUNK_BYTES), source: undefined, from: 0, to: 0, used: 0 };
      this.#chunks.push(chunk);
      return chunk;
    }
    return this.#chunks.reduce((least, chunk) => (chunk.used < least.used ? chunk : least));
  }
}
