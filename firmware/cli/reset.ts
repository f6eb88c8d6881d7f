import { closeSync, existsSync, fsyncSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROVISIONED_FILE, PROVISIONED_FOLDER, type Configuration } from '../config/index.js';
import { isLocked } from '../store/index.js';
import { DATABASE } from './migrate.js';

/** A file of this name in stateDir or storeDir has the next start reset the gateway first. */
export const RESET_MARK = 'factory-reset';

/** What a reset leaves in its place: words of the mark, and options of `dmgw factory-reset`. */
export const KEPT = ['keep-images', 'keep-provisioning'] as const;

export type Kept = Readonly<Partial<Record<(typeof KEPT)[number], boolean | undefined>>>;

type Places = Pick<Configuration, 'stateDir' | 'storeDir'>;

/** Whether a gateway has the database open. */
export function isInUse({ stateDir }: Places): boolean {
  const database = join(stateDir, DATABASE);
  return existsSync(database) && isLocked(database);
}

/**
 * Removes what the gateway has learnt; its configuration stays. What is cut off is to be done again: the marks go last.
 * @returns what was removed @throws the system's error
 */
export function reset(places: Places, kept: Kept): string[] {
  const removed = placesOf(places, kept).filter((path) => existsSync(path));
  for (const path of [...removed, ...marksOf(places)]) rmSync(path, { recursive: true, force: true });
  return removed;
}

/** Has the next start, or the next reload, reset the gateway. Durable when it returns. @throws the system's error */
export function markReset({ stateDir }: Places, kept: Kept): void {
  // Root may make it, and the gateway's own user reads it.
  const fd = openSync(join(stateDir, RESET_MARK), 'w', 0o644);
  writeFileSync(fd, KEPT.filter((word) => kept[word] === true).join(' '));
  fsyncSync(fd);
  closeSync(fd);
  const folder = openSync(stateDir, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/**
 * Resets the gateway where a mark asks for it and nobody else uses the database. An empty mark, as `touch` makes it,
 * keeps nothing.
 * @returns what was removed; undefined where nothing asks for it @throws the system's error
 */
export function resetIfMarked(places: Places): string[] | undefined {
  const mark = marksOf(places).find((path) => existsSync(path));
  if (mark === undefined || isInUse(places)) return undefined;
  const words = readFileSync(mark, 'utf8');
  return reset(places, Object.fromEntries(KEPT.map((word) => [word, words.includes(word)])));
}

/** Whether a reset is still to be done. */
export function isMarked(places: Places): boolean {
  return marksOf(places).some((path) => existsSync(path));
}

function marksOf({ stateDir, storeDir }: Places): string[] {
  return [stateDir, storeDir].map((folder) => join(folder, RESET_MARK));
}

/** Images first: without the database they would be found again, and a DM Server be told of a damage. */
function placesOf({ stateDir, storeDir }: Places, kept: Kept): string[] {
  const images = kept['keep-images'] === true ? [] : ['blobs', 'partial', 'rotten', 'seeded'];
  const provisioned = kept['keep-provisioning'] === true ? [] : [PROVISIONED_FILE, PROVISIONED_FOLDER];
  const databases = existsSync(stateDir) ? readdirSync(stateDir).filter((name) => name.startsWith(DATABASE)) : [];
  return [
    ...images.map((name) => join(storeDir, name)),
    ...[...databases, ...provisioned].map((name) => join(stateDir, name)),
  ];
}
