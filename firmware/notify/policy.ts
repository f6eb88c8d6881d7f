import type { FanoutRecord } from './fanout-store.js';
import type { FanoutDefaults } from './leaves.js';

/** The leaves of a fanout with their defaults, in milliseconds. */
export interface Policy {
  /** Tries per target at most, the first one among them. */
  readonly repeat: number;
  readonly intervalMs: number;
  readonly lifetimeMs: number;
  readonly rate: number;
  readonly waveSize: number;
  readonly abortAfterFailures: number;
  /** Whether a reaction of every target can be seen: then silence is a failure, else it says nothing. */
  readonly expectsReaction: boolean;
}

/** @param defaults of leaves that were not added */
export function policyOf(fanout: FanoutRecord, defaults: FanoutDefaults): Policy {
  return {
    repeat: fanout.repeat ?? defaults.repeat,
    intervalMs: (fanout.interval ?? defaults.interval) * 1000,
    lifetimeMs: (fanout.lifetime ?? defaults.lifetime) * 1000,
    rate: fanout.rate ?? defaults.rate,
    waveSize: fanout.waveSize ?? 0,
    abortAfterFailures: fanout.abortAfterFailures ?? 0,
    expectsReaction: fanout.imageRef !== null,
  };
}

/**
 * How long after its n-th try (counted from 1) a target is looked at again: the interval, doubled each time. With
 * Interval 2 and Repeat 4 the notification leaves at 0, 2, 6 and 14 s. After the last try a reaction is waited for
 * once more; where none can be seen, there is nothing to wait for.
 * @param hearable a reaction of this target can be seen
 */
export function waitAfterTryMs(policy: Policy, attempt: number, hearable: boolean): number {
  const last = attempt >= policy.repeat;
  return last && !hearable ? 0 : policy.intervalMs * 2 ** (attempt - 1);
}
