import { closeSync, fchownSync, fsyncSync, openSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncFolder } from './sync.js';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Who is to have what root writes: the folder's owner, for a gateway has a user of its own. Undefined: whoever writes has it. */
export function ownerBelow(folder: string): Owner | undefined {
  return process.getuid?.() === 0 ? statSync(folder) : undefined;
}

/**
 * Writes a small file; a power cut leaves it as it was, or as it shall be. It goes through `<path>.new`. A link at either
 * name is replaced, never followed: the folder may belong to somebody with less rights.
 * @param mode by default for its owner only
 * @param owner whose it becomes, which needs the rights of root; by default whoever writes
 * @throws the system's error, with the file as it was
 */
export function writeDurably(path: string, content: string | Uint8Array, mode = 0o600, owner?: Owner): void {
  const draft = `${path}.new`;
  rmSync(draft, { force: true });
  try {
    const fd = openSync(draft, 'wx', mode);
    try {
      if (owner) fchownSync(fd, owner.uid, owner.gid);
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
