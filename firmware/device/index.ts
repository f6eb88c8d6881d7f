/**
 * The End Devices of the LAN: who they are, what the servers, the configuration and discovery said of them, where they listen.
 * Leaves sending to notify/, nodes and access rights to mo/ and tree/.
 */
export { AddressBook } from './address-book.js';
export { DeviceInventory, type ConfiguredDevice, type Device } from './inventory.js';
export { type DeviceError, type DeviceErrorCode, type DeviceLeaf } from './leaves.js';
export { END_DEVICE_TYPE } from './announcement.js';
export { Departed } from './departed.js';
export { DiscoveredDevices, type DiscoveredOptions } from './discovered.js';
export { LeaseWatch } from './leases.js';
export { Recognition, type RecognitionOptions } from './recognition.js';
export { countSchema, deviceSchema, discoveredSchema } from './schema.js';
