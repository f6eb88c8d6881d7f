/**
 * The command line: arguments -> command -> exit code.
 * Leaves the daemon's life to run.ts, what is done to others' things to the rooms that know them: the running gateway's
 * by its control socket, those of one that does not run by what main.ts hands in.
 */
import type { Command, Program } from './command.js';
import { COMPILE_COMMAND } from './compile.js';
import { CONFIGURATION_COMMANDS } from './configuration.js';
import { DAEMON_COMMANDS } from './daemon.js';
import { ExitCode } from './exit.js';
import { detailed, groupOverview, overview } from './help.js';
import { IMAGE_COMMANDS } from './images.js';
import { LOOKING_COMMANDS } from './looking.js';
import { MIGRATE_COMMAND } from './migrate.js';
import { NETWORK_COMMANDS } from './network.js';
import { parse } from './parse.js';
import { PREFLIGHT_COMMAND } from './preflight.js';
import { PROVISIONING_COMMANDS } from './provisioning.js';
import { REPORT_COMMAND } from './support.js';
import { complain, type Terminal } from './terminal.js';
import { showVersion, VERSION_COMMAND } from './version.js';

export type { Program } from './command.js';
export { ExitCode } from './exit.js';
export { checkNamed } from './named.js';
export { isMarked, resetIfMarked } from './reset.js';
export { complain, processTerminal, type Terminal } from './terminal.js';

const COMMANDS: readonly Command[] = [
  ...DAEMON_COMMANDS,
  ...IMAGE_COMMANDS,
  ...NETWORK_COMMANDS,
  ...LOOKING_COMMANDS,
  ...CONFIGURATION_COMMANDS,
  ...PROVISIONING_COMMANDS,
  PREFLIGHT_COMMAND,
  MIGRATE_COMMAND,
  REPORT_COMMAND,
  COMPILE_COMMAND,
  VERSION_COMMAND,
];

/** What there is, for the documentation. */
export function commandReference(): readonly Omit<Command, 'run'>[] {
  return COMMANDS;
}

/** @param words as typed behind the program's name. @returns the exit code */
export async function runCommandLine(words: readonly string[], terminal: Terminal, program: Program): Promise<number> {
  const typed = parse(words, COMMANDS);
  if (!typed.ok) {
    complain(terminal, `${typed.error}; see: dmgw help`);
    return ExitCode.usage;
  }
  const { value } = typed;
  switch (value.kind) {
    case 'version':
      return showVersion(terminal, program, value.json);
    case 'help':
      await terminal.write(value.command ? detailed(value.command) : overview(COMMANDS));
      return ExitCode.done;
    case 'group':
      await terminal.write(groupOverview(value.name, value.commands));
      return ExitCode.done;
    case 'command':
      return value.command.run({ given: value.given, operands: value.operands, terminal, program });
  }
}
