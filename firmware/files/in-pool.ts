/**
 * A call of `node:fs` in the thread pool, as a promise: rejects with the system's error. What `promisify` makes of fifteen
 * functions takes a start half a millisecond, and `fs.promises` has no file descriptors.
 * @param start calls the function with what it is to be told at its end
 */
export function inPool<T = void>(
  start: (done: (thrown: NodeJS.ErrnoException | null, value?: T) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    start((thrown, value) => {
      if (thrown) reject(thrown);
      else resolve(value as T);
    });
  });
}
