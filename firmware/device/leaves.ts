import type { Prefixes } from '../net/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { parseAddress } from './address.js';

/** The writable leaves of DeviceInventory/<x>. */
export const DEVICE_LEAVES = [
  'deviceId',
  'componentType',
  'mode',
  'address',
  'encapsulation',
  'groups',
  'name',
] as const;
export type DeviceLeaf = (typeof DEVICE_LEAVES)[number];

export type DeviceErrorCode =
  | 'no-such-device' // the record was removed
  | 'node-exists' // another record has this node name
  | 'device-id-taken' // another record has this DeviceID
  | 'invalid-value' // not of the form or the enumeration of the leaf
  | 'too-long' // more than 255 bytes
  | 'outside-lan' // an address that does not lie in the prefixes of the LAN
  | 'required' // DeviceID cannot be taken away
  | 'too-many'; // the inventory is full

export type DeviceError = CodedError<DeviceErrorCode>;

const COMPONENT_TYPES = ['EndDevice', 'DMGateway'] as const;
export const MODES = ['transparent', 'proxy', 'adaptation'] as const;
export const ENCAPSULATIONS = ['wsp', 'raw'] as const;

const MAX_TEXT_BYTES = 255;

type Check = (value: string, lan: Prefixes) => Outcome<unknown, DeviceError>;

const oneOf =
  (allowed: readonly string[]): Check =>
  (value) =>
    allowed.includes(value) ? success() : failure('invalid-value', `allowed are ${allowed.join(', ')}`);

const CHECKS: Readonly<Record<DeviceLeaf, Check>> = {
  deviceId: checkDeviceId,
  componentType: oneOf(COMPONENT_TYPES),
  mode: oneOf(MODES),
  address: parseAddress,
  encapsulation: oneOf(ENCAPSULATIONS),
  groups: (value) =>
    value.split('/').every((group) => group.length > 0)
      ? success()
      : failure('invalid-value', 'Groups are names separated by /, none of them empty'),
  name: () => success(),
};

/** Says whether `value` may stand in the leaf (management-objects.md, DeviceInventory). */
export function checkLeaf(leaf: DeviceLeaf, value: string, lan: Prefixes): Outcome<unknown, DeviceError> {
  if (Buffer.byteLength(value) > MAX_TEXT_BYTES) return failure('too-long', `at most ${MAX_TEXT_BYTES} bytes`);
  if (/\p{Cc}/u.test(value)) return failure('invalid-value', 'control characters are not allowed');
  return CHECKS[leaf](value, lan);
}

/** `*` and `group:` have their own meaning in the Targets of a fanout, where DeviceIDs stand beside them. */
function checkDeviceId(value: string): Outcome<undefined, DeviceError> {
  if (value.trim() !== value || value === '') {
    return failure('invalid-value', 'a DeviceID is not empty and has no space around it');
  }
  if (value === '*' || value.startsWith('group:')) {
    return failure('invalid-value', 'a DeviceID is not * and does not begin with group:');
  }
  return success();
}
