import type { BackoffPolicy, Clock, Random, TimerHandle, WeeklyWindows } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import type { HttpAccess } from '../net/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { UNFOLLOWED, type ArrivalPort } from './arrivals.js';
import type { BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import { Conditions, type ConditionsOptions, type Hold, type MeteredSetting } from './conditions.js';
import { describeBlob, releaseBlob } from './holders.js';
import type { ImageChange, ImageRecord } from './image.js';
import { InstallReports } from './install.js';
import { BufferPool } from './intake.js';
import { Progress } from './progress.js';
import { Retrieval } from './retrieval.js';
import type { RetrievalOptions } from './retrieval-options.js';
import type { PinSource } from './room.js';
import { isRunning } from './states.js';
import { Throttle } from './throttle.js';

export interface DownloaderOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Where the URL of an image, and each redirect, may lead, and what goes along. */
  readonly access: HttpAccess;
  /** Which images eviction must spare. */
  readonly pins: PinSource;
  /** Follows the partial files. Default nobody. */
  readonly arrivals?: ArrivalPort;
  readonly userAgent: string;
  /** Follow redirects from https to http. */
  readonly allowDowngrade: boolean;
  /** Retrievals at a time; each takes its buffers, see `BufferPool`. */
  readonly concurrency: number;
  /** Bytes between two flushes of a partial file. */
  readonly fsyncVolumeBytes: number;
  readonly idleTimeoutMs: number;
  /** A body slower than this over `idleTimeoutMs` has stalled and is asked for again. 0: only silence counts. */
  readonly minBytesPerSecond: number;
  /** Rate of all retrievals together. 0: no cap. */
  readonly maxBytesPerSecond: number;
  /** Rate of each retrieval. 0: no cap. */
  readonly maxBytesPerSecondPerImage: number;
  /** What the line and the hour must allow. Default nothing. */
  readonly conditions?: Omit<ConditionsOptions, 'clock'>;
  /** How often they are looked at while something is owed. Default 5 s. */
  readonly checkConditionsMs?: number;
  readonly backoff: BackoffPolicy;
  /** Tries without a new byte after which a retrieval fails. */
  readonly maxAttempts: number;
  /** Longest Retry-After that is obeyed. Default 1 h. */
  readonly maxRetryAfterMs?: number;
  /**
   * Called after every 2 MiB from the WAN that came through streams (chunked, or in a tunnel). Each read of a socket then
   * leaves 64 KiB of garbage outside V8's heap, which V8 notices late: a collection of the young generation here keeps the process some 25 MiB smaller, at no cost that
   * could be measured. Default nothing.
   */
  readonly collectGarbage?: () => void;
  /**
   * Told what a retrieval threw: a StoreError, or a mistake of ours. The retrieval has stopped and goes on at the next
   * start; the gateway decides whether that is now.
   */
  readonly onDefect: (thrown: unknown) => void;
}

/** A retrieval that has a place. */
interface Running {
  readonly abort: AbortController;
  readonly over: Promise<void>;
  /** It was broken off for this. */
  hold: Hold | undefined;
}

const GARBAGE_BYTES = 2 * 1024 * 1024;

/**
 * Retrieves what the catalog owes: by priority, then by age, so many at a time. One that pauses gives up its place.
 * It leaves the meaning of a single try to `Retrieval`.
 */
export class Downloader {
  #o: RetrievalOptions;
  readonly #throttle: Throttle;
  readonly #onDefect: (thrown: unknown) => void;
  readonly #places: number;
  readonly #buffers = new BufferPool();
  readonly #retrievals = new Map<number, Retrieval>();
  readonly #running = new Map<number, Running>();
  readonly conditions: Conditions;
  readonly #checkConditionsMs: number;
  #checking: TimerHandle | undefined;
  /** Images that would be retrieved if the conditions allowed it. */
  readonly #held = new Set<number>();
  #clockWasSet: boolean;
  readonly #pauses = new Map<number, TimerHandle>();
  /** Images that were asked for again while their retrieval ran: it does not pause next. */
  readonly #poked = new Set<number>();
  readonly #tidying = new Map<number, Promise<void>>();
  readonly #background = new Set<Promise<void>>();
  readonly #reports: InstallReports;
  /** Images whose retrieval threw: left alone until the next start. */
  readonly #defective = new Set<number>();
  #started = false;
  #closed = false;
  #wanBytes = 0;

  constructor(options: DownloaderOptions) {
    const { concurrency, onDefect, collectGarbage, maxBytesPerSecond, conditions, checkConditionsMs, ...rest } =
      options;
    let uncollected = 0;
    this.#places = concurrency;
    this.#onDefect = onDefect;
    this.conditions = new Conditions({ clock: options.clock, ...conditions });
    this.#checkConditionsMs = checkConditionsMs ?? 5_000;
    this.#clockWasSet = options.clock.plausible();
    this.#throttle = new Throttle(options.clock, maxBytesPerSecond);
    this.#o = {
      arrivals: UNFOLLOWED,
      maxRetryAfterMs: 3_600_000,
      ...rest,
      throttle: this.#throttle,
      progress: new Progress(options.catalog.table, options.clock),
      release: (sha256) => releaseBlob(options, sha256),
      recorded: () => {
        options.store.durable().catch(onDefect);
      },
      countWanBytes: (bytes, leavesGarbage) => {
        this.#wanBytes += bytes;
        if (leavesGarbage) uncollected += bytes;
        if (uncollected < GARBAGE_BYTES) return;
        uncollected = 0;
        collectGarbage?.();
      },
    };
    this.#reports = new InstallReports({ ...this.#o, onDefect });
    options.catalog.table.onReport((report) => this.#reports.put(report));
  }

  /** Bytes of image content received over the WAN since the start. */
  get wanBytes(): number {
    return this.#wanBytes;
  }

  /** Retrievals that run right now. */
  get running(): number {
    return this.#running.size;
  }

  /**
   * Brings files and catalog together after whatever ended the last run, then begins to retrieve.
   * @throws the system's error when the store folder cannot be used
   */
  async start(): Promise<void> {
    const { catalog, blobs, progress } = this.#o;
    const stored = progress.stored();
    const kept = new Set(
      catalog
        .all()
        .filter((image) => image.received > 0 && image.blob === null)
        .map((i) => i.id),
    );
    const named: { readonly image: ImageRecord; readonly sha256: string }[] = [];
    await blobs.start({
      blob: async (sha256, size, nodes) => {
        if (stored.some((image) => image.blob === sha256 && image.size === size)) return true;
        // It got its name, and the process ended before the catalog knew.
        const naming = await nodes();
        const image = progress.owed().find((owed) => {
          const whole = owed.state === 'verifying' && owed.received === size && owed.size === size;
          return whole && naming.includes(owed.node) && catalog.accepts(owed.leaves, sha256).ok;
        });
        if (image) named.push({ image, sha256 });
        return image !== undefined;
      },
      partial: (id) => kept.has(id),
    });
    for (const { image, sha256 } of named) {
      progress.complete(
        { id: image.id, generation: image.retrieval.generation },
        sha256,
        image.received,
        progress.nowMs(),
      );
    }
    for (const { blob } of stored) {
      if (blob === null) continue;
      if (blobs.has(blob)) this.#inBackground(describeBlob(this.#o, blob));
      else catalog.lost(blob);
    }
    catalog.onChange((change) => this.#look(change));
    catalog.refuseUnaccepted();
    this.#started = true;
    this.#reports.start();
    this.#fillPlaces();
  }

  /** Tries again at once what waits, for example because the network has come up. */
  retryNow(): void {
    for (const id of [...this.#pauses.keys()]) this.#endPause(id);
    this.#fillPlaces();
  }

  /** Another rate of all retrievals together, from now on; 0 for no cap. */
  setRate(maxBytesPerSecond: number): void {
    this.#throttle.setRate(maxBytesPerSecond);
  }

  /** Bytes of an image that have come in, those that are not durable yet among them; undefined where no retrieval runs. */
  arrived(id: number): number | undefined {
    return this.#running.has(id) ? this.#retrievals.get(id)?.arrived : undefined;
  }

  /** Another rate of each retrieval, from now on; 0 for no cap. */
  setRatePerImage(maxBytesPerSecond: number): void {
    this.#o = { ...this.#o, maxBytesPerSecondPerImage: maxBytesPerSecond };
    for (const retrieval of this.#retrievals.values()) retrieval.setRate(maxBytesPerSecond);
  }

  /** Other windows: what runs outside of them stops, what waited for them goes on. Undefined: always. */
  setWindows(windows: WeeklyWindows | undefined): void {
    this.conditions.setWindows(windows);
    if (this.#started && !this.#closed) this.#check();
  }

  /** The link is metered, or is not, whatever else says: what may not come in stops, what waited goes on. */
  setMetered(setting: MeteredSetting): void {
    this.conditions.setMetered(setting);
    if (this.#started && !this.#closed) this.#check();
  }

  /** Stops retrievals with their bytes durable, and waits for file work. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#checking?.cancel();
    for (const id of [...this.#pauses.keys()]) this.#endPause(id);
    for (const { abort } of this.#running.values()) abort.abort();
    await Promise.all([this.#reports.close(), ...[...this.#running.values()].map(({ over }) => over)]);
    await Promise.all(this.#background);
    await this.#o.blobs.settled();
  }

  /** After a commit that concerns this image. */
  #look({ id, released }: ImageChange): void {
    if (released !== undefined) this.#inBackground(releaseBlob(this.#o, released));
    const retrieval = this.#retrievals.get(id);
    const running = this.#running.get(id);
    if (retrieval && !this.#o.progress.current(retrieval.key)) {
      this.#retrievals.delete(id);
      running?.abort.abort();
    }
    this.#defective.delete(id);
    this.#endPause(id);
    if (running) this.#poked.add(id);
    else this.#inBackground(this.#tidy(id));
    const blob = this.#o.catalog.byId(id)?.blob;
    if (blob != null) this.#inBackground(describeBlob(this.#o, blob));
    this.#fillPlaces();
  }

  #fillPlaces(): void {
    const isFull = (): boolean => this.#running.size >= this.#places;
    if (!this.#started || this.#closed || (isFull() && !this.conditions.any)) return;
    this.conditions.look();
    this.#held.clear();
    for (const image of this.#o.progress.owed()) {
      const { id } = image;
      if (this.#running.has(id) || this.#pauses.has(id) || this.#defective.has(id)) continue;
      if (this.#hold(image) || isFull()) continue;
      // Another image may have brought the content meanwhile.
      const owed = this.#o.catalog.linkStored(id) ? undefined : this.#o.catalog.byId(id);
      if (owed) this.#run(owed);
    }
    this.#checkLater();
  }

  /** True when the conditions do not allow this retrieval now; its state says so. */
  #hold(image: ImageRecord): boolean {
    const key = { id: image.id, generation: image.retrieval.generation };
    const hold = this.conditions.holdOf(image);
    if (!hold) {
      if (image.state === 'waiting') this.#o.progress.released(key);
      return false;
    }
    // What another image has brought costs no traffic.
    if (this.#o.catalog.linkStored(image.id)) return true;
    this.#held.add(image.id);
    this.#o.progress.held(key, hold, false);
    return true;
  }

  /** The conditions are looked at again as long as they can change anything. */
  #checkLater(): void {
    const matter = this.conditions.any && this.#running.size + this.#held.size > 0;
    const clockMatters = !this.#clockWasSet && this.#running.size + this.#pauses.size > 0;
    if (this.#checking || !(matter || clockMatters)) return;
    this.#checking = this.#o.clock.after(this.#checkConditionsMs, () => {
      this.#checking = undefined;
      this.#check();
    });
  }

  #check(): void {
    this.conditions.look();
    for (const [id, running] of this.#running) {
      const image = this.#o.catalog.byId(id);
      running.hold ??= image && this.conditions.holdOf(image);
      if (running.hold) running.abort.abort();
    }
    const clockIsSet = this.#o.clock.plausible();
    if (clockIsSet && !this.#clockWasSet) this.retryNow();
    else this.#fillPlaces();
    this.#clockWasSet = clockIsSet;
    this.#checkLater();
  }

  #run(image: ImageRecord): void {
    const { id } = image;
    const { generation } = image.retrieval;
    let retrieval = this.#retrievals.get(id);
    if (retrieval?.key.generation !== generation) {
      retrieval = new Retrieval({ id, generation }, this.#o);
      this.#retrievals.set(id, retrieval);
    }
    const abort = new AbortController();
    const over = this.#step(retrieval, abort.signal).finally(() => {
      this.#running.delete(id);
      this.#fillPlaces();
    });
    this.#running.set(id, { abort, over, hold: undefined });
  }

  /** Never rejects. */
  async #step(retrieval: Retrieval, signal: AbortSignal): Promise<void> {
    const { id } = retrieval.key;
    const buffers = this.#buffers.take();
    try {
      await this.#tidying.get(id);
      this.#poked.delete(id);
      const end = await retrieval.step(signal, buffers);
      if (end.kind === 'wait' && !signal.aborted) {
        if (!this.#poked.has(id)) this.#pause(id, end.delayMs);
        return;
      }
      const hold = this.#closed ? undefined : this.#running.get(id)?.hold;
      // What it knows is kept for the time when it may go on.
      if (hold && this.#o.progress.held(retrieval.key, hold, true)) return;
      if (this.#retrievals.get(id) === retrieval) this.#retrievals.delete(id);
      // A file that cannot be removed, as on a file system that is read-only now, is no reason to stop.
      await this.#tidy(id).catch((thrown: unknown) => this.#cannotTidy(thrown));
    } catch (thrown) {
      this.#retrievals.delete(id);
      this.#defective.add(id);
      this.#onDefect(thrown);
    } finally {
      this.#buffers.giveBack(buffers);
    }
  }

  #pause(id: number, delayMs: number): void {
    const timer = this.#o.clock.after(delayMs, () => {
      this.#pauses.delete(id);
      this.#fillPlaces();
    });
    this.#pauses.set(id, timer);
    this.#checkLater();
  }

  #endPause(id: number): void {
    this.#pauses.get(id)?.cancel();
    this.#pauses.delete(id);
  }

  /**
   * Removes the partial file unless the catalog counts on its bytes. In turn with a step of the same image, which would
   * else find its file gone.
   */
  #tidy(id: number): Promise<void> {
    const work = (this.#tidying.get(id) ?? Promise.resolve()).then(async () => {
      const image = this.#o.catalog.byId(id);
      if (image && isRunning(image.state)) return;
      if (image?.blob === null && image.received > 0) await this.#o.blobs.settle(id);
      else await this.#o.blobs.dropPartial(id);
    });
    const settled = work
      .catch(() => undefined)
      .then(() => {
        if (this.#tidying.get(id) === settled) this.#tidying.delete(id);
      });
    this.#tidying.set(id, settled);
    return work;
  }

  #inBackground(work: Promise<void>): void {
    const done = work
      .catch((thrown: unknown) => {
        this.#cannotTidy(thrown);
      })
      .then(() => {
        this.#background.delete(done);
      });
    this.#background.add(done);
  }

  #cannotTidy(thrown: unknown): void {
    this.#o.log.error('cannot tidy up the store', { reason: describeThrown(thrown) });
  }
}
