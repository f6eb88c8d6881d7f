import { readFileSync } from 'node:fs';
import type { MemoryReport } from './reports.js';

/**
 * What the process holds now.
 * @param processStatus the system's status of this process (proc_pid_status(5))
 */
export function memoryReport(processStatus = '/proc/self/status'): MemoryReport {
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    residentBytes: rss,
    anonymousBytes: anonymousBytes(processStatus),
    heapUsedBytes: heapUsed,
    bufferBytes: arrayBuffers,
  };
}

function anonymousBytes(processStatus: string): number | null {
  try {
    const kib = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(processStatus, 'utf8'))?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  } catch {
    return null; // no such file on this system
  }
}

/**
 * Bytes that this process has had written to disks since its start, whatever it wrote (proc_pid_io(5)); null where the
 * system does not tell.
 */
export function writtenBytes(processIo = '/proc/self/io'): number | null {
  try {
    const bytes = /^write_bytes: (\d+)$/m.exec(readFileSync(processIo, 'utf8'))?.[1];
    return bytes === undefined ? null : Number(bytes);
  } catch {
    return null; // a kernel without CONFIG_TASK_IO_ACCOUNTING
  }
}
