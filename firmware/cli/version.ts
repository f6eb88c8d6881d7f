import { ADDONS, loadOutside, NATIVE, native } from '../native/index.js';
import { systemErrorCode } from '../outcome/index.js';
import type { Command, Program } from './command.js';
import { ExitCode } from './exit.js';
import { printJson, type Terminal } from './terminal.js';

export const VERSION_COMMAND: Command = {
  name: 'version',
  summary: 'the version of dmgw',
  details: `With --json also the time of the build, Node.js and its ABI, the versions of the addons (null: not there; ${NATIVE}: does not load), and the version of the database schema.`,
  options: ['json'],
  run: ({ given, terminal, program }) => showVersion(terminal, program, given.json === true),
};

/** What would be shown of this program. */
export function versionReport({ version, buildTimeMs, schema }: Program): object {
  const { node, modules } = process.versions;
  const addons = [...ADDONS, 'mdns'].map((name) => [name, versionOf(name, version)]);
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

function versionOf(addon: string, own: string): string | null {
  try {
    if (addon !== NATIVE) return (loadOutside(`${addon}/package.json`) as { readonly version: string }).version;
    native();
    return own;
  } catch (thrown) {
    if (addon === NATIVE || systemErrorCode(thrown) === 'MODULE_NOT_FOUND') return null;
    throw thrown;
  }
}
