/**
 * Forwarding of DM Notifications: one Package#0 to one device, or a fanout to many with pace, repetition and report.
 * Leaves what stands in a Package#0 and its WSP wrapping to dm/, devices to device/, the image server to image/ (ports).
 */
export {
  Fanouts,
  type FanoutEvent,
  type FanoutEventKind,
  type FanoutListener,
  type FanoutsOptions,
  type StopRequest,
} from './fanout.js';
export type { Counters, FanoutRecord } from './fanout-store.js';
export {
  Forwarder,
  MAX_SENDS_IN_FLIGHT,
  type ForwardError,
  type ForwardErrorCode,
  type ForwarderOptions,
} from './forwarder.js';
export {
  FANOUT_LEAVES,
  MAX_NOTIFICATION_BYTES,
  TARGET_LEAVES,
  type FanoutError,
  type FanoutDefaults,
  type FanoutErrorCode,
  type FanoutLeaf,
  type LeafValue,
  type TargetLeaf,
} from './leaves.js';
export type {
  AddressBook,
  Appearances,
  Capacity,
  DeviceAddress,
  Fetch,
  Presence,
  Reactions,
  SendNotification,
  SessionIdOf,
  Wrap,
} from './ports.js';
export { endSchema, notifySchema, sleepersSchema } from './schema.js';
export { FANOUT_STATE_NUMBER, TARGET_STATUS, type FanoutState, type TargetStatus } from './states.js';
export type { TargetRecord } from './target-store.js';
