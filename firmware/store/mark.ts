import { rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { syncFile, syncFolder } from '../files/index.js';

/** A database is these files together, in the order in which they go aside. */
export const SUFFIXES = ['', '-wal', '-shm', '-journal'] as const;

/** The file that says that the database is to be replaced by an empty one, and in its text, why. */
export function markOf(file: string): string {
  return `${file}.fresh`;
}

/**
 * Has the next `openOrReplace` take an empty database. What an earlier damage set aside goes: one is kept.
 * @param damage what is wrong, one line; empty when there is no database
 * @throws the system's error
 */
export function markDamaged(file: string, damage: string): void {
  if (damage !== '') for (const suffix of SUFFIXES) rmSync(`${file}.corrupt${suffix}`, { force: true });
  writeFileSync(markOf(file), `${damage}\n`, { mode: 0o600 });
  syncFile(markOf(file));
  syncFolder(dirname(file));
}
