import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../flow/project.js';

const FOLDER = join(PROJECT_ROOT, 'build/demo');

/** A fresh folder for this run. What runs that have ended left behind is removed; one that goes on keeps its own. */
export function freshFolder(): string {
  mkdirSync(FOLDER, { recursive: true });
  for (const name of readdirSync(FOLDER)) {
    const pid = /^run-(\d+)$/.exec(name)?.[1];
    if (pid === undefined || !existsSync(`/proc/${pid}`)) rmSync(join(FOLDER, name), { recursive: true });
  }
  return join(FOLDER, `run-${process.pid}`);
}
