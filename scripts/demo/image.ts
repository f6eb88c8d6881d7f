import { mkdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeImage, sha256Of } from '../flow/images.js';
import type { OfferedImage } from '../flow/nine-steps.js';
import { PROJECT_ROOT } from '../flow/project.js';

/** Smaller ones do not show much. */
const MIN_OWN_BYTES = 50_000_000;
const GENERATED_BYTES = 96 * 1024 * 1024;

/**
 * The image of the demo, used in place: the one that was asked for; else the `node` program itself, which every machine
 * that runs this has; where that is only a stub on a shared library, a generated one.
 * @throws with one line when the file cannot be used
 */
export async function chooseImage(asked: string | undefined): Promise<OfferedImage> {
  const file = asked ?? ownImage();
  const stats = statSync(file, { throwIfNoEntry: false });
  if (!stats?.isFile() || stats.size === 0) throw new Error(`IMAGE=${file}: expected a file that is not empty`);
  return { path: `/${encodeURIComponent(basename(file))}`, file, bytes: stats.size, sha256: await sha256Of(file) };
}

function ownImage(): string {
  if (statSync(process.execPath).size >= MIN_OWN_BYTES) return process.execPath;
  const file = join(PROJECT_ROOT, 'build/demo-image.bin');
  if (statSync(file, { throwIfNoEntry: false })?.size !== GENERATED_BYTES) {
    mkdirSync(join(PROJECT_ROOT, 'build'), { recursive: true });
    makeImage(file, GENERATED_BYTES, 1);
  }
  return file;
}
