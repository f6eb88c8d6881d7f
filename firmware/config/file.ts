import { isUtf8 } from 'node:buffer';
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import { describeThrown, success, type Outcome } from '../outcome/index.js';
import { refuse, type ConfigurationError } from './errors.js';
import { readJson } from './json.js';

/** Who may read a file, and whose it is. */
export interface FileRights {
  readonly mode: number;
  readonly ownerUid: number;
}

/** A file with the rights it was read under. */
export interface ReadFile extends FileRights {
  readonly value: unknown;
}

/** Larger files are refused: room for 10,000 devices. */
const MAX_FILE_BYTES = 8 * 1024 * 1024;

/** Reads one JSON file of the configuration. Fails with `unreadable` or `syntax`. */
export function readConfigurationFile(file: string): Outcome<ReadFile, ConfigurationError> {
  let fd: number | undefined;
  try {
    // Without O_NONBLOCK a FIFO would stop us here.
    fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK);
    return readOpen(file, fd, fstatSync(fd));
  } catch (thrown) {
    return refuse('unreadable', file, [], `cannot be read (${describeThrown(thrown)})`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function readOpen(file: string, fd: number, stats: Stats): Outcome<ReadFile, ConfigurationError> {
  if (!stats.isFile()) return refuse('unreadable', file, [], 'is not a file; expected a JSON file');
  if (stats.size > MAX_FILE_BYTES) {
    return refuse('unreadable', file, [], `has ${stats.size} bytes; expected at most ${MAX_FILE_BYTES}`);
  }
  const bytes = readFileSync(fd);
  if (!isUtf8(bytes)) return refuse('syntax', file, [], 'is not UTF-8; expected JSON in UTF-8');
  const json = readJson(bytes.toString('utf8'));
  if (!json.ok) {
    const { line, column, text } = json.error;
    return refuse('syntax', file, [], `line ${line}, column ${column}: ${text}`);
  }
  if (typeof json.value !== 'object' || json.value === null || Array.isArray(json.value)) {
    return refuse('syntax', file, [], 'is not a configuration; expected an object { ... }');
  }
  return success({ value: json.value, mode: stats.mode & 0o7777, ownerUid: stats.uid });
}

/**
 * Refuses a file with secrets that others than its owner can reach, or that belongs to somebody else.
 * @param uid who reads it: root may read those of every user, as of the gateway's own
 */
export function checkSecrecy(file: string, rights: FileRights, uid: number): Outcome<undefined, ConfigurationError> {
  if ((rights.mode & 0o077) !== 0) {
    const mode = rights.mode.toString(8).padStart(4, '0');
    return refuse('exposed', file, [], `holds secrets and has mode ${mode}; expected 0600 (chmod 600 ${file})`);
  }
  if (uid !== 0 && rights.ownerUid !== uid && rights.ownerUid !== 0) {
    const reason = `holds secrets and belongs to user ${rights.ownerUid}; expected user ${uid} or root (chown ${uid} ${file})`;
    return refuse('exposed', file, [], reason);
  }
  return success();
}
