/**
 * The management objects: each a thin translation between nodes of the tree and the room that does the work.
 * Leaves URIs, rights and formats to `tree/`, Status codes to `dm/`.
 */
export { config } from './config.js';
export { deviceInventory } from './device-inventory.js';
export { devDetail, devInfo } from './device.js';
export { dmAccounts } from './dm-account.js';
export { fanout } from './fanout.js';
export { imageInventory } from './image-inventory.js';
export { tellDamage, tellRotten } from './damage.js';
export { Names, type MoKey } from './names.js';
export { managementObjects, parseNames } from './objects.js';
export { SCOMO_RESULT } from './scomo.js';
export { storage, type StorageFigures } from './storage.js';
