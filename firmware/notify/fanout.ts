import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { failure, success, type Outcome } from '../outcome/index.js';
import { ReadCache, type Store } from '../store/index.js';
import { Attempts } from './attempts.js';
import { Ending, type FanoutListener, type StopRequest } from './ending.js';
import { FanoutStore, noSuchFanout, type Counters, type FanoutRecord, type RunRow } from './fanout-store.js';
import type { FanoutDefaults, FanoutError, FanoutLeaf, LeafValue, TargetLeaf } from './leaves.js';
import type { AddressBook, Appearances, Capacity, Fetch, Reactions, SendNotification, SessionIdOf } from './ports.js';
import { Runner } from './runner.js';
import { TargetStore, type TargetRecord } from './target-store.js';
import { plausibleWallMs } from './wall.js';

export type { FanoutEvent, FanoutEventKind, FanoutListener, StopRequest } from './ending.js';

export interface FanoutsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly book: AddressBook;
  readonly capacity: Capacity;
  readonly reactions: Reactions;
  readonly appearances: Appearances;
  readonly sessionIdOf: SessionIdOf;
  /** For fanouts that do not say otherwise. */
  readonly defaults: FanoutDefaults;
  /** `Forwarder.send`. */
  readonly send: SendNotification;
  /** Told when the database failed under the runner, which pauses and tries again. */
  readonly onFault: (thrown: unknown) => void;
}

/** A message asks for all counters of a fanout or two; counting takes milliseconds where there are many targets. */
const COUNTERS_AT_HAND = 4;

/**
 * Fanout/<x> (management-objects.md): one notification for each of many devices, repeated until the device reacts.
 *
 * Methods are synchronous and join the caller's transaction; a failure leaves nothing of its own behind; they throw
 * StoreError where the disk fails. What `start` begins, begins when the outermost transaction is durable.
 *
 * The gateway cannot see that a device opened its session (Pkg#1). The reactions that it knows are a fetch of ImageRef, the
 * SessionID of the notification in what the device announces, and the word of the server (Target/<y>/Reacted). Where none
 * could be seen, a target ends as sent; where one could and was not, it has failed; see TARGET_STATUS. A device that
 * discovery knows is waited for until the Lifetime is over, and notified when it appears.
 */
export class Fanouts {
  readonly #store: Store;
  readonly #fanouts: FanoutStore;
  readonly #targets: TargetStore;
  readonly #attempts: Attempts;
  readonly #ending: Ending;
  readonly #runner: Runner;
  readonly #counters: ReadCache<string, Counters | undefined>;
  #unsubscribe: (() => void)[] = [];

  constructor(private readonly o: FanoutsOptions) {
    const { store, log } = o;
    this.#store = store;
    this.#fanouts = new FanoutStore(store, log);
    this.#targets = new TargetStore(store);
    this.#attempts = new Attempts(store);
    this.#counters = new ReadCache(() => store.generation, COUNTERS_AT_HAND);
    this.#ending = new Ending(this.#fanouts, this.#attempts, o.clock);
    this.#runner = new Runner({
      ...o,
      fanouts: this.#fanouts,
      attempts: this.#attempts,
      ending: this.#ending,
    });
  }

  /** Goes on with what ran when the process ended, and listens for reactions. Subscribe with `onEvent` before. */
  resume(): void {
    const { appearances, reactions } = this.o;
    this.#unsubscribe = [
      reactions.onFetched((fetch) => {
        if (this.#runner.isBusy) this.#guarded(() => this.#fetched(fetch));
      }),
      reactions.onSession((deviceId, sessionId) => this.#guarded(() => this.#announced(deviceId, sessionId))),
      appearances.onAppeared((deviceId) => this.#guarded(() => this.#runner.appeared(deviceId))),
    ];
    for (const { id } of this.#fanouts.running()) {
      const run = this.#fanouts.run(id);
      if (run) this.#runner.begin(id, run.elapsedMs + this.#downtimeMs(run));
    }
  }

  /** Waits for the sends in flight; running fanouts go on after the next `resume`. Before forwarder and store. Idempotent. */
  async close(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#runner.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /**
   * Tells of each fanout that finished, was stopped or aborted, inside the transaction in which it did (a removed one is
   * not told of). @returns ends the subscription
   */
  onEvent(listener: FanoutListener): () => void {
    return this.#ending.listen(listener);
  }

  /** Adds a fanout with all leaves absent. Fails with `node-exists` or `too-many`. */
  create(node: string, requester: string): Outcome<FanoutRecord, FanoutError> {
    return this.#store.tentative(() => this.#fanouts.create(node, requester));
  }

  byNode(node: string): FanoutRecord | undefined {
    return this.#fanouts.byNode(node);
  }

  byId(id: number): FanoutRecord | undefined {
    return this.#fanouts.byId(id);
  }

  /** At most `limit` fanouts in the order of their node names, beginning behind `after`. */
  nodes(after: string | undefined, limit: number): FanoutRecord[] {
    return this.#fanouts.nodes(after, limit);
  }

  /** @returns undefined when there is no such fanout, null when the leaf was not added */
  getLeaf(id: number, leaf: FanoutLeaf): LeafValue | null | undefined {
    return this.#fanouts.getLeaf(id, leaf);
  }

  /** Sets a leaf, or takes it away (`null`). Fails with `running` while it runs. */
  setLeaf(id: number, leaf: FanoutLeaf, value: LeafValue | null): Outcome<undefined, FanoutError> {
    return this.#store.tentative(() => this.#fanouts.setLeaf(id, leaf, value));
  }

  /** Gives the fanout another node name, also while it runs. */
  rename(id: number, node: string): Outcome<undefined, FanoutError> {
    return this.#store.tentative(() => this.#fanouts.rename(id, node));
  }

  /** Removes the fanout and its targets. One that runs ends with it, without an event: nobody could read its report. */
  remove(id: number): Outcome<undefined, FanoutError> {
    return this.#store.tentative(() => this.#fanouts.remove(id));
  }

  /** Result/{Total, Sent, Reacted, Failed}; undefined when there is no such fanout. */
  counters(id: number): Counters | undefined {
    return this.#counters.get(String(id), () => this.#fanouts.byId(id) && this.#attempts.counters(id));
  }

  /** Adds a Target node with all leaves absent. */
  addTarget(fanoutId: number, name: string): Outcome<TargetRecord, FanoutError> {
    return this.#resting(fanoutId, () => this.#targets.add(fanoutId, name));
  }

  target(fanoutId: number, name: string): TargetRecord | undefined {
    return this.#targets.get(fanoutId, name);
  }

  /** At most `limit` targets in the order of their names, beginning behind `after`. */
  targets(fanoutId: number, after: string | undefined, limit: number): TargetRecord[] {
    return this.#targets.page(fanoutId, after, limit);
  }

  /** @returns undefined when there is no such target, null when the leaf was not added */
  getTargetLeaf(fanoutId: number, name: string, leaf: TargetLeaf): LeafValue | null | undefined {
    return this.#targets.getLeaf(fanoutId, name, leaf);
  }

  /**
   * Sets a leaf of a target, or takes it away (`null`). Only `reacted` may be set while the fanout runs: true ends the
   * repetition. Set before the start, the target is not notified at all; set after the end, its status and the counters
   * follow the truth. false takes nothing back.
   */
  setTargetLeaf(
    fanoutId: number,
    name: string,
    leaf: TargetLeaf,
    value: LeafValue | null,
  ): Outcome<undefined, FanoutError> {
    if (leaf !== 'reacted') return this.#resting(fanoutId, () => this.#targets.setLeaf(fanoutId, name, leaf, value));
    return this.#store.tentative(() => {
      const fanout = this.#fanouts.byId(fanoutId);
      if (!fanout) return noSuchFanout(fanoutId);
      const set = this.#targets.setLeaf(fanoutId, name, leaf, value);
      const deviceId = this.#targets.get(fanoutId, name)?.deviceId;
      if (set.ok && value === true && deviceId != null && fanout.state !== 'idle') this.#react(fanoutId, deviceId);
      return set;
    });
  }

  /** Gives a target another node name, also while the fanout runs. */
  renameTarget(fanoutId: number, name: string, to: string): Outcome<undefined, FanoutError> {
    return this.#store.tentative(() => this.#targets.rename(fanoutId, name, to));
  }

  removeTarget(fanoutId: number, name: string): Outcome<undefined, FanoutError> {
    return this.#resting(fanoutId, () => this.#targets.remove(fanoutId, name));
  }

  /**
   * Operations/Start. Expands Targets to target rows and runs; the end is told by `onEvent` with `requester` and
   * `correlator`. A fanout that ended before begins anew, with all its targets. 10,000 targets take a moment (they are
   * inserted in this transaction).
   * Fails with `running`, `no-targets`, `no-notification`, `target-without-device` or `too-many`.
   */
  start(id: number, requester: string, correlator?: string): Outcome<undefined, FanoutError> {
    return this.#resting(id, (fanout) => {
      const lines = this.#fanouts.getLeaf(id, 'targets');
      const prepared = this.#targets.prepare(id, typeof lines === 'string' ? lines : '', this.o.book);
      if (!prepared.ok) return prepared;
      if (this.#targets.count(id) === 0) return failure('no-targets', 'neither Target nor Targets names a device');
      const bare = this.#fanouts.notification(id) ? undefined : this.#targets.withoutNotification(id);
      if (bare !== undefined) {
        return failure('no-notification', `target ${bare} has no Notification, and there is none for all`);
      }
      this.#fanouts.startRun(id, requester, correlator, plausibleWallMs(this.o.clock));
      this.#fanouts.move(fanout, 'start');
      this.#store.afterCommit(() => this.#beginWhenDurable(id));
      return success();
    });
  }

  /**
   * Operations/Stop. When it returns, the fanout has ended and the event was told; nothing more is sent than the batch
   * that is in flight, which counts as sent. Fails with `not-running`.
   */
  stop(id: number, request: StopRequest): Outcome<undefined, FanoutError> {
    return this.#store.tentative<Outcome<undefined, FanoutError>>(() => {
      const fanout = this.#fanouts.byId(id);
      if (!fanout) return noSuchFanout(id);
      if (fanout.state !== 'running') return failure('not-running', `fanout ${fanout.node} does not run`);
      this.#ending.end(fanout, 'stopped', request);
      this.#store.afterCommit(() => this.#runner.drop(id));
      return success();
    });
  }

  /**
   * Removes fanouts that have ended: the oldest, where there are more than `count`, and those older than `ageMs`
   * (undefined: none). Age is counted by the wall clock, from when it was first set after the end; while it is not
   * plausible nothing goes by age.
   * @param onRemove called inside the transaction right before a fanout is removed
   * @returns how many were removed
   */
  removeEnded(
    keep: { readonly count: number; readonly ageMs: number | undefined },
    onRemove: (node: string) => void,
  ): number {
    return this.#store.transaction(() => {
      const nowMs = plausibleWallMs(this.o.clock);
      if (nowMs !== null) this.#fanouts.dateEnds(nowMs);
      const due = this.#fanouts.ended().filter(({ atMs }, index) => {
        const isOld = nowMs !== null && keep.ageMs !== undefined && atMs !== null && nowMs - atMs > keep.ageMs;
        return isOld || index >= keep.count;
      });
      for (const { id, node } of due) {
        onRemove(node);
        this.#fanouts.remove(id);
      }
      return due.length;
    });
  }

  /** ImageIDs that running fanouts wait for: not to be evicted. */
  activeImageRefs(): string[] {
    return this.#fanouts.activeImageRefs();
  }

  #resting<T>(id: number, work: (fanout: FanoutRecord) => Outcome<T, FanoutError>): Outcome<T, FanoutError> {
    return this.#store.tentative(() => {
      const fanout = this.#fanouts.resting(id);
      return fanout.ok ? work(fanout.value) : fanout;
    });
  }

  #beginWhenDurable(id: number): void {
    this.#store.durable().then(() => this.#runner.begin(id, 0), this.o.onFault);
  }

  #react(fanoutId: number, deviceId: string): void {
    if (this.#attempts.react(fanoutId, deviceId)) this.#store.afterCommit(() => this.#runner.wake());
  }

  #fetched({ imageId, address, deviceId }: Fetch): void {
    const waiting = this.#fanouts.running().filter(({ imageRef }) => imageRef === imageId);
    if (waiting.length === 0) return;
    const reader = deviceId ?? this.o.book.deviceAt(address);
    if (reader === undefined) return;
    for (const { id } of waiting) this.#react(id, reader);
  }

  #announced(deviceId: string, sessionId: string): void {
    for (const { id } of this.#fanouts.running()) {
      const target = this.#attempts.expected(id, deviceId);
      const notification = target && (target.notification ?? this.#fanouts.notification(id));
      if (!notification) continue;
      const expected = this.o.sessionIdOf(notification);
      if (expected?.toLowerCase() === sessionId.toLowerCase()) this.#react(id, deviceId);
    }
  }

  /** News come from other parts in the middle of their work: a failure of the database stays here. */
  #guarded(work: () => void): void {
    try {
      this.#store.transaction(work);
    } catch (thrown) {
      this.o.onFault(thrown);
    }
  }

  /** How long the process was away. Where the wall clock cannot tell, no time has passed: rather late than lost. */
  #downtimeMs({ savedWallMs }: RunRow): number {
    const wallMs = plausibleWallMs(this.o.clock);
    return savedWallMs === null || wallMs === null ? 0 : Math.max(0, wallMs - savedWallMs);
  }
}
