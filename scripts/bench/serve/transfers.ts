import { cpuMsOf } from '../proc.js';
import { median } from '../statistics.js';
import { runClients, type Taken } from './client.js';
import type { Contender } from './servers.js';

const GIB = 1024 ** 3;

/** One run of some clients against a server. */
export interface Transfer {
  readonly wallMs: number;
  readonly bytes: number;
  readonly repliesPerSecond: number;
  /** Null where nobody can tell: a process for each connection. */
  readonly cpuMsPerGib: number | null;
  readonly clientCpuMsPerGib: number;
}

/** Runs clients against a server, and what it cost the server. */
export async function transfer(server: Contender, ...words: readonly (string | number)[]): Promise<Transfer> {
  const before = cpuOf(server);
  const taken: Taken = await runClients(server.place, ...words);
  const after = cpuOf(server);
  const gib = taken.bytes / GIB;
  return {
    wallMs: taken.wallMs,
    bytes: taken.bytes,
    repliesPerSecond: (taken.replies * 1000) / taken.wallMs,
    cpuMsPerGib: before === null || after === null ? null : (after - before) / gib,
    clientCpuMsPerGib: taken.cpuMs / gib,
  };
}

/** Median over the rounds of one figure beside another of the same round. */
export function ratio(
  own: readonly Transfer[],
  other: readonly Transfer[],
  figure: (run: Transfer) => number | null,
): number | null {
  const ratios = own.flatMap((run, round) => {
    const [a, b] = [figure(run), other[round] && figure(other[round])];
    return a === null || b === null || b === undefined ? [] : [a / b];
  });
  return ratios.length === 0 ? null : median(ratios);
}

function cpuOf(server: Contender): number | null {
  return server.processes()?.reduce((sum, pid) => sum + (cpuMsOf(pid) ?? 0), 0) ?? null;
}
