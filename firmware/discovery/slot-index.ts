/** Slots by the hash of a text, chained where several share a bucket: twelve bytes each, where a Map takes fifty. */
export class SlotIndex {
  /** Slot + 1 of the first in each bucket; 0 for none. */
  #heads = new Int32Array(MIN_BUCKETS);
  /** By slot: slot + 1 of the next in its bucket. */
  #next = new Int32Array(0);
  #hashes = new Int32Array(0);

  /** @param seed of the hash, not known to those who choose the texts */
  constructor(private readonly seed: number) {}

  /** Of a text, without regard to the case of ASCII letters (RFC 6762 section 16). */
  hashOf(text: string): number {
    let hash = this.seed | 0;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      hash = Math.imul(hash ^ (code >= 65 && code <= 90 ? code + 32 : code), 0x85ebca6b);
      hash ^= hash >>> 13;
    }
    hash = Math.imul(hash, 0xc2b2ae35);
    return hash ^ (hash >>> 16);
  }

  /** Room for slots up to `count`. */
  grow(count: number): void {
    this.#next = grown(this.#next, count);
    const hashes = grown(this.#hashes, count);
    this.#hashes = hashes;
    if (count <= this.#heads.length) return;
    const before = this.#heads;
    const next = this.#next;
    this.#heads = new Int32Array(2 ** Math.ceil(Math.log2(count)));
    for (let slot of before) {
      while (slot !== 0) {
        const following = next[slot - 1] ?? 0;
        this.add(slot - 1, hashes[slot - 1] ?? 0);
        slot = following;
      }
    }
  }

  add(slot: number, hash: number): void {
    const bucket = hash & (this.#heads.length - 1);
    this.#hashes[slot] = hash;
    this.#next[slot] = this.#heads[bucket] ?? 0;
    this.#heads[bucket] = slot + 1;
  }

  remove(slot: number): void {
    const bucket = (this.#hashes[slot] ?? 0) & (this.#heads.length - 1);
    const following = this.#next[slot] ?? 0;
    let at = this.#heads[bucket] ?? 0;
    if (at === slot + 1) this.#heads[bucket] = following;
    while (at !== 0 && at !== slot + 1) {
      if (this.#next[at - 1] === slot + 1) this.#next[at - 1] = following;
      at = this.#next[at - 1] ?? 0;
    }
  }

  /** Slots with this hash, the latest first. */
  *of(hash: number): Generator<number, void, undefined> {
    let at = this.#heads[hash & (this.#heads.length - 1)] ?? 0;
    while (at !== 0) {
      if (this.#hashes[at - 1] === hash) yield at - 1;
      at = this.#next[at - 1] ?? 0;
    }
  }
}

const MIN_BUCKETS = 64;

/** @returns an array of at least this length with the same beginning */
export function grown<T extends Int32Array | Float64Array | Uint8Array>(array: T, length: number): T {
  if (length <= array.length) return array;
  const larger = new (array.constructor as new (length: number) => T)(length);
  larger.set(array);
  return larger;
}
