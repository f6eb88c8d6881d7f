import {
  close,
  fdatasync,
  fsync,
  ftruncate,
  mkdir,
  mkdirSync,
  open,
  read,
  readdir,
  readdirSync,
  readSync,
  rename,
  stat,
  statfs,
  statfsSync,
  statSync,
  unlink,
  write,
  type Stats,
  type StatsFs,
} from 'node:fs';
import { inPool } from '../files/index.js';
import { native } from '../native/index.js';
import { systemErrorCode } from '../outcome/index.js';

/**
 * What this room asks of a file system. Everything but what ends with `Now` runs in the thread pool, so that a slow disk
 * does not hold the event loop; what does asks for what the system is likely to have in memory. Failures reject with the system's error.
 */
export interface Disk {
  /** Creates the folder and its parents, readable by this user only. */
  makeFolder(path: string): Promise<void>;
  list(folder: string): Promise<string[]>;
  /** These two are for the start, when nobody is served yet: threads that it does not need are not made. */
  makeFolderNow(path: string): void;
  listNow(folder: string): string[];
  /** Bytes of a file; undefined when there is none. */
  size(path: string): Promise<number | undefined>;
  sizeNow(path: string): number | undefined;
  /** Bytes that this process may still write to the file system of `path`. */
  freeBytes(path: string): Promise<number>;
  freeBytesNow(path: string): number;
  /** @param how `read`, `update` (made when missing, content kept) or `replace` (made or emptied) */
  open(path: string, how: 'read' | 'update' | 'replace'): Promise<number>;
  close(fd: number): Promise<void>;
  /** Reads at most `length` bytes at `position` to the start of `buffer`; 0 at the end of the file. */
  read(fd: number, buffer: Buffer, length: number, position: number): Promise<number>;
  /** As `read`, but at once, on the event loop: for bytes that the page cache is likely to hold. */
  readNow(fd: number, buffer: Buffer, length: number, position: number): number;
  /**
   * Sends at most `length` bytes at `position` to a connection, as many as both give at once, without a copy: see
   * `Native.sendFile`.
   * @returns bytes; 0 when the connection takes none now, `cold` when the first is to be read from the disk
   */
  sendNow(fd: number, socket: number, length: number, position: number): number | 'cold';
  /** Writes all of `bytes` at `position`, however many system calls it takes. */
  write(fd: number, bytes: Uint8Array, position: number): Promise<void>;
  truncate(fd: number, length: number): Promise<void>;
  /** Flushes the content (fdatasync). */
  flushData(fd: number): Promise<void>;
  /** Flushes content and metadata (fsync). */
  flush(fd: number): Promise<void>;
  /** Makes the names in a folder durable. */
  flushFolder(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; one that is missing is fine. */
  remove(path: string): Promise<void>;
}

/** Only the gateway's user reads and writes what it stores. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

const OPEN_FLAGS = { read: 'r', replace: 'w+' } as const;

const openFile = (path: string, flags: string): Promise<number> =>
  inPool<number>((done) => open(path, flags, FILE_MODE, done));

/** The machine's file system. */
export const systemDisk: Disk = {
  async makeFolder(path) {
    await inPool<unknown>((done) => mkdir(path, { recursive: true, mode: FOLDER_MODE }, done));
  },
  makeFolderNow: (path) => void mkdirSync(path, { recursive: true, mode: FOLDER_MODE }),
  list: (folder) => inPool<string[]>((done) => readdir(folder, done)),
  listNow: (folder) => readdirSync(folder),
  async size(path) {
    try {
      return (await inPool<Stats>((done) => stat(path, done))).size;
    } catch (thrown) {
      if (systemErrorCode(thrown) === 'ENOENT') return undefined;
      throw thrown;
    }
  },
  sizeNow: (path) => statSync(path, { throwIfNoEntry: false })?.size,
  async freeBytes(path) {
    const { bavail, bsize } = await inPool<StatsFs>((done) => statfs(path, done));
    return bavail * bsize;
  },
  freeBytesNow(path) {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  },
  async open(path, how) {
    if (how !== 'update') return openFile(path, OPEN_FLAGS[how]);
    try {
      return await openFile(path, 'r+');
    } catch (thrown) {
      if (systemErrorCode(thrown) === 'ENOENT') return openFile(path, 'wx+');
      throw thrown;
    }
  },
  close: (fd) => inPool((done) => close(fd, done)),
  read: (fd, buffer, length, position) => inPool<number>((done) => read(fd, buffer, 0, length, position, done)),
  readNow: (fd, buffer, length, position) => readSync(fd, buffer, 0, length, position),
  sendNow(fd, socket, length, position) {
    const taken = native().sendFile(socket, fd, position, length);
    // A file that cannot be sent so can be read, and a broken connection meets the write that follows.
    return taken < 0 ? 'cold' : taken;
  },
  write: (fd, bytes, position) =>
    new Promise((resolve, reject) => {
      const writeFrom = (start: number): void => {
        write(fd, bytes, start, bytes.length - start, position + start, (error, written) => {
          if (error) reject(error);
          else if (start + written < bytes.length) writeFrom(start + written);
          else resolve();
        });
      };
      writeFrom(0);
    }),
  truncate: (fd, length) => inPool((done) => ftruncate(fd, length, done)),
  flushData: (fd) => inPool((done) => fdatasync(fd, done)),
  flush: (fd) => inPool((done) => fsync(fd, done)),
  async flushFolder(path) {
    const fd = await openFile(path, 'r');
    try {
      await systemDisk.flush(fd);
    } finally {
      await systemDisk.close(fd);
    }
  },
  rename: (from, to) => inPool((done) => rename(from, to, done)),
  async remove(path) {
    try {
      await inPool((done) => unlink(path, done));
    } catch (thrown) {
      if (systemErrorCode(thrown) !== 'ENOENT') throw thrown;
    }
  },
};

/** True for the errors that say that the disk or the quota of the user is full. */
export function isDiskFull(thrown: unknown): boolean {
  const code = systemErrorCode(thrown);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
}
