/**
 * What people and scripts see of a running gateway and tell it: the reports, the control socket, its client and their text form.
 * Leaves to the composition root to gather what the reports say: this room knows no other.
 */
export {
  askHealth,
  askMetered,
  askSettings,
  askStatus,
  sendEvent,
  type AskError,
  type AskErrorCode,
} from './client.js';
export { openControl, type ControlErrorCode, type ControlPorts, type ControlServer } from './control.js';
export type { EventRefusal, EventReport, EventRequest } from './event.js';
export { formatBytes, formatDuration, formatTable } from './format.js';
export { memoryReport, writtenBytes } from './memory.js';
export { isMeteredSetting, renderMetered, type MeteredReport, type MeteredSetting } from './metered.js';
export { ANSI_PAINT, NO_PAINT, renderHealth, renderStatus, type Paint } from './render.js';
export {
  healthReport,
  REPORT_FORMAT,
  type AccountReport,
  type DevicesReport,
  type DiscoveryReport,
  type FanoutReport,
  type HealthCheck,
  type HealthReport,
  type ImageReport,
  type ListenerReport,
  type MemoryReport,
  type Problem,
  type RetrieveReport,
  type ServeReport,
  type SettingsReport,
  type StatusReport,
  type StoreReport,
  type TrafficReport,
} from './reports.js';
