import { createHash, type Hash } from 'node:crypto';
import type { Clock } from '../clock/index.js';
import type { BodyReader, ByteSink } from '../net/index.js';
import type { Disk } from './disk.js';
import { Flow, type StallRule } from './flow.js';
import type { RateCap } from './throttle.js';

/**
 * Bytes between socket and disk, per retrieval that runs: two buffers of this size (one filled while the other is
 * written), beside what the socket has handed over. Large enough that a write costs little beside its bytes.
 */
export const INTAKE_BUFFER_BYTES = 256 * 1024;

/** Longest chunk that a socket hands over at once, as Node.js reads them. */
const CHUNK_BYTES = 64 * 1024;

/**
 * Bytes between two flushes, so that no more than `volumeBytes` are ever read and not recorded as durable: those of the
 * flush that runs and of the next one, which waits for it, each up to a buffer longer, and what is on its way behind
 * them.
 */
export function flushStepOf(volumeBytes: number): number {
  return Math.max(1, Math.floor((volumeBytes - 3 * INTAKE_BUFFER_BYTES - CHUNK_BYTES) / 2));
}

/** The two buffers of a running retrieval, used again by the next one. */
export type IntakeBuffers = readonly [Buffer, Buffer];

export function intakeBuffers(): IntakeBuffers {
  // Slow: outside Node's shared pool, so that these live and die alone.
  return [Buffer.allocUnsafeSlow(INTAKE_BUFFER_BYTES), Buffer.allocUnsafeSlow(INTAKE_BUFFER_BYTES)];
}

/** How far one version of a file has come in. Offsets count from 0. */
export class PartialContent {
  #hash: Hash = createHash('sha256');
  /** Bytes hashed and handed to the file. */
  received = 0;
  /** Bytes flushed to the disk and recorded: the watermark. */
  durable = 0;

  take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.received += bytes.length;
  }

  restart(): void {
    this.#hash = createHash('sha256');
    this.received = 0;
    this.durable = 0;
  }

  /** SHA-256 of the bytes received so far, as hex. */
  sha256(): string {
    return this.#hash.copy().digest('hex');
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
  /** Most bytes that are read and not recorded as durable; no less than four buffers. */
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
  mayGrowTo(bytes: number): Promise<boolean>;
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
 * Brings a body to the end of a partial file: socket -> buffer -> SHA-256 -> file. Every byte that was hashed is in the
 * file when this resolves, except after `disk` and `refused`: then only what lies below the watermark is certain. The
 * body is at its end or destroyed.
 */
export function takeBody(options: IntakeOptions): Promise<IntakeEnd> {
  return new Intake(options).run();
}

class Intake implements ByteSink {
  /** The buffer that is being filled, and how far. While it is full the other one is being written. */
  #filling: 0 | 1 = 0;
  #fill = 0;
  /** Offset in the file at which the next write goes. */
  #position: number;
  #writing: Promise<void> | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #flushedTo: number;
  #taken = 0;
  #end: IntakeEnd | undefined;
  #over: () => void = () => {};
  readonly #reader: BodyReader;
  readonly #flow: Flow;
  readonly #flushStep: number;

  constructor(private readonly o: IntakeOptions) {
    this.#flushStep = flushStepOf(o.volumeBytes);
    this.#position = o.content.received;
    this.#flushedTo = o.content.durable;
    this.#reader = o.readInto(this);
    this.#flow = new Flow({ ...o, body: this.#reader, stalled: () => this.#finish({ kind: 'stalled' }) });
  }

  async run(): Promise<IntakeEnd> {
    const { signal } = this.o;
    const over = new Promise<void>((resolve) => (this.#over = resolve));
    const aborted = (): void => this.#finish({ kind: 'aborted' });
    signal.addEventListener('abort', aborted);
    if (signal.aborted) aborted();
    void this.#gate();
    this.#flow.start();
    this.#reader.resume();
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
      if (await this.o.ready) return true;
      this.#finish({ kind: 'refused' });
    } catch (cause) {
      this.#finish({ kind: 'disk', cause });
    }
    return false;
  }

  room(): Buffer | undefined {
    const buffer = this.o.buffers[this.#filling];
    if (this.#fill === buffer.length || this.#end) return undefined;
    return buffer.subarray(this.#fill, Math.min(buffer.length, this.#fill + this.o.throttle.pieceBytes));
  }

  came(bytes: number): void {
    if (this.#end) return;
    this.#taken += bytes;
    this.o.counted(bytes, this.#reader.leavesGarbage);
    if (this.o.limitBytes !== undefined && this.#taken > this.o.limitBytes) return this.#finish({ kind: 'overflow' });
    const buffer = this.o.buffers[this.#filling];
    this.o.content.take(buffer.subarray(this.#fill, this.#fill + bytes));
    this.#fill += bytes;
    if (this.#fill === buffer.length) {
      if (this.#writing) this.#flow.holdForDisk();
      else this.#writeFilled();
    }
    this.#flow.came(bytes);
  }

  ended(whole: boolean): void {
    this.#finish({ kind: whole ? 'complete' : 'cut' });
  }

  /** Hands the filled buffer to the disk and goes on with the other one. */
  #writeFilled(): void {
    const bytes = this.o.buffers[this.#filling].subarray(0, this.#fill);
    this.#filling = this.#filling === 0 ? 1 : 0;
    this.#fill = 0;
    this.#writing = this.#write(bytes).then(
      () => this.#written(),
      (cause: unknown) => {
        this.#writing = undefined;
        this.#finish({ kind: 'disk', cause });
      },
    );
  }

  #written(): void {
    this.#writing = undefined;
    if (this.#failed || this.#fill < this.o.buffers[this.#filling].length) return;
    this.#writeFilled();
    this.#flow.diskReady();
  }

  async #write(bytes: Buffer): Promise<void> {
    const { disk, fd } = this.o;
    if (!(await this.#gate())) return;
    if (!(await this.o.mayGrowTo(this.#position + bytes.length))) {
      this.#finish({ kind: 'refused' });
      return;
    }
    await disk.write(fd, bytes, this.#position);
    this.#position += bytes.length;
    this.o.written(this.#position);
    const isFirst = this.o.flushFirst && this.#flushedTo === 0;
    if (this.#position - this.#flushedTo < this.#flushStep && !isFirst) return;
    // At most one flush runs beside the writes: a slow disk holds us back.
    await this.#flushing;
    this.#startFlush();
  }

  /** The watermark follows the flush, never the write. */
  #startFlush(): void {
    const position = this.#position;
    this.#flushedTo = position;
    this.#flushing = this.o.disk
      .flushData(this.o.fd)
      .then(() => {
        this.o.content.durable = position;
        this.o.durable(position);
      })
      .catch((cause: unknown) => this.#finish({ kind: 'disk', cause }));
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

  /** Writes what is still in the buffers, in order. */
  async #drain(): Promise<void> {
    await this.#gate();
    while (this.#writing || (this.#fill > 0 && !this.#failed)) {
      if (!this.#writing) this.#writeFilled();
      await this.#writing;
    }
    await this.#flushing;
  }
}
