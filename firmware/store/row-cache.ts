import type { Store } from './store.js';

/**
 * Rows of one table at hand, for the one owner who makes every change of it: the owner says which rows have changed, and
 * a change of other tables forgets nothing (compare `ReadCache`). After a rollback, whatever it took back, all are
 * forgotten. Whoever gets a row must not change it.
 */
export class RowCache<K, T> {
  readonly #rows = new Map<K, T>();
  #rollbacks = -1;

  /** @param capacity rows that are kept at most; once there are so many, all are forgotten */
  constructor(
    private readonly store: Pick<Store, 'rollbacks'>,
    private readonly capacity: number,
  ) {}

  /** The row for this key; `read` gets it from the database where it is not at hand. */
  get(key: K, read: () => T): T {
    this.#refresh();
    const known = this.#rows.get(key);
    if (known !== undefined || this.#rows.has(key)) return known as T;
    const row = read();
    this.#rows.set(key, row);
    return row;
  }

  /** The row has been changed, or was made. */
  forget(key: K): void {
    this.#rows.delete(key);
  }

  /** Rows have been changed. */
  forgetAll(): void {
    this.#rows.clear();
  }

  #refresh(): void {
    const { rollbacks } = this.store;
    if (rollbacks === this.#rollbacks && this.#rows.size < this.capacity) return;
    this.#rows.clear();
    this.#rollbacks = rollbacks;
  }
}
