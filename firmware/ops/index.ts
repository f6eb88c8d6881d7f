/**
 * What people and scripts see of a running gateway and tell it: the reports, the control socket, its client and their text form.
 * Leaves to the composition root to gather what the reports say: this room knows no other.
 */
export {
  askHealth,
  askMetered,
  askSettings,
  askStatus,
  follow,
  operate,
  pagesOf,
  sendContent,
  sendEvent,
  type AskError,
  type AskErrorCode,
  type PagedName,
  type RowOf,
} from './client.js';
export {
  openControl,
  type Answer,
  type ControlErrorCode,
  type ControlPorts,
  type ControlServer,
  type OperationPorts,
  type StreamPorts,
} from './control.js';
export type { EventRefusal, EventReport, EventRequest } from './event.js';
export { formatBytes, formatDuration, formatTable, printable } from './format.js';
export { memoryReport, writtenBytes } from './memory.js';
export { isMeteredSetting, renderMetered, type MeteredReport, type MeteredSetting } from './metered.js';
export type {
  Asked,
  DeviceRow,
  Done,
  FanoutDetail,
  ImageDetail,
  LogLine,
  Page,
  RequestOf,
  SessionsAsked,
  Verification,
} from './operations.js';
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
  type Problem,
  type RetrieveReport,
  type StatusReport,
} from './reports.js';
