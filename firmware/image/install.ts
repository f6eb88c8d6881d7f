import { Backoff, type BackoffPolicy, type Clock, type Random, type TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { openHttp, redactUrl, type HttpAccess } from '../net/index.js';
import type { Store } from '../store/index.js';
import { requestFault } from './fault.js';
import type { InstallReport, ResultCode } from './image.js';

/** What is said in a report. OMA Download 1.0 §5.2.5, facts 13 */
const STATUS_TEXT = {
  900: 'Success',
  901: 'Insufficient memory',
  902: 'User Cancelled',
  903: 'Loss of Service',
  905: 'Attribute mismatch',
  906: 'Invalid descriptor',
  951: 'Invalid DDVersion',
  952: 'Device Aborted',
  953: 'Non-Acceptable Content',
  954: 'Loader Error',
} as const;

type InstallStatus = keyof typeof STATUS_TEXT;

/** The status of each end of a retrieval. */
export const INSTALL_STATUS: Readonly<Record<ResultCode, InstallStatus>> = {
  ok: 900,
  cancelled: 902,
  unresolved: 903,
  unreachable: 903,
  unavailable: 903,
  broken: 903,
  'captive-portal': 903,
  'server-error': 954,
  unauthorized: 954,
  expired: 954,
  'not-found': 954,
  refused: 954,
  tls: 954,
  'bad-url': 954,
  'address-refused': 954,
  'bad-reply': 954,
  'descriptor-invalid': 906,
  'descriptor-version': 951,
  'descriptor-mismatch': 905,
  'content-refused': 953,
  clock: 952,
  window: 952,
  metered: 952,
  'no-room': 901,
  disk: 952,
  'digest-mismatch': 905,
  'signature-mismatch': 905,
};

export interface InstallReportsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** The address of a report is a server's choice, as that of an image is. */
  readonly access: HttpAccess;
  readonly userAgent: string;
  readonly idleTimeoutMs: number;
  readonly backoff: BackoffPolicy;
  /** Told what the store threw. */
  readonly onDefect: (thrown: unknown) => void;
}

interface Row {
  id: number;
  image: string;
  url: string;
  status: InstallStatus;
  tries: number;
}

/** Reports kept; the oldest give way, so that a server that never answers cannot fill the flash. */
const MAX_WAITING = 100;
/** With the default pauses, the last of these comes about three hours after the first. */
const MAX_TRIES = 20;
/** The whole exchange of a report may take so many idle timeouts. */
const EXCHANGE_WINDOWS = 2;

/** Statuses after which the same report may still be wanted (RFC 9110 §15). */
const LATER = new Set([408, 425, 429]);

/**
 * Reports to the addresses that download descriptors name (installNotifyURI) how the retrievals ended: durable, one
 * after the other, at least once until an answer that settles it, for a bounded number of tries. An image waits for none
 * of them: here it is stored, not installed, and the devices tell their own success to the DM Server.
 */
export class InstallReports {
  readonly #backoff: Backoff;
  readonly #closing = new AbortController();
  #sending: Promise<void> | undefined;
  #pause: TimerHandle | undefined;
  #lookedAt = 0;
  #started = false;

  constructor(private readonly o: InstallReportsOptions) {
    this.#backoff = new Backoff(o.backoff, o.random);
  }

  /** Part of the caller's transaction: the report exists exactly if the end that it tells does. */
  put({ image, url, code }: InstallReport): void {
    const { store, log } = this.o;
    store.sql('INSERT INTO install_report (image, url, status) VALUES (?, ?, ?)').run(image, url, INSTALL_STATUS[code]);
    const dropped = store
      .sql('DELETE FROM install_report WHERE id <= (SELECT max(id) FROM install_report) - ?')
      .run(MAX_WAITING).changes;
    if (dropped > 0) log.warn('install reports that could not be sent give way', { dropped });
    store.afterCommit(() => this.#look());
  }

  /** Sends what an earlier run has left, and what comes. */
  start(): void {
    this.#started = true;
    this.#look();
  }

  /** Gives up what is being sent; it is kept. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#pause?.cancel();
    await this.#sending;
  }

  #look(): void {
    if (!this.#started || this.#sending || this.#closing.signal.aborted) return;
    this.#sending = this.#sendAll()
      .catch((thrown: unknown) => this.o.onDefect(thrown))
      .finally(() => {
        this.#sending = undefined;
      });
  }

  /** Those behind the last one that was looked at: what failed before waits for the end of the pause. */
  async #sendAll(): Promise<void> {
    let failed = false;
    while (!this.#closing.signal.aborted) {
      const row = this.o.store
        .sql<Row>('SELECT * FROM install_report WHERE id > ? ORDER BY id LIMIT 1')
        .get(this.#lookedAt);
      if (!row) break;
      this.#lookedAt = row.id;
      // The end that is reported must itself survive a power cut.
      await this.o.store.durable();
      if (!(await this.#send(row))) failed = true;
    }
    if (this.#pause || this.#closing.signal.aborted) return;
    if (!failed) {
      this.#backoff.reset();
      return;
    }
    this.#pause = this.o.clock.after(this.#backoff.nextMs(), () => {
      this.#pause = undefined;
      this.#lookedAt = 0;
      this.#look();
    });
  }

  /** @returns false when it is to be sent again */
  async #send(row: Row): Promise<boolean> {
    const { clock, log, store } = this.o;
    const fields = { image: row.image, url: redactUrl(row.url), status: row.status };
    const url = new URL(row.url);
    // No certificate can be judged yet.
    if (url.protocol === 'https:' && !clock.plausible()) return false;
    const tries = row.tries + 1;
    const sent = await this.#post(url, `${row.status} ${STATUS_TEXT[row.status]}\r\n`);
    if (this.#closing.signal.aborted) return true;
    if (sent.kind === 'delivered') {
      log.info('an install report was delivered', fields);
    } else if (sent.kind === 'again' && tries < MAX_TRIES) {
      log.warn('an install report waits', { ...fields, reason: sent.reason });
      if (sent.counts) store.sql('UPDATE install_report SET tries = ? WHERE id = ?').run(tries, row.id);
      return false;
    } else {
      log.error('an install report is given up', { ...fields, reason: sent.reason, attempt: tries });
    }
    store.sql('DELETE FROM install_report WHERE id = ?').run(row.id);
    return true;
  }

  async #post(url: URL, text: string): Promise<Answer> {
    const { access, clock, idleTimeoutMs, userAgent } = this.o;
    const giveUp = new AbortController();
    const abort = (): void => giveUp.abort();
    const deadline = clock.after(idleTimeoutMs * EXCHANGE_WINDOWS, abort);
    this.#closing.signal.addEventListener('abort', abort);
    try {
      const sent = await openHttp({
        ...access,
        method: 'POST',
        url,
        headers: { 'User-Agent': userAgent, 'Content-Type': 'text/plain' },
        body: Buffer.from(text),
        signal: giveUp.signal,
        idleTimeoutMs,
      });
      if (!sent.ok) {
        const { course, text: reason } = requestFault(sent.error);
        return course === 'fail' ? { kind: 'refused', reason } : { kind: 'again', reason, counts: course === 'again' };
      }
      const { status, body } = sent.value;
      body.on('error', () => {});
      body.destroy();
      const reason = `the server answers ${status}`;
      if (status >= 200 && status < 300) return { kind: 'delivered' };
      return status >= 500 || LATER.has(status) ? { kind: 'again', reason, counts: true } : { kind: 'refused', reason };
    } finally {
      deadline.cancel();
      this.#closing.signal.removeEventListener('abort', abort);
    }
  }
}

/** What a server, or the way to it, says to a report. */
type Answer =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'refused'; readonly reason: string }
  /** `counts`: it uses up a try; a network that is down does not. */
  | { readonly kind: 'again'; readonly reason: string; readonly counts: boolean };
