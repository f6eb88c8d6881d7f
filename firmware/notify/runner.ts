import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import type { Attempts, DueTarget, Prospect } from './attempts.js';
import type { Ending } from './ending.js';
import type { FanoutRecord, FanoutStore } from './fanout-store.js';
import { ExpectedReaders, restOfWave, Tokens } from './pace.js';
import { policyOf, waitAfterTryMs, type Policy } from './policy.js';
import type { FanoutDefaults } from './leaves.js';
import { MAX_SENDS_IN_FLIGHT, type ForwardError } from './forwarder.js';
import type { AddressBook, Appearances, Capacity, DeviceAddress, SendNotification } from './ports.js';
import { TARGET_STATUS } from './states.js';
import { plausibleWallMs } from './wall.js';

/**
 * Tries that are recorded in one transaction, and sends in flight at most: after a kill, so many may not have left. Each
 * transaction writes some pages more than those of its targets.
 */
const BATCH = MAX_SENDS_IN_FLIGHT;

/** The next batch is taken when so few are in flight: some slow devices do not hold up the others. */
const LOW_WATER = BATCH / 2;

/** The image server does not tell when it has room again: it is asked. */
const CAPACITY_POLL_MS = 250;

/** After the database failed. */
const FAULT_PAUSE_MS = 5_000;

/** A running fanout in this process. Its clock counts what has passed since the start, and never jumps. */
interface Run {
  readonly fanoutId: number;
  /** Monotonic time at which the run's clock stood at 0. */
  readonly zeroMs: number;
  readonly tokens: Tokens;
  inFlight: number;
}

interface Outgoing {
  readonly run: Run;
  readonly target: DueTarget;
  readonly address: DeviceAddress;
  readonly notification: Uint8Array;
}

export interface RunnerParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Logger;
  readonly fanouts: FanoutStore;
  readonly attempts: Attempts;
  readonly ending: Ending;
  readonly book: AddressBook;
  readonly capacity: Capacity;
  readonly appearances: Appearances;
  readonly defaults: FanoutDefaults;
  readonly send: SendNotification;
  /** Told of a failure of the database, or of a listener; the runner pauses and tries again. */
  readonly onFault: (thrown: unknown) => void;
}

/**
 * The work of all running fanouts. A turn is one transaction: it notes what failed since the last one, closes targets
 * and fanouts that are through, and records the tries of the next batch; then the batch is sent. Between turns it
 * sleeps until something is due. A turn is not flushed to the disk before it is sent: a power cut, unlike a kill,
 * may repeat some notifications, and a device drops the repeated SessionID (oma-dm-facts.md section 10.5).
 */
export class Runner {
  readonly #runs = new Map<number, Run>();
  readonly #expected = new ExpectedReaders();
  readonly #sending = new Set<Promise<void>>();
  /** Sends that were recorded and failed. */
  readonly #failed: { readonly run: Run; readonly targetId: number }[] = [];
  #timer: TimerHandle | undefined;
  #soon: NodeJS.Immediate | undefined;
  #closed = false;

  constructor(private readonly parts: RunnerParts) {}

  /** Some fanout runs: asked for each range that a device fetches. */
  get isBusy(): boolean {
    return this.#runs.size > 0;
  }

  /** Works on the fanout from now on. @param elapsedMs what its clock shows */
  begin(fanoutId: number, elapsedMs: number): void {
    const zeroMs = this.parts.clock.monotonicMs() - elapsedMs;
    this.#runs.set(fanoutId, { fanoutId, zeroMs, tokens: new Tokens(elapsedMs), inFlight: 0 });
    this.wake();
  }

  /** The fanout has ended. */
  drop(fanoutId: number): void {
    this.#runs.delete(fanoutId);
  }

  /** A device is there: running fanouts that wait for it go on. Inside the caller's transaction. */
  appeared(deviceId: string): void {
    const { attempts, defaults, fanouts } = this.parts;
    for (const run of this.#runs.values()) {
      const fanout = fanouts.byId(run.fanoutId);
      if (fanout?.state !== 'running') continue;
      const { repeat } = policyOf(fanout, defaults);
      if (attempts.appear(fanout.id, deviceId, repeat, this.#nowMs(run))) this.wake();
    }
  }

  /** Something may be due. */
  wake(): void {
    if (this.#closed) return;
    this.#soon ??= setImmediate(() => {
      this.#soon = undefined;
      this.#turn();
    });
  }

  /** Waits for what is in flight and records what failed. Idempotent. Close the forwarder and the store afterwards. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    clearImmediate(this.#soon);
    await Promise.all(this.#sending);
    this.#guarded(() => this.parts.store.transaction(() => this.#recordFailed()));
    this.#failed.length = 0;
  }

  #turn(): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    const batch: Outgoing[] = [];
    let wakeInMs = Infinity;
    const done = this.#guarded(() => {
      this.parts.store.transaction(() => {
        this.#recordFailed();
        for (const run of this.#runs.values()) wakeInMs = Math.min(wakeInMs, this.#advance(run, batch));
      });
    });
    if (!done) return this.#wakeAfter(FAULT_PAUSE_MS);
    this.#failed.length = 0;
    this.#rotate();
    for (const outgoing of batch) this.#send(outgoing);
    if (this.#sending.size <= LOW_WATER) this.#wakeAfter(wakeInMs);
  }

  /** @returns in how many ms it wants the next turn; Infinity when a send or a reaction will bring it about */
  #advance(run: Run, batch: Outgoing[]): number {
    const { attempts, fanouts } = this.parts;
    const fanout = fanouts.byId(run.fanoutId);
    if (fanout?.state !== 'running') {
      this.#runs.delete(run.fanoutId);
      return Infinity;
    }
    const policy = policyOf(fanout, this.parts.defaults);
    const nowMs = this.#nowMs(run);
    if (nowMs >= policy.lifetimeMs) attempts.closeExpired(fanout.id);
    else attempts.closeExhausted(fanout.id, policy.repeat, nowMs);
    if (policy.abortAfterFailures > 0 && attempts.inVain(fanout.id) >= policy.abortAfterFailures) {
      this.#end(fanout, 'aborted');
      return Infinity;
    }
    if (!attempts.hasOpen(fanout.id)) {
      if (run.inFlight === 0) this.#end(fanout, 'finished');
      return Infinity;
    }
    const freshInMs = this.#take(run, fanout, policy, nowMs, batch);
    const dueMs = Math.min(attempts.nextDueMs(fanout.id) ?? Infinity, policy.lifetimeMs);
    return Math.max(0, Math.min(freshInMs, dueMs - nowMs));
  }

  #end(fanout: FanoutRecord, kind: 'finished' | 'aborted'): void {
    this.parts.ending.end(fanout, kind);
    this.parts.store.afterCommit(() => this.drop(fanout.id));
  }

  /**
   * Takes the targets whose turn it is: repetitions first, new ones as the pace allows.
   * @returns in how many ms new ones may be taken again
   */
  #take(run: Run, fanout: FanoutRecord, policy: Policy, nowMs: number, batch: Outgoing[]): number {
    const { attempts, clock, fanouts } = this.parts;
    const room = (): number => Math.max(0, BATCH - this.#sending.size - batch.length);
    const again = attempts.dueAgain(fanout.id, nowMs, room());
    this.#tryAll(run, fanout, policy, nowMs, again, batch);

    const admitted = this.#admitted(run, fanout, policy, nowMs);
    const fresh = attempts.waiting(fanout.id, Math.min(admitted, room()));
    this.#tryAll(run, fanout, policy, nowMs, fresh, batch);
    if (policy.rate > 0) run.tokens.take(fresh.length);
    if (policy.rate === 0) this.#expected.hold(fresh.length, clock.monotonicMs() + policy.intervalMs);

    if (again.length + fresh.length > 0) fanouts.saveRunClock(fanout.id, nowMs, plausibleWallMs(clock));
    if (!attempts.hasWaiting(fanout.id)) return Infinity;
    if (fresh.length < admitted) return 0;
    if (policy.rate === 0) return CAPACITY_POLL_MS;
    const nextMs = policy.rate > 0 ? run.tokens.nextInMs(policy.rate) : 0;
    // Nothing to wait for but the end of the wave, which brings its own turn.
    return nextMs > 0 ? nextMs : Infinity;
  }

  /** How many new targets Rate, the image server and WaveSize let begin now. */
  #admitted(run: Run, fanout: FanoutRecord, policy: Policy, nowMs: number): number {
    const { attempts, capacity, clock } = this.parts;
    let admitted = Infinity;
    if (policy.rate > 0) admitted = run.tokens.available(policy.rate, nowMs);
    if (policy.rate === 0) admitted = Math.max(0, capacity.free() - this.#expected.count(clock.monotonicMs()));
    if (policy.waveSize === 0) return admitted;
    const { tried, anyOpen } = attempts.begun(fanout.id);
    return Math.min(admitted, restOfWave(policy.waveSize, tried, anyOpen));
  }

  #tryAll(
    run: Run,
    fanout: FanoutRecord,
    policy: Policy,
    nowMs: number,
    targets: readonly DueTarget[],
    batch: Outgoing[],
  ): void {
    if (targets.length === 0) return;
    const { appearances, attempts, book, fanouts } = this.parts;
    const shared = targets.some(({ notification }) => notification === null)
      ? fanouts.notification(fanout.id)
      : undefined;
    const addresses = book.resolve(targets.map(({ deviceId }) => deviceId));
    const recorded: { readonly prospect: Prospect; readonly targetIds: number[] }[] = [];
    for (const target of targets) {
      const notification = target.notification ?? shared;
      if (!notification) throw new Error('a target without a notification was let into a run');
      const address = addresses.get(target.deviceId);
      const hearable = policy.expectsReaction || address?.showsSession === true;
      const presence = appearances.presenceOf(target.deviceId);
      const prospect: Prospect = {
        dueMs: nowMs + waitAfterTryMs(policy, target.attempts + 1, hearable),
        hearable,
        // A device that is there and cannot show a reaction has been sent what there was to send. One that was found
        // and has no address yet appears as soon as that is written.
        mayAppear: presence === 'absent' || (presence === 'present' && (hearable || !address)),
      };
      if (address) {
        const alike = recorded.find((one) => isAlike(one.prospect, prospect));
        if (alike) alike.targetIds.push(target.id);
        else recorded.push({ prospect, targetIds: [target.id] });
        batch.push({ run, target, address, notification });
      } else {
        const isKnown = addresses.has(target.deviceId);
        attempts.recordFailure(target.id, isKnown ? TARGET_STATUS.unreachable : TARGET_STATUS.unknownDevice, prospect);
      }
    }
    for (const { prospect, targetIds } of recorded) attempts.recordSends(targetIds, prospect);
  }

  #send({ run, target, address, notification }: Outgoing): void {
    run.inFlight += 1;
    const failed = ({ code, text }: ForwardError): void => {
      this.#failed.push({ run, targetId: target.id });
      this.parts.log.debug('notification not sent', { device: target.deviceId, code, reason: text });
    };
    const late = (error: ForwardError): void => {
      failed(error);
      this.wake();
    };
    const sending = this.parts.send(address, notification, late).then((outcome) => {
      this.#sending.delete(sending);
      run.inFlight -= 1;
      if (!outcome.ok) failed(outcome.error);
      if (this.#sending.size <= LOW_WATER) this.wake();
    });
    this.#sending.add(sending);
  }

  /** A failure that belongs to a run that has ended changes nothing: its report is out. */
  #recordFailed(): void {
    for (const { run, targetId } of this.#failed) {
      if (this.#runs.get(run.fanoutId) === run) this.parts.attempts.revokeSend(targetId);
    }
  }

  /** The fanout that was first comes last in the next turn, so that a large one does not starve the others. */
  #rotate(): void {
    const [first] = this.#runs.values();
    if (!first) return;
    this.#runs.delete(first.fanoutId);
    this.#runs.set(first.fanoutId, first);
  }

  #nowMs(run: Run): number {
    return Math.trunc(this.parts.clock.monotonicMs() - run.zeroMs);
  }

  #wakeAfter(delayMs: number): void {
    if (delayMs === Infinity) return;
    if (delayMs === 0) this.wake();
    else this.#timer = this.parts.clock.after(delayMs, () => this.wake());
  }

  /** @returns false when `work` threw; that was then logged and told */
  #guarded(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (thrown) {
      this.parts.log.error('fanouts stand still for a while', { reason: describeThrown(thrown) });
      this.parts.onFault(thrown);
      return false;
    }
  }
}

function isAlike(one: Prospect, other: Prospect): boolean {
  return one.dueMs === other.dueMs && one.hearable === other.hearable && one.mayAppear === other.mayAppear;
}
