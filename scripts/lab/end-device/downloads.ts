import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Random } from '../../../firmware/clock/index.js';
import type { Outbox } from '../../../firmware/dm/index.js';
import { describeThrown } from '../../../firmware/outcome/index.js';
import type { Store } from '../../../firmware/store/index.js';
import { formatNodeUri } from '../../../firmware/tree/index.js';
import type { JsonLog } from '../dm-server/json-log.js';
import { fetchFile, type FetchOptions, type FetchOutcome } from './fetch.js';
import { DownloadStatus, type Packages } from './packages.js';
import { RESULT_CODE, resultText, SUCCESS } from './result-codes.js';

/** Type of the alert that ends an operation (SCOMO; facts 12.4). */
const OPERATION_COMPLETE = 'urn:oma:at:scomo:1.0:OperationComplete';

export interface DownloadsOptions {
  readonly serverId: string;
  readonly imageDir: string;
  readonly packages: Packages;
  readonly outbox: Outbox;
  readonly store: Store;
  readonly log: JsonLog;
  readonly clock: Clock;
  readonly random: Random;
  /** Address of the device now. */
  readonly localAddress: () => string;
  readonly fetch: Pick<FetchOptions, 'idleTimeoutMs' | 'fruitlessTries' | 'maxRetryDelayMs'>;
}

/** Fetches the packages whose operation was executed, and puts the report of each into the outbox. */
export class Downloads {
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(private readonly options: DownloadsOptions) {}

  /** Goes on with what was under way when the device stopped. */
  resume(): void {
    for (const name of this.options.packages.interrupted()) this.start(name);
  }

  start(name: string): void {
    this.#run(this.#fetch(name));
  }

  /** Removes the file of a package that has arrived. */
  remove(name: string): void {
    this.#run(rm(this.#file(name), { force: true }));
  }

  /** Breaks off what runs, to be gone on with at the next start, and waits for it. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  #run(work: Promise<void>): void {
    const run = work
      .catch((thrown: unknown) => this.options.log.write({ kind: 'defect', reason: describeThrown(thrown) }))
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async #fetch(name: string): Promise<void> {
    const { packages, log, clock, random } = this.options;
    const url = packages.download(name)?.pkg_url ?? '';
    const startedMs = clock.monotonicMs();
    const file = this.#file(name);
    const signal = this.#stopping.signal;
    const outcome = await fetchFile({
      ...this.options.fetch,
      localAddress: this.options.localAddress(),
      url,
      file,
      clock,
      random,
      signal,
    });
    if (!outcome.ok && outcome.error.code === 'aborted') return;
    log.write({
      kind: 'download',
      url,
      bytes: outcome.ok ? outcome.value.bytes : 0,
      sha256: outcome.ok ? outcome.value.sha256 : null,
      result: outcome.ok ? 'ok' : outcome.error.code,
      ...(outcome.ok && { tries: outcome.value.tries, file }),
      ms: Math.round(clock.monotonicMs() - startedMs),
    });
    this.#report(name, outcome);
  }

  /** The new state of the node and its alert come into being together. */
  #report(name: string, outcome: FetchOutcome): void {
    const { packages, outbox, store, serverId } = this.options;
    const { correlator, pkg_id: packageId } = packages.download(name) ?? { correlator: null, pkg_id: null };
    const code = outcome.ok ? SUCCESS : outcome.error.code === 'aborted' ? undefined : RESULT_CODE[outcome.error.code];
    if (code === undefined) return;
    store.transaction(() => {
      if (outcome.ok) packages.deliver(name);
      else packages.setStatus(name, DownloadStatus.FAILED, null);
      outbox.put({
        serverId,
        source: formatNodeUri(['SCOMO', 'Download', name, 'Operations', 'Download']),
        ...(outcome.ok && { target: formatNodeUri(['SCOMO', 'Inventory', 'Delivered', name]) }),
        type: OPERATION_COMPLETE,
        format: 'chr',
        mark: outcome.ok ? 'informational' : 'warning',
        data: resultText(code, packageId ?? name),
        ...(correlator !== null && { correlator }),
      });
    });
  }

  #file(name: string): string {
    return join(this.options.imageDir, `${encodeURIComponent(name)}.img`);
  }
}
