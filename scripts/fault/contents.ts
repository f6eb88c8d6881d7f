import { createHash } from 'node:crypto';

/** Images that the writer of images has, as their content follows from a number. */

/** Nodes that the writer has, so that each is written again soon. */
export const NODES = ['a', 'b', 'c', 'd', 'e', 'f'] as const;

/** Room for some of them at a time: the others are evicted. */
export const QUOTA_BYTES = 700_000;

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** Every fourth content is that of the number before: the same blob under two images. */
export function contentOf(n: number): Buffer {
  const own = n % 4 === 0 ? n - 1 : n;
  return Buffer.alloc(1 + ((own * 7919) % 200_000), `content ${own} `);
}

/** Nodes of the images that are served while they come in. */
export const ARRIVING_NODES = ['a', 'b'] as const;

/** Content of an image that comes in: no two blocks of it, nor of two numbers, are alike, so that every offset shows. */
export function arrivingOf(n: number): Buffer {
  const words = 120_000 + ((n * 7919) % 60_000);
  const content = Buffer.allocUnsafe(4 * words);
  for (let word = 0; word < words; word += 1) {
    content.writeUInt32LE((Math.imul(word + 1, 2654435761) ^ Math.imul(n, 40503)) >>> 0, 4 * word);
  }
  return content;
}
