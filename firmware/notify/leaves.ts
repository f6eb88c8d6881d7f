import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';

/** The writable leaves of Fanout/<x>. */
export type FanoutLeaf =
  | 'type'
  | 'targets'
  | 'notification'
  | 'repeat'
  | 'interval'
  | 'lifetime'
  | 'rate'
  | 'waveSize'
  | 'abortAfterFailures'
  | 'imageRef';

/** The writable leaves of Fanout/<x>/Target/<y>. */
export type TargetLeaf = 'deviceId' | 'notification' | 'reacted';

/** Text for chr, number for int, boolean for bool, bytes for bin. */
export type LeafValue = string | number | boolean | Uint8Array;

export type FanoutErrorCode =
  | 'no-such-fanout' // the fanout was removed
  | 'no-such-target' // the target was removed
  | 'node-exists' // a sibling has this node name
  | 'running' // not while it runs: stop it first
  | 'not-running' // nothing to stop
  | 'no-targets' // neither Target nodes nor a line of Targets that names a device
  | 'no-notification' // a target without its own, and none for all
  | 'target-without-device' // a Target node without DeviceID
  | 'device-id-taken' // another target of the fanout is the same device
  | 'invalid-value' // of the wrong format or out of range
  | 'too-long' // more bytes than the leaf may have
  | 'too-many'; // no more fanouts or targets fit

export type FanoutError = CodedError<FanoutErrorCode>;

/** What the leaves of the same name mean where a fanout does not have them. Ranges as for the leaves. */
export interface FanoutDefaults {
  readonly repeat: number;
  /** Seconds. */
  readonly interval: number;
  /** Seconds. */
  readonly lifetime: number;
  readonly rate: number;
}

/** With WSP, UDP and IPv6 headers around it, a notification still fits one Ethernet frame: 1500 - 40 - 8 - 48. */
export const MAX_NOTIFICATION_BYTES = 1400;

/** As for any text of the management tree. */
const MAX_TEXT_BYTES = 255;

/** Some 10,000 DeviceIDs of usual length. More come as `group:` or `*`. */
const MAX_TARGETS_BYTES = 512 * 1024;

const MAX_INT32 = 2 ** 31 - 1;

type Check = (value: LeafValue) => Outcome<undefined, FanoutError>;

const int =
  (least: number, most: number): Check =>
  (value) =>
    typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
      ? success()
      : failure('invalid-value', `an integer from ${least} to ${most}`);

const text =
  (mostBytes: number, form: RegExp, words: string): Check =>
  (value) => {
    if (typeof value !== 'string' || !form.test(value)) return failure('invalid-value', words);
    return Buffer.byteLength(value) <= mostBytes ? success() : failure('too-long', `at most ${mostBytes} bytes`);
  };

const notification: Check = (value) => {
  if (!(value instanceof Uint8Array) || value.byteLength === 0) {
    return failure('invalid-value', 'a Package#0, at least one byte');
  }
  return value.byteLength <= MAX_NOTIFICATION_BYTES
    ? success()
    : failure('too-long', `a notification has at most ${MAX_NOTIFICATION_BYTES} bytes, to fit one frame`);
};

/** A tight loop (interval 0, repeat without end) is not offered: it would flood the LAN. */
const FANOUT_CHECKS: Readonly<Record<FanoutLeaf, Check>> = {
  type: text(MAX_TEXT_BYTES, /^notification$/, 'the only Type is notification'),
  targets: text(
    MAX_TARGETS_BYTES,
    /^[^\x00-\x1f\x7f-\x9f]*(\r?\n[^\x00-\x1f\x7f-\x9f]*)*$/,
    'DeviceIDs, group:<name> or *, one a line',
  ),
  notification,
  repeat: int(1, 16),
  interval: int(1, 86_400),
  lifetime: int(1, MAX_INT32),
  rate: int(-1, MAX_INT32),
  waveSize: int(0, MAX_INT32),
  abortAfterFailures: int(0, MAX_INT32),
  imageRef: text(64, /^[A-Za-z0-9._-]+$/, 'an ImageID: letters, digits, . _ - (1 to 64)'),
};

const TARGET_CHECKS: Readonly<Record<TargetLeaf, Check>> = {
  deviceId: text(MAX_TEXT_BYTES, /^[^\x00-\x1f\x7f-\x9f]+$/, 'a DeviceID: not empty, no control characters'),
  notification,
  reacted: (value) => (typeof value === 'boolean' ? success() : failure('invalid-value', 'true or false')),
};

/** Says whether `value` may stand in the leaf of a fanout. */
export function checkFanoutLeaf(leaf: FanoutLeaf, value: LeafValue): Outcome<undefined, FanoutError> {
  return FANOUT_CHECKS[leaf](value);
}

/** Says whether `value` may stand in the leaf of a target. */
export function checkTargetLeaf(leaf: TargetLeaf, value: LeafValue): Outcome<undefined, FanoutError> {
  return TARGET_CHECKS[leaf](value);
}

/** A value as its column holds it. */
export function toColumn(value: LeafValue | null): string | number | Uint8Array | null {
  return typeof value === 'boolean' ? Number(value) : value;
}
