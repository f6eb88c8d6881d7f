import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../flow/project.js';
import { run } from './run.js';

/** Version of dmgw. */
export const VERSION = (JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')) as { version: string })
  .version;

/** Time of the sources in seconds since 1970, as the bundle has it: SOURCE_DATE_EPOCH, else the last commit. */
export function sourceEpochSeconds(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return Number(given);
  return Number(run('git', ['log', '-1', '--format=%ct'], { cwd: PROJECT_ROOT }).trim());
}
