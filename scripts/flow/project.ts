import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the project: the nearest folder above this file, as source or as bundle, that has a package.json. */
export const PROJECT_ROOT = rootAbove(dirname(fileURLToPath(import.meta.url)));

/** Node.js that runs the gateway: the lab's own, or that of a board (LAB_NODE). */
export const GATEWAY_NODE = process.env.LAB_NODE ?? process.execPath;

/** The lab waits so many times longer for what it waits for (LAB_PATIENCE): an emulator takes its time. */
export const PATIENCE = Number(process.env.LAB_PATIENCE ?? 1);

/** The programs as they are built; LAB_GATEWAY: the gateway as it was built for a board. */
export const PROGRAMS = {
  gateway: process.env.LAB_GATEWAY ?? join(PROJECT_ROOT, 'build/dmgw.cjs'),
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
