import { existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { markDamaged, markOf, SUFFIXES } from './mark.js';
import { isLocked, openStore, type StoreOptions } from './sqlite.js';
import { StoreError, type Store } from './store.js';
import { syncFolder } from '../files/index.js';

/** Why the database is an empty one: there was none, or it was damaged. */
export interface Fresh {
  /** What was wrong with the one before, for a person; undefined when there was none. */
  readonly damage: string | undefined;
  /** Where the damaged one is kept, until the next damage; undefined when there was none. */
  readonly keptAs: string | undefined;
  /** What can be recovered has been, durably. Until this is called each start begins with an empty database again. */
  settled(): void;
}

export interface OpenedStore {
  readonly store: Store;
  /** Undefined when the database was there and sound. */
  readonly fresh: Fresh | undefined;
}

/**
 * Opens the database, as `openStore` does; one that is damaged is set aside as `*.corrupt`, its journal with it, and an
 * empty one takes its place. A mark beside it (`*.fresh`) is durable before the first file is moved, and stays until
 * `settled`: a power cut at any moment leads to the same end. A store that finds its database damaged while it runs
 * leaves the mark too.
 * @throws StoreError as `openStore`, but for `corrupt`; or the system's error where files cannot be moved
 */
export function openOrReplace(options: StoreOptions): OpenedStore {
  const { file, log } = options;
  if (existsSync(markOf(file))) {
    if (isLocked(file)) throw new StoreError('locked', `${file} is in use by another process`);
    const damage = readFileSync(markOf(file), 'utf8').trim();
    return replace(options, damage === '' ? undefined : damage);
  }
  if (!existsSync(file) || statSync(file).size === 0) {
    markDamaged(file, '');
    return replace(options, undefined);
  }
  try {
    return { store: openStore(options), fresh: undefined };
  } catch (thrown) {
    if (!(thrown instanceof StoreError) || thrown.code !== 'corrupt') throw thrown;
    log.error('the database is damaged', { reason: thrown.message });
    markDamaged(file, thrown.message);
    return replace(options, thrown.message);
  }
}

function replace(options: StoreOptions, damage: string | undefined): OpenedStore {
  const { file, log } = options;
  const aside = `${file}.corrupt`;
  const began = existsSync(aside);
  for (const suffix of SUFFIXES) {
    // Where the database has been moved by an earlier start, one that is here is that start's own; a journal without a
    // database is still the old one's.
    const isOld = damage !== undefined && (!began || (suffix !== '' && !existsSync(file)));
    if (isOld) moveAside(`${file}${suffix}`, `${aside}${suffix}`);
  }
  for (const suffix of SUFFIXES) rmSync(`${file}${suffix}`, { force: true });
  syncFolder(dirname(file));
  const store = openStore(options);
  if (damage !== undefined) {
    log.error('the database was set aside, an empty one takes its place', { reason: damage, kept_as: aside });
  }
  const settled = (): void => {
    rmSync(markOf(file), { force: true });
    syncFolder(dirname(file));
  };
  return { store, fresh: { damage, keptAs: damage === undefined ? undefined : aside, settled } };
}

function moveAside(from: string, to: string): void {
  if (existsSync(from) && !existsSync(to)) renameSync(from, to);
}
