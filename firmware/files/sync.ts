import { close, closeSync, fsync, fsyncSync, open, openSync } from 'node:fs';
import { promisify } from 'node:util';

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

/** As `syncFolder`, beside the event loop. */
export async function flushFolder(folder: string): Promise<void> {
  const fd = await promisify(open)(folder, 'r');
  try {
    await promisify(fsync)(fd);
  } finally {
    await promisify(close)(fd);
  }
}
