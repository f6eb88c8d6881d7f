import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { formatTable } from '../../firmware/ops/index.js';
import { PROJECT_ROOT } from '../flow/project.js';

/** A table of results: what a row is called stands in its first cell. */
export interface ResultTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Shows a table, with an empty line before it. */
export function showTable(out: NodeJS.WritableStream, { head, rows }: ResultTable): void {
  out.write(`\n${formatTable(head, rows).join('\n')}\n`);
}

/** One figure of a benchmark, and what it should be. */
export interface Verdict {
  readonly figure: string;
  readonly measured: string;
  /** Empty for what is reported only. */
  readonly target: string;
  /** Null for what is reported only. */
  readonly met: boolean | null;
}

/** A figure that should be at most so much. @param show gives it its unit */
export function atMost(figure: string, value: number, target: number, show: (value: number) => string): Verdict {
  return { figure, measured: show(value), target: `at most ${show(target)}`, met: value <= target };
}

/** A figure without a target. */
export function reported(figure: string, measured: string): Verdict {
  return { figure, measured, target: '', met: null };
}

/** `met` or `MISSED`; empty for what is reported only. */
export function wordOf({ met }: Verdict): string {
  return met === null ? '' : met ? 'met' : 'MISSED';
}

/** Shows the figures beside their targets. @returns the exit code of the benchmark: 1 where a target is missed, else 0 */
export function showVerdicts(out: NodeJS.WritableStream, verdicts: readonly Verdict[]): 0 | 1 {
  showTable(out, {
    head: ['FIGURE', 'MEASURED', 'TARGET', ''],
    rows: verdicts.map((verdict) => [verdict.figure, verdict.measured, verdict.target, wordOf(verdict)]),
  });
  return verdicts.some(({ met }) => met === false) ? 1 : 0;
}

/** Where and on what it was measured: figures mean nothing without. */
export interface Circumstances {
  readonly time: string;
  /** Of the sources; `+` behind it: with changes that are not committed. */
  readonly commit: string;
  readonly node: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  /** Of the measured process. */
  readonly nodeFlags: readonly string[];
}

export function circumstances(nodeFlags: readonly string[]): Circumstances {
  const processors = cpus();
  return {
    time: new Date().toISOString(),
    commit: `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`,
    node: process.version,
    kernel: release(),
    cpu: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    nodeFlags,
  };
}

/** Writes `build/bench-NAME.json`: the circumstances and the results, numbers without units formatted in. @returns the file */
export function writeReport(name: string, measuredIn: Circumstances, results: object): string {
  const file = join(PROJECT_ROOT, 'build', `bench-${name}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ benchmark: name, ...measuredIn, results }, undefined, 2)}\n`);
  return file;
}

/** Empty outside a clone. */
function git(...args: string[]): string {
  try {
    return execFileSync('git', args, {
      cwd: PROJECT_ROOT,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}
