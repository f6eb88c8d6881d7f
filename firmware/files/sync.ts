import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Makes the content of a file durable. @throws the system's error */
export function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes the names in a folder durable: a new file is durable only when the folder that names it is. */
export function syncFolder(folder: string): void {
  syncFile(folder);
}
