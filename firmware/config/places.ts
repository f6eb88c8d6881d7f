import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  statfsSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { syncFolder } from '../files/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { isBelow } from './checks.js';
import type { Configuration } from './schema/index.js';

export type PlaceErrorCode =
  | 'not-mounted' // requireMount is not a mount point (yet)
  | 'in-memory' // tmpfs or ramfs, and not `volatile`
  | 'not-a-folder' // something else has this name
  | 'not-writable'; // cannot be made, or not be written in

export type PlaceError = CodedError<PlaceErrorCode>;

/** `f_type` of file systems that forget (Linux magic.h). */
const IN_MEMORY: ReadonlyMap<bigint, string> = new Map([
  [0x01021994n, 'tmpfs'],
  [0x858458f6n, 'ramfs'],
]);

type Places = Pick<Configuration, 'stateDir' | 'storeDir' | 'volatile' | 'requireMount'>;

/**
 * Makes stateDir and storeDir ready: mounted, on a file system that remembers, there (made with mode 0700), writable.
 * @param mountInfo the system's table of mounts (proc_pid_mountinfo(5))
 */
export function preparePlaces(places: Places, mountInfo = '/proc/self/mountinfo'): Outcome<undefined, PlaceError> {
  for (const key of ['stateDir', 'storeDir'] as const) {
    const folder = places[key];
    const { requireMount } = places;
    if (requireMount !== undefined && isBelow(folder, requireMount) && !isMountPoint(requireMount, mountInfo)) {
      return failure('not-mounted', `requireMount: nothing is mounted on ${requireMount}, which ${key} needs`);
    }
    const prepared = prepareFolder(key, folder, places.volatile);
    if (!prepared.ok) return prepared;
  }
  return success();
}

function prepareFolder(key: string, folder: string, volatile: boolean): Outcome<undefined, PlaceError> {
  try {
    const memory = volatile ? undefined : inMemory(folder);
    if (memory !== undefined) {
      const reason = `${folder} is on ${memory} and is lost at a reboot; expected a disk, or volatile set to true`;
      return failure('in-memory', `${key}: ${reason}`);
    }
    makeFolder(folder);
    const probe = join(folder, `.dmgw-probe-${process.pid}`);
    const fd = openSync(probe, 'w', 0o600);
    try {
      writeSync(fd, 'probe');
    } finally {
      closeSync(fd);
      unlinkSync(probe);
    }
    return success();
  } catch (thrown) {
    const code = systemErrorCode(thrown);
    if (code === 'EEXIST' || code === 'ENOTDIR') {
      return failure('not-a-folder', `${key}: a file stands where the folder ${folder} should be`, thrown);
    }
    return failure('not-writable', `${key}: ${folder} cannot be written (${describeThrown(thrown)})`, thrown);
  }
}

/**
 * Makes a folder and those above it. Not `recursive` of Node.js, which never returns where the kernel answers ENOENT
 * below a folder that exists (/proc).
 */
function makeFolder(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(folder) !== folder) makeFolder(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
  // Nothing in it is durable before its name is.
  syncFolder(dirname(folder));
}

/** The memory file system that a folder is on, or would be made on; undefined for any other. */
function inMemory(folder: string): string | undefined {
  const { type } = statfsSync(nearestExisting(folder), { bigint: true });
  // On 32-bit systems the kernel's long is negative for magic numbers above 2^31.
  return IN_MEMORY.get(BigInt.asUintN(32, type));
}

function nearestExisting(path: string): string {
  const parent = dirname(path);
  return parent === path || statSync(path, { throwIfNoEntry: false }) ? path : nearestExisting(parent);
}

function isMountPoint(path: string, mountInfo: string): boolean {
  // In a container the root may stand in no table.
  if (path === '/') return true;
  let real: string;
  try {
    real = realpathSync(path);
  } catch {
    return false; // not even the folder is there
  }
  return readFileSync(mountInfo, 'utf8')
    .split('\n')
    .some((line) => unescapeMount(line.split(' ')[4] ?? '') === real);
}

/** Space, tab, line end and backslash stand as octal numbers in the table of mounts. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
