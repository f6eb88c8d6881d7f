import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { success, type Outcome } from '../outcome/index.js';
import { isObject } from '../shape/index.js';
import { refuse, type ConfigurationError } from './errors.js';
import { checkSecrecy, readConfigurationFile } from './file.js';
import { mergeLayers, type Layer } from './layers.js';

/** What only this device has, such as secrets; `dmgw provision` writes it. */
export const PROVISIONED_FILE = 'provisioned.json';

/** Where `dmgw provision` puts what stands in files of their own. */
export const PROVISIONED_FOLDER = 'provisioned';

/** What may be provisioned: keys of the configuration that tell one device, or its owner, from another. */
const SECTIONS: ReadonlySet<string> = new Set(['accounts', 'device', 'retrieve']);

/**
 * Whether this may be provisioned: nothing else, for the file belongs to the gateway's user, and root makes folders and
 * gives them away as the rest of the configuration says.
 * @returns half a sentence; undefined where all is right so far
 */
export function wrongForm(document: unknown): string | undefined {
  if (!isObject(document)) return 'is not an object { ... }';
  const key = Object.keys(document).find((name) => !SECTIONS.has(name));
  if (key !== undefined) return `'${key}' is not provisioned; expected ${[...SECTIONS].join(', ')}`;
  const { accounts = [] } = document;
  if (!Array.isArray(accounts)) return 'accounts is not a list';
  const named = accounts.every((account) => isObject(account) && typeof account.serverId === 'string');
  return named ? undefined : 'an account has no serverId';
}

/**
 * The layer above all others, from the folder that the others call stateDir; undefined where there is none.
 * @param uid whom it may belong to beside root
 */
export function provisionedLayer(
  layers: readonly Layer[],
  uid: number,
): Outcome<Layer | undefined, ConfigurationError> {
  const merged = mergeLayers(layers);
  const stateDir = isObject(merged) ? merged.stateDir : undefined;
  if (typeof stateDir !== 'string') return success(undefined);
  const file = join(stateDir, PROVISIONED_FILE);
  if (!existsSync(file)) return success(undefined);
  const read = readConfigurationFile(file);
  if (!read.ok) return read;
  const secrecy = checkSecrecy(file, read.value, uid);
  if (!secrecy.ok) return secrecy;
  const form = wrongForm(read.value.value);
  return form === undefined ? success({ file, value: read.value.value }) : refuse('bad-value', file, [], form);
}

/**
 * Puts what was provisioned above the other layers. Its accounts go to those with the same ServerID key by key, for all
 * devices may have the same account with a secret of their own; the rest of them is added.
 * @returns the layers in which a value's origin is found, and all of them as one
 */
export function overlay(
  provisioned: Layer,
  layers: readonly Layer[],
): { readonly layers: Layer[]; readonly merged: unknown } {
  const base = mergeLayers(layers);
  const over = provisioned.value;
  const accounts = isObject(over) && Array.isArray(over.accounts) ? (over.accounts as readonly unknown[]) : undefined;
  if (!isObject(over) || !isObject(base) || !accounts?.every(isObject)) {
    const all = [provisioned, ...layers];
    return { layers: all, merged: mergeLayers(all) };
  }
  const rest = Object.fromEntries(Object.entries(over).filter(([key]) => key !== 'accounts'));
  const list: readonly unknown[] = Array.isArray(base.accounts) ? base.accounts : [];
  const ids = list.map((account) => (isObject(account) ? account.serverId : undefined));
  const all = [...list];
  /** By their places in the list, which a lookup follows as those of a list. */
  const placed: Record<string, unknown> = {};
  for (const account of accounts) {
    const known = ids.indexOf(account.serverId);
    const index = known < 0 ? all.length : known;
    placed[index] = account;
    all[index] = known < 0 ? account : mergeLayers([asLayer(account), asLayer(list[known])]);
  }
  const merged = mergeLayers([asLayer(rest), asLayer(base)]) as object;
  const own = { file: provisioned.file, value: { ...rest, accounts: placed } };
  return { layers: [own, ...layers], merged: { ...merged, accounts: all } };
}

function asLayer(value: unknown): Layer {
  return { file: '', value };
}
