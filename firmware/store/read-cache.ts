import type { Store } from './store.js';

/**
 * What was read from the database, by a key of the caller's, kept until anything in the database may have changed: one
 * DM message reads the same few rows again and again. Whoever gets a value must not change it.
 */
export class ReadCache<T> {
  readonly #values = new Map<string, T>();
  #generation = -1;

  /** @param capacity values that are kept at most; once there are so many, all are forgotten */
  constructor(
    private readonly store: Pick<Store, 'generation'>,
    private readonly capacity: number,
  ) {}

  /** The value for this key; `read` gets it from the database where it is not at hand. */
  get(key: string, read: () => T): T {
    const { generation } = this.store;
    if (generation !== this.#generation || this.#values.size >= this.capacity) {
      this.#values.clear();
      this.#generation = generation;
    }
    const known = this.#values.get(key);
    if (known !== undefined || this.#values.has(key)) return known as T;
    const value = read();
    this.#values.set(key, value);
    return value;
  }
}
