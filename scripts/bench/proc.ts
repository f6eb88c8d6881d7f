import { readFileSync } from 'node:fs';

/** Memory of a process in bytes. RssAnon is what its own data takes; the rest of RSS is mapped program text. */
export interface ProcessMemory {
  readonly rssBytes: number;
  readonly rssAnonBytes: number;
  /** The kernel's own high-water mark of RSS (VmHWM). */
  readonly peakRssBytes: number;
}

/** Memory of a process by /proc (proc_pid_status(5)); undefined when the process has gone. */
export function memoryOf(pid: number | 'self'): ProcessMemory | undefined {
  const status = read(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  const bytesOf = (key: string): number => {
    return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  };
  return { rssBytes: bytesOf('VmRSS'), rssAnonBytes: bytesOf('RssAnon'), peakRssBytes: bytesOf('VmHWM') };
}

/** USER_HZ of every architecture that Linux runs Node.js on: what the times in /proc count in. */
const TICKS_PER_SECOND = 100;
/** Fields of /proc/PID/stat behind the name in parentheses: the third of all is the first of these. */
const UTIME = 14 - 3;
const STIME = 15 - 3;

/** CPU time of a process so far, user and system, in ms; undefined when it has gone. Counted in steps of 10 ms. */
export function cpuMsOf(pid: number | 'self'): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields && ((Number(fields[UTIME]) + Number(fields[STIME])) * 1000) / TICKS_PER_SECOND;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
