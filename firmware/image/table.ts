import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { nextState } from '../machine/index.js';
import { ReadCache, type SqlValue, type Store } from '../store/index.js';
import type { Early } from './early.js';
import type { ImageChange, ImageEvent, ImageEventKind, ImageRecord, InstallReport, ResultCode } from './image.js';
import { IMAGE_STATES, type ImageState, type StateEvent } from './states.js';

/** A row as SQLite gives it. */
type Row = Record<string, SqlValue>;

const COLUMNS = [
  'node',
  'effective_id',
  'image_id',
  'name',
  'version',
  'description',
  'image_uri',
  'digest',
  'signature',
  'priority',
  'pinned',
  'state',
  'result',
  'result_text',
  'size',
  'content_type',
  'received',
  'blob',
  'requester',
  'correlator',
  'available_ms',
  'served_ms',
  'wan_bytes',
  'generation',
  'source',
  'validator',
  'unguarded',
  'attempts',
  'partial_digest',
  'descriptor',
  'install_notify',
] as const;

const INSERT = `INSERT INTO image (${COLUMNS.join(', ')}) VALUES (${COLUMNS.map(() => '?').join(', ')})`;
const UPDATE = `UPDATE image SET ${COLUMNS.map((column) => `${column} = ?`).join(', ')} WHERE id = ?`;

/** A message asks for, and sets, the leaves of a few images. */
const ROWS_AT_HAND = 16;

/**
 * The table `image`: records in and out, the one place where a state is moved, and whom to tell.
 * Events are told inside the transaction, changes after its commit.
 */
export class ImageTable {
  readonly #rows: ReadCache<number, ImageRecord | undefined>;
  /** Which image has a node name, if any. */
  readonly #ids: ReadCache<string, number | undefined>;
  /** Which image has an ImageID, if any: asked for with each request of a device. */
  readonly #imageIds: ReadCache<string, number | undefined>;
  readonly #eventListeners: ((event: ImageEvent) => void)[] = [];
  readonly #changeListeners: ((change: ImageChange) => void)[] = [];
  readonly #reportListeners: ((report: InstallReport) => void)[] = [];
  readonly #savedListeners: ((id: number, image: ImageRecord | undefined) => void)[] = [];

  constructor(
    readonly store: Store,
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly early: Early,
  ) {
    this.#rows = new ReadCache(() => store.rollbacks, ROWS_AT_HAND);
    this.#ids = new ReadCache(() => store.rollbacks, ROWS_AT_HAND);
    this.#imageIds = new ReadCache(() => store.rollbacks, ROWS_AT_HAND);
  }

  byId(id: number): ImageRecord | undefined {
    return this.#rows.get(id, () => this.#one('SELECT * FROM image WHERE id = ?', id));
  }

  byNode(node: string): ImageRecord | undefined {
    const id = this.#ids.get(
      node,
      () => this.store.sql<{ id: number }>('SELECT id FROM image WHERE node = ?').get(node)?.id,
    );
    return id === undefined ? undefined : this.byId(id);
  }

  byImageId(imageId: string): ImageRecord | undefined {
    const id = this.#imageIds.get(
      imageId,
      () => this.store.sql<{ id: number }>('SELECT id FROM image WHERE effective_id = ?').get(imageId)?.id,
    );
    return id === undefined ? undefined : this.byId(id);
  }

  /** Any image that holds this verified content. */
  byBlob(sha256: string): ImageRecord | undefined {
    return this.#one('SELECT * FROM image WHERE blob = ? LIMIT 1', sha256);
  }

  /** Every image that holds this verified content. */
  holders(sha256: string): ImageRecord[] {
    return this.store
      .sql<Row>('SELECT * FROM image WHERE blob = ? ORDER BY id')
      .all(sha256)
      .map((row) => toRecord(row));
  }

  /** Every image, those of higher priority first. There are at most as many as the catalog allows. */
  all(): ImageRecord[] {
    return this.store
      .sql<Row>('SELECT * FROM image ORDER BY coalesce(priority, 0) DESC, id')
      .all()
      .map((row) => toRecord(row));
  }

  insert(record: Omit<ImageRecord, 'id'>): number {
    const { lastInsertRowid } = this.store.sql(INSERT).run(...toValues(record));
    this.#rows.forget(lastInsertRowid);
    this.#forgetNames();
    return lastInsertRowid;
  }

  save(record: ImageRecord): ImageRecord {
    const before = this.byId(record.id);
    this.store.sql(UPDATE).run(...toValues(record), record.id);
    this.#rows.forget(record.id);
    if (before?.node !== record.node) this.#ids.forgetAll();
    if (before?.imageId !== record.imageId) this.#imageIds.forgetAll();
    if (before) this.#tellEarly(before, record);
    this.#tellSaved(record.id, record);
    return record;
  }

  delete(id: number): void {
    this.store.sql('DELETE FROM image WHERE id = ?').run(id);
    this.#rows.forget(id);
    this.#forgetNames();
    this.#tellSaved(id, undefined);
  }

  #forgetNames(): void {
    this.#ids.forgetAll();
    this.#imageIds.forgetAll();
  }

  /** LocalImageURI is assigned before the image is there, or withdrawn; when it stays, the end of the retrieval is told. */
  #tellEarly(before: ImageRecord, now: ImageRecord): void {
    const [had, has] = [this.early(before) !== undefined, this.early(now) !== undefined];
    if (had !== has && now.state !== 'available') this.tell('local-uri', now, null);
  }

  #tellSaved(id: number, image: ImageRecord | undefined): void {
    if (this.#savedListeners.length === 0) return;
    this.store.afterCommit(() => {
      for (const listener of this.#savedListeners) listener(id, image);
    });
  }

  /** Moves the state by the table of states.ts, saves, and logs the move. */
  move(record: ImageRecord, event: StateEvent, patch: Partial<ImageRecord>): ImageRecord {
    const from: ImageState = record.state;
    const state = nextState<ImageState, StateEvent>(IMAGE_STATES, from, event, 'image');
    const moved = this.save({ ...record, ...patch, state });
    if (state !== from) {
      const fields = { image: moved.imageId, from, to: state, result: moved.result ?? undefined };
      this.store.afterCommit(() => this.log.info('image changes state', fields));
    }
    return moved;
  }

  /**
   * As `move`, to an end of what was asked for: sets the result, tells it with the correlator, which is then settled.
   */
  end(
    record: ImageRecord,
    event: StateEvent,
    result: { readonly kind: ImageEventKind; readonly code: ResultCode; readonly text: string },
    patch: Partial<ImageRecord> = {},
  ): ImageRecord {
    const ended = this.move(record, event, {
      ...patch,
      retrieval: this.reported({ ...record, ...patch }, result.code).retrieval,
      result: result.code,
      resultText: result.text,
      correlator: null,
    });
    this.touch(ended.id);
    this.tell(result.kind, ended, record.correlator);
    return ended;
  }

  /**
   * What a download descriptor asked to be told of this retrieval is put down.
   * @returns the record without that wish, to be saved by the caller
   */
  reported(record: ImageRecord, code: ResultCode): ImageRecord {
    const url = record.retrieval.installNotify;
    if (url === null) return record;
    for (const listener of this.#reportListeners) listener({ image: record.imageId, url, code });
    return { ...record, retrieval: { ...record.retrieval, installNotify: null } };
  }

  /** Something has become of the image: it is now the one that was in use last. */
  touch(id: number): void {
    const atMs = this.clock.plausible() ? Math.round(this.clock.wallMs()) : null;
    this.store.sql('INSERT OR REPLACE INTO image_moment (image, at_ms) VALUES (?, ?)').run(id, atMs);
  }

  /** For each image the number of its last moment: the greater, the later. Images without one are absent. */
  lastMoments(): Map<number, number> {
    const rows = this.store.sql<{ image: number; seq: number }>('SELECT image, seq FROM image_moment').all();
    return new Map(rows.map(({ image, seq }) => [image, seq]));
  }

  tell(kind: ImageEventKind, image: ImageRecord, correlator: string | null): void {
    for (const listener of this.#eventListeners) listener({ kind, image, correlator });
  }

  /** Has the downloader look at this image, and at the blob that it gave up, after the commit. */
  changed(change: ImageChange): void {
    this.store.afterCommit(() => {
      for (const listener of this.#changeListeners) listener(change);
    });
  }

  onEvent(listener: (event: ImageEvent) => void): void {
    this.#eventListeners.push(listener);
  }

  onChange(listener: (change: ImageChange) => void): void {
    this.#changeListeners.push(listener);
  }

  /** Told after the commit of what became of an image, each time; undefined: it was removed. */
  onSaved(listener: (id: number, image: ImageRecord | undefined) => void): void {
    this.#savedListeners.push(listener);
  }

  /** Told inside the transaction in which a retrieval ends whose download descriptor wants to know. */
  onReport(listener: (report: InstallReport) => void): void {
    this.#reportListeners.push(listener);
  }

  #one(text: string, value: SqlValue): ImageRecord | undefined {
    const row = this.store.sql<Row>(text).get(value);
    return row && toRecord(row);
  }
}

function toValues(record: Omit<ImageRecord, 'id'>): SqlValue[] {
  const { leaves, retrieval } = record;
  return [
    record.node,
    record.imageId,
    leaves.imageId,
    leaves.name,
    leaves.version,
    leaves.description,
    leaves.imageUri,
    leaves.digest,
    leaves.signature,
    leaves.priority,
    leaves.pinned === null ? null : Number(leaves.pinned),
    record.state,
    record.result,
    record.resultText,
    record.size,
    record.contentType,
    record.received,
    record.blob,
    record.requester,
    record.correlator,
    record.availableMs,
    record.servedMs,
    record.wanBytes,
    retrieval.generation,
    retrieval.source,
    retrieval.validator,
    Number(retrieval.unguarded),
    retrieval.attempts,
    retrieval.digest,
    retrieval.descriptor,
    retrieval.installNotify,
  ];
}

/** The casts hold because only `toValues` writes the table, which is STRICT. */
function toRecord(row: Row): ImageRecord {
  const text = (column: string): string | null => row[column] as string | null;
  const number = (column: string): number | null => row[column] as number | null;
  const count = (column: string): number => row[column] as number;
  const always = (column: string): string => row[column] as string;
  return {
    id: count('id'),
    node: always('node'),
    imageId: always('effective_id'),
    leaves: {
      imageId: text('image_id'),
      name: text('name'),
      version: text('version'),
      description: text('description'),
      imageUri: text('image_uri'),
      digest: text('digest'),
      signature: text('signature'),
      priority: number('priority'),
      pinned: number('pinned') === null ? null : number('pinned') === 1,
    },
    state: always('state') as ImageState,
    result: text('result') as ResultCode | null,
    resultText: always('result_text'),
    size: number('size'),
    contentType: text('content_type'),
    received: count('received'),
    blob: text('blob'),
    requester: always('requester'),
    correlator: text('correlator'),
    availableMs: number('available_ms'),
    servedMs: number('served_ms'),
    wanBytes: count('wan_bytes'),
    retrieval: {
      generation: count('generation'),
      source: text('source'),
      validator: text('validator'),
      unguarded: count('unguarded') === 1,
      attempts: count('attempts'),
      digest: text('partial_digest'),
      descriptor: text('descriptor'),
      installNotify: text('install_notify'),
    },
  };
}
