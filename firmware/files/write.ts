import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from './sync.js';

/**
 * Writes a small file; a power cut leaves it as it was, or as it shall be. It goes through `<path>.new`. A link at either
 * name is replaced, never followed: the folder may belong to somebody with less rights.
 * @param mode whatever the umask; by default for its owner only
 * @throws the system's error, with the file as it was
 */
export function writeDurably(path: string, content: string | Uint8Array, mode = 0o600): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  try {
    const fd = openSync(draft, 'wx', 0o600);
    try {
      fchmodSync(fd, mode);
      writeFileSync(fd, content);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, path);
  } catch (thrown) {
    rmSync(draft, { force: true });
    throw thrown;
  }
  syncFolder(dirname(path));
}
