import type { ParseArgsConfig } from 'node:util';

/** Where a package puts the configuration. */
export const DEFAULT_CONFIG = '/etc/dmgw.json';

/** Every option of every command: how it is read. Which command takes which stands with the command. */
export const OPTIONS = {
  config: { type: 'string' },
  board: { type: 'string' },
  socket: { type: 'string' },
  server: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const satisfies ParseArgsConfig['options'];

export type OptionName = keyof typeof OPTIONS;

/** What an option is called in the help, and what it means. */
export const OPTION_HELP: Readonly<Record<OptionName, readonly [string, string]>> = {
  config: ['--config FILE', `the configuration (default ${DEFAULT_CONFIG})`],
  board: ['--board FILE', 'a board profile: the same keys, below those of the configuration'],
  socket: ['--socket PATH', "the daemon's control socket, instead of the configuration's"],
  server: ['--server ID', 'ServerID of the only server that is meant, instead of all'],
  json: ['--json', 'JSON on one line, for scripts'],
  help: ['-h, --help', 'this text'],
  version: ['-V, --version', 'the version'],
};

type ValueOf<O> = O extends { readonly type: 'boolean' } ? boolean : string;

/** What was given. */
export type Given = { readonly [Name in OptionName]?: ValueOf<(typeof OPTIONS)[Name]> | undefined };
