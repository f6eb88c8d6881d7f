import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import type { Catalog } from './catalog.js';
import { joined, type Span } from './ranges.js';

/** What one address has been sent of an image's present content. */
export interface Delivery {
  /** Stable number of the row. */
  readonly id: number;
  readonly address: string;
  /** The device that had the address at that time, as far as it was known; opaque here. */
  readonly device: string | null;
  /** Several devices had it, at once or one after the other, so that nobody can say which of them it was. */
  readonly ambiguous: boolean;
  /** Bytes sent, repeated ones counted again. */
  readonly bytes: number;
  /** Which ones, in ascending order: the first `MAX_SPANS` ranges. */
  readonly spans: readonly Span[];
  /** Every byte was sent, and taken as far as that can be known: see `Accounting`. */
  readonly complete: boolean;
  /** Wall times of the first and of the last answer; null while the clock was not set. */
  readonly firstMs: number | null;
  readonly timeMs: number | null;
}

/** What one answer has brought of a blob to one address. */
export interface Sent {
  /** `id` of the image. */
  readonly image: number;
  readonly sha256: string;
  readonly size: number;
  readonly address: string;
  /** Those that are known at the address. */
  readonly devices: readonly string[];
  /** In any order. */
  readonly spans: readonly Span[];
  /** The client has taken it: see `Accounting`. */
  readonly confirmed: boolean;
}

export interface DeliveriesOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly log: Logger;
  /** Longest time, in ms, that a count waits before it is written. Default 10 s: flash wears. */
  readonly flushMs?: number;
}

interface Account {
  readonly image: number;
  readonly sha256: string;
  readonly address: string;
  device: string | null;
  ambiguous: boolean;
  bytes: number;
  spans: readonly Span[];
  complete: boolean;
  firstMs: number | null;
  timeMs: number | null;
}

/** So many addresses are counted in memory before they are written. */
const MAX_PENDING = 1024;
/** Rows per image; the oldest goes first. A client may have many IPv6 addresses. */
const MAX_ROWS_PER_IMAGE = 4096;
/** Ranges that do not touch, so many are remembered of an address, the first ones: clients may fetch several pieces at once. */
const MAX_SPANS = 32;

interface Row {
  readonly id: number;
  readonly address: string;
  readonly device: string | null;
  readonly ambiguous: number;
  readonly bytes: number;
  readonly covered: number;
  readonly ahead: string;
  readonly complete: number;
  readonly first_ms: number | null;
  readonly time_ms: number | null;
}

/** Who was sent what: counted in memory, written in batches; every reading writes first, so that it is true. */
export class Deliveries {
  readonly #store: Store;
  readonly #catalog: Catalog;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #flushMs: number;
  readonly #pending = new Map<string, Account>();
  #timer: TimerHandle | undefined;

  constructor(options: DeliveriesOptions) {
    this.#store = options.store;
    this.#catalog = options.catalog;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#flushMs = options.flushMs ?? 10_000;
  }

  /** Deliveries of an image by row number. @param after continue behind this number; 0 from the first */
  list(image: number, after: number, limit: number): Delivery[] {
    this.flush();
    return this.#store
      .sql<Row>('SELECT * FROM image_delivery WHERE image = ? AND id > ? ORDER BY id LIMIT ?')
      .all(image, after, limit)
      .map((row) => ({
        id: row.id,
        address: row.address,
        device: row.device,
        ambiguous: row.ambiguous === 1,
        bytes: row.bytes,
        spans: spansOf(row),
        complete: row.complete === 1,
        firstMs: row.first_ms,
        timeMs: row.time_ms,
      }));
  }

  /** How many were sent the whole image; a device that came under two addresses counts once. */
  delivered(image: number): number {
    this.flush();
    const text = `SELECT count(DISTINCT coalesce(device, address)) AS n FROM image_delivery
      WHERE image = ? AND complete = 1`;
    return this.#store.sql<{ n: number }>(text).get(image)?.n ?? 0;
  }

  /** @returns true when the address has now, and not before, got every byte */
  sent(sent: Sent): boolean {
    const key = `${sent.image} ${sent.sha256} ${sent.address}`;
    const account = this.#pending.get(key) ?? this.#account(sent);
    this.#pending.set(key, account);
    const had = account.complete;
    const isFirst = account.bytes === 0;
    for (const { length } of sent.spans) account.bytes += length;
    const [device, another] = sent.devices;
    const known = account.device ?? device;
    account.ambiguous ||= another !== undefined || (device !== undefined && device !== known);
    account.device = account.ambiguous ? null : (known ?? null);
    account.timeMs = this.#clock.plausible() ? Math.round(this.#clock.wallMs()) : null;
    // What came before the clock was set has no time, and no later answer is the first.
    if (isFirst) account.firstMs ??= account.timeMs;
    // Devices resume where they stopped, or fetch several pieces at once: all that was sent counts, in however many requests.
    if (!sent.spans.every((span) => changesNothing(account.spans, span))) {
      account.spans = joined([...account.spans, ...sent.spans]).slice(0, MAX_SPANS);
    }
    account.complete ||= sent.confirmed && (account.spans[0]?.length ?? 0) === sent.size;
    if (this.#pending.size >= MAX_PENDING) this.flush();
    else this.#timer ??= this.#clock.after(this.#flushMs, () => this.#flushLater());
    return account.complete && !had;
  }

  /** Writes what has been counted. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#pending.size === 0) return;
    const accounts = [...this.#pending.values()];
    this.#store.transaction(() => {
      for (const account of accounts) this.#write(account);
    });
    this.#pending.clear();
  }

  #flushLater(): void {
    try {
      this.flush();
    } catch (thrown) {
      // The counts stay in memory and are tried again with the next ones.
      this.#log.error('cannot write the deliveries', { reason: describeThrown(thrown) });
    }
  }

  /** Continues what is written, unless that was for other content. */
  #account(sent: Sent): Account {
    const row = this.#store
      .sql<Row & { blob: string }>('SELECT * FROM image_delivery WHERE image = ? AND address = ? AND blob = ?')
      .get(sent.image, sent.address, sent.sha256);
    return {
      image: sent.image,
      sha256: sent.sha256,
      address: sent.address,
      device: row?.device ?? null,
      ambiguous: row?.ambiguous === 1,
      bytes: row?.bytes ?? 0,
      spans: row ? spansOf(row) : [],
      complete: row?.complete === 1,
      firstMs: row?.first_ms ?? null,
      timeMs: row?.time_ms ?? null,
    };
  }

  /** Nothing is written for an image that is gone or has other content meanwhile. */
  #write(account: Account): void {
    const image = this.#catalog.byId(account.image);
    // What comes in is sent already, but to nobody all of it.
    if (!image || (image.blob ?? this.#catalog.early(image)) !== account.sha256) return;
    this.#store.sql('DELETE FROM image_delivery WHERE image = ? AND blob <> ?').run(account.image, account.sha256);
    const [first] = account.spans;
    const covered = first?.start === 0 ? first.length : 0;
    const ahead = covered > 0 ? account.spans.slice(1) : account.spans;
    this.#store
      .sql(
        `INSERT INTO image_delivery
           (image, blob, address, device, ambiguous, bytes, covered, ahead, complete, first_ms, time_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (image, address) DO UPDATE SET
         device = excluded.device, ambiguous = excluded.ambiguous, bytes = excluded.bytes, covered = excluded.covered,
         ahead = excluded.ahead, complete = excluded.complete, first_ms = excluded.first_ms, time_ms = excluded.time_ms`,
      )
      .run(
        account.image,
        account.sha256,
        account.address,
        account.device,
        Number(account.ambiguous),
        account.bytes,
        covered,
        rangesText(ahead),
        Number(account.complete),
        account.firstMs,
        account.timeMs,
      );
    this.#store
      .sql(
        `DELETE FROM image_delivery WHERE image = ? AND id <=
         (SELECT id FROM image_delivery WHERE image = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`,
      )
      .run(account.image, account.image, MAX_ROWS_PER_IMAGE);
    const { timeMs } = account;
    if (timeMs !== null) this.#catalog.table.save({ ...image, servedMs: Math.max(image.servedMs ?? 0, timeMs) });
    this.#catalog.table.touch(image.id);
  }
}

/** @param known as many as are remembered, in ascending order: what lies behind them all, or in one of them, is nothing new */
function changesNothing(known: readonly Span[], { start, length }: Span): boolean {
  const last = known[MAX_SPANS - 1];
  if (last && start > last.start + last.length) return true;
  return known.some((span) => span.start <= start && start + length <= span.start + span.length);
}

/** What was sent: `covered` bytes from 0 on, and what is `ahead` of them behind gaps. */
function spansOf({ covered, ahead }: Row): Span[] {
  const beyond = [...ahead.matchAll(/(\d+)-(\d+)/g)].map(([, first, last]) => ({
    start: Number(first),
    length: Number(last) - Number(first) + 1,
  }));
  return covered > 0 ? [{ start: 0, length: covered }, ...beyond] : beyond;
}

/** Spans as a Range field has them (RFC 9110 §14.1.2), without unit: `0-499,1000-1999`. */
export function rangesText(spans: readonly Span[]): string {
  return spans.map(({ start, length }) => `${start}-${start + length - 1}`).join();
}
