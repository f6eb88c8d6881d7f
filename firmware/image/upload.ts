import type { Clock } from '../clock/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { StoreError, type Store } from '../store/index.js';
import type { AcceptanceError } from './acceptance.js';
import type { BlobStore, PartialId } from './blobs.js';
import type { Catalog, CatalogError, SentContent } from './catalog.js';
import { Digest } from './digest.js';
import { isDiskFull } from './disk.js';
import { releaseBlob } from './holders.js';
import type { ImageRecord } from './image.js';
import { makeRoom, type PinSource } from './room.js';
import { sidecarOf } from './sidecar.js';

export type UploadErrorCode =
  | 'not-found' // no such image
  | 'busy' // this image has an upload already, or there are too many
  | 'no-room' // quota, free-space floor, or a full disk
  | 'disk' // the disk failed
  | 'size-mismatch'; // more or fewer bytes than announced

export type UploadError = CodedError<UploadErrorCode>;

/** What is known of content before it comes. */
export interface Announced {
  /** Its size, to the byte. */
  readonly bytes?: number;
  /** A bound of its size, where that is not known: so much room is reserved. */
  readonly atMostBytes?: number;
  /** Media type. */
  readonly contentType?: string;
}

export interface UploadsOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  /** Which images eviction must spare. */
  readonly pins: PinSource;
  /** Bytes between two flushes of the file, so that the last one is short. Default 8 MiB. */
  readonly fsyncVolumeBytes?: number;
  /**
   * Called for the young generation after every 32 KiB: what a message has left is garbage by the next one, so that hardly
   * anything is copied, and V8 does not come to use the whole of its young generation. For all after every 4 MiB: what
   * outlives the young generation all the same would be 2 MiB before V8 collects it. Default nothing.
   */
  readonly collectGarbage?: (generation: 'young' | 'all') => void;
}

/** Each DM session brings at most one large object at a time, and there are few DM Servers. */
const MAX_UPLOADS = 4;

/**
 * Images that a DM Server sends itself, as a large object, instead of a URL. The way of one:
 *
 * 1. `begin`: one upload per image; nothing is touched yet.
 * 2. `write` for each piece, one after the other. The first reserves room for what was announced, evicting for it if
 *    need be, before the first byte is written; each is hashed and appended to a file in `partial/`. Nothing is
 *    buffered: the bytes are the caller's again when `write` resolves.
 * 3. `end`: the content is flushed and has its name among the blobs, durably, but belongs to no image yet.
 * 4. `commit`, synchronous, inside the caller's store transaction: Digest and Signature are checked, and the content
 *    becomes the image's, state available, with an event `retrieved`. It supersedes a running retrieval of ImageURI
 *    and the content that was there. Before an answer tells of it the caller awaits `store.durable()`, as ever.
 * 5. `discard`, always, once the transaction has ended either way: removes what no image has taken.
 *
 * Files come before rows, so a power cut at any moment leaves the old state or the new one: what has no row is removed
 * at the next start. An upload does not go on after a restart; the server sends it again.
 */
export class Uploads {
  readonly #o: UploadsOptions;
  readonly #open = new Set<Upload>();
  #count = 0;

  constructor(options: UploadsOptions) {
    this.#o = options;
  }

  /**
   * @param imageId number of the image in the catalog; `new` for one that is made when its content has come
   * @param about what the server has announced
   * @returns failure `not-found` or `busy`
   */
  begin(imageId: number | 'new', about: Announced = {}): Outcome<Upload, UploadError> {
    const known = imageId !== 'new';
    if (known && !this.#o.catalog.byId(imageId)) return failure('not-found', 'no such image');
    if (known && [...this.#open].some((upload) => upload.imageId === imageId))
      return failure('busy', 'content for this image is coming in already');
    if (this.#open.size >= MAX_UPLOADS) return failure('busy', `no more than ${MAX_UPLOADS} images come in at a time`);
    this.#count += 1;
    const upload = new Upload(imageId, `data-${this.#count}`, about, this.#o, () => this.#open.delete(upload));
    this.#open.add(upload);
    return success(upload);
  }

  /** Discards what has not ended. Idempotent. */
  async close(): Promise<void> {
    for (const upload of [...this.#open]) await upload.discard();
  }
}

/** One image that comes in: see `Uploads`. A failure is final: what follows it fails the same way. */
export class Upload {
  readonly #digest = new Digest();
  #fd: number | undefined;
  #received = 0;
  #flushed = 0;
  /** So much had come when garbage was last collected, of the young generation and of all. */
  readonly #collected = { young: 0, all: 0 };
  /** Room is promised up to here. */
  #granted = 0;
  #failed: UploadError | undefined;
  #content: SentContent | undefined;
  #letGo: () => void = () => {};
  #working: Promise<unknown> = Promise.resolve();
  #busy = false;
  #discarded: Promise<void> | undefined;

  /** For `Uploads`. */
  constructor(
    readonly imageId: number | 'new',
    private readonly file: PartialId,
    private readonly about: Announced,
    private readonly o: UploadsOptions,
    private readonly closed: () => void,
  ) {}

  /** Bytes so far. */
  get received(): number {
    return this.#received;
  }

  /**
   * Takes the next piece. The caller waits for it before the next one, and leaves `octets` alone meanwhile.
   * @returns failure `no-room`, `disk` or `size-mismatch`
   */
  write(octets: Uint8Array): Promise<Outcome<undefined, UploadError>> {
    return this.#work(() => this.#write(octets));
  }

  /**
   * No more bytes come. The content is durable when this resolves, and belongs to no image.
   * @returns what has come in; failure `no-room`, `disk` or `size-mismatch`
   */
  end(): Promise<Outcome<SentContent, UploadError>> {
    return this.#work(() => this.#end());
  }

  /**
   * Makes the content the image's own, as part of the caller's transaction. After a success of `end` only.
   * @param requester who sent it
   * @param made number of the image that was made for it, where it was begun for a new one
   * @returns the image, available; failure `not-found`, `digest-mismatch` or `signature-mismatch`, nothing changed
   */
  commit(requester: string, made?: number): Outcome<ImageRecord, CatalogError | AcceptanceError> {
    if (!this.#content || this.#discarded) throw new Error('an upload is committed between its end and its discard');
    const id = this.imageId === 'new' ? made : this.imageId;
    if (id === undefined) throw new Error('an upload for a new image is committed to the one that was made');
    return this.o.catalog.take(id, this.#content, requester);
  }

  /** Removes what no image has taken, after the caller's transaction has ended. Rejects for the database only. Idempotent. */
  discard(): Promise<void> {
    return (this.#discarded ??= this.#discard());
  }

  async #write(octets: Uint8Array): Promise<Outcome<undefined, UploadError>> {
    const { blobs, fsyncVolumeBytes = DEFAULT_VOLUME_BYTES } = this.o;
    const { disk } = blobs;
    const size = this.#received + octets.length;
    const announced = this.about.bytes ?? this.about.atMostBytes;
    if (announced !== undefined && size > announced) {
      return failure('size-mismatch', `more than the ${announced} bytes that were announced`);
    }
    if (size > this.#granted || this.#fd === undefined) {
      const granted = announced ?? size + fsyncVolumeBytes;
      const room = await makeRoom(this.file, granted, {
        ...this.o,
        release: (sha256) => releaseBlob(this.o, sha256),
      });
      if (!room.ok) return failure('no-room', room.error.text);
      this.#granted = granted;
    }
    this.#fd ??= await blobs.openPartial(this.file);
    await this.#digest.add(octets, disk.write(this.#fd, octets, this.#received));
    this.#received = size;
    if (size - this.#flushed >= fsyncVolumeBytes) {
      await disk.flushData(this.#fd);
      this.#flushed = size;
    }
    this.#tidyUp();
    return success();
  }

  #tidyUp(): void {
    const all = this.#received - this.#collected.all >= GARBAGE_BYTES.all;
    if (!all && this.#received - this.#collected.young < GARBAGE_BYTES.young) return;
    this.#collected.young = this.#received;
    if (all) this.#collected.all = this.#received;
    this.o.collectGarbage?.(all ? 'all' : 'young');
  }

  async #end(): Promise<Outcome<SentContent, UploadError>> {
    const { blobs, clock } = this.o;
    const announced = this.about.bytes;
    if (announced !== undefined && this.#received !== announced) {
      return failure('size-mismatch', `${this.#received} bytes came, ${announced} were announced`);
    }
    const fd = (this.#fd ??= await blobs.openPartial(this.file));
    await blobs.disk.flush(fd);
    this.#fd = undefined;
    await blobs.disk.close(fd);
    const contentType = this.about.contentType ?? null;
    const sha256 = this.#digest.sha256();
    const size = this.#received;
    // No image is named: a blob without a row must not be taken for one at the next start.
    const sidecar = sidecarOf({ size, contentType }, []);
    this.#letGo = await blobs.adopt(this.file, sha256, sidecar, () => blobs.hold(sha256));
    const receivedMs = clock.plausible() ? Math.round(clock.wallMs()) : null;
    this.#content = { sha256, size, contentType, receivedMs };
    return success(this.#content);
  }

  async #discard(): Promise<void> {
    const { blobs } = this.o;
    await this.#working;
    try {
      if (this.#fd !== undefined) await blobs.disk.close(this.#fd);
      await blobs.dropPartial(this.file);
      this.#letGo();
      if (this.#content) await releaseBlob(this.o, this.#content.sha256);
    } catch (thrown) {
      if (thrown instanceof StoreError) throw thrown;
      // The disk has failed: what is left is removed at the next start.
    } finally {
      this.#letGo();
      this.closed();
    }
  }

  /** One piece of work at a time; the first failure stays. @throws StoreError when the database fails */
  #work<T>(work: () => Promise<Outcome<T, UploadError>>): Promise<Outcome<T, UploadError>> {
    if (this.#busy) throw new Error('an upload takes one piece after the other');
    if (this.#content || this.#discarded) throw new Error('the upload has ended');
    this.#busy = true;
    const done = this.#guarded(work).finally(() => (this.#busy = false));
    this.#working = done.catch(() => undefined);
    return done;
  }

  async #guarded<T>(work: () => Promise<Outcome<T, UploadError>>): Promise<Outcome<T, UploadError>> {
    if (this.#failed) return { ok: false, error: this.#failed };
    let outcome: Outcome<T, UploadError>;
    try {
      outcome = await work();
    } catch (thrown) {
      if (thrown instanceof StoreError) throw thrown;
      const text = describeThrown(thrown);
      outcome = isDiskFull(thrown) ? failure('no-room', text, thrown) : failure('disk', text, thrown);
    }
    if (!outcome.ok) this.#failed = outcome.error;
    return outcome;
  }
}

const DEFAULT_VOLUME_BYTES = 8 * 1024 * 1024;
const GARBAGE_BYTES = { young: 32 * 1024, all: 4 * 1024 * 1024 };
