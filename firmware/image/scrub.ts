import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown, systemErrorCode } from '../outcome/index.js';
import type { SchemaStep, Store } from '../store/index.js';
import type { BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import type { ImageRecord } from './image.js';

/** When each blob was last read and found sound. A blob without a row was when it came in. */
export const scrubSchema: readonly SchemaStep[] = [
  {
    owner: 'image',
    sql: `CREATE TABLE blob_check (blob TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;`,
  },
];

export interface ScrubOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** A blob is read again so long after it was last, by the wall clock, in ms. */
  readonly intervalMs: number;
  readonly bytesPerSecond: number;
  /** True while images come in or go out: then reading takes `BUSY_FACTOR` times as long. */
  readonly busy: () => boolean;
  /** Told, inside the transaction that takes it from them, which images had content that is rotten. */
  readonly onRotten: (images: readonly ImageRecord[]) => void;
  /** Told of a StoreError, or a mistake of ours; no more blobs are read then. */
  readonly onFault: (thrown: unknown) => void;
}

/** How far the reading of one blob is. */
export interface ScrubProgress {
  readonly checkedBytes: number;
  /** Null until the end. */
  readonly found: 'sound' | 'rotten' | 'gone' | 'unreadable' | null;
}

/** Whoever asked for it is told how far it is so often. */
const TELL_MS = 250;

/** Read at once, then paused for: short enough that nobody waits for it. */
const PIECE_BYTES = 64 * 1024;

/** Other work goes first, but a gateway that is always busy reads its blobs too. */
const BUSY_FACTOR = 16;

/** How often it is looked whether a blob is due: the interval is days. */
const LOOK_MS = 600_000;

/** What says nothing of the blob: it is tried again later. */
const NOT_ITS_FAULT: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR', 'EACCES']);

/**
 * Reads the blobs again and again, slowly, one after the other, and compares them with their names. One that has changed
 * on the disk, or cannot be read, is taken out of use at once: replies that send it break off, its images lose their
 * LocalImageURI and are retrieved again, or have failed where they have no ImageURI. A restart goes on with the blobs
 * that were not reached; the one that was being read is read from its start. What the page cache holds is read from there.
 */
export class Scrub {
  readonly #abort = new AbortController();
  #over: Promise<void> = Promise.resolve();

  constructor(private readonly o: ScrubOptions) {}

  start(): void {
    this.#over = this.#run().catch((thrown: unknown) => this.o.onFault(thrown));
  }

  /** Idempotent. */
  stop(): Promise<void> {
    this.#abort.abort();
    return this.#over;
  }

  /**
   * Reads one blob now, at full speed, because somebody asks; what is found has the same consequences.
   * @returns yields how far it is, now and then, and at last what it found; `unreadable`: the disk does not say
   */
  async *verify(sha256: string, signal: AbortSignal): AsyncGenerator<ScrubProgress, void, undefined> {
    let checkedBytes = 0;
    const end: { found: ScrubProgress['found'] } = { found: null };
    const reading = this.#check(sha256, AbortSignal.any([signal, this.#abort.signal]), (bytes) => {
      checkedBytes += bytes;
      return Promise.resolve();
    }).then((found) => (end.found = found));
    do {
      yield { checkedBytes, found: end.found };
      await Promise.race([reading, this.o.clock.sleep(TELL_MS, signal)]);
    } while (end.found === null && !signal.aborted);
    yield { checkedBytes, found: await reading };
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      const sha256 = this.#due();
      const found = sha256 === undefined ? null : await this.#check(sha256, signal, (bytes) => this.#pause(bytes));
      if (found === null || found === 'unreadable') await this.o.clock.sleep(LOOK_MS, signal);
    }
  }

  /** The blob that has waited longest, if it is due. While the clock is not plausible, none is. */
  #due(): string | undefined {
    const { store, clock, intervalMs } = this.o;
    if (!clock.plausible()) return undefined;
    const nowMs = clock.wallMs();
    const next = store
      .sql<{ blob: string; at: number }>(
        `SELECT image.blob AS blob, coalesce(blob_check.at_ms, max(image.available_ms), 0) AS at
         FROM image LEFT JOIN blob_check ON blob_check.blob = image.blob
         WHERE image.blob IS NOT NULL GROUP BY image.blob ORDER BY at LIMIT 1`,
      )
      .get();
    if (!next) return undefined;
    // A time that is still to come was taken by a clock that went wrong.
    return next.at + intervalMs <= nowMs || next.at > nowMs ? next.blob : undefined;
  }

  /** @returns what is the matter with the blob; null when `signal` has ended it */
  async #check(
    sha256: string,
    signal: AbortSignal,
    pace: (bytes: number) => Promise<void>,
  ): Promise<ScrubProgress['found']> {
    const { blobs, log } = this.o;
    let found: string | undefined;
    let reason = 'its content has changed on the disk';
    try {
      found = await blobs.digestOf(sha256, Buffer.allocUnsafeSlow(PIECE_BYTES), async (bytes) => {
        await pace(bytes);
        return !signal.aborted;
      });
    } catch (thrown) {
      reason = describeThrown(thrown);
      if (NOT_ITS_FAULT.has(systemErrorCode(thrown) ?? '')) {
        log.warn('a stored image cannot be checked now', { sha256, reason });
        return 'unreadable';
      }
    }
    if (signal.aborted) return null;
    if (found === sha256) {
      this.#sound(sha256);
      return 'sound';
    }
    if (!blobs.has(sha256)) return 'gone';
    await this.#rotten(sha256, reason);
    return 'rotten';
  }

  /** Keeps to the rate. */
  async #pause(bytes: number): Promise<void> {
    const { clock, bytesPerSecond, busy } = this.o;
    const factor = busy() ? BUSY_FACTOR : 1;
    await clock.sleep((bytes * 1000 * factor) / bytesPerSecond, this.#abort.signal);
  }

  #sound(sha256: string): void {
    const { store, clock, log } = this.o;
    log.debug('a stored image was read and is sound', { sha256 });
    store.transaction(() => {
      store.sql('DELETE FROM blob_check WHERE blob NOT IN (SELECT blob FROM image WHERE blob IS NOT NULL)').run();
      store
        .sql('INSERT OR REPLACE INTO blob_check (blob, at_ms) VALUES (?, ?)')
        .run(sha256, Math.round(clock.wallMs()));
    });
  }

  async #rotten(sha256: string, reason: string): Promise<void> {
    const { store, catalog, blobs, log, onRotten } = this.o;
    log.error('a stored image is rotten, it is taken out of use', { sha256, reason });
    await blobs.setRotten(sha256, () =>
      store.transaction(() => {
        const images = catalog.table.holders(sha256);
        catalog.lost(sha256);
        onRotten(images);
      }),
    );
    await store.durable();
  }
}
