import { createHash } from 'node:crypto';
import { native, type Native } from '../native/index.js';

/** Adds bytes to a SHA-256, one call after the other. */
interface Sha256 {
  add(bytes: Uint8Array): Promise<void>;
  /** Once. */
  end(): Buffer;
}

/**
 * The running SHA-256 of an image's content, in the thread pool: 1 MiB takes a ms or, on a router, 10, for which the event
 * loop would stand still. So it does where the program has no OpenSSL that can be found.
 */
export class Digest {
  #sha256: Sha256 | undefined;
  /** All that was given has been added. */
  #last: Promise<void> = Promise.resolve();
  #underWay = 0;
  #ended: string | undefined;

  constructor(private readonly part: Native = native()) {}

  /**
   * Adds bytes, in the order of the calls. They stay as they are until this has ended.
   * @param beside what else is done with the bytes meanwhile, such as writing them
   * @returns ends when both have, in the order of the calls; rejects when either does, with the reason of `beside` first
   */
  async add(bytes: Uint8Array, beside: Promise<void> = Promise.resolve()): Promise<void> {
    this.#underWay += 1;
    this.#last = this.#last.then(() => this.#add(bytes));
    const both = [beside, this.#last];
    await Promise.allSettled(both);
    this.#underWay -= 1;
    await Promise.all(both);
  }

  /** Of all bytes so far, as hex. When nothing is added any more; the same each time. */
  sha256(): string {
    if (this.#underWay > 0) throw new Error('a digest is asked for while bytes are added');
    return (this.#ended ??= this.#begun.end().toString('hex'));
  }

  #add(bytes: Uint8Array): Promise<void> {
    if (this.#ended !== undefined) throw new Error('a digest has ended');
    return this.#begun.add(bytes);
  }

  get #begun(): Sha256 {
    return (this.#sha256 ??= begin(this.part));
  }
}

function begin({ makeHash, addToHash, endHash }: Native): Sha256 {
  if (!makeHash || !addToHash || !endHash) {
    const hash = createHash('sha256');
    return { add: (bytes) => Promise.resolve(void hash.update(bytes)), end: () => hash.digest() };
  }
  const hash = makeHash();
  return {
    add: (bytes) =>
      new Promise((resolve, reject) => {
        addToHash(hash, bytes, (failed) => (failed ? reject(new Error('cannot hash')) : resolve()));
      }),
    end: () => endHash(hash),
  };
}
