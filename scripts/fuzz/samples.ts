import { memoryOf } from '../bench/proc.js';
import { slope } from '../bench/statistics.js';
import type { Growth } from './protocol.js';

/** Memory of this process at several moments. Needs --expose-gc. */
export class MemorySamples {
  readonly #heap: (readonly [inputs: number, bytes: number])[] = [];
  readonly #rssAnon: (readonly [inputs: number, bytes: number])[] = [];

  take(inputs: number): void {
    globalThis.gc?.();
    globalThis.gc?.();
    this.#heap.push([inputs, process.memoryUsage().heapUsed]);
    this.#rssAnon.push([inputs, memoryOf('self')?.rssAnonBytes ?? 0]);
  }

  get heap(): Growth {
    return growth(this.#heap);
  }

  get rssAnon(): Growth {
    return growth(this.#rssAnon);
  }
}

function growth(samples: readonly (readonly [inputs: number, bytes: number])[]): Growth {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return { firstBytes: 0, lastBytes: 0, growthBytes: 0 };
  return { firstBytes: first[1], lastBytes: last[1], growthBytes: slope(samples) * (last[0] - first[0]) };
}
