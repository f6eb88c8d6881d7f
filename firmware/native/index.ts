import { createRequire } from 'node:module';

/**
 * What `native.c` does for the gateway: the two things that cost most and that Node.js has no way to do.
 */
export interface Native {
  /**
   * Sends bytes of a file to a connection, without copying them and without waiting for the disk or the connection
   * (sendfile(2)). Both are file descriptors.
   * @returns bytes taken; 0 when the connection takes none now, `NOT_IN_MEMORY` when the page cache does not hold the
   *   first, anything below that on a failure
   */
  sendFile(socket: number, file: number, position: number, length: number): number;
  /** SHA-256 in the thread pool; undefined where the program has no OpenSSL that can be found. */
  readonly makeHash?: () => NativeHash;
  /** One at a time for each hash; until `done`, nobody writes to the bytes. */
  readonly addToHash?: (hash: NativeHash, bytes: Uint8Array, done: (failed: boolean) => void) => void;
  /** Its 32 bytes; once, and when no addition is on its way. */
  readonly endHash?: (hash: NativeHash) => Buffer;
}

declare const nativeHash: unique symbol;
/** A running SHA-256 of the native part. */
export interface NativeHash {
  readonly [nativeHash]: true;
}

/** See `Native.sendFile`. */
export const NOT_IN_MEMORY = -1;

/** Beside the program. */
export const NATIVE_FILE = './dmgw-native.node';

const load = createRequire(import.meta.url);
let loaded: Native | undefined;

/** The native part, loaded by the first who asks. Throws when it is not there, or not for this machine. */
export function native(): Native {
  loaded ??= load(NATIVE_FILE) as Native;
  return loaded;
}
