/**
 * DNS-SD in the LAN: which service instances there are, and our own made known; in this process or by the system's daemon.
 * Leaves to others what the services mean and whether they can be trusted.
 */
export { BuiltinDiscovery, type BuiltinOptions } from './builtin.js';
export { DaemonDiscovery, type DaemonOptions } from './daemon.js';
export { lanLinks, type Link, type LinkChoice } from './links.js';
export { LATER } from './service.js';
export type {
  AnnouncedService,
  DaemonState,
  Discovery,
  DiscoveryBackend,
  DiscoveryStatus,
  FoundService,
  ServiceListener,
} from './service.js';
