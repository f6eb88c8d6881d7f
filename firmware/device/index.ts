/**
 * The End Devices of the LAN: who they are, what the servers, the configuration and discovery said of them, where they listen.
 * Leaves sending to notify/, nodes and access rights to mo/ and tree/.
 */
export { AddressBook, type DeviceAddress } from './address-book.js';
export {
  DeviceInventory,
  type ConfiguredDevice,
  type ConfiguredSummary,
  type Device,
  type DeviceInventoryOptions,
  type DeviceSource,
} from './inventory.js';
export {
  COMPONENT_TYPES,
  DEVICE_LEAVES,
  ENCAPSULATIONS,
  MODES,
  type DeviceError,
  type DeviceErrorCode,
  type DeviceLeaf,
} from './leaves.js';
export { END_DEVICE_TYPE } from './announcement.js';
export { Departed, type DepartedOptions } from './departed.js';
export { DiscoveredDevices, type DiscoveredOptions } from './discovered.js';
export { LeaseWatch, type LeaseWatchOptions } from './leases.js';
export { Recognition, type RecognitionOptions } from './recognition.js';
export { countSchema, deviceSchema, discoveredSchema } from './schema.js';
