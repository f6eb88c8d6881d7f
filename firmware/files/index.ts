/**
 * Files that outlive a power cut: flushed with the folder that names them, written as a whole or not at all.
 * Leaves to each room what stands in its files; images and the database have ways of their own (`image`, `store`).
 */
export { syncFile, syncFolder } from './sync.js';
export { ownerBelow, writeDurably, type Owner } from './write.js';
