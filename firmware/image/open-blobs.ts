import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown, systemErrorCode } from '../outcome/index.js';
import type { Disk } from './disk.js';

/** An open blob. Reading goes on after the blob has been removed; whoever opened it closes it. */
export interface BlobReader {
  readonly sha256: string;
  readonly size: number;
  /** Bytes from 0 that can be read now: all, but of content that is still coming in. Never falls. */
  readable(): number;
  /** Has a listener told when there is more to read, or nothing to come any more. @returns ends that */
  onMore(listener: () => void): () => void;
  read(buffer: Buffer, length: number, position: number): Promise<number>;
  /** As `read`, but at once; throws the system's error. */
  readNow(buffer: Buffer, length: number, position: number): number;
  /** As `Disk.sendNow`; throws where `readNow` would. */
  sendNow(socket: number, length: number, position: number): number | 'cold';
  /** It has changed on the disk, or does not come in any more: whoever reads on is told by an error. */
  isVoid(): boolean;
  close(): Promise<void>;
}

/** An open file, shared by all who read the blob. */
interface OpenBlob {
  readonly sha256: string;
  readonly fd: Promise<number>;
  /** The same, once it is open. */
  fdNow: number | undefined;
  readonly size: number;
  readers: number;
  /** Monotonic time since when nobody reads it. */
  idleSinceMs: number;
  isRotten: boolean;
}

/**
 * A file that nobody reads any more stays open for so long, in ms: a device that fetches range by range, or many at once,
 * find it open. So many at most.
 */
const KEPT_OPEN_MS = 250;
const MAX_KEPT_OPEN = 8;

export interface OpenBlobsOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  /** The blob has not been removed meanwhile. */
  readonly isThere: (sha256: string) => boolean;
}

/** The blobs that are open: many clients of one image cost one descriptor. */
export class OpenBlobs {
  readonly #open = new Map<string, OpenBlob>();
  /** Those of them that nobody reads, the one that has been so for longest first. */
  readonly #idle = new Set<OpenBlob>();
  #closing: TimerHandle | undefined;

  constructor(private readonly o: OpenBlobsOptions) {}

  /** Opens a blob for reading; undefined when there is no such file. Rejects when the disk fails. */
  async reader(sha256: string, size: number, path: string): Promise<BlobReader | undefined> {
    let shared = this.#open.get(sha256);
    if (!shared) {
      const fd = this.o.disk.open(path, 'read');
      shared = { sha256, fd, fdNow: undefined, size, readers: 0, idleSinceMs: 0, isRotten: false };
      this.#open.set(sha256, shared);
    }
    const entry = shared;
    entry.readers += 1;
    this.#idle.delete(entry);
    try {
      entry.fdNow = await entry.fd;
      return new SharedReader(entry, entry.fdNow, this.o.disk, () => this.#leave(entry));
    } catch (thrown) {
      if (this.#open.get(sha256) === entry) this.#open.delete(sha256);
      await this.#leave(entry);
      if (systemErrorCode(thrown) === 'ENOENT') return undefined;
      throw thrown;
    }
  }

  /** As `reader`, of a blob that is open; undefined when it is not. */
  readerNow(sha256: string): BlobReader | undefined {
    const entry = this.#open.get(sha256);
    if (entry?.fdNow === undefined) return undefined;
    entry.readers += 1;
    this.#idle.delete(entry);
    return new SharedReader(entry, entry.fdNow, this.o.disk, () => this.#leave(entry));
  }

  /** True while somebody reads this blob. */
  isRead(sha256: string): boolean {
    return (this.#open.get(sha256)?.readers ?? 0) > 0;
  }

  /** Readers that have it open get an error from now on; who opens it now gets another file. */
  async setRotten(sha256: string): Promise<void> {
    const entry = this.#open.get(sha256);
    if (entry) entry.isRotten = true;
    await this.closeIdle(sha256);
    this.#open.delete(sha256);
  }

  /** Closes the file of a blob that nobody reads. */
  async closeIdle(sha256: string): Promise<void> {
    const entry = this.#open.get(sha256);
    if (entry && this.#idle.has(entry)) await this.#closeNow(entry);
  }

  /** When nobody reads a file any more it stays open for a while, unless its blob has gone. */
  async #leave(entry: OpenBlob): Promise<void> {
    entry.readers -= 1;
    if (entry.readers > 0) return;
    const { clock, isThere } = this.o;
    if (this.#open.get(entry.sha256) !== entry) return this.#closeFile(entry);
    if (!isThere(entry.sha256)) return this.#closeNow(entry);
    entry.idleSinceMs = clock.monotonicMs();
    this.#idle.add(entry);
    this.#closing ??= clock.after(KEPT_OPEN_MS, () => this.#closeLeft());
    const [first] = this.#idle;
    if (first && this.#idle.size > MAX_KEPT_OPEN) await this.#closeNow(first);
  }

  /** Closes the files that nobody has read for a while, and comes again for the others. */
  #closeLeft(): void {
    const { clock, log } = this.o;
    this.#closing = undefined;
    const leftMs = clock.monotonicMs() - KEPT_OPEN_MS;
    for (const entry of this.#idle) {
      if (entry.idleSinceMs > leftMs) {
        this.#closing = clock.after(entry.idleSinceMs - leftMs, () => this.#closeLeft());
        return;
      }
      this.#closeNow(entry).catch((thrown: unknown) => {
        log.error('cannot close a blob', { reason: describeThrown(thrown) });
      });
    }
  }

  #closeNow(entry: OpenBlob): Promise<void> {
    this.#idle.delete(entry);
    this.#open.delete(entry.sha256);
    return this.#closeFile(entry);
  }

  async #closeFile({ fd }: OpenBlob): Promise<void> {
    const opened = await fd.catch(() => undefined);
    if (opened !== undefined) await this.o.disk.close(opened);
  }
}

/** One of those who read a file. A class, because hundreds of clients have one each: it has no function of its own. */
class SharedReader implements BlobReader {
  #closed = false;

  constructor(
    private readonly entry: OpenBlob,
    private readonly fd: number,
    private readonly disk: Disk,
    private readonly leave: () => Promise<void>,
  ) {}

  get sha256(): string {
    return this.entry.sha256;
  }

  get size(): number {
    return this.entry.size;
  }

  readable(): number {
    return this.entry.size;
  }

  onMore(): () => void {
    return () => {};
  }

  async read(buffer: Buffer, length: number, position: number): Promise<number> {
    const bytes = await this.disk.read(this.fd, buffer, length, position);
    this.#check();
    return bytes;
  }

  readNow(buffer: Buffer, length: number, position: number): number {
    this.#check();
    return this.disk.readNow(this.fd, buffer, length, position);
  }

  sendNow(socket: number, length: number, position: number): number | 'cold' {
    this.#check();
    return this.disk.sendNow(this.fd, socket, length, position);
  }

  isVoid(): boolean {
    return this.entry.isRotten;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.leave();
  }

  #check(): void {
    if (this.entry.isRotten) throw new Error('the content has changed on the disk');
  }
}
