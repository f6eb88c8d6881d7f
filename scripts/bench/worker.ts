import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from '../flow/child.js';
import { PROJECT_ROOT } from '../flow/project.js';

export interface WorkerOptions<Line> {
  /** Of its log, `build/NAME.log`. */
  readonly name: string;
  /** Bundle to run, relative to the project: `build/bench/dm-worker.js`. */
  readonly program: string;
  readonly args?: readonly string[];
  readonly nodeFlags: readonly string[];
  /** Told of each JSON line of the worker's standard output behind its first. */
  readonly onLine?: (line: Line) => void;
}

/**
 * Runs what is measured in a process of its own, so that nothing of the benchmark is in its figures. The worker writes
 * JSON lines on standard output: the first once it has started, then whatever it has to tell; it ends by itself.
 * @param meanwhile called when it has started, with its process id: to watch it from outside
 * @throws with the end of its log when it does not end with code 0
 */
export async function runWorker<Line>(
  options: WorkerOptions<Line>,
  meanwhile: (pid: number) => void = () => {},
): Promise<void> {
  const { name, program, args = [], nodeFlags, onLine } = options;
  const logFile = join(PROJECT_ROOT, 'build', `${name}.log`);
  rmSync(logFile, { force: true });
  const child = new Child({
    name,
    command: [process.execPath, ...nodeFlags, join(PROJECT_ROOT, program), ...args],
    logFile,
    onLine: (line) => onLine?.(JSON.parse(line) as Line),
  });
  await child.ready();
  meanwhile(child.pid);
  const { code } = await child.ended;
  await child.drained;
  if (code !== 0) throw new Error(child.describe('failed'));
}

/** For the worker: one JSON line. */
export function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
