import { createRequire } from 'node:module';
import { systemErrorCode } from '../outcome/index.js';
import type { Command, Program } from './command.js';
import { ExitCode } from './exit.js';
import { printJson, type Terminal } from './terminal.js';

export const VERSION_COMMAND: Command = {
  name: 'version',
  summary: 'the version of dmgw',
  details:
    'With --json also the time of the build, Node.js and its ABI, the versions of the addons (null: not there), and the version of the database schema.',
  options: ['json'],
  run: ({ given, terminal, program }) => showVersion(terminal, program, given.json === true),
};

/** The native addons: those that the gateway cannot do without, and the other. */
export const ADDONS = { needed: ['better-sqlite3', 'libxmljs2'], optional: ['mdns'] } as const;

/** What would be shown of this program. */
export function versionReport({ version, buildTimeMs, schema }: Program): object {
  const { node, modules } = process.versions;
  const addons = [...ADDONS.needed, ...ADDONS.optional].map((name) => [name, versionOf(name)]);
  return {
    version,
    buildTime: new Date(buildTimeMs).toISOString(),
    node,
    nodeAbi: modules,
    arch: process.arch,
    addons: Object.fromEntries(addons) as Record<string, string | null>,
    schema: schema.length,
  };
}

export async function showVersion(terminal: Terminal, program: Program, json: boolean): Promise<number> {
  if (json) await printJson(terminal, versionReport(program));
  else await terminal.write(`dmgw ${program.version}\n`);
  return ExitCode.done;
}

/** Loads a module as a program beside this one would. Addons stay outside the bundle. */
export const requireModule = createRequire(import.meta.url) as (name: string) => unknown;

function versionOf(addon: string): string | null {
  try {
    return (requireModule(`${addon}/package.json`) as { readonly version: string }).version;
  } catch (thrown) {
    if (systemErrorCode(thrown) === 'MODULE_NOT_FOUND') return null;
    throw thrown;
  }
}
