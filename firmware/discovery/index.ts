/**
 * DNS-SD in the LAN: which service instances there are, and our own made known; in this process or by the system's daemon.
 * Leaves to others what the services mean and whether they can be trusted.
 */
export { BuiltinDiscovery } from './builtin.js';
export { DaemonDiscovery } from './daemon.js';
export { LATER } from './service.js';
export type { AnnouncedService, Discovery, FoundService, ServiceListener } from './service.js';
