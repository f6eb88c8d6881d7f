import type { Command, Program } from './command.js';
import { ExitCode } from './exit.js';
import { printJson, type Terminal } from './terminal.js';

export const VERSION_COMMAND: Command = {
  name: 'version',
  summary: 'the version of dmgw',
  details: 'With --json also the time of the build and the Node.js it runs on.',
  options: ['json'],
  run: ({ given, terminal, program }) => showVersion(terminal, program, given.json === true),
};

export async function showVersion(terminal: Terminal, program: Program, json: boolean): Promise<number> {
  const { version } = program;
  const { node, modules } = process.versions;
  const buildTime = new Date(program.buildTimeMs).toISOString();
  if (json) await printJson(terminal, { version, buildTime, node, nodeAbi: modules, arch: process.arch });
  else await terminal.write(`dmgw ${version}\n`);
  return ExitCode.done;
}
