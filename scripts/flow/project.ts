import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the project: the nearest folder above this file, as source or as bundle, that has a package.json. */
export const PROJECT_ROOT = rootAbove(dirname(fileURLToPath(import.meta.url)));

/** The programs as they are built. */
export const PROGRAMS = {
  gateway: join(PROJECT_ROOT, 'build/dmgw.js'),
  dmServer: join(PROJECT_ROOT, 'build/lab/dm-server.js'),
  downloadServer: join(PROJECT_ROOT, 'build/lab/download-server.js'),
  endDevice: join(PROJECT_ROOT, 'build/lab/end-device.js'),
} as const;

/** @throws with the way out, when a program has not been built */
export function requirePrograms(): void {
  const missing = Object.values(PROGRAMS).filter((file) => !existsSync(file));
  if (missing.length > 0) throw new Error(`${missing.join(', ')} not there; run: make build`);
}

function rootAbove(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  const parent = dirname(folder);
  if (parent === folder) throw new Error('no package.json above this program');
  return rootAbove(parent);
}
