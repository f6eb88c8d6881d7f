import { readFileSync } from 'node:fs';

/** Memory of a process in bytes. RssAnon is what its own data takes; the rest of RSS is mapped program text. */
export interface ProcessMemory {
  readonly rssBytes: number;
  readonly rssAnonBytes: number;
  /** The kernel's own high-water mark of RSS (VmHWM). */
  readonly peakRssBytes: number;
}

/** What the memory of a process costs the whole machine beside RssAnon. */
export interface ProcessLoad {
  /** Shared pages are counted by the number of their users; null where the kernel does not tell. */
  readonly pssBytes: number | null;
  /** Pages that had to come from the disk, since its start. */
  readonly majorFaults: number;
  /** What TCP sockets of the whole machine hold in the kernel. */
  readonly socketBytes: number;
}

const PAGE_BYTES = 4096;
/** Field of /proc/PID/stat behind the name in parentheses, as below. */
const MAJOR_FAULTS = 12 - 3;

/** Undefined when the process has gone. */
export function loadOf(pid: number | 'self'): ProcessLoad | undefined {
  const fields = statOf(pid);
  if (!fields) return undefined;
  const pss = /^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`) ?? '')?.[1];
  const pages = /^TCP: .* mem (\d+)/m.exec(read('/proc/net/sockstat') ?? '')?.[1];
  return {
    pssBytes: pss === undefined ? null : Number(pss) * 1024,
    majorFaults: Number(fields[MAJOR_FAULTS]),
    socketBytes: Number(pages ?? 0) * PAGE_BYTES,
  };
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
  const fields = statOf(pid);
  return fields && ((Number(fields[UTIME]) + Number(fields[STIME])) * 1000) / TICKS_PER_SECOND;
}

/** Fields of /proc/PID/stat behind the name in parentheses (proc_pid_stat(5)). */
function statOf(pid: number | 'self'): string[] | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/**
 * Bytes that a process has had written to the disk so far (proc_pid_io(5)): what its writes made dirty in the page cache
 * counts, whoever flushes it. Undefined when it has gone, or belongs to another user.
 */
export function writtenBytesOf(pid: number | 'self'): number | undefined {
  const bytes = /^write_bytes: (\d+)$/m.exec(read(`/proc/${pid}/io`) ?? '')?.[1];
  return bytes === undefined ? undefined : Number(bytes);
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
