import { fdatasync, fdatasyncSync, read, write, writeSync } from 'node:fs';
import { inPool } from '../files/index.js';
import { systemErrorCode } from '../outcome/index.js';
import { WAL_HEADER_BYTES, WalReader } from './wal.js';

export interface CheckpointParts {
  readonly databaseFd: number;
  readonly walFd: number;
  /** Grows with everything that may have changed the database. */
  generation(): number;
  /** `PRAGMA wal_checkpoint(PASSIVE)`. @returns frames in the WAL, and those of them that are in the database now */
  passive(how: 'unflushed' | 'flushed'): { readonly frames: number; readonly copied: number };
  /** While this promise is pending, nothing that is committed may be called durable. */
  hold(until: Promise<void>): void;
}

/** Where commits come in all the time: so many tries to end with none in between, then those of the next flush. */
const MAX_ROUNDS = 4;

/** With so many times the pages that make it due, it is done at once, in the event loop. */
const PATIENCE = 4;

/** Pages that are written at once, where they stand side by side. */
const PAGES_AT_ONCE = 16;

/** Without its magic number, a WAL is an empty one to a recovery. */
const NO_HEADER = Buffer.alloc(WAL_HEADER_BYTES);

const flush = (fd: number): Promise<void> => inPool((done) => fdatasync(fd, done));

/**
 * Copies the WAL into the database and has it begin anew, with every flush in the thread pool: SQLite would wait for
 * three of them in the event loop, each of which takes hundreds of ms on raw flash. So SQLite flushes nothing
 * (`synchronous = OFF`), and this does, in the order on which its recovery rests:
 *
 * 1. the WAL, up to a commit;
 * 2. the pages of those frames, which are written into the database file here. Nobody reads them there as long as the
 *    WAL has them, and after a power cut the WAL writes them once more;
 * 3. the WAL with its header struck out: from here on the database stands without it. A header that were overwritten
 *    together with the first new frames could come back alone, with old frames behind it that are not the last ones.
 *    What is committed meanwhile is not durable; then the header comes back, and it begins again at 1 with the rest;
 * 4. SQLite's own checkpoint, which writes the same bytes once more and flushes nothing. The next commit begins the WAL
 *    anew.
 */
export class Checkpoint {
  #reader: WalReader;
  #buffer: Buffer | undefined;

  /** @param pages in the WAL that make a checkpoint due */
  constructor(
    private readonly parts: CheckpointParts,
    private readonly pages: number,
  ) {
    this.#reader = new WalReader(parts.walFd);
  }

  /**
   * Does what is due. Called after a flush of the WAL, and not again before it has ended.
   * @param isOver true when the store is being closed
   * @throws the system's error: nothing more may be called durable then. A disk that is full is no error: the WAL has
   *   everything, and grows until there is room again
   */
  async run(isOver: () => boolean): Promise<void> {
    if (!(await this.#reader.reaches(this.pages))) return;
    for (let round = 0; round < MAX_ROUNDS && !isOver(); round += 1) {
      const generation = this.parts.generation();
      if (!(await this.#copy()) || isOver()) return;
      if (generation === this.parts.generation()) {
        const ended = this.#end(generation);
        this.parts.hold(ended.then(() => undefined));
        if (await ended) return;
      } else if (this.#reader.frames >= PATIENCE * this.pages) {
        this.#endNow();
        return;
      }
    }
  }

  /** Steps 1 and 2. @returns false when there is no room */
  async #copy(): Promise<boolean> {
    const { walFd } = this.parts;
    await this.#reader.advance();
    await flush(walFd);
    try {
      await this.#write(this.#reader.taken());
      return true;
    } catch (thrown) {
      if (!isFull(thrown)) throw thrown;
      // Which of its pages are there is not known: all of them are written again.
      this.#reader = new WalReader(walFd);
      return false;
    }
  }

  async #write(pages: ReturnType<WalReader['taken']>): Promise<void> {
    const { walFd, databaseFd } = this.parts;
    const { pageBytes } = this.#reader;
    for (let from = 0; from < pages.length;) {
      const [first] = pages[from] ?? [0];
      let count = 1;
      while (count < PAGES_AT_ONCE && pages[from + count]?.[0] === first + count) count += 1;
      const buffer = (this.#buffer ??= Buffer.allocUnsafeSlow(PAGES_AT_ONCE * pageBytes));
      for (const [index, [, offset]] of pages.slice(from, from + count).entries()) {
        await fill(walFd, buffer.subarray(index * pageBytes, (index + 1) * pageBytes), offset);
      }
      await put(databaseFd, buffer.subarray(0, count * pageBytes), (first - 1) * pageBytes);
      from += count;
    }
    if (pages.length > 0) await flush(databaseFd);
  }

  /** Steps 3 and 4. @returns false when there was a commit in between */
  async #end(generation: number): Promise<boolean> {
    const { walFd, databaseFd } = this.parts;
    const { header, frames } = this.#reader;
    await put(walFd, NO_HEADER, 0);
    await flush(walFd);
    if (generation !== this.parts.generation()) {
      await put(walFd, header, 0);
      await flush(walFd);
      return false;
    }
    const done = this.parts.passive('unflushed');
    // Both never, as long as `generation` tells of every commit and nobody else reads.
    if (done.frames !== frames) fdatasyncSync(databaseFd);
    if (done.copied === done.frames) return true;
    await put(walFd, header, 0);
    await flush(walFd);
    return false;
  }

  /** All of it in the event loop: there are commits all the time, and the WAL must not grow for ever. */
  #endNow(): void {
    const { walFd } = this.parts;
    try {
      const { frames, copied } = this.parts.passive('flushed');
      if (copied < frames) return;
    } catch (thrown) {
      if (isFull(thrown)) return;
      throw thrown;
    }
    writeSync(walFd, NO_HEADER, 0, NO_HEADER.length, 0);
    fdatasyncSync(walFd);
  }
}

function isFull(thrown: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'SQLITE_FULL'].includes(systemErrorCode(thrown) ?? '');
}

/** @throws where the file ends before */
async function fill(fd: number, buffer: Buffer, position: number): Promise<void> {
  const bytesRead = await inPool<number>((done) => read(fd, buffer, 0, buffer.length, position, done));
  if (bytesRead < buffer.length) throw Object.assign(new Error('the WAL has become shorter'), { code: 'EIO' });
}

async function put(fd: number, bytes: Buffer, position: number): Promise<void> {
  for (let from = 0; from < bytes.length;) {
    const start = from;
    from += await inPool<number>((done) => write(fd, bytes, start, bytes.length - start, position + start, done));
  }
}
