import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { memoryOf, writtenBytesOf } from '../proc.js';
import type { Cost } from './cost.js';

const SAMPLE_MS = 10;

/**
 * Runs a command of the shell and looks at it, and at what it starts, from outside.
 * @throws when it does not end with 0
 */
export async function runCommand(command: string): Promise<Cost> {
  // The shell itself knows the processor time of what it has waited for, to the millisecond.
  const startMs = performance.now();
  const shell = spawn('/bin/sh', ['-c', `set -e; ${command}; times >&2`], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  shell.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  const peak = { rss: 0, anon: 0 };
  const written = new Map<number, number>();
  const look = setInterval(() => {
    for (const pid of childrenOf(shell.pid ?? 0)) {
      const memory = memoryOf(pid);
      peak.rss = Math.max(peak.rss, memory?.peakRssBytes ?? 0);
      peak.anon = Math.max(peak.anon, memory?.rssAnonBytes ?? 0);
      written.set(pid, writtenBytesOf(pid) ?? written.get(pid) ?? 0);
    }
  }, SAMPLE_MS);
  const code = await new Promise<number | null>((resolve) => shell.once('close', resolve));
  const wallMs = performance.now() - startMs;
  clearInterval(look);
  if (code !== 0) throw new Error(`'${command}' ends with ${code ?? 'a signal'}: ${said.trim()}`);
  const writtenBytes = [...written.values()].reduce((sum, bytes) => sum + bytes, 0);
  return { wallMs, cpuMs: childTimesMs(said), peakRssBytes: peak.rss, peakRssAnonBytes: peak.anon, writtenBytes };
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // it has ended
  }
}

/** The second line of what `times` says (POSIX): user and system time of the children, as 0m1.234s 0m0.567s. */
function childTimesMs(said: string): number {
  const times = [...(said.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
  return times.reduce((sum, [, minutes, seconds]) => sum + (Number(minutes) * 60 + Number(seconds)) * 1000, 0);
}
