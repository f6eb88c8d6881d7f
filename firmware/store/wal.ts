import { read } from 'node:fs';
import { inPool } from '../files/index.js';

/** https://www.sqlite.org/fileformat2.html#the_write_ahead_log, sections 4.1 and 4.2. */
export const WAL_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;

/** Its lowest bit says in which order of bytes the checksums were counted: that of the machine that wrote it. */
const MAGIC = new Uint8Array(Uint16Array.of(1).buffer)[0] === 0 ? 0x377f_0683 : 0x377f_0682;

/** Frames that are read at once. */
const FRAMES_AT_ONCE = 16;

/** Where the reading of a WAL stands: behind so many frames, with their checksum. */
interface Position {
  readonly frames: number;
  readonly sum: Checksum;
}

type Checksum = readonly [number, number];

/**
 * Follows the frames of a WAL that this process writes, as a recovery after a power cut would: up to the last commit, and
 * only as far as the checksums hold. Reads in the thread pool.
 */
export class WalReader {
  readonly #header = Buffer.alloc(WAL_HEADER_BYTES);
  #pageBytes = 0;
  #committed: Position = { frames: 0, sum: [0, 0] };
  /** Where in the file the last committed content of each page stands, as far as `taken` has not handed it out. */
  #pages = new Map<number, number>();
  #buffer: Buffer | undefined;

  constructor(private readonly fd: number) {}

  /** Of the database, in bytes; 0 before anything was read. */
  get pageBytes(): number {
    return this.#pageBytes;
  }

  /** Committed frames, counted from the start of the WAL. */
  get frames(): number {
    return this.#committed.frames;
  }

  /** The 32 bytes with which the WAL begins. */
  get header(): Buffer {
    return Buffer.from(this.#header);
  }

  /** True when the WAL has so many frames of its present generation, without a look at what is in them. */
  async reaches(frames: number): Promise<boolean> {
    const header = Buffer.alloc(WAL_HEADER_BYTES);
    const frame = Buffer.alloc(FRAME_HEADER_BYTES);
    if ((await this.#read(header, 0)) < header.length || header.readUInt32BE(0) !== MAGIC) return false;
    const at = offsetOf(frames - 1, header.readUInt32BE(8));
    return (await this.#read(frame, at)) === frame.length && sameSalt(header, frame);
  }

  /** Reads on to the last commit. Nothing is wrong with a WAL that cannot be followed: then there are no frames. */
  async advance(): Promise<void> {
    if (!(await this.#begin())) return;
    const frameBytes = FRAME_HEADER_BYTES + this.#pageBytes;
    const buffer = (this.#buffer ??= Buffer.allocUnsafeSlow(FRAMES_AT_ONCE * frameBytes));
    const uncommitted = new Map<number, number>();
    let { frames, sum } = this.#committed;
    for (;;) {
      const whole = Math.floor((await this.#read(buffer, offsetOf(frames, this.#pageBytes))) / frameBytes);
      for (let index = 0; index < whole; index += 1) {
        const frame = buffer.subarray(index * frameBytes, (index + 1) * frameBytes);
        sum = checksum(checksum(sum, frame.subarray(0, 8)), frame.subarray(FRAME_HEADER_BYTES));
        if (!sameSalt(this.#header, frame) || !isSum(sum, frame, 16)) return;
        uncommitted.set(frame.readUInt32BE(0), offsetOf(frames, this.#pageBytes) + FRAME_HEADER_BYTES);
        frames += 1;
        // The size of the database after a commit; 0: the transaction goes on.
        if (frame.readUInt32BE(4) === 0) continue;
        this.#committed = { frames, sum };
        for (const [page, at] of uncommitted) this.#pages.set(page, at);
        uncommitted.clear();
      }
      if (whole < FRAMES_AT_ONCE) return;
    }
  }

  /** What has been committed since this was last asked: page (counted from 1) and where in the WAL its content stands. */
  taken(): readonly (readonly [page: number, offset: number])[] {
    const pages = [...this.#pages].sort(([a], [b]) => a - b);
    this.#pages = new Map();
    return pages;
  }

  /** Looks at the header: a new one begins a new generation. @returns false when there is nothing to follow */
  async #begin(): Promise<boolean> {
    const header = Buffer.alloc(WAL_HEADER_BYTES);
    if ((await this.#read(header, 0)) < header.length) return false;
    if (header.equals(this.#header)) return true;
    const sum = checksum([0, 0], header.subarray(0, 24));
    if (header.readUInt32BE(0) !== MAGIC || !isSum(sum, header, 24)) return false;
    header.copy(this.#header);
    this.#pageBytes = header.readUInt32BE(8);
    this.#committed = { frames: 0, sum };
    this.#pages = new Map();
    return true;
  }

  #read(buffer: Buffer, position: number): Promise<number> {
    return inPool<number>((done) => read(this.fd, buffer, 0, buffer.length, position, done));
  }
}

function offsetOf(frame: number, pageBytes: number): number {
  return WAL_HEADER_BYTES + frame * (FRAME_HEADER_BYTES + pageBytes);
}

function sameSalt(header: Buffer, frame: Buffer): boolean {
  return header.compare(frame, 8, 16, 16, 24) === 0;
}

function isSum([first, second]: Checksum, buffer: Buffer, at: number): boolean {
  return buffer.readInt32BE(at) === first && buffer.readInt32BE(at + 4) === second;
}

/** Over bytes whose number is a multiple of 8, aligned to 4 in their memory; 32 bits with overflow. */
function checksum([first, second]: Checksum, bytes: Buffer): Checksum {
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let at = 0; at < words.length; at += 2) {
    first = (first + (words[at] ?? 0) + second) | 0;
    second = (second + (words[at + 1] ?? 0) + first) | 0;
  }
  return [first, second];
}
