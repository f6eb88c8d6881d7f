import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describeThrown } from '../outcome/index.js';

/**
 * What the part in C does for the gateway: the things that cost most and that Node.js has no way to do.
 */
export interface Native {
  /**
   * Sends bytes of a file to a connection, without copying them (sendfile(2)). Both are file descriptors; the connection's
   * does not block. The disk is not waited for either, but when memory is so short that a page goes right after it was
   * seen to be there.
   * @returns bytes taken; 0 when the connection takes none now or the file ends, `NOT_IN_MEMORY` when the page cache does
   *   not hold the first or cannot be asked, anything below that on a failure
   */
  readonly sendFile: (socket: number, file: number, position: number, length: number) => number;
  /**
   * Bytes given to a TCP connection, by its file descriptor, that the other side's kernel has not acknowledged; our end of it
   * counts as one more (SIOCOUTQ, tcp(7)).
   * @returns below 0 on a failure
   */
  readonly unacknowledged: (socket: number) => number;
  /**
   * Sends one datagram to an IP address, now.
   * @returns false when the kernel does not take it now, or `host` is no address, or one with a zone: to send it with Node.js
   *   waits, or tells what is wrong
   */
  readonly sendDatagram: (host: string, port: number, bytes: Uint8Array) => boolean;
  /**
   * Ends the process at once (_exit(2)). Node.js's own exit waits for what is in the thread pool, which a disk that does not
   * answer holds for ever. What was written to standard error is out. Throws without a code.
   */
  readonly end: (code: number) => never;
  /** 64 bits of both, against rot alone; the same on each machine of one byte order. Throws for what are no bytes. */
  readonly checksum: (first: Uint8Array, second: Uint8Array) => bigint;
  /** SHA-256 in a thread of its own; undefined where the program has no OpenSSL that can be found. */
  readonly makeHash?: () => NativeHash;
  /** Adds bytes after those of earlier calls. Throws after its end. Until `done`, nobody writes to the bytes. */
  readonly addToHash?: (hash: NativeHash, bytes: Uint8Array, done: (failed: boolean) => void) => void;
  /** Its 32 bytes. Throws the second time, and while additions to it are on their way. */
  readonly endHash?: (hash: NativeHash) => Buffer;
}

declare const nativeHash: unique symbol;
/** A running SHA-256 of the native part. */
export interface NativeHash {
  readonly [nativeHash]: true;
}

/** See `Native.sendFile`. */
export const NOT_IN_MEMORY = -1;

/** Beside the program, as `NATIVE.node`. */
export const NATIVE = 'dmgw-native';

/**
 * Loads what lies outside the bundle, an addon or a module of Node.js, by the time it is needed: as a program beside this
 * one would. Throws as `require` does.
 */
export const loadOutside = /* @__PURE__ */ createRequire(import.meta.filename) as (name: string) => unknown;

/**
 * The addons, but for mdns: none of them may be missing, though libxmljs2 is loaded by the first document that needs it. By the
 * file of each, as the JavaScript of their packages is ten files that Node.js looks for in several places: a tenth of the start.
 */
const FILES = {
  'better-sqlite3': 'node_modules/better-sqlite3/build/Release/better_sqlite3.node',
  libxmljs2: 'node_modules/libxmljs2/build/Release/xmljs.node',
  'dmgw-native': `${NATIVE}.node`,
} as const;

export type AddonName = keyof typeof FILES;
export const ADDONS = /* @__PURE__ */ Object.keys(FILES) as AddonName[];

/** An addon that is not there, or not for this Node.js: no later try would do better. One line for a person. */
export class AddonError extends Error {
  constructor(name: string, reason: unknown) {
    super(`${name} does not load on Node.js ${process.version} (${describeThrown(reason)})`);
  }
}

/** @throws AddonError, for another addon in the place of `NATIVE` too */
export function loadAddon(name: AddonName): unknown {
  try {
    const addon = open(name);
    // It has the youngest of our functions.
    if (name === NATIVE && !(addon as Partial<Native>).end) throw new Error('another addon');
    return addon;
  } catch (thrown) {
    throw new AddonError(name, thrown);
  }
}

/** Whether each of them loads, also those that a start has no need of. @throws AddonError */
export function loadAddons(): void {
  for (const name of ADDONS) loadAddon(name);
}

/** The native part, or what lies in its place. @throws the system's error */
export const openNative = (): Partial<Native> => open(NATIVE) as Partial<Native>;

const opened = new Map<AddonName, unknown>();

/**
 * As `require` would, which looks for a file in more places and takes longer to find an addon than to load it. Once: an addon
 * that is not of Node-API registers itself when its file is opened for the first time only.
 */
function open(name: AddonName): unknown {
  const before = opened.get(name);
  if (before !== undefined) return before;
  const addon: { readonly exports: unknown } = { exports: {} };
  process.dlopen(addon, fileOf(name));
  opened.set(name, addon.exports);
  return addon.exports;
}

/** The part in C lies beside this program; the others may lie in a folder above it, where `require` would find them too. */
function fileOf(name: AddonName): string {
  const beside = import.meta.dirname;
  if (name === NATIVE) return join(beside, FILES[name]);
  for (let folder = beside; folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, FILES[name]);
    if (existsSync(file)) return file;
  }
  return join(beside, FILES[name]);
}

let loaded: Native | undefined;

/** The native part, loaded by the first who asks. @throws AddonError */
export const native = (): Native => (loaded ??= loadAddon(NATIVE) as Native);
