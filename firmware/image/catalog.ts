import type { KeyObject } from 'node:crypto';
import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { acceptance, prospect, type Acceptance, type AcceptanceError, type Prospect } from './acceptance.js';
import { earlyWith, neverEarly, type Early } from './early.js';
import {
  digestHex,
  NO_LEAVES,
  type ImageChange,
  type ImageEvent,
  type ImageLeaf,
  type ImageRecord,
  type RetrievalNotes,
} from './image.js';
import { forgetBytes, keepBytes } from './kept.js';
import type { LostImage } from './sidecar.js';
import { checkLeaf, isImageId, type LeafValue } from './leaves.js';
import { isRunning } from './states.js';
import { ImageTable } from './table.js';

export type CatalogErrorCode =
  | 'not-found' // no such image
  | 'exists' // the node name or the ImageID is taken
  | 'bad-value'
  | 'limit' // as many images as are allowed
  | 'no-uri' // nothing to retrieve from
  | 'busy' // another request with a correlator of its own is still to be answered
  | 'not-running'; // nothing to cancel

export type CatalogError = CodedError<CatalogErrorCode>;

/** What a request for a retrieval led to. */
export type RequestAnswer =
  | 'started' // an event will tell the end
  | 'running' // it ran already; the event of its end answers this request too
  | 'done'; // the image is available already; no event will follow

/** Content that is in the store. */
export interface StoredContent {
  readonly sha256: string;
  readonly size: number;
  readonly contentType: string | null;
}

/** Content that a server has sent instead of a URL. */
export interface SentContent extends StoredContent {
  /** Wall time of its end; null when the clock was not set. */
  readonly receivedMs: number | null;
}

export interface CatalogOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  /** Public Ed25519 keys of those who may sign images. Default none. */
  readonly signatureKeys?: readonly KeyObject[];
  /** Images without a signature are refused. Default false. */
  readonly requireSignature?: boolean;
  /** Images whose Digest and size are known are served while they come in. Default false. */
  readonly cutThrough?: boolean;
  /** Default 1024. */
  readonly maxImages?: number;
}

const NO_RETRIEVAL: RetrievalNotes = {
  generation: 0,
  source: null,
  validator: null,
  unguarded: false,
  attempts: 0,
  digest: null,
  descriptor: null,
  installNotify: null,
};

const BLANK: Omit<ImageRecord, 'id' | 'node' | 'imageId' | 'requester'> = {
  leaves: NO_LEAVES,
  state: 'idle',
  result: null,
  resultText: '',
  size: null,
  contentType: null,
  received: 0,
  blob: null,
  correlator: null,
  availableMs: null,
  servedMs: null,
  wanBytes: 0,
  retrieval: NO_RETRIEVAL,
};

/**
 * What images there are, what is wanted of each, and how far it has come. Every method is synchronous and joins the
 * caller's `store.transaction`, if there is one; work that follows from it begins after the commit.
 */
export class Catalog {
  /** For this room only: the downloader and the deliveries stand on the same table. */
  readonly table: ImageTable;
  readonly accepts: Acceptance;
  /** Why no content can be accepted, before any is fetched. */
  readonly missing: Prospect;
  /** Says whether an image is served while it comes in. */
  readonly early: Early;
  readonly #store: Store;
  readonly #maxImages: number;

  constructor(options: CatalogOptions) {
    this.missing = prospect(options.requireSignature ?? false);
    this.accepts = acceptance(options.signatureKeys ?? [], this.missing);
    this.early = options.cutThrough === true ? earlyWith(this.accepts) : neverEarly;
    this.table = new ImageTable(options.store, options.clock, options.log, this.early);
    this.#store = options.store;
    this.#maxImages = options.maxImages ?? 1024;
  }

  byId(id: number): ImageRecord | undefined {
    return this.table.byId(id);
  }

  byNode(node: string): ImageRecord | undefined {
    return this.table.byNode(node);
  }

  byImageId(imageId: string): ImageRecord | undefined {
    return this.table.byImageId(imageId);
  }

  /** Every image, those of higher priority first; bounded by `maxImages`. */
  all(): ImageRecord[] {
    return this.table.all();
  }

  count(): number {
    return this.#store.sql<{ n: number }>('SELECT count(*) AS n FROM image').get()?.n ?? 0;
  }

  /** Node names in byte order. @param after continue behind this name; undefined from the first */
  nodes(after: string | undefined, limit: number): string[] {
    return this.#store
      .sql<{ node: string }>('SELECT node FROM image WHERE node > ? ORDER BY node LIMIT ?')
      .all(after ?? '', limit)
      .map((row) => row.node);
  }

  /**
   * Adds an image without leaves, in state idle.
   * @param node name of its node; it is also the ImageID until that leaf is set, hence must have its form
   * @param requester who is told what becomes of it, until somebody else asks for a retrieval
   */
  create(node: string, requester: string): Outcome<ImageRecord, CatalogError> {
    if (!isImageId(node)) return failure('bad-value', 'the node name must have the form of an ImageID');
    if (this.byNode(node) || this.byImageId(node)) return failure('exists', `an image '${node}' exists`);
    if (this.count() >= this.#maxImages) return failure('limit', `no more than ${this.#maxImages} images`);
    const record = { ...BLANK, node, imageId: node, requester };
    return success({ ...record, id: this.table.insert(record) });
  }

  /**
   * Puts an image back that a lost database had, with its content, which is in the store under its name. Nobody is told.
   * @param how its ResultText
   * @returns failure `exists`, `limit`, `bad-value` (a value that no leaf can have), `digest-mismatch` or
   *   `signature-mismatch`
   */
  restore(
    lost: LostImage,
    content: StoredContent,
    how = 'recovered after the database was lost',
  ): Outcome<ImageRecord, CatalogError | AcceptanceError> {
    const { node, leaves, requester, generation } = lost;
    return this.#store.tentative((): Outcome<ImageRecord, CatalogError | AcceptanceError> => {
      const created = this.create(node, requester);
      if (!created.ok) return created;
      for (const [leaf, value] of Object.entries(leaves) as [ImageLeaf, LeafValue | null][]) {
        const checked = value === null ? success() : checkLeaf(leaf, value);
        if (!checked.ok) return checked;
      }
      const identified = this.#identify({ ...created.value, leaves });
      if (!identified.ok) return identified;
      const accepted = this.accepts(leaves, content.sha256);
      if (!accepted.ok) return accepted;
      const restored = this.table.save({
        ...identified.value,
        state: 'available',
        result: 'ok',
        resultText: how,
        blob: content.sha256,
        size: content.size,
        received: content.size,
        contentType: content.contentType,
        availableMs: lost.availableMs,
        retrieval: { ...NO_RETRIEVAL, generation },
      });
      this.table.touch(restored.id);
      return success(restored);
    });
  }

  /**
   * Sets a leaf, or removes it with null. ImageURI and Digest act: see `#retarget`.
   * @param requester who is told of the end of a retrieval that this starts
   * @returns failure `not-found`, `bad-value` or `exists` (an ImageID that is taken)
   */
  setLeaf(id: number, leaf: ImageLeaf, value: LeafValue | null, requester: string): Outcome<ImageRecord, CatalogError> {
    return this.#store.tentative((): Outcome<ImageRecord, CatalogError> => {
      const before = this.byId(id);
      if (!before) return failure('not-found', 'no such image');
      if (value !== null) {
        const checked = checkLeaf(leaf, value);
        if (!checked.ok) return checked;
      }
      const changed = { ...before, leaves: { ...before.leaves, [leaf]: value } };
      // The sidecar of its content is to tell it too.
      if (before.blob !== null) this.table.changed({ id });
      if (leaf === 'imageId') return this.#identify(changed);
      return success(this.#retarget(before, this.table.save(changed), leaf, requester));
    });
  }

  /** Gives the node another name; without an ImageID leaf that changes the ImageID. */
  rename(id: number, node: string): Outcome<ImageRecord, CatalogError> {
    return this.#store.tentative((): Outcome<ImageRecord, CatalogError> => {
      const before = this.byId(id);
      if (!before) return failure('not-found', 'no such image');
      if (!isImageId(node)) return failure('bad-value', 'the node name must have the form of an ImageID');
      const holder = this.byNode(node);
      if (holder && holder.id !== id) return failure('exists', `an image '${node}' exists`);
      if (before.blob !== null) this.table.changed({ id });
      return this.#identify({ ...before, node });
    });
  }

  /** True when the image has a LocalImageURI. */
  isServed(image: ImageRecord): boolean {
    return image.state === 'available' || this.early(image) !== undefined;
  }

  /**
   * Images are served here, from now on. Where that is another place than the one before, also that of an earlier run,
   * whoever had an image retrieved is told that its LocalImageURI has changed.
   * @param place everything but the image that LocalImageURI depends on
   */
  servedAt(place: string): void {
    this.#store.transaction(() => {
      const before = this.#store.sql<{ place: string | null }>('SELECT place FROM image_server').get()?.place ?? null;
      if (before === place) return;
      this.#store.sql('UPDATE image_server SET place = ?').run(place);
      if (before === null) return;
      for (const image of this.all()) if (this.isServed(image)) this.table.tell('local-uri', image, null);
    });
  }

  /** Removes the image, its retrieval and, when nobody else uses it, its content. False when there is none. */
  remove(id: number): boolean {
    return this.#store.transaction(() => {
      const record = this.byId(id);
      if (!record) return false;
      if (isRunning(record.state)) this.#settle(record, 'the image was removed');
      this.table.delete(id);
      this.table.changed({ id, ...(record.blob !== null && { released: record.blob }) });
      return true;
    });
  }

  /**
   * Removes the image, as whoever owns the gateway wants it: the server that asked for it is told, by the end of its
   * retrieval or that the image is withdrawn. False when there is none.
   */
  withdraw(id: number): boolean {
    return this.#store.transaction(() => {
      const record = this.byId(id);
      if (!record) return false;
      const code = 'cancelled';
      if (isRunning(record.state) || record.state === 'needs-uri') this.#cancel(record, 'removed at the gateway');
      else if (record.state === 'available') {
        this.table.tell('withdrawn', { ...record, result: code, resultText: 'removed at the gateway' }, null);
      }
      return this.remove(id);
    });
  }

  /**
   * Asks for the content. An image that is available stays so; a running retrieval goes on (one that waits tries again
   * at once); else a new one begins with the bytes that are still good.
   * @param correlator handed back in the event that tells the end
   * @returns failure `not-found`, `no-uri`, or `busy` while the running retrieval owes its end to another correlator
   */
  request(id: number, requester: string, correlator?: string): Outcome<RequestAnswer, CatalogError> {
    return this.#store.tentative((): Outcome<RequestAnswer, CatalogError> => {
      const record = this.byId(id);
      if (!record) return failure('not-found', 'no such image');
      if (record.state === 'available') return success('done');
      if (record.leaves.imageUri === null) return failure('no-uri', 'the image has no ImageURI');
      if (!isRunning(record.state)) {
        const started = this.#start(record, requester, correlator ?? null);
        return success(started.state === 'available' ? 'done' : 'started');
      }
      if (correlator !== undefined) {
        const owed = record.correlator !== null && record.correlator !== correlator;
        if (owed) return failure('busy', 'a retrieval asked for with another correlator is running');
        this.table.save({ ...record, requester, correlator });
      }
      this.table.changed({ id });
      return success('running');
    });
  }

  /** Ends a retrieval that runs or waits for a new URL, and drops its bytes. */
  cancel(id: number): Outcome<ImageRecord, CatalogError> {
    return this.#store.tentative((): Outcome<ImageRecord, CatalogError> => {
      const record = this.byId(id);
      if (!record) return failure('not-found', 'no such image');
      if (!isRunning(record.state) && record.state !== 'needs-uri') {
        return failure('not-running', 'no retrieval is running');
      }
      return success(this.#cancel(record, 'cancelled on request'));
    });
  }

  /**
   * Makes content the image's own that a server has sent, and that is in the store, durable, and held there: see
   * `Upload`. It supersedes a running retrieval and whatever content the image had; ImageURI stays as it is.
   * @param requester who sent it
   * @returns failure `not-found`, `digest-mismatch` or `signature-mismatch`, with nothing changed
   */
  take(id: number, content: SentContent, requester: string): Outcome<ImageRecord, CatalogError | AcceptanceError> {
    return this.#store.tentative((): Outcome<ImageRecord, CatalogError | AcceptanceError> => {
      const record = this.byId(id);
      if (!record) return failure('not-found', 'no such image');
      const accepted = this.accepts(record.leaves, content.sha256);
      if (!accepted.ok) return accepted;
      const settled = isRunning(record.state)
        ? this.#settle(record, 'superseded by content that a server sent')
        : record;
      const { retrieval } = forgetBytes(settled);
      const taken = this.table.end(
        { ...record, requester, correlator: null },
        'link',
        { kind: 'retrieved', code: 'ok', text: 'received and verified' },
        {
          retrieval: { ...retrieval, generation: retrieval.generation + 1, attempts: 0 },
          blob: content.sha256,
          size: content.size,
          received: content.size,
          contentType: content.contentType,
          availableMs: content.receivedMs,
        },
      );
      this.#released(record);
      return success(taken);
    });
  }

  /** Gives up the content for room. Nothing when the image is not available. */
  evict(id: number): void {
    this.#store.transaction(() => {
      const record = this.byId(id);
      if (record?.state !== 'available') return;
      const text = 'removed to make room for another image';
      this.table.end(record, 'evict', { kind: 'evicted', code: 'no-room', text }, { blob: null, received: 0 });
      this.#released(record);
    });
  }

  /** Gives up the partial bytes of an image whose retrieval does not run. Nothing when there are none. */
  dropPartial(id: number): void {
    this.#store.transaction(() => {
      const record = this.byId(id);
      if (!record || isRunning(record.state) || record.blob !== null || record.received === 0) return;
      this.table.save(forgetBytes(record));
    });
  }

  /** Content that is not accepted any more, because keys have changed, is given up: it is not served. At start. */
  refuseUnaccepted(): void {
    this.#store.transaction(() => {
      for (const record of this.table.all()) {
        if (record.blob === null) continue;
        const accepted = this.accepts(record.leaves, record.blob);
        if (accepted.ok) continue;
        const { code, text } = accepted.error;
        this.table.end(record, 'fail', { kind: 'failed', code, text }, { blob: null, received: 0 });
        this.#released(record);
      }
    });
  }

  /** Content is gone from the disk: the images that had it are retrieved again, or have failed. */
  lost(sha256: string): void {
    this.#store.transaction(() => {
      const holders = this.table.all().filter((record) => record.blob === sha256);
      const without = holders.map((record) => this.table.save({ ...record, blob: null, received: 0 }));
      for (const record of without) {
        if (record.leaves.imageUri === null) {
          this.table.end(record, 'fail', { kind: 'failed', code: 'disk', text: 'the stored content was lost' });
        } else {
          this.table.tell('local-uri', this.#start(record, record.requester, null), null);
        }
      }
    });
  }

  /** Ends a running retrieval when the content that its Digest names has come into the store meanwhile. */
  linkStored(id: number): ImageRecord | undefined {
    return this.#store.transaction(() => {
      const record = this.byId(id);
      return record && isRunning(record.state) ? this.#link(record) : undefined;
    });
  }

  /** Told inside the transaction that makes it true; a listener only writes to the store, and does not throw. */
  onEvent(listener: (event: ImageEvent) => void): void {
    this.table.onEvent(listener);
  }

  /** Told after the commit; for the downloader. */
  onChange(listener: (change: ImageChange) => void): void {
    this.table.onChange(listener);
  }

  /** Recomputes the effective ImageID; LocalImageURI follows it. */
  #identify(changed: ImageRecord): Outcome<ImageRecord, CatalogError> {
    const imageId = changed.leaves.imageId ?? changed.node;
    const holder = this.byImageId(imageId);
    if (holder && holder.id !== changed.id) return failure('exists', `another image has the ImageID '${imageId}'`);
    const saved = this.table.save({ ...changed, imageId });
    if (imageId !== changed.imageId && this.isServed(saved)) this.table.tell('local-uri', saved, null);
    return success(saved);
  }

  /**
   * What a changed leaf means for the content:
   * - an ImageURI starts a retrieval, unless Digest says that the content is already here. A repeated one does so only
   *   where the last retrieval did not succeed. Removing it ends a retrieval, and keeps content that is here;
   * - another Digest or Signature that refuses the content which is here, or bytes that are coming in for another
   *   Digest, start a retrieval too.
   */
  #retarget(before: ImageRecord, record: ImageRecord, leaf: ImageLeaf, requester: string): ImageRecord {
    const { imageUri } = record.leaves;
    const running = isRunning(record.state);
    if (leaf === 'imageUri') {
      if (imageUri === null) return running ? this.#cancel(record, 'the ImageURI was removed') : record;
      const repeated = imageUri === before.leaves.imageUri && (running || record.state === 'available');
      return repeated || this.#hasWanted(record) ? record : this.#start(record, requester, null);
    }
    if (leaf !== 'digest' && leaf !== 'signature') return record;
    if (record.state === 'available' && record.blob !== null) {
      const accepted = this.accepts(record.leaves, record.blob);
      if (accepted.ok) return record;
      if (imageUri !== null) return this.#start(record, requester, null);
      const { code, text } = accepted.error;
      const failed = this.table.end(record, 'fail', { kind: 'failed', code, text }, { blob: null, received: 0 });
      this.#released(record);
      return failed;
    }
    const otherContent = leaf === 'digest' && before.leaves.digest !== null && record.leaves.digest !== null;
    return running && otherContent ? this.#start(forgetBytes(record), requester, null) : record;
  }

  /** True when the bytes that are here are known to be the wanted ones, by a Digest. */
  #hasWanted(record: ImageRecord): boolean {
    const { state, blob, leaves } = record;
    return state === 'available' && blob !== null && leaves.digest !== null && this.accepts(leaves, blob).ok;
  }

  /** Begins a retrieval that supersedes whatever went before; or none, when the wanted content is in the store. */
  #start(record: ImageRecord, requester: string, correlator: string | null): ImageRecord {
    const kept = keepBytes(isRunning(record.state) ? this.#settle(record, 'superseded by a new request') : record);
    const generation = record.retrieval.generation + 1;
    const asked = { ...record, requester, correlator, retrieval: { ...kept.retrieval, generation, attempts: 0 } };
    const linked = this.#link(asked);
    if (linked) return linked;
    const { received, size, contentType } = kept;
    const content = { received, size, contentType, blob: null, availableMs: null };
    const pending = this.table.move(asked, 'request', { ...content, result: null, resultText: '' });
    this.#released(record);
    return pending;
  }

  /** Takes over content of another image that has the wanted Digest. */
  #link(record: ImageRecord): ImageRecord | undefined {
    const wanted = record.leaves.digest === null ? undefined : digestHex(record.leaves.digest);
    const donor = wanted === undefined ? undefined : this.table.byBlob(wanted);
    if (donor?.blob == null || !this.accepts(record.leaves, donor.blob).ok) return undefined;
    const { size, contentType, availableMs, blob } = donor;
    const content = { size, contentType, availableMs, blob, received: size ?? 0 };
    const result = { kind: 'retrieved', code: 'ok', text: 'the content was already in the store' } as const;
    const linked = this.table.end(record, 'link', result, { ...forgetBytes(record), ...content });
    this.#released(record);
    return linked;
  }

  #cancel(record: ImageRecord, text: string): ImageRecord {
    const retrieval = { ...forgetBytes(record).retrieval, generation: record.retrieval.generation + 1 };
    const result = { kind: 'cancelled', code: 'cancelled', text } as const;
    const cancelled = this.table.end(record, 'cancel', result, { received: 0, size: null, retrieval });
    this.table.changed({ id: record.id });
    return cancelled;
  }

  /** Who asked is always answered, also when the retrieval is overtaken: a correlator, and a download descriptor. */
  #settle(record: ImageRecord, text: string): ImageRecord {
    const settled = this.table.reported(record, 'cancelled');
    if (record.correlator === null) return settled;
    const told = { ...settled, result: 'cancelled', resultText: text } as const;
    this.table.tell('cancelled', told, record.correlator);
    return settled;
  }

  #released(before: ImageRecord): void {
    this.table.changed({ id: before.id, ...(before.blob !== null && { released: before.blob }) });
  }
}
