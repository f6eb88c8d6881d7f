import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A memory cgroup made for one run: the kernel kills what goes beyond its limit. */
export interface MemoryCgroup {
  /** Processes that write themselves into its cgroup.procs belong to it. */
  readonly folder: string;
  /** Most that it held, page cache included; undefined where the kernel does not tell. */
  peakBytes(): number | undefined;
  /** To be called when its processes have ended. */
  remove(): void;
}

const ROOT = '/sys/fs/cgroup';

/** Where the memory controller is, and what its files are called: version 2, or version 1. */
const VERSIONS = [
  { parent: ROOT, marker: join(ROOT, 'cgroup.controllers'), limit: 'memory.max', peak: 'memory.peak' },
  {
    parent: join(ROOT, 'memory'),
    marker: join(ROOT, 'memory/memory.limit_in_bytes'),
    limit: 'memory.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
  },
];

/** @throws with one line when this machine, or this user, cannot have one */
export function createMemoryCgroup(mib: number): MemoryCgroup {
  const version = VERSIONS.find(({ marker }) => existsSync(marker));
  if (!version) throw new Error(`CGROUP_MB=${mib}: there is no memory controller below ${ROOT}`);
  const folder = join(version.parent, `dmgw-demo-${process.pid}`);
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, version.limit), String(mib * 1024 * 1024));
  } catch (thrown) {
    if (existsSync(folder)) rmdirSync(folder);
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new Error(`CGROUP_MB=${mib}: no memory cgroup can be made here (${reason}); it takes root`, {
      cause: thrown,
    });
  }
  return {
    folder,
    peakBytes: () => {
      const file = join(folder, version.peak);
      return existsSync(file) ? Number(readFileSync(file, 'utf8')) : undefined;
    },
    remove: () => {
      if (existsSync(folder)) rmdirSync(folder);
    },
  };
}
