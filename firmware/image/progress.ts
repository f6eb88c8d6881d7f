import type { Clock } from '../clock/index.js';
import type { Hold } from './conditions.js';
import { digestHex, type ImageRecord, type ResultCode } from './image.js';
import { forgetBytes } from './kept.js';
import { AFTER_RESTART, isRunning } from './states.js';
import type { ImageTable } from './table.js';

/** A retrieval by its image and the request that started it. */
export interface RetrievalKey {
  readonly id: number;
  readonly generation: number;
}

/** Which version of the file begins to come in. */
export interface NewVersion {
  readonly source: string;
  /** URL of the download descriptor that named `source`. */
  readonly descriptor: string | undefined;
  readonly validator: string | undefined;
  readonly total: number | undefined;
  readonly contentType: string | undefined;
}

/** After these the partial bytes are still worth keeping: another request may go on from them. */
const KEEPS_BYTES: ReadonlySet<ResultCode> = new Set<ResultCode>([
  'unresolved',
  'unreachable',
  'unavailable',
  'server-error',
  'unauthorized',
  'expired',
  'not-found',
  'refused',
  'tls',
  'bad-url',
  'address-refused',
  'broken',
]);

/** What holds a retrieval although nothing is wrong. */
const HOLDS: ReadonlySet<ResultCode> = new Set<ResultCode>(['clock', 'window', 'metered'] satisfies Hold['code'][]);

/**
 * What the downloader writes into the catalog. Each method answers undefined, and writes nothing, when the retrieval
 * has been superseded, cancelled or removed meanwhile.
 */
export class Progress {
  constructor(
    private readonly table: ImageTable,
    private readonly clock: Clock,
  ) {}

  /** The retrievals that are owed, those of higher priority first, then the older image. */
  owed(): ImageRecord[] {
    return this.table.all().filter((record) => isRunning(record.state));
  }

  /** The images whose blob must be looked for at start. */
  stored(): ImageRecord[] {
    return this.table.all().filter((record) => AFTER_RESTART[record.state] === 'check-blob');
  }

  current(key: RetrievalKey): ImageRecord | undefined {
    const record = this.table.byId(key.id);
    const owed = record && isRunning(record.state) && record.retrieval.generation === key.generation;
    return owed ? record : undefined;
  }

  /** State verifying, before bytes on disk are hashed. */
  checking(key: RetrievalKey): ImageRecord | undefined {
    return this.#update(key, (record) => this.table.move(record, 'check', {}));
  }

  /** State downloading, before a request goes out. @param progressed the try before it brought new bytes */
  attempting(key: RetrievalKey, progressed: boolean): ImageRecord | undefined {
    return this.#update(key, (record) => {
      const attempts = progressed ? 1 : record.retrieval.attempts + 1;
      return this.table.move(record, 'attempt', { retrieval: { ...record.retrieval, attempts } });
    });
  }

  /** A download descriptor wants to know the end; undefined: none does. What an earlier one wanted is put down. */
  described(key: RetrievalKey, installNotify: string | undefined, earlier: ResultCode): ImageRecord | undefined {
    return this.#update(key, (record) => {
      const wished = installNotify ?? null;
      if (record.retrieval.installNotify === wished) return record;
      const { retrieval, ...settled } = this.table.reported(record, earlier);
      return this.table.save({ ...settled, retrieval: { ...retrieval, installNotify: wished } });
    });
  }

  /** The file comes in from byte 0. It must be durable before the first byte is written. */
  fromZero(key: RetrievalKey, version: NewVersion): ImageRecord | undefined {
    return this.#update(key, (record) =>
      this.table.save({
        ...record,
        received: 0,
        size: version.total ?? null,
        contentType: version.contentType ?? null,
        retrieval: {
          ...record.retrieval,
          source: version.source,
          validator: version.validator ?? null,
          unguarded: false,
          digest: digestHex(record.leaves.digest ?? '') ?? null,
          descriptor: version.descriptor ?? null,
        },
      }),
    );
  }

  /** Bytes from `source` are joined to those that are there. A join that nothing guards must be durable first. */
  joining(
    key: RetrievalKey,
    join: { source: string; descriptor: string | undefined; total: number | undefined; guarded: boolean },
  ): void {
    this.#update(key, (record) => {
      const { retrieval } = record;
      const changed = {
        ...record,
        size: join.total ?? record.size,
        retrieval: {
          ...retrieval,
          source: join.source,
          descriptor: join.descriptor ?? null,
          // Another source's validator does not speak of these bytes.
          validator: join.guarded ? retrieval.validator : null,
          unguarded: retrieval.unguarded || !join.guarded,
        },
      };
      return this.table.save(changed);
    });
  }

  /**
   * The watermark: `received` bytes have been flushed to the disk.
   * @param wanBytes received over the WAN since the last call
   * @param furthest more than there ever was: progress, after which the tries count anew
   */
  durable(key: RetrievalKey, received: number, wanBytes: number, furthest: boolean): void {
    this.#update(key, (record) =>
      this.table.save({
        ...record,
        received,
        wanBytes: record.wanBytes + wanBytes,
        retrieval: furthest ? { ...record.retrieval, attempts: 1 } : record.retrieval,
      }),
    );
  }

  /** What was kept has turned out useless. */
  forget(key: RetrievalKey): ImageRecord | undefined {
    return this.#update(key, (record) => this.table.save(forgetBytes(record)));
  }

  /** State waiting. @param counted false when the try says nothing about the server (no network) */
  waiting(key: RetrievalKey, code: ResultCode, text: string, counted: boolean): void {
    this.#update(key, (record) => {
      const attempts = record.retrieval.attempts - (counted ? 0 : 1);
      const retrieval = { ...record.retrieval, attempts: Math.max(0, attempts) };
      return this.table.move(record, 'wait', { result: code, resultText: text, retrieval });
    });
  }

  /**
   * State waiting, for what is nobody's fault. Nothing is written when it waits for that already.
   * @param brokenOff a try was broken off for it: it does not count
   */
  held(key: RetrievalKey, { code, text }: Hold, brokenOff: boolean): ImageRecord | undefined {
    return this.#update(key, (record) => {
      if (record.state === 'waiting' && record.result === code && record.resultText === text) return record;
      const attempts = Math.max(0, record.retrieval.attempts - (brokenOff ? 1 : 0));
      const retrieval = { ...record.retrieval, attempts };
      return this.table.move(record, 'wait', { result: code, resultText: text, retrieval });
    });
  }

  /** State pending again: nothing holds it any more, its turn will come. */
  released(key: RetrievalKey): void {
    this.#update(key, (record) => {
      const held = record.state === 'waiting' && record.result !== null && HOLDS.has(record.result);
      return held ? this.table.move(record, 'request', { result: null, resultText: '' }) : record;
    });
  }

  failed(key: RetrievalKey, code: ResultCode, text: string): void {
    this.#update(key, (record) => {
      const kept = KEEPS_BYTES.has(code) ? record : forgetBytes(record);
      return this.table.end(record, 'fail', { kind: 'failed', code, text }, kept);
    });
  }

  needsUri(key: RetrievalKey, code: ResultCode, text: string): void {
    this.#update(key, (record) => this.table.end(record, 'need-uri', { kind: 'needs-uri', code, text }));
  }

  /** The present wall time, for `complete`; null while the clock is not set. */
  nowMs(): number | null {
    return this.clock.plausible() ? Math.round(this.clock.wallMs()) : null;
  }

  /** The content is in its place under its name, durable. @param availableMs when it was verified */
  complete(key: RetrievalKey, sha256: string, size: number, availableMs: number | null): ImageRecord | undefined {
    return this.#update(key, (record) => {
      const text = 'retrieved and verified';
      const ended = this.table.end(
        record,
        'complete',
        { kind: 'retrieved', code: 'ok', text },
        {
          ...forgetBytes(record),
          blob: sha256,
          size,
          received: size,
          availableMs,
        },
      );
      return ended;
    });
  }

  #update(key: RetrievalKey, change: (record: ImageRecord) => ImageRecord): ImageRecord | undefined {
    return this.table.store.transaction(() => {
      const record = this.current(key);
      return record && change(record);
    });
  }
}
