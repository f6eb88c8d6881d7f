/**
 * The End Devices of the LAN: who they are, what the servers, the configuration and discovery said of them, where they listen.
 * Leaves sending to notify/, nodes and access rights to mo/ and tree/.
 */
export { AddressBook, type DeviceAddress, type ResolveErrorCode } from './address-book.js';
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
export { deviceSchema } from './schema.js';
