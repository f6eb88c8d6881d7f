import { openStore, type StoreOptions } from './sqlite.js';
import type { Store } from './store.js';

/** For tests: a database with a moderate cache. @throws StoreError as `openStore` */
export function openTestStore(options: Omit<StoreOptions, 'cacheKib'>): Store {
  return openStore({ ...options, cacheKib: 512 });
}
