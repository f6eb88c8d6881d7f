import { createHash } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';

/**
 * Makes an image whose bytes follow from position and seed, so that a byte at a wrong offset or of another version
 * shows in its SHA-256.
 */
export function makeImage(file: string, bytes: number, seed: number): void {
  const image = Buffer.allocUnsafe(bytes);
  const words = new Uint32Array(image.buffer, image.byteOffset, Math.floor(bytes / 4));
  for (let at = 0; at < words.length; at += 1) words[at] = Math.imul(at ^ seed, 2_654_435_761);
  image.fill(seed & 0xff, words.length * 4);
  writeFileSync(file, image);
}

/** SHA-256 of a file, 64 hex digits. */
export async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
