/**
 * Forwarding of DM Notifications: one Package#0 to one device, or a fanout to many with pace, repetition and report.
 * Leaves what stands in a Package#0 and its WSP wrapping to dm/, devices to device/, the image server to image/ (ports).
 */
export { Fanouts, type FanoutEvent } from './fanout.js';
export type { FanoutRecord } from './fanout-store.js';
export { Forwarder, MAX_SENDS_IN_FLIGHT, type ForwardError, type ForwardErrorCode } from './forwarder.js';
export {
  MAX_NOTIFICATION_BYTES,
  type FanoutError,
  type FanoutDefaults,
  type FanoutErrorCode,
  type FanoutLeaf,
  type LeafValue,
  type TargetLeaf,
} from './leaves.js';
export type { AddressBook, Capacity, DeviceAddress, Fetch, Presence, SendNotification } from './ports.js';
export { endSchema, notifySchema, sleepersSchema } from './schema.js';
export { FANOUT_STATE_NUMBER, TARGET_STATUS, type TargetStatus } from './states.js';
export type { TargetRecord } from './target-store.js';
