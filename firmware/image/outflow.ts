import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock/index.js';
import type { BlobReader } from './blobs.js';
import { CHUNK_BYTES, type ContentLease, type OutflowBuffers } from './chunks.js';
import type { Piece } from './multipart.js';
import type { Pace } from './pace.js';
import type { PacedReads } from './paced-reads.js';
import type { Span } from './ranges.js';

/** A write that takes longer, in ms, belongs to a client that does not keep up. */
const DRAIN_MS = 100;
/** After so many bytes in a row everybody else gets a turn: reads and writes that succeed at once never wait. */
const BURST_BYTES = 1024 * 1024;

export interface OutflowOptions {
  readonly blob: BlobReader;
  readonly response: ServerResponse;
  /** Its connection; a pipelined response is told of its end only by this. */
  readonly socket: Socket;
  readonly body: Iterable<Piece>;
  readonly buffers: OutflowBuffers;
  readonly reads: PacedReads;
  /** How fast the client must be. */
  readonly pace: Pace;
  readonly clock: Clock;
  /** Told of the content in every write that the kernel has taken. */
  sent(spans: readonly Span[]): void;
}

export type OutflowEnd =
  { readonly kind: 'complete' | 'peer-gone' | 'too-slow' } | { readonly kind: 'disk'; readonly cause: unknown };

/**
 * Copies a body to a response: file -> buffer -> socket, one write at a time, several small pieces in one write. The
 * response is not ended here; after anything but `complete` it must be broken off. A client that is too slow has been
 * disconnected.
 */
export async function sendBody(options: OutflowOptions): Promise<OutflowEnd> {
  const { socket, buffers, clock } = options;
  const source = new Source(options.body, options.blob, buffers, options.reads);
  let drains = true;
  let burst = 0;
  while (!source.exhausted) {
    if (socket.destroyed) return { kind: 'peer-gone' };
    let load: Load | undefined;
    try {
      load = await source.next(drains);
      const begunMs = clock.monotonicMs();
      const end = await write(options, load.bytes);
      if (end !== 'taken') return { kind: end };
      const elapsedMs = clock.monotonicMs() - begunMs;
      options.pace.took(load.bytes.length, elapsedMs);
      drains = elapsedMs < DRAIN_MS;
      burst += load.bytes.length;
      options.sent(load.content);
    } catch (cause) {
      return { kind: 'disk', cause };
    } finally {
      load?.release();
    }
    if (burst >= BURST_BYTES) {
      burst = 0;
      await setImmediate();
    }
  }
  return { kind: 'complete' };
}

/** What goes out in one write. */
interface Load {
  readonly bytes: Buffer;
  /** The content among them. */
  readonly content: readonly Span[];
  readonly release: () => void;
}

/** A piece of at least so many bytes is sent from shared chunks. Shorter ones would have too much read for them. */
const SHARED_BYTES = CHUNK_BYTES / 2;

/** A body that is read from its start to its end. */
class Source {
  readonly #pieces: Iterator<Piece>;
  /** What is left of the present piece; undefined after the last one. */
  #rest: Piece | undefined;

  constructor(
    body: Iterable<Piece>,
    private readonly blob: BlobReader,
    private readonly buffers: OutflowBuffers,
    private readonly reads: PacedReads,
  ) {
    this.#pieces = body[Symbol.iterator]();
    this.#next();
  }

  get exhausted(): boolean {
    return this.#rest === undefined;
  }

  /** What comes next. @param drains the client takes what it is sent */
  async next(drains: boolean): Promise<Load> {
    if (drains && typeof this.#rest === 'object' && this.#rest.length >= SHARED_BYTES) {
      const lease = await this.buffers.content(this.blob, this.#rest.start);
      if (lease) return this.#shared(lease, this.#rest);
    }
    const lease = drains ? this.buffers.own() : this.buffers.small();
    try {
      const { bytes, content } = await this.#compose(lease.bytes);
      return { bytes: lease.bytes.subarray(0, bytes), content, release: lease.release };
    } catch (thrown) {
      lease.release();
      throw thrown;
    }
  }

  #shared({ bytes, release }: ContentLease, { start, length }: Span): Load {
    const taken = Math.min(bytes.length, length);
    this.#rest = { start: start + taken, length: length - taken };
    if (this.#rest.length === 0) this.#next();
    return { bytes: bytes.subarray(0, taken), content: [{ start, length: taken }], release };
  }

  /** Fills a buffer as far as there is something. @returns bytes, and the content among them */
  async #compose(buffer: Buffer): Promise<{ bytes: number; content: Span[] }> {
    const content: Span[] = [];
    let bytes = 0;
    while (this.#rest !== undefined && bytes < buffer.length) {
      const room = buffer.length - bytes;
      if (typeof this.#rest === 'string') {
        bytes += buffer.write(this.#rest, bytes, 'latin1');
        this.#rest = this.#rest.slice(room);
      } else {
        const { start, length } = this.#rest;
        const read = await this.reads.read(this.blob, buffer.subarray(bytes), Math.min(room, length), start);
        if (read === 0) throw new Error(`the blob ends at byte ${start}`);
        content.push({ start, length: read });
        bytes += read;
        this.#rest = { start: start + read, length: length - read };
      }
      if (this.#rest.length === 0) this.#next();
    }
    return { bytes, content };
  }

  /** To the next piece that is not empty. */
  #next(): void {
    do {
      const { value, done } = this.#pieces.next() as IteratorResult<Piece, undefined>;
      this.#rest = done ? undefined : value;
    } while (this.#rest?.length === 0);
  }
}

/** Resolves when the kernel has taken the bytes, or when the connection is gone; then they are free again. */
function write(
  { response, socket, pace, reads, clock }: OutflowOptions,
  bytes: Buffer,
): Promise<'taken' | 'peer-gone' | 'too-slow'> {
  return new Promise((resolve) => {
    let lost: 'peer-gone' | 'too-slow' = 'peer-gone';
    const deadline = clock.after(pace.allowanceMs(bytes.length), () => {
      lost = 'too-slow';
      socket.destroy();
    });
    const end = (taken: boolean): void => {
      deadline.cancel();
      socket.removeListener('close', gone);
      resolve(taken ? 'taken' : lost);
    };
    const gone = (): void => end(false);
    socket.once('close', gone);
    const begunMs = clock.monotonicMs();
    response.write(bytes, (error) => end(!error));
    reads.wrote(clock.monotonicMs() - begunMs);
  });
}
