/** The notices that a firmware has to come with: the texts of the licences of all that it is made of, in one file. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../flow/project.js';
import type { Component } from './components.js';

/** Lies beside the bundle. */
export const LICENSES_FILE = 'LICENSES';

const NODE_MODULES = join(PROJECT_ROOT, 'node_modules');
const LIBXML2 = join(NODE_MODULES, 'libxmljs2/vendor/libxml');

/** Sources of libxml2 with a notice of their own at their head, of those that are compiled: `Copyright` speaks of them. */
const OWN_NOTICES = ['dict.c', 'hash.c', 'list.c', 'timsort.h'];

/** The text of each licence, under the components that have it. @throws where the text of one is not there */
export function licenseTexts(components: readonly Component[]): string {
  const byText = new Map<string, string[]>();
  for (const component of components) {
    const text = textOf(component);
    byText.set(text, [...(byText.get(text) ?? []), `${component.name} ${component.version} (${component.license})`]);
  }
  const rule = '='.repeat(78);
  return [...byText].map(([text, names]) => `${rule}\n${names.join('\n')}\n${rule}\n\n${text}\n`).join('\n');
}

function textOf({ name, purl }: Component): string {
  if (purl.startsWith('pkg:npm/')) return textIn(join(NODE_MODULES, name));
  if (name === 'sqlite') return headOf(join(NODE_MODULES, 'better-sqlite3/deps/sqlite3/sqlite3.h'), /(?=^\*{20})/m);
  if (name !== 'libxml2') return textIn(PROJECT_ROOT);
  const own = OWN_NOTICES.map(
    (file) => `${file}:\n\n${headOf(join(LIBXML2, file), /(?=^#(?:define|include|ifndef))/m)}`,
  );
  return [read(join(LIBXML2, 'Copyright')), ...own].join('\n\n');
}

function textIn(folder: string): string {
  const file = readdirSync(folder).find((one) => /^licen[cs]e(?:\.\w+)?$/i.test(one));
  if (file === undefined) throw new Error(`${folder} has no text of its licence`);
  return read(join(folder, file));
}

/** The comment that a source begins with. */
function headOf(file: string, end: RegExp): string {
  return (read(file).split(end)[0] ?? '').replace(/^\/?\*+[ /]?|^ \*\/?[ ]?/gm, '').trim();
}

function read(file: string): string {
  if (!existsSync(file)) throw new Error(`${file} is not there, whose notice the firmware needs`);
  return readFileSync(file, 'utf8').replaceAll('\r', '').trim();
}
