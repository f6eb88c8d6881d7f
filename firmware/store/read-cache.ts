/**
 * What was read from the database, by a key of the caller's: one DM message reads the same few rows again and again. All of
 * it is forgotten when the epoch is another:
 *
 * - `store.generation`, for everybody: anything in the database may have changed.
 * - `store.rollbacks`, for the one owner who makes every change of what is kept, and says so with `forget`: then changes of
 *   other tables forget nothing. A rollback may have taken back any of them.
 *
 * Whoever gets a value must not change it.
 */
export class ReadCache<K, T> {
  readonly #values = new Map<K, T>();
  #epoch = -1;

  /** @param capacity values that are kept at most; once there are so many, all are forgotten */
  constructor(
    private readonly epoch: () => number,
    private readonly capacity: number,
  ) {}

  /** The value for this key; `read` gets it from the database where it is not at hand, for the key that is kept. */
  get(key: K, read: (key: K) => T): T {
    const epoch = this.epoch();
    if (epoch !== this.#epoch || this.#values.size >= this.capacity) {
      this.#values.clear();
      this.#epoch = epoch;
    }
    const known = this.#values.get(key);
    if (known !== undefined || this.#values.has(key)) return known as T;
    const own = typeof key === 'string' ? (copyOf(key) as K & string) : key;
    const value = read(own);
    this.#values.set(own, value);
    return value;
  }

  /** What this key stands for has been changed, or was made. */
  forget(key: K): void {
    this.#values.delete(key);
  }

  /** Any of it may have been changed. */
  forgetAll(): void {
    this.#values.clear();
  }
}

/** A string that was cut out of a message keeps all of the message in memory. */
function copyOf(text: string): string {
  return `${text} `.slice(0, -1);
}
