import { join } from 'node:path';
import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { Digest } from './digest.js';
import type { Disk } from './disk.js';
import { OpenBlobs, type BlobReader } from './open-blobs.js';
import type { Sidecar } from './sidecar.js';
import { Sidecars } from './sidecars.js';

export interface BlobStoreOptions {
  /** Folder of `blobs/` and `partial/`. */
  readonly folder: string;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Logger;
  /** Most bytes of images, complete and partial; undefined for no limit but the disk's. */
  readonly quotaBytes?: number;
  /** Bytes of the file system that are left to others. Default 16 MiB. */
  readonly freeFloorBytes?: number;
}

export interface NoRoom extends CodedError<'no-room'> {
  /** How much would have to be freed. */
  readonly missingBytes: number;
}

/** Names a partial file: that of an image's retrieval by the image's number, or that of an upload. */
export type PartialId = number | `data-${number}`;

/** Whether some image wants what is in the store, see `BlobStore.start`. */
interface Wanted {
  /** @param nodes reads which nodes its sidecar names: not needed for most, and a start has many */
  blob(sha256: string, size: number, nodes: () => Promise<readonly string[]>): boolean | Promise<boolean>;
  partial(id: number): boolean;
}

/** A blob in its folder, and what its sidecar says; undefined where that is missing or damaged. */
export interface FoundBlob {
  readonly sha256: string;
  readonly size: number;
  readonly sidecar: Sidecar | undefined;
}

export interface Usage {
  /** Bytes of complete blobs. */
  readonly stored: number;
  /** Bytes promised to partial files, written or not. */
  readonly reserved: number;
  /** Those of them that are not written yet. */
  readonly unwritten: number;
  readonly quota: number | undefined;
  /** Bytes that the file system still has, and those of them that are left to others. */
  readonly free: number;
  readonly freeFloor: number;
}

/** Rotten blobs that are kept, so that their places on the flash are not used again at once. */
const MAX_ROTTEN = 2;

const SHA256_NAME = /^[0-9a-f]{64}$/;
const SIDECAR_NAME = /^([0-9a-f]{64})\.json$/;

/**
 * The files: `blobs/<sha256>` with `<sha256>.json` beside it, `partial/<id>`, `rotten/<sha256>`. Leaves to the catalog
 * which of them are wanted. A blob that has its name is complete, verified and durable.
 */
export class BlobStore {
  readonly disk: Disk;
  /** The storeDir. */
  readonly folder: string;
  readonly #blobFolder: string;
  readonly #partialFolder: string;
  readonly #rottenFolder: string;
  readonly #log: Logger;
  #quota: number | undefined;
  readonly #freeFloor: number;
  readonly #sizes = new Map<string, number>();
  readonly #claims = new Map<PartialId, number>();
  /** Blobs that nobody may remove although no image has them yet, with how many ask for that. */
  readonly #held = new Map<string, number>();
  readonly #sidecars: Sidecars;
  readonly #open: OpenBlobs;
  /** Durably. */
  #areFoldersNamed = false;
  /**
   * Adoption and removal happen one after the other, so that a name is never removed right after it was adopted, nor a
   * partial file right after it was opened.
   */
  #names: Promise<unknown> = Promise.resolve();
  /** Promises of room are made one after the other, so that two never count on the same bytes. */
  #promises: Promise<unknown> = Promise.resolve();

  constructor(options: BlobStoreOptions) {
    this.disk = options.disk;
    this.folder = options.folder;
    this.#blobFolder = join(options.folder, 'blobs');
    this.#partialFolder = join(options.folder, 'partial');
    this.#rottenFolder = join(options.folder, 'rotten');
    this.#log = options.log;
    this.#sidecars = new Sidecars(options.disk, this.#blobFolder);
    this.#open = new OpenBlobs({ ...options, isThere: (sha256) => this.#sizes.has(sha256) });
    this.#quota = options.quotaBytes;
    this.#freeFloor = options.freeFloorBytes ?? 16 * 1024 * 1024;
  }

  /** The blobs that are there, before `start` removes what nobody wants. @throws the system's error */
  async found(): Promise<FoundBlob[]> {
    this.disk.makeFolderNow(this.#blobFolder);
    const names = this.disk.listNow(this.#blobFolder).filter((name) => SHA256_NAME.test(name));
    const found: FoundBlob[] = [];
    for (const sha256 of names) {
      const size = this.disk.sizeNow(join(this.#blobFolder, sha256)) ?? 0;
      found.push({ sha256, size, sidecar: await this.#sidecars.read(sha256) });
    }
    return found;
  }

  /**
   * The SHA-256 that the content of a blob has, as it is read now.
   * @param buffer is read into, piece by piece
   * @param pace awaited after each piece, with its bytes; false: enough
   * @returns undefined when `pace` ended it, or when the blob has gone
   * @throws the system's error
   */
  async digestOf(
    sha256: string,
    buffer: Buffer,
    pace: (bytes: number) => Promise<boolean> = () => Promise.resolve(true),
  ): Promise<string | undefined> {
    const digest = new Digest();
    let fd: number;
    try {
      fd = await this.disk.open(join(this.#blobFolder, sha256), 'read');
    } catch (thrown) {
      if (systemErrorCode(thrown) === 'ENOENT') return undefined;
      throw thrown;
    }
    try {
      for (let position = 0; ;) {
        const bytes = await this.disk.read(fd, buffer, buffer.length, position);
        if (bytes === 0) return digest.sha256();
        await digest.add(buffer.subarray(0, bytes));
        position += bytes;
        if (!(await pace(bytes))) return undefined;
      }
    } finally {
      await this.disk.close(fd);
    }
  }

  /**
   * Takes a blob out of use whose content has changed on the disk, or cannot be read. Its file is kept aside, a few of
   * them, until room is needed. Readers that have it open get an error from now on.
   * @param commit runs before the same content can be adopted again; whether the file could be put aside or not
   */
  setRotten(sha256: string, commit: () => void = () => undefined): Promise<void> {
    return this.#inTurn(async () => {
      this.#sizes.delete(sha256);
      await this.#open.setRotten(sha256);
      try {
        await this.#putAside(sha256);
      } catch (thrown) {
        this.#log.error('cannot put a rotten file aside', { sha256, reason: describeThrown(thrown) });
        const path = join(this.#blobFolder, sha256);
        await this.disk
          .remove(path)
          .then(() => this.#sidecars.remove(sha256))
          .then(() => this.#flushNames(this.#blobFolder))
          .catch(this.#cannotRemove(path));
      }
      commit();
    });
  }

  async #putAside(sha256: string): Promise<void> {
    await this.disk.makeFolder(this.#rottenFolder);
    await this.disk.rename(join(this.#blobFolder, sha256), join(this.#rottenFolder, sha256));
    await this.#sidecars.remove(sha256);
    // Else a power cut gives it its name back, under which what has come in anew is looked for.
    await this.#flushNames(this.#blobFolder);
    const rotten = await this.#rotten();
    for (const path of rotten.slice(0, -MAX_ROTTEN)) await this.disk.remove(path);
  }

  /** Gives up what was kept of rotten blobs. @returns whether there was any */
  async dropRotten(): Promise<boolean> {
    const rotten = await this.#rotten();
    for (const path of rotten) await this.disk.remove(path);
    return rotten.length > 0;
  }

  /**
   * Makes the folders, removes what no image wants, and learns what is there.
   * @param wanted says for a blob of this size whose sidecar names these nodes, or for a partial file, whether some image
   *   wants it
   * @throws the system's error when the folder cannot be used
   */
  async start(wanted: Wanted): Promise<void> {
    this.disk.makeFolderNow(this.#blobFolder);
    this.disk.makeFolderNow(this.#partialFolder);
    await this.#find(wanted);
  }

  /** Of the files in a folder, and at first of the folder itself: a start may have made it. */
  async #flushNames(folder: string): Promise<void> {
    if (!this.#areFoldersNamed) await this.disk.flushFolder(this.folder);
    this.#areFoldersNamed = true;
    await this.disk.flushFolder(folder);
  }

  async #find(wanted: Wanted): Promise<void> {
    for (const name of this.disk.listNow(this.#blobFolder)) {
      const path = join(this.#blobFolder, name);
      const size = this.disk.sizeNow(path) ?? 0;
      if (SHA256_NAME.test(name) && (await wanted.blob(name, size, () => this.#sidecarNodes(name))))
        this.#sizes.set(name, size);
      else if (!SIDECAR_NAME.test(name)) await this.#discard(path);
    }
    for (const name of this.disk.listNow(this.#blobFolder)) {
      const owner = SIDECAR_NAME.exec(name)?.[1];
      if (owner !== undefined && !this.#sizes.has(owner)) await this.#discard(join(this.#blobFolder, name));
    }
    for (const name of this.disk.listNow(this.#partialFolder)) {
      const path = join(this.#partialFolder, name);
      const id = /^[1-9]\d{0,14}$/.test(name) ? Number(name) : undefined;
      if (id !== undefined && wanted.partial(id)) this.#claims.set(id, this.disk.sizeNow(path) ?? 0);
      else await this.#discard(path);
    }
  }

  /** Another quota for what is promised from now on; what is there stays. Undefined: no limit but the disk's. */
  setQuota(bytes: number | undefined): void {
    this.#quota = bytes;
  }

  has(sha256: string): boolean {
    return this.#sizes.has(sha256);
  }

  async usage(): Promise<Usage> {
    const free = await this.disk.freeBytes(this.#blobFolder);
    let written = 0;
    for (const id of [...this.#claims.keys()]) written += (await this.partialSize(id)) ?? 0;
    return this.#usage(free, written);
  }

  /** As `usage`, but at once: for a node of the tree that is read. */
  usageNow(): Usage {
    const sizes = [...this.#claims.keys()].map((id) => this.disk.sizeNow(this.#partialPath(id)) ?? 0);
    return this.#usage(this.disk.freeBytesNow(this.#blobFolder), sum(sizes));
  }

  #usage(free: number, written: number): Usage {
    const [stored, reserved] = [sum(this.#sizes.values()), sum(this.#claims.values())];
    const unwritten = Math.max(0, reserved - written);
    return { stored, reserved, unwritten, quota: this.#quota, free, freeFloor: this.#freeFloor };
  }

  /**
   * Promises room for a partial file that may grow to `bytes`. The promise lasts until `settle` or `dropPartial`.
   * Checked against the quota, and against the disk less what other partial files may still write.
   * @param free asked where room is missing, twice at most; false: it cannot make so much. No other promise comes between
   */
  reserve(
    id: PartialId,
    bytes: number,
    free: (missingBytes: number) => Promise<boolean> = () => Promise.resolve(false),
  ): Promise<Outcome<undefined, NoRoom>> {
    const turn = this.#promises.then(async () => {
      let reserved = await this.#reserve(id, bytes);
      for (let asked = 0; asked < 2 && !reserved.ok; asked += 1) {
        if (!(await free(reserved.error.missingBytes))) break;
        reserved = await this.#reserve(id, bytes);
      }
      return reserved;
    });
    this.#promises = turn.catch(() => undefined);
    return turn;
  }

  async #reserve(id: PartialId, bytes: number): Promise<Outcome<undefined, NoRoom>> {
    const claimed = this.#claims.get(id) ?? 0;
    if (bytes <= claimed) return success();
    const { stored, reserved, unwritten, quota, free, freeFloor } = await this.usage();
    const overQuota = quota === undefined ? 0 : stored + reserved - claimed + bytes - quota;
    const overDisk = freeFloor + unwritten - claimed + bytes - free;
    const missingBytes = Math.max(overQuota, overDisk);
    if (missingBytes > 0) {
      const limit = overQuota >= overDisk ? 'the quota' : 'the free space of the disk';
      return {
        ok: false,
        error: { code: 'no-room', text: `${bytes} bytes exceed ${limit} by ${missingBytes}`, missingBytes },
      };
    }
    this.#claims.set(id, Math.max(bytes, this.#claims.get(id) ?? 0));
    return success();
  }

  /** The retrieval has ended or pauses for good: its partial file keeps what it has and no more. */
  async settle(id: PartialId): Promise<void> {
    const size = await this.partialSize(id);
    if (size === undefined) this.#claims.delete(id);
    else this.#claims.set(id, size);
  }

  /** The partial file of an image, made when missing. Whoever opened it closes it. */
  openPartial(id: PartialId): Promise<number> {
    return this.#inTurn(() => this.#openPartial(id));
  }

  async #openPartial(id: PartialId): Promise<number> {
    const isNew = (await this.partialSize(id)) === undefined;
    const fd = await this.disk.open(this.#partialPath(id), 'update');
    if (!isNew) return fd;
    try {
      // Flushed bytes are worth nothing in a file whose name a power cut takes away.
      await this.#flushNames(this.#partialFolder);
      return fd;
    } catch (thrown) {
      await this.disk.close(fd);
      throw thrown;
    }
  }

  /**
   * Opens the file of an image that comes in for reading. Whoever opened it closes it; it stays readable when it becomes a
   * blob. After a cut it may have that name before anybody knows.
   * @param sha256 what it is to become
   * @returns undefined when there is none, or it has not the `bytes` that it should have
   */
  openArriving(id: number, bytes: number, sha256: string): Promise<number | undefined> {
    return this.#inTurn(async () => {
      for (const path of [this.#partialPath(id), join(this.#blobFolder, sha256)]) {
        if (((await this.disk.size(path)) ?? -1) >= bytes) return this.disk.open(path, 'read');
      }
      return undefined;
    });
  }

  /** Bytes of the partial file; undefined when there is none. */
  partialSize(id: PartialId): Promise<number | undefined> {
    return this.disk.size(this.#partialPath(id));
  }

  /** Removes the partial file and the promise of room. One that is opened after this call is not touched. */
  dropPartial(id: PartialId): Promise<void> {
    return this.#inTurn(async () => {
      await this.disk.remove(this.#partialPath(id));
      this.#claims.delete(id);
    });
  }

  /**
   * Gives a partial file, complete, verified and flushed, its name among the blobs, durably. Then `commit` runs, before
   * any removal can come between. Where that content is there already, the partial file is left to the caller.
   * @returns what `commit` returns
   */
  adopt<T>(id: PartialId, sha256: string, sidecar: Sidecar, commit: () => T): Promise<T> {
    return this.#inTurn(async () => {
      if (this.#sizes.has(sha256)) return commit();
      const path = join(this.#blobFolder, sha256);
      await this.#sidecars.write(sha256, sidecar);
      try {
        await this.disk.rename(this.#partialPath(id), path);
        // Rename first, then the folder: a power cut leaves the partial file or the blob, never a name without content.
        await this.#flushNames(this.#blobFolder);
      } catch (thrown) {
        // It may have the name now, without being counted: it goes back, or nobody would find it.
        await this.disk.rename(path, this.#partialPath(id)).catch(() => this.disk.remove(path).catch(() => undefined));
        throw thrown;
      }
      this.#sizes.set(sha256, sidecar.size);
      this.#claims.delete(id);
      return commit();
    });
  }

  /**
   * Keeps a blob, though no image has it, until the function that this returns is called. Must be called where the blob
   * cannot go meanwhile: in the `commit` of `adopt`.
   */
  hold(sha256: string): () => void {
    this.#held.set(sha256, (this.#held.get(sha256) ?? 0) + 1);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const left = (this.#held.get(sha256) ?? 0) - 1;
      if (left > 0) this.#held.set(sha256, left);
      else this.#held.delete(sha256);
    };
  }

  /** Rewrites the sidecar after the images that use a blob have changed, where that changes anything. */
  describe(sha256: string, sidecar: Sidecar): Promise<void> {
    return this.#inTurn(async () => {
      const isNew = this.#sizes.has(sha256) && !(await this.#sidecars.isSaid(sha256, sidecar));
      if (isNew) await this.#sidecars.write(sha256, sidecar);
    });
  }

  /**
   * Removes a blob unless it is used or held when its turn comes. Readers that have it open finish.
   * @param used asked right before the removal
   */
  forget(sha256: string, used: () => boolean): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#sizes.has(sha256) || this.#held.has(sha256) || used()) return;
      this.#sizes.delete(sha256);
      // Room is free only when nobody has the file open.
      await this.#open.closeIdle(sha256);
      await this.disk.remove(join(this.#blobFolder, sha256));
      await this.#sidecars.remove(sha256);
    });
  }

  /** Opens a blob for reading; undefined when it is not there. Rejects when the disk fails. */
  async openBlob(sha256: string): Promise<BlobReader | undefined> {
    const size = this.#sizes.get(sha256);
    return size === undefined ? undefined : this.#open.reader(sha256, size, join(this.#blobFolder, sha256));
  }

  /** As `openBlob`, of a blob that somebody reads or has just read; undefined for others. */
  openBlobNow(sha256: string): BlobReader | undefined {
    return this.#sizes.has(sha256) ? this.#open.readerNow(sha256) : undefined;
  }

  /** True while somebody reads this blob. */
  isRead(sha256: string): boolean {
    return this.#open.isRead(sha256);
  }

  isHeld(sha256: string): boolean {
    return this.#held.has(sha256);
  }

  /** Resolves when the adoptions and removals that were asked for have been done. */
  async settled(): Promise<void> {
    await this.#names;
  }

  /** The files of rotten blobs, in the order of their names. */
  async #rotten(): Promise<string[]> {
    try {
      return (await this.disk.list(this.#rottenFolder)).sort().map((name) => join(this.#rottenFolder, name));
    } catch (thrown) {
      if (systemErrorCode(thrown) === 'ENOENT') return [];
      throw thrown;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#names.then(work);
    this.#names = turn.catch(() => undefined);
    return turn;
  }

  /** Whose blob it is, as far as its sidecar tells. */
  async #sidecarNodes(sha256: string): Promise<readonly string[]> {
    return (await this.#sidecars.read(sha256))?.images.map(({ node }) => node) ?? [];
  }

  async #discard(path: string): Promise<void> {
    this.#log.warn('removing a file that no image wants', { path });
    await this.disk.remove(path).catch(this.#cannotRemove(path));
  }

  /** Tells of it, no more. */
  #cannotRemove(path: string): (thrown: unknown) => void {
    return (thrown) => this.#log.error('cannot remove a file', { path, reason: describeThrown(thrown) });
  }

  #partialPath(id: PartialId): string {
    return join(this.#partialFolder, String(id));
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
