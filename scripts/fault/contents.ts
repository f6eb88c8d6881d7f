/** Images that the writer of images has, as their content follows from a number. */

/** Nodes that the writer has, so that each is written again soon. */
export const NODES = ['a', 'b', 'c', 'd', 'e', 'f'] as const;

/** Room for some of them at a time: the others are evicted. */
export const QUOTA_BYTES = 700_000;

/** Every fourth content is that of the number before: the same blob under two images. */
export function contentOf(n: number): Buffer {
  const own = n % 4 === 0 ? n - 1 : n;
  return Buffer.alloc(1 + ((own * 7919) % 200_000), `content ${own} `);
}
