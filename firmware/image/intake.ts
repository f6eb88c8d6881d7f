import type { Clock } from '../clock/index.js';
import type { BodyReader, ByteSink } from '../net/index.js';
import { Digest } from './digest.js';
import type { Disk } from './disk.js';
import { Flow, type StallRule } from './flow.js';
import type { RateCap } from './throttle.js';

/**
 * Bytes between socket and disk, per retrieval that runs: three buffers of this size, one that is filled, one that is
 * written and hashed, and one that waits for that, beside what the socket has handed over. Large, because what a piece
 * costs beside its bytes is that threads have to be woken, and the event loop.
 */
const BUFFER_BYTES = 1024 * 1024;

/** Of every retrieval that runs beside one with large buffers, so that several do not take several times the memory. */
const SIDE_BUFFER_BYTES = 128 * 1024;

/** The first write of a body; the next ones double up to the buffer. Little memory, and soon readable, where little comes. */
const FIRST_PIECE_BYTES = 64 * 1024;

/** The buffers of a running retrieval, all of one size. */
export type IntakeBuffers = readonly [Buffer, Buffer, Buffer];

export function intakeBuffers(bytes = BUFFER_BYTES): IntakeBuffers {
  // Slow: outside Node's shared pool, so that these live and die alone.
  const buffer = (): Buffer => Buffer.allocUnsafeSlow(bytes);
  return [buffer(), buffer(), buffer()];
}

/**
 * The buffers of all retrievals, used again and again: one set is large. A retrieval has those that are free when it begins to
 * its next pause or its end: one that began beside another goes on with small ones when it is alone.
 */
export class BufferPool {
  /** The large set is the last. */
  readonly #free: IntakeBuffers[] = [];
  #nextBytes = BUFFER_BYTES;

  take(): IntakeBuffers {
    const buffers = this.#free.pop() ?? intakeBuffers(this.#nextBytes);
    this.#nextBytes = SIDE_BUFFER_BYTES;
    return buffers;
  }

  giveBack(buffers: IntakeBuffers): void {
    if (buffers[0].length === BUFFER_BYTES) this.#free.push(buffers);
    else this.#free.unshift(buffers);
  }
}

/** How far one version of a file has come in. Offsets count from 0. */
export class PartialContent {
  #digest = new Digest();
  /** Bytes that are both in the file and in the digest. */
  received = 0;
  /** Bytes flushed to the disk and recorded: the watermark. */
  durable = 0;

  /** The next bytes; until this has ended they stay as they are. They are received when they are in the file too. */
  hash(bytes: Uint8Array): Promise<void> {
    return this.#digest.add(bytes);
  }

  /** As `hash`, without a promise. */
  beginHash(bytes: Uint8Array, done: (failed: boolean) => void): void {
    this.#digest.begin(bytes, done);
  }

  restart(): void {
    this.#digest = new Digest();
    this.received = 0;
    this.durable = 0;
  }

  /** SHA-256 of the bytes received, as hex: no more come until it restarts. */
  sha256(): string {
    return this.#digest.sha256();
  }
}

export interface IntakeOptions {
  /** Takes over the body: see `HttpReply`. */
  readonly readInto: (sink: ByteSink) => BodyReader;
  readonly content: PartialContent;
  readonly disk: Disk;
  readonly fd: number;
  readonly buffers: IntakeBuffers;
  /** Most bytes that this body may bring; undefined when nothing is known. */
  readonly limitBytes: number | undefined;
  /** Most bytes that are read and not recorded as durable. */
  readonly volumeBytes: number;
  /** The first write of a file is flushed at once, whatever its volume: somebody waits for first durable bytes. */
  readonly flushFirst: boolean;
  readonly clock: Clock;
  readonly throttle: RateCap;
  readonly stall: StallRule;
  readonly signal: AbortSignal;
  /**
   * The first write waits for this; false ends the intake as `refused`. The body is read meanwhile: what a short
   * connection has brought would else be lost with it.
   */
  readonly ready: Promise<boolean>;
  /** Told of all bytes that come in. @param leavesGarbage as of their reader */
  counted(bytes: number, leavesGarbage: boolean): void;
  /** So many bytes from 0 are in the file. */
  written(bytes: number): void;
  /** Records a watermark, after its bytes were flushed. */
  durable(bytes: number): void;
  /** Asked before the file grows beyond `bytes`; false ends the intake as `refused`. */
  mayGrowTo(bytes: number): boolean | Promise<boolean>;
}

export type IntakeEnd =
  | { readonly kind: 'complete' } // the body came to its announced end
  | { readonly kind: 'cut' } // the connection broke before
  | { readonly kind: 'stalled' } // silence, or next to it
  | { readonly kind: 'overflow' } // more bytes than announced
  | { readonly kind: 'refused' } // by ready or mayGrowTo
  | { readonly kind: 'disk'; readonly cause: unknown }
  | { readonly kind: 'aborted' };

/**
 * Brings a body to the end of a partial file: socket -> buffer -> file and SHA-256 at the same time. Every byte that was
 * hashed is in the file when this resolves, except after `disk` and `refused`: then only what lies below the watermark is
 * certain. The body is at its end or destroyed, and nobody uses file or buffers any more.
 */
export function takeBody(options: IntakeOptions): Promise<IntakeEnd> {
  return new Intake(options).run();
}

/** A filled buffer on its way. */
interface Piece {
  readonly buffer: Buffer;
  readonly bytes: Buffer;
  /** Its place in the file. */
  readonly from: number;
  /** It has been written, or hashed. */
  isHalfDone: boolean;
}

/** Few promises: they are most of what a piece costs. */
class Intake implements ByteSink {
  /** Longest write: a few of them make a volume. */
  readonly #pieceBytes: number;
  readonly #free: Buffer[];
  /** The buffer that is being filled, how far it is, and how far it will be; undefined while none is free. */
  #filling: Buffer | undefined;
  #fill = 0;
  #fillTo: number;
  /** Offsets in the file: up to where it is full, and flushed or about to be. */
  #fullTo: number;
  #flushedTo: number;
  /** The oldest first. */
  readonly #unwritten: Piece[] = [];
  /** Pieces that are not both written and hashed. */
  #underWay = 0;
  /** Called when there are none. */
  #idle: () => void = () => {};
  #isOpen = false;
  #flushing: Promise<void> | undefined;
  #taken = 0;
  #end: IntakeEnd | undefined;
  #over: () => void = () => {};
  readonly #reader: BodyReader;
  readonly #flow: Flow;

  constructor(private readonly o: IntakeOptions) {
    const { received, durable } = o.content;
    this.#pieceBytes = Math.min(o.buffers[0].length, Math.floor(o.volumeBytes / 4));
    this.#free = [...o.buffers];
    this.#filling = this.#free.pop();
    // Further writes begin on a page of the disk, wherever the body begins.
    const first = Math.min(FIRST_PIECE_BYTES, this.#pieceBytes);
    this.#fillTo = first - (received % first);
    this.#fullTo = received;
    this.#flushedTo = durable;
    this.#reader = o.readInto(this);
    this.#flow = new Flow({ ...o, body: this.#reader, stalled: () => this.#finish({ kind: 'stalled' }) });
  }

  async run(): Promise<IntakeEnd> {
    const { signal } = this.o;
    const over = new Promise<void>((resolve) => (this.#over = resolve));
    const aborted = (): void => this.#finish({ kind: 'aborted' });
    signal.addEventListener('abort', aborted);
    if (signal.aborted) aborted();
    void this.#gate().then((open) => open && this.#flushIfDue());
    this.#flow.start();
    if (this.#mayFill()) this.#reader.resume();
    else this.#flow.holdForDisk();
    await over;
    this.#flow.stop();
    signal.removeEventListener('abort', aborted);
    this.#reader.destroy();
    await this.#drain();
    return this.#end ?? { kind: 'cut' };
  }

  /** @returns false, with the end set, when nothing may be written */
  async #gate(): Promise<boolean> {
    try {
      this.#isOpen ||= await this.o.ready;
      if (this.#isOpen) return true;
      this.#finish({ kind: 'refused' });
    } catch (cause) {
      this.#finish({ kind: 'disk', cause });
    }
    return false;
  }

  room(): Buffer | undefined {
    if (this.#end || !this.#mayFill()) return undefined;
    return this.#filling?.subarray(this.#fill, Math.min(this.#fillTo, this.#fill + this.o.throttle.pieceBytes));
  }

  came(bytes: number): void {
    if (this.#end) return;
    this.#taken += bytes;
    this.o.counted(bytes, this.#reader.leavesGarbage);
    if (this.o.limitBytes !== undefined && this.#taken > this.o.limitBytes) return this.#finish({ kind: 'overflow' });
    this.#fill += bytes;
    if (this.#fill === this.#fillTo) {
      this.#filled();
      if (!this.#mayFill()) this.#flow.holdForDisk();
    }
    this.#flow.came(bytes);
  }

  ended(whole: boolean): void {
    this.#finish({ kind: whole ? 'complete' : 'cut' });
  }

  /** Is there a buffer, and will no more than a volume be at risk once it is full? */
  #mayFill(): boolean {
    const { content, volumeBytes } = this.o;
    return this.#filling !== undefined && this.#fullTo + this.#fillTo <= content.durable + volumeBytes;
  }

  /**
   * The disk has moved on: so does the body, if it waited for that. With two buffers to fill rather than one: what it costs to
   * stop a connection and to have it go on is then paid once for both.
   */
  #goOn(): void {
    if (!this.#end && this.#underWay <= 1 && this.#mayFill()) this.#flow.diskReady();
  }

  /** Has the filled buffer written and hashed, at the same time. */
  #filled(): void {
    const buffer = this.#filling;
    if (!buffer) return;
    const piece: Piece = { buffer, bytes: buffer.subarray(0, this.#fill), from: this.#fullTo, isHalfDone: false };
    this.#fullTo += this.#fill;
    this.#filling = this.#free.pop();
    this.#fillTo = Math.min(this.#pieceBytes, FIRST_PIECE_BYTES + this.#taken - (this.#taken % FIRST_PIECE_BYTES));
    this.#fill = 0;
    this.#underWay += 1;
    this.o.content.beginHash(piece.bytes, (failed) => {
      if (failed) this.#finish({ kind: 'disk', cause: new Error('cannot hash') });
      this.#halfDone(piece);
    });
    this.#unwritten.push(piece);
    if (this.#unwritten.length === 1) this.#writeFirst();
  }

  /** One write after the other, so that what is written has no gaps. */
  #writeFirst(): void {
    const [piece] = this.#unwritten;
    if (!piece) return;
    if (this.#failed) return this.#wrote(piece);
    if (!this.#isOpen) return void this.#gate().then(() => this.#writeFirst());
    const may = this.o.mayGrowTo(piece.from + piece.bytes.length);
    if (may === true) return this.#write(piece);
    Promise.resolve(may).then(
      (granted) => {
        if (granted) return this.#write(piece);
        this.#finish({ kind: 'refused' });
        this.#wrote(piece);
      },
      (cause: unknown) => this.#writeFailed(piece, cause),
    );
  }

  #write(piece: Piece): void {
    this.o.disk.write(this.o.fd, piece.bytes, piece.from).then(
      () => this.#wrote(piece),
      (cause: unknown) => this.#writeFailed(piece, cause),
    );
  }

  #writeFailed(piece: Piece, cause: unknown): void {
    this.#finish({ kind: 'disk', cause });
    this.#wrote(piece);
  }

  /** Or it will not be, as the end tells. */
  #wrote(piece: Piece): void {
    this.#unwritten.shift();
    this.#writeFirst();
    this.#halfDone(piece);
  }

  #halfDone(piece: Piece): void {
    if (!piece.isHalfDone) {
      piece.isHalfDone = true;
      return;
    }
    this.#underWay -= 1;
    if (!this.#failed) this.#emptied(piece);
    if (this.#underWay === 0) this.#idle();
  }

  #emptied({ buffer, bytes, from }: Piece): void {
    const { content } = this.o;
    content.received = from + bytes.length;
    this.o.written(content.received);
    if (this.#filling) this.#free.push(buffer);
    else this.#filling = buffer;
    this.#flushIfDue();
    this.#goOn();
  }

  /**
   * Half a volume after the last one a flush begins, one at a time; writing goes on beside it, up to a volume beyond the
   * watermark. The watermark follows the flush, never the write.
   */
  #flushIfDue(): void {
    const position = this.o.content.received;
    const least = this.o.flushFirst && this.#flushedTo === 0 ? 1 : this.o.volumeBytes / 2;
    if (this.#flushing || this.#failed || position - this.#flushedTo < least) return;
    this.#flushedTo = position;
    this.#flushing = this.o.disk
      .flushData(this.o.fd)
      .then(() => {
        this.#flushing = undefined;
        this.o.content.durable = position;
        this.o.durable(position);
        this.#flushIfDue();
        this.#goOn();
      })
      .catch((cause: unknown) => {
        this.#flushing = undefined;
        this.#finish({ kind: 'disk', cause });
      });
  }

  /** The first end counts, except that what was not written outdoes all others. */
  #finish(end: IntakeEnd): void {
    const failure = end.kind === 'disk' || end.kind === 'refused';
    if (this.#end === undefined || (failure && !this.#failed)) this.#end = end;
    this.#over();
  }

  get #failed(): boolean {
    return this.#end?.kind === 'disk' || this.#end?.kind === 'refused';
  }

  /** Writes what is still in the buffers, in order, and waits for what is under way. */
  async #drain(): Promise<void> {
    await this.#gate();
    if (this.#fill > 0 && !this.#failed) this.#filled();
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    while (this.#flushing) await this.#flushing;
  }
}
