import type { Clock } from '../clock/index.js';
import type { Attempts } from './attempts.js';
import type { Counters, FanoutRecord, FanoutStore } from './fanout-store.js';
import { plausibleWallMs } from './wall.js';

export type FanoutEventKind = 'finished' | 'stopped' | 'aborted';

/** Who stopped a fanout, and the Correlator of that Exec. */
export interface StopRequest {
  /** Absent: somebody at the gateway, who is not told of its end. */
  readonly requester?: string;
  readonly correlator?: string;
}

/** The end of a fanout. */
export interface FanoutEvent {
  readonly kind: FanoutEventKind;
  /** As it is at the end. */
  readonly fanout: FanoutRecord;
  readonly counters: Counters;
  /** Who started it. */
  readonly requester: string;
  /** Correlator of the Exec that started it. */
  readonly correlator?: string;
  /** Only for `stopped`. */
  readonly stop?: StopRequest;
}

/** Called inside the transaction in which the fanout ends: what the listener writes is there, or not, together with it. */
export type FanoutListener = (event: FanoutEvent) => void;

const MOVE = { finished: 'finish', stopped: 'stop', aborted: 'abort' } as const;

/** The one way in which a fanout ends. */
export class Ending {
  readonly #listeners = new Set<FanoutListener>();

  constructor(
    private readonly fanouts: FanoutStore,
    private readonly attempts: Attempts,
    private readonly clock: Clock,
  ) {}

  listen(listener: FanoutListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Closes what is open, moves the state, tells the listeners. Inside the caller's transaction. */
  end(running: FanoutRecord, kind: FanoutEventKind, stop?: StopRequest): void {
    this.attempts.closeStopped(running.id);
    const fanout = this.fanouts.move(running, MOVE[kind]);
    this.fanouts.noteEnd(fanout.id, plausibleWallMs(this.clock));
    const run = this.fanouts.run(fanout.id);
    const event: FanoutEvent = {
      kind,
      fanout,
      counters: this.attempts.counters(fanout.id),
      requester: run?.requester ?? fanout.requester,
      ...(run?.correlator != null && { correlator: run.correlator }),
      ...(stop && { stop }),
    };
    for (const listener of this.#listeners) listener(event);
  }
}
