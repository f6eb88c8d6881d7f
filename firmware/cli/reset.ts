import { existsSync, lstatSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PROVISIONED_FILE, PROVISIONED_FOLDER, type Places } from '../config/index.js';
import { asOwnerOf, syncFolder, writeDurably, type OwnerError } from '../files/index.js';
import { success, type Outcome } from '../outcome/index.js';
import { isLocked } from '../store/index.js';
import { DATABASE } from './migrate.js';

/** A file of this name in stateDir or storeDir has the next start reset the gateway first. */
export const RESET_MARK = 'factory-reset';

/** What a reset leaves in its place: words of the mark, and options of `dmgw factory-reset`. */
export const KEPT = ['keep-images', 'keep-provisioning'] as const;

export type Kept = Readonly<Partial<Record<(typeof KEPT)[number], boolean | undefined>>>;

type Folders = Pick<Places, 'stateDir' | 'storeDir'>;

/** Whether a gateway has the database open. */
export function isInUse({ stateDir }: Folders): boolean {
  const database = join(stateDir, DATABASE);
  return existsSync(database) && isLocked(database);
}

/**
 * Has the next start, or the next reload, reset the gateway. Durable when it returns. Root makes it as the gateway's own
 * user, who is to read it. @throws the system's error
 */
export async function markReset(folders: Folders, kept: Kept): Promise<Outcome<undefined, OwnerError>> {
  const folder = foldersOf(folders)[0];
  if (folder === undefined) return success();
  const words = KEPT.filter((word) => kept[word] === true).join(' ');
  return asOwnerOf(folder, () => {
    writeDurably(join(folder, RESET_MARK), words);
    return success();
  });
}

/** Whether a reset is still to be done. */
export function isMarked(folders: Folders): boolean {
  return marksOf(folders).length > 0;
}

/**
 * Removes what the gateway has learnt, where a mark asks for it and nobody else uses the database; its configuration
 * stays. Something stays that every mark keeps: an empty one, as `touch` makes it, keeps nothing. Cut off, it is done again,
 * for the marks go last.
 * @returns what was removed; undefined where nothing asks for it @throws the system's error
 */
export function resetIfMarked(folders: Folders): string[] | undefined {
  const marks = marksOf(folders);
  if (marks.length === 0 || isInUse(folders)) return undefined;
  const words = marks.map((mark) => (lstatSync(mark).size === 0 ? '' : readFileSync(mark, 'utf8')));
  const kept = Object.fromEntries(KEPT.map((word) => [word, words.every((text) => text.includes(word))]));
  const removed = learntIn(folders, kept);
  for (const paths of [removed, marks]) {
    for (const path of paths) rmSync(path, { recursive: true, force: true });
    for (const folder of foldersOf(folders)) syncFolder(folder);
  }
  return removed;
}

/** Those that are there, that of the database first. */
function foldersOf({ stateDir, storeDir }: Folders): string[] {
  return [stateDir, storeDir].filter((folder) => existsSync(folder));
}

/** What else has the name, such as a folder, asks for nothing. */
function marksOf(folders: Folders): string[] {
  return foldersOf(folders)
    .map((folder) => join(folder, RESET_MARK))
    .filter((path) => existsSync(path) && lstatSync(path).isFile());
}

/** Images first: without the database they would be found again, and a DM Server be told of a damage. */
function learntIn({ stateDir, storeDir }: Folders, kept: Kept): string[] {
  const images = kept['keep-images'] === true ? [] : ['blobs', 'partial', 'rotten', 'seeded'];
  const states = existsSync(stateDir) ? readdirSync(stateDir) : [];
  const isProvisioned = (name: string): boolean => name === PROVISIONED_FOLDER || name.startsWith(PROVISIONED_FILE);
  return [
    ...images.map((name) => join(storeDir, name)),
    ...states
      .filter((name) => name.startsWith(DATABASE) || (kept['keep-provisioning'] !== true && isProvisioned(name)))
      .map((name) => join(stateDir, name)),
  ].filter((path) => existsSync(path));
}
