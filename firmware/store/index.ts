/**
 * The gateway's database: open, probe, migrate, transactions, durability.
 * Leaves tables and their meaning to the room that owns them; images are files, never rows.
 */
export { ReadCache } from './read-cache.js';
export { openOrReplace, type Fresh, type OpenedStore } from './rescue.js';
export { isLocked, openStore, rehearseMigration, type Migration, type StoreOptions } from './sqlite.js';
export { StoreError, type SchemaStep, type SqlValue, type Store, type StoreErrorCode } from './store.js';
