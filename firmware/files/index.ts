/**
 * Files that outlive a power cut: flushed with the folder that names them, written as a whole or not at all; and whose they are.
 * Leaves to each room what stands in its files; images and the database have ways of their own (`image`, `store`).
 */
export { inPool } from './in-pool.js';
export { asOwnerOf, type OwnerError } from './owner.js';
export { syncFile, syncFolder } from './sync.js';
export { writeDurably } from './write.js';
