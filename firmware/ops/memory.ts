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
