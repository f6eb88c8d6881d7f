import type { TransitionTable } from '../machine/index.js';

export type FanoutState = 'idle' | 'running' | 'done' | 'stopped' | 'aborted';
export type FanoutMove = 'start' | 'finish' | 'stop' | 'abort';

/**
 * A fanout that ended may be started again: a new run, all its targets from the beginning. After a restart of the
 * process `running` goes on where it was, every other state rests.
 */
export const FANOUT_STATES = {
  idle: { start: 'running' },
  running: { finish: 'done', stop: 'stopped', abort: 'aborted' },
  done: { start: 'running' },
  stopped: { start: 'running' },
  aborted: { start: 'running' },
} as const satisfies TransitionTable<FanoutState, FanoutMove>;

/** Fanout/<x>/State as a DM Server sees it (management-objects.md). */
export const FANOUT_STATE_NUMBER: Readonly<Record<FanoutState, number>> = {
  idle: 10,
  running: 20,
  done: 30,
  stopped: 40,
  aborted: 50,
};

/**
 * Target/<y>/Status as a DM Server sees it (management-objects.md). While the fanout runs it is the outcome of the last
 * try; at the end:
 * - waiting: only in a fanout that was never started, or a target added after the end
 * - sent: handed to the network at least once, and nothing by which a reaction could have been seen: no ImageRef, and the
 *   device does not announce its SessionID
 * - reacted: fetched ImageRef, announced the SessionID of its notification, or the server said so
 * - unknownDevice, unreachable: no try ever left the gateway; the last one failed for this reason
 * - gaveUp: sent as often as Repeat says, each time that it appeared, without a reaction; or its turn never came within the
 *   Lifetime
 * - stopped: open when the fanout was stopped or aborted
 */
export const TARGET_STATUS = {
  waiting: 0,
  sent: 1,
  reacted: 2,
  unknownDevice: 3,
  unreachable: 4,
  gaveUp: 5,
  stopped: 6,
} as const;
export type TargetStatus = (typeof TARGET_STATUS)[keyof typeof TARGET_STATUS];

/**
 * How far a target is: not begun, begun (tried, and open for the next try or a reaction), closed with its final status,
 * dormant (tried in vain as often as Repeat says, and waited for until it appears or the Lifetime is over).
 */
export const STAGE = { waiting: 0, begun: 1, closed: 2, dormant: 3 } as const;
