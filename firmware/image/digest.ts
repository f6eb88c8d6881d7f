import { lateCrypto } from '../late/index.js';
import { native, type Native } from '../native/index.js';

type Part = Pick<Native, 'makeHash' | 'addToHash' | 'endHash'>;

interface Sha256 {
  /** Adds bytes after those of earlier calls; throws after the end. */
  add(bytes: Uint8Array, done: (failed: boolean) => void): void;
  /** Once, when all has been added. */
  end(): Buffer;
}

/**
 * The running SHA-256 of an image's content, in a thread of its own: 1 MiB takes a ms or, on a router, 10, for which the
 * event loop would stand still. So it does where the program has no OpenSSL that can be found.
 */
export class Digest {
  #sha256: Sha256 | undefined;
  #ended: string | undefined;

  constructor(private readonly part: Part = native()) {}

  /**
   * Adds bytes after those of earlier calls. They stay as they are until this has ended.
   * @param beside what else is done with the bytes meanwhile, such as writing them
   * @returns ends when both have; rejects when either does, with the reason of `beside` first
   */
  add(bytes: Uint8Array, beside?: Promise<void>): Promise<void> {
    const added = new Promise<void>((resolve, reject) => {
      this.begin(bytes, (failed) => (failed ? reject(new Error('cannot hash')) : resolve()));
    });
    return beside ? all([beside, added]) : added;
  }

  /** Adds bytes as `add` does, without a promise, which costs more than the rest of a call. */
  begin(bytes: Uint8Array, done: (failed: boolean) => void): void {
    try {
      this.#begun.add(bytes, done);
    } catch {
      done(true);
    }
  }

  /** Of all bytes so far, as hex. When nothing is added any more; the same each time. */
  sha256(): string {
    return (this.#ended ??= this.#begun.end().toString('hex'));
  }

  get #begun(): Sha256 {
    return (this.#sha256 ??= begin(this.part));
  }
}

/** Ends when all have; rejects as the first of them that does. */
async function all(works: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(works);
  await Promise.all(works);
}

function begin({ makeHash, addToHash, endHash }: Part): Sha256 {
  if (!makeHash || !addToHash || !endHash) {
    const hash = lateCrypto().createHash('sha256');
    return { add: (bytes, done) => done(!hash.update(bytes)), end: () => hash.digest() };
  }
  const hash = makeHash();
  return { add: (bytes, done) => addToHash(hash, bytes, done), end: () => endHash(hash) };
}
