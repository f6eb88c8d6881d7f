import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../clock/index.js';
import type { HttpConnection } from '../http-server/index.js';
import type { BlobReader } from './open-blobs.js';
import type { Piece } from './multipart.js';
import type { Span } from './ranges.js';

/** Bytes of a buffer. */
export const BUFFER_BYTES = {
  /** For clients that take what they are sent: a write costs little beside its bytes. */
  large: 256 * 1024,
  /** For clients that keep us waiting: hundreds of them may each hold one. */
  small: 16 * 1024,
  /** Where most goes past the buffers, and the write is there to tell when the kernel takes more. */
  least: 1024,
} as const;

/** How long a buffer may be, as the client deserves it. */
export type BufferKind = keyof typeof BUFFER_BYTES;

/** Large buffers in rotation. */
const LARGE_BUFFERS = 4;
/** More of them that may replace those which slow clients hold: 20 x 256 KiB = 5 MiB at most. */
const EXTRA_LARGE_BUFFERS = 16;
/** A buffer that a client has held for longer is not in rotation any more. */
const HELD_MS = 200;
/** Others kept for reuse, of each kind, when nobody uses any; what is above was for a crowd that has gone. */
const BUFFERS_KEPT = 64;
/** A crowd has gone, in ms, when it has not come again for so long. */
const CROWD_GONE_MS = 60_000;

export interface Lease {
  readonly bytes: Buffer;
  release(): void;
}

/**
 * The buffers between disk and LAN clients. A write that the kernel does not take at once holds its buffer until the
 * client reads on, and nothing can take it back: so a client gets a large one only while there are some in rotation.
 */
export class OutflowBuffers {
  readonly #shelves: Readonly<Record<BufferKind, Shelf>>;
  /** Leases of large buffers and since when, by the monotonic clock. */
  readonly #since = new Map<Lease, number>();

  constructor(private readonly monotonicMs: () => number) {
    this.#shelves = {
      large: new Shelf(BUFFER_BYTES.large, LARGE_BUFFERS, monotonicMs),
      small: new Shelf(BUFFER_BYTES.small, BUFFERS_KEPT, monotonicMs),
      least: new Shelf(BUFFER_BYTES.least, BUFFERS_KEPT, monotonicMs),
    };
  }

  /** A buffer of this kind; a small one when no large one is left. */
  take(kind: BufferKind): Lease {
    if (kind !== 'large') return lease(this.#shelves[kind]);
    if (this.#since.size >= this.#largeAllowed()) return lease(this.#shelves.small);
    const large = lease(this.#shelves.large, () => this.#since.delete(large));
    this.#since.set(large, this.monotonicMs());
    return large;
  }

  /** Buffers that are there, lent or not. */
  get held(): number {
    const { large, small, least } = this.#shelves;
    return large.held + small.held + least.held;
  }

  /** Buffers that are lent now. */
  get lent(): number {
    const { large, small, least } = this.#shelves;
    return large.lent + small.lent + least.lent;
  }

  #largeAllowed(): number {
    if (this.#since.size < LARGE_BUFFERS) return LARGE_BUFFERS;
    const heldSince = this.monotonicMs() - HELD_MS;
    const held = [...this.#since.values()].filter((since) => since < heldSince).length;
    return LARGE_BUFFERS + Math.min(held, EXTRA_LARGE_BUFFERS);
  }
}

/** @param released told once, when the buffer comes back */
function lease(shelf: Shelf, released: () => void = () => {}): Lease {
  const bytes = shelf.take();
  let lent = true;
  return {
    bytes,
    release: () => {
      if (!lent) return;
      lent = false;
      shelf.giveBack(bytes);
      released();
    },
  };
}

/**
 * Buffers of one size, reused: to allocate anew leaves garbage outside V8's heap, which V8 notices late. So those of a
 * crowd are kept until no crowd has come for a while; then, when all have come back, only some are.
 */
class Shelf {
  readonly #free: Buffer[] = [];
  #lent = 0;
  #crowdMs = -Infinity;

  constructor(
    private readonly bytes: number,
    private readonly kept: number,
    private readonly monotonicMs: () => number,
  ) {}

  get held(): number {
    return this.#lent + this.#free.length;
  }

  get lent(): number {
    return this.#lent;
  }

  take(): Buffer {
    this.#lent += 1;
    if (this.#lent > this.kept) this.#crowdMs = this.monotonicMs();
    // Slow: outside Node's shared pool.
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.bytes);
  }

  giveBack(buffer: Buffer): void {
    this.#lent -= 1;
    this.#free.push(buffer);
    if (this.#lent > 0 || this.#free.length <= this.kept) return;
    if (this.monotonicMs() - this.#crowdMs >= CROWD_GONE_MS) this.#free.length = this.kept;
  }
}

/** A read that takes longer, in ms, came from the disk; shorter ones may also be our process waiting for its CPU. */
const SLOW_READ_MS = 8;
/** For so long, in ms, reads then leave the event loop alone. */
const SLOW_SPELL_MS = 250;

/**
 * Reads at once while the page cache answers, in the thread pool while the disk does. Measured with 64 clients:
 * reading in the thread pool only took four times the CPU, because buffers wait for their reads and the small ones come
 * into play; but a cold read of raw flash on the event loop would hold everybody else. So the loop sees four slow reads a second at most.
 */
export class PacedReads {
  #slowUntilMs = -Infinity;

  constructor(private readonly monotonicMs: () => number) {}

  /** @param isCold the page cache is known not to have it */
  async read(blob: BlobReader, buffer: Buffer, length: number, position: number, isCold: boolean): Promise<number> {
    const begunMs = this.monotonicMs();
    if (isCold || begunMs < this.#slowUntilMs) return blob.read(buffer, length, position);
    const bytes = blob.readNow(buffer, length, position);
    const endedMs = this.monotonicMs();
    if (endedMs - begunMs > SLOW_READ_MS) this.#slowUntilMs = endedMs + SLOW_SPELL_MS;
    return bytes;
  }
}

/** A write that takes longer, in ms, belongs to a client that does not keep up. */
const DRAIN_MS = 100;
/** After so many bytes in a row everybody else gets a turn: what succeeds at once never waits. */
const TURN_BYTES = 2 * 1024 * 1024;

/** Pieces of the content from this length on go past Node.js; several shorter ones share a write, which costs less. */
const LONG_BYTES = 64 * 1024;

export interface OutflowOptions {
  readonly blob: BlobReader;
  /** The head of the answer has been given to it. */
  readonly connection: HttpConnection;
  readonly body: Iterable<Piece>;
  readonly buffers: OutflowBuffers;
  readonly reads: PacedReads;
  /** Longest time, in ms, to wait for content that is on its way while nothing of it comes. */
  readonly maxWaitMs: number;
  readonly clock: Clock;
  /** Told of the content in every write that the kernel has taken. */
  readonly sent: (spans: readonly Span[]) => void;
}

export type OutflowEnd =
  /** `withdrawn`: the content is void; `late`: it was waited for in vain. */
  | { readonly kind: 'complete' | 'peer-gone' | 'too-slow' | 'withdrawn' | 'late' }
  | { readonly kind: 'disk'; readonly cause: unknown };

/**
 * Sends of a body that is one piece of the content what the kernel takes at once: most answers are short, and done then.
 * @returns what is left for `sendBody`; undefined: nothing
 */
export function sendAtOnce(
  connection: HttpConnection,
  blob: BlobReader,
  body: Iterable<Piece>,
  sent: OutflowOptions['sent'],
): Iterable<Piece> | undefined {
  const [only, another] = body;
  if (typeof only !== 'object' || another !== undefined) return body;
  const { start, length } = only;
  if (start + length > blob.readable()) return body;
  const taken = connection.sendNow((fd) => blob.sendNow(fd, Math.min(length, TURN_BYTES), start));
  if (taken === 'cold' || taken === 0) return length === 0 ? undefined : body;
  sent([{ start, length: taken }]);
  return taken === length ? undefined : [{ start: start + taken, length: length - taken }];
}

/**
 * Sends a body in two ways by turns: what the kernel takes at once goes from the page cache to the connection, past
 * Node.js; then one write of a buffer (file -> buffer -> socket, several small pieces in one write) tells by its end that
 * the kernel takes more. So a client that keeps us waiting holds the least of buffers. What is not in memory is read in the
 * thread pool, into a larger one. The response is not ended here; after anything but `complete` it must be broken off. A
 * client that is too slow has been disconnected.
 */
export async function sendBody(options: OutflowOptions): Promise<OutflowEnd> {
  const { connection, buffers, clock } = options;
  const source = new Source(options.body, options.blob, options.reads);
  const passes = connection.passesNode;
  let drains = true;
  let isCold = false;
  let turn = 0;
  while (!source.exhausted) {
    if (connection.socket.destroyed) return { kind: connection.isTooSlow ? 'too-slow' : 'peer-gone' };
    // Who waits holds no buffer.
    const missing = source.missing;
    const arrived = missing === undefined ? 'arrived' : await arrival(options, missing);
    if (arrived !== 'arrived') return { kind: arrived };
    const lease = buffers.take(passes && !isCold && source.longSpan ? 'least' : drains ? 'large' : 'small');
    try {
      const { bytes, content } = await source.fill(lease.bytes, isCold);
      const begunMs = clock.monotonicMs();
      if (!(await connection.write(lease.bytes.subarray(0, bytes)))) continue;
      const elapsedMs = clock.monotonicMs() - begunMs;
      options.sent(content);
      lease.release();
      isCold = passes && (await sendDirect(options, source)) === 'cold';
      drains = elapsedMs < DRAIN_MS;
      turn += bytes;
    } catch (cause) {
      return options.blob.isVoid() ? { kind: 'withdrawn' } : { kind: 'disk', cause };
    } finally {
      lease.release();
    }
    if (turn >= TURN_BYTES) {
      turn = 0;
      await setImmediate();
    }
  }
  return { kind: 'complete' };
}

/** Sends as much of a long piece as the kernel takes, with everybody else's turn after each time. @returns why no more: `cold` as `BlobReader.sendNow` */
async function sendDirect(options: OutflowOptions, source: Source): Promise<'full' | 'cold'> {
  const { connection, blob, sent } = options;
  for (;;) {
    const rest = source.longSpan;
    if (!rest) return 'full';
    const length = Math.min(rest.length, TURN_BYTES);
    const taken = connection.sendNow((fd) => blob.sendNow(fd, length, rest.start));
    if (taken === 'cold') return 'cold';
    if (taken === 0) return 'full';
    sent([source.skip(taken)]);
    await setImmediate();
  }
}

/** A body that is read from its start to its end. */
class Source {
  readonly #pieces: Iterator<Piece>;
  /** What is left of the present piece; undefined after the last one. */
  #rest: Piece | undefined;
  #isLong = false;

  constructor(
    body: Iterable<Piece>,
    private readonly blob: BlobReader,
    private readonly reads: PacedReads,
  ) {
    this.#pieces = body[Symbol.iterator]();
    this.#next();
  }

  get exhausted(): boolean {
    return this.#rest === undefined;
  }

  /** What is left of a piece of the content that is worth writes of its own; undefined where it is not. */
  get longSpan(): Span | undefined {
    return this.#isLong && typeof this.#rest === 'object' ? this.#rest : undefined;
  }

  /** Offset of the content that comes next, when it cannot be read yet. */
  get missing(): number | undefined {
    const rest = this.#rest;
    return typeof rest === 'object' && rest.start >= this.blob.readable() ? rest.start : undefined;
  }

  /** Goes on behind so many bytes of the present piece, which is content. @returns them */
  skip(bytes: number): Span {
    if (typeof this.#rest !== 'object') throw new Error('the present piece is not content');
    const { start, length } = this.#rest;
    this.#rest = { start: start + bytes, length: length - bytes };
    if (this.#rest.length === 0) this.#next();
    return { start, length: bytes };
  }

  /** Fills a buffer as far as there is something to read now. @param isCold see `PacedReads` @returns bytes, and the content among them */
  async fill(buffer: Buffer, isCold: boolean): Promise<{ bytes: number; content: Span[] }> {
    const content: Span[] = [];
    let bytes = 0;
    while (this.#rest !== undefined && bytes < buffer.length && this.missing === undefined) {
      const room = buffer.length - bytes;
      if (typeof this.#rest === 'string') {
        bytes += buffer.write(this.#rest, bytes, 'latin1');
        this.#rest = this.#rest.slice(room);
      } else {
        const { start, length } = this.#rest;
        const read = await this.reads.read(this.blob, buffer.subarray(bytes), Math.min(room, length), start, isCold);
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
    this.#isLong = typeof this.#rest === 'object' && this.#rest.length >= LONG_BYTES;
  }
}

/**
 * Waits until a byte of the content can be read. The client is not to blame for that: neither its pace nor the idle time
 * of its connection counts meanwhile; only how long nothing at all comes in.
 */
function arrival(
  { blob, connection, clock, maxWaitMs }: OutflowOptions,
  position: number,
): Promise<'arrived' | 'peer-gone' | 'withdrawn' | 'late'> {
  return new Promise((resolve) => {
    const { socket } = connection;
    connection.setWaiting(true);
    const late = (): void => end('late');
    let deadline = clock.after(maxWaitMs, late);
    const end = (how: 'arrived' | 'peer-gone' | 'withdrawn' | 'late'): void => {
      deadline.cancel();
      forget();
      socket.removeListener('close', gone);
      connection.setWaiting(false);
      resolve(how);
    };
    const gone = (): void => end('peer-gone');
    const forget = blob.onMore(() => {
      if (blob.isVoid()) return end('withdrawn');
      if (position < blob.readable()) return end('arrived');
      deadline.cancel();
      deadline = clock.after(maxWaitMs, late);
    });
    socket.once('close', gone);
    if (blob.isVoid()) end('withdrawn');
  });
}
