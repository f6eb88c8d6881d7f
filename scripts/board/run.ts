import { spawnSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

export interface RunOptions {
  readonly cwd?: string;
  /** Added to this process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Takes what the program prints; without it that is returned. */
  readonly logFile?: string;
  /** It is killed then; without it it may take as long as it likes. */
  readonly timeoutMs?: number;
}

const SHOWN_LINES = 15;

/**
 * Runs a program to its end and returns what it printed on standard output.
 * @throws with the end of what it printed when it fails or cannot be started
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): string {
  const { cwd, env, logFile, timeoutMs } = options;
  const log = logFile === undefined ? undefined : openSync(logFile, 'w');
  const done = spawnSync(program, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', log ?? 'pipe', log ?? 'pipe'],
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  if (log !== undefined) closeSync(log);
  if (done.status === 0) return logFile === undefined ? done.stdout : '';
  const printed = logFile === undefined ? `${done.stdout}${done.stderr}` : readFileSync(logFile, 'utf8');
  const end = printed.trimEnd().split('\n').slice(-SHOWN_LINES).join('\n');
  const how = done.error?.message ?? `ended with ${done.signal ?? `exit code ${done.status ?? 'none'}`}`;
  throw new Error(`${program} ${how}${logFile === undefined ? '' : `, all of it in ${logFile}`}\n${end}`);
}
