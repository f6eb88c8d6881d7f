import { Backoff, jitterMs, type BackoffPolicy, type Clock, type Random, type TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';

/** Why a session is opened. A notification's SessionID must be used in the session (DMNOTI). */
export type SessionTrigger =
  | { readonly kind: 'start' | 'interval' | 'alert' | 'retry' | 'manual' }
  | {
      readonly kind: 'notification';
      readonly sessionId: string;
      readonly defaultNonce: boolean;
      /** Sessions with this SessionID that have failed; absent: none. */
      readonly failures?: number;
    };

export type SessionEnd = 'completed' | 'failed';

export interface SessionResult {
  readonly end: SessionEnd;
  /** Alerts wait that this session has not offered to the server: another session should follow soon. */
  readonly alertsUnsent: boolean;
  /** Why it failed: a code of the session, the transport or the codec. */
  readonly failure?: string;
  /** The server asked for this pause (HTTP Retry-After). */
  readonly retryAfterMs?: number;
}

/** Holds one session and tells how it ended; it does not throw. */
export type SessionRunner = (serverId: string, trigger: SessionTrigger, signal: AbortSignal) => Promise<SessionResult>;

export interface SchedulerOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly run: SessionRunner;
  /**
   * True for a server whose certificate must be checked: while the clock is not plausible its sessions wait, because
   * every certificate would look as if it were not valid yet.
   */
  readonly needsClock: (serverId: string) => boolean;
  readonly startDelayMs: number;
  /** Spread added to start and interval, so that a street of gateways does not call at once. */
  readonly jitterMs: number;
  /** Longest wait before a session that only delivers alerts: several alerts share one. */
  readonly alertDelayMs: number;
  readonly retry: BackoffPolicy;
}

/** One server and its own rhythm. */
export interface ScheduledServer {
  readonly serverId: string;
  /** Between the end of a session and the next one by the clock; 0: none. */
  readonly intervalMs: number;
}

/** What a session that is due waits for: the time of day, or the end of another server's session. */
export type SessionWait = 'clock' | 'turn';

export interface AccountSchedule {
  readonly serverId: string;
  readonly running: boolean;
  readonly waitsFor: SessionWait | undefined;
  /** Milliseconds until the next planned session, undefined when none is planned. */
  readonly nextInMs: number | undefined;
  readonly failuresInARow: number;
  /** Sessions that have ended since the start. */
  readonly sessions: number;
  readonly lastEnd: SessionEnd | undefined;
  /** Why the last session failed. */
  readonly lastFailure: string | undefined;
  /** Wall time in ms of the end of the last session. */
  readonly lastEndAtMs: number | undefined;
}

/** SessionIDs of notifications remembered per server, so that a repeated notification opens one session only. */
const REMEMBERED_NOTIFICATIONS = 16;
const REMEMBER_NOTIFICATION_MS = 10 * 60_000;

/** Notifications that wait while a session runs; further ones are dropped (the server repeats what matters). */
const MAX_QUEUED_NOTIFICATIONS = 4;

/** Failed sessions after which the SessionID of a notification is given up. */
const NOTIFIED_TRIES = 3;

/** Sessions of all servers together: each holds a message each way in memory, and the link is thin. */
const MAX_SESSIONS_AT_ONCE = 2;

/** Failures that the next try is likely to meet again: the server has spoken. Its calls become rarer for sure. */
const REFUSALS: ReadonlySet<string> = new Set([
  'authentication-failed',
  'server-not-authenticated',
  'refused-by-server',
  'http-status',
]);

/** How often a session that waits for the clock looks at it. */
const CLOCK_LOOK_MS = 5000;

interface Remembered {
  readonly sessionId: string;
  readonly atMs: number;
}

interface Slot {
  readonly serverId: string;
  intervalMs: number;
  readonly backoff: Backoff;
  running: Promise<void> | undefined;
  waitsFor: SessionWait | undefined;
  /** An alert was put into the outbox while a session runs, perhaps too late for it. */
  alertCame: boolean;
  timer: TimerHandle | undefined;
  /** When the timer fires (monotonic), and what it will start. */
  planned: { readonly atMs: number; readonly trigger: SessionTrigger } | undefined;
  notifications: SessionTrigger[];
  seen: Remembered[];
  sessions: number;
  lastEnd: SessionEnd | undefined;
  lastFailure: string | undefined;
  lastEndAtMs: number | undefined;
  /** The same by the monotonic clock. */
  endedMs: number;
}

/**
 * Decides when a session is opened: at start, at an interval, for a notification, for alerts that wait, and again after
 * a failure, with backoff. One session at a time per server and a few at a time in all; of several reasons the earliest
 * wins and serves them all.
 */
export class Scheduler {
  readonly #slots = new Map<string, Slot>();
  readonly #stopping = new AbortController();

  constructor(private readonly o: SchedulerOptions) {}

  /** Plans the first session with each server. */
  start(servers: readonly ScheduledServer[]): void {
    for (const { serverId, intervalMs } of servers) {
      const slot: Slot = {
        serverId,
        intervalMs,
        backoff: new Backoff(this.o.retry, this.o.random),
        running: undefined,
        waitsFor: undefined,
        alertCame: false,
        timer: undefined,
        planned: undefined,
        notifications: [],
        seen: [],
        sessions: 0,
        lastEnd: undefined,
        lastFailure: undefined,
        lastEndAtMs: undefined,
        endedMs: this.o.clock.monotonicMs(),
      };
      this.#slots.set(serverId, slot);
      this.#plan(slot, { kind: 'start' }, this.o.startDelayMs + this.#jitter());
    }
  }

  /**
   * A verified Package#0. The same SessionID starts one session only, however often it comes (facts 10.5).
   * @returns false when it was dropped as a repetition, or because too many wait
   */
  notified(serverId: string, sessionId: string, defaultNonce: boolean): boolean {
    const slot = this.#slots.get(serverId);
    if (!slot) return false;
    const now = this.o.clock.monotonicMs();
    slot.seen = slot.seen.filter(({ atMs }) => now - atMs < REMEMBER_NOTIFICATION_MS).slice(-REMEMBERED_NOTIFICATIONS);
    if (slot.seen.some((one) => one.sessionId === sessionId)) return false;
    const trigger: SessionTrigger = { kind: 'notification', sessionId, defaultNonce };
    const planned = slot.planned?.trigger.kind === 'notification' ? slot.planned : undefined;
    if ((slot.running ?? planned) && slot.notifications.length >= MAX_QUEUED_NOTIFICATIONS) return false;
    if (slot.running || (planned && planned.atMs <= now)) {
      slot.notifications.push(trigger);
    } else {
      // One that waits for its next try comes after it: its repetitions are dropped, so it must not be forgotten.
      if (planned) slot.notifications.push(planned.trigger);
      this.#plan(slot, trigger, 0);
    }
    slot.seen.push({ sessionId, atMs: now });
    return true;
  }

  /** An alert was put into the outbox. While a server fails, its backoff is not cut short. */
  alertWaits(serverId: string): void {
    const slot = this.#slots.get(serverId);
    if (slot?.running) slot.alertCame = true;
    if (!slot || slot.running || slot.backoff.tries > 0) return;
    this.#plan(slot, { kind: 'alert' }, jitterMs(this.o.alertDelayMs, this.o.random));
  }

  /** A person asks for a session now. One that a notification has asked for, and that waits for its next try, is it. */
  sessionNow(serverId: string): boolean {
    const slot = this.#slots.get(serverId);
    if (!slot) return false;
    const planned = slot.planned?.trigger;
    if (!slot.running) this.#plan(slot, planned?.kind === 'notification' ? planned : { kind: 'manual' }, 0);
    return true;
  }

  /**
   * Another interval from now on; 0: no session by the clock. The session that the clock brings next moves along.
   */
  setInterval(serverId: string, intervalMs: number): void {
    const slot = this.#slots.get(serverId);
    if (!slot || slot.intervalMs === intervalMs) return;
    slot.intervalMs = intervalMs;
    if (slot.running || (slot.planned && slot.planned.trigger.kind !== 'interval')) return;
    slot.timer?.cancel();
    slot.planned = undefined;
    slot.waitsFor = undefined;
    if (intervalMs === 0) return;
    const agoMs = this.o.clock.monotonicMs() - slot.endedMs;
    this.#plan(slot, { kind: 'interval' }, Math.max(0, intervalMs - agoMs) + this.#jitter());
  }

  report(): AccountSchedule[] {
    const now = this.o.clock.monotonicMs();
    return [...this.#slots.values()].map((slot) => ({
      serverId: slot.serverId,
      running: slot.running !== undefined,
      waitsFor: slot.waitsFor,
      nextInMs: slot.planned && Math.max(0, slot.planned.atMs - now),
      failuresInARow: slot.backoff.tries,
      sessions: slot.sessions,
      lastEnd: slot.lastEnd,
      lastFailure: slot.lastFailure,
      lastEndAtMs: slot.lastEndAtMs,
    }));
  }

  /** Aborts running sessions and waits for them. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const slot of this.#slots.values()) slot.timer?.cancel();
    await Promise.all([...this.#slots.values()].flatMap((slot) => slot.running ?? []));
  }

  /** Keeps whichever comes first: the session that is planned, or this one. A notification is never displaced. */
  #plan(slot: Slot, trigger: SessionTrigger, delayMs: number): void {
    if (this.#stopping.signal.aborted || slot.running) return;
    const atMs = this.o.clock.monotonicMs() + delayMs;
    if (slot.planned) {
      const displaces = trigger.kind === 'notification';
      if (!displaces && (slot.planned.trigger.kind === 'notification' || slot.planned.atMs <= atMs)) return;
    }
    slot.timer?.cancel();
    slot.planned = { atMs, trigger };
    slot.timer = this.o.clock.after(delayMs, () => this.#begin(slot, trigger));
  }

  /** The session is due. It stays planned while it has to wait. */
  #begin(slot: Slot, trigger: SessionTrigger): void {
    slot.timer?.cancel();
    const waitsFor = this.#waitOf(slot);
    if (waitsFor !== undefined && slot.waitsFor !== waitsFor) {
      this.o.log.info('session waits', { server_id: slot.serverId, trigger: trigger.kind, for: waitsFor });
    }
    slot.waitsFor = waitsFor;
    if (waitsFor === 'turn') return;
    if (waitsFor === 'clock') {
      slot.timer = this.o.clock.after(CLOCK_LOOK_MS, () => this.#begin(slot, trigger));
      return;
    }
    slot.planned = undefined;
    slot.timer = undefined;
    slot.alertCame = false;
    slot.running = this.#hold(slot, trigger);
  }

  #waitOf({ serverId }: Slot): SessionWait | undefined {
    if (!this.o.clock.plausible() && this.o.needsClock(serverId)) return 'clock';
    const running = [...this.#slots.values()].filter((slot) => slot.running !== undefined).length;
    return running < MAX_SESSIONS_AT_ONCE ? undefined : 'turn';
  }

  /** A session has ended: the one that has waited longest for its turn may begin. */
  #nextTurn(): void {
    const [next] = [...this.#slots.values()]
      .flatMap((slot) => (slot.waitsFor === 'turn' && slot.planned ? { slot, planned: slot.planned } : []))
      .sort((a, b) => a.planned.atMs - b.planned.atMs);
    if (next && !this.#stopping.signal.aborted) this.#begin(next.slot, next.planned.trigger);
  }

  async #hold(slot: Slot, trigger: SessionTrigger): Promise<void> {
    const { o } = this;
    o.log.info('session starts', { server_id: slot.serverId, trigger: trigger.kind });
    const result = await o.run(slot.serverId, trigger, this.#stopping.signal);
    slot.running = undefined;
    slot.sessions += 1;
    slot.lastEnd = result.end;
    slot.lastFailure = result.failure;
    slot.lastEndAtMs = o.clock.wallMs();
    slot.endedMs = o.clock.monotonicMs();
    if (result.end === 'completed') slot.backoff.reset();
    this.#planNext(slot, trigger, result);
    this.#nextTurn();
  }

  #planNext(slot: Slot, trigger: SessionTrigger, result: SessionResult): void {
    const { o } = this;
    const waiting = slot.notifications.shift();
    if (result.end === 'failed') {
      const backoffMs = slot.backoff.nextMs(REFUSALS.has(result.failure ?? ''));
      const askedForMs = result.retryAfterMs === undefined ? 0 : result.retryAfterMs + this.#jitter();
      // What one session has failed of may be its own; then the server is given time, whoever waits.
      const isFirst = slot.backoff.tries === 1 && askedForMs === 0;
      const waitMs = waiting && isFirst ? 0 : Math.max(backoffMs, askedForMs);
      o.log.warn('session failed, it will be tried again', { server_id: slot.serverId, wait_ms: waitMs });
      const retry = nextTry(trigger);
      if (waiting && retry.kind === 'notification') slot.notifications.push(retry);
      return this.#plan(slot, waiting ?? retry, waitMs);
    }
    if (waiting) return this.#plan(slot, waiting, 0);
    if (result.alertsUnsent || slot.alertCame) {
      this.#plan(slot, { kind: 'alert' }, jitterMs(o.alertDelayMs, o.random));
    } else if (slot.intervalMs > 0) {
      this.#plan(slot, { kind: 'interval' }, slot.intervalMs + this.#jitter());
    }
  }

  #jitter(): number {
    return jitterMs(this.o.jitterMs, this.o.random);
  }
}

/** The server waits for the SessionID that it named; a few times it is worth keeping. */
function nextTry(failed: SessionTrigger): SessionTrigger {
  if (failed.kind !== 'notification') return { kind: 'retry' };
  const failures = (failed.failures ?? 0) + 1;
  return failures <= NOTIFIED_TRIES ? { ...failed, failures } : { kind: 'retry' };
}
