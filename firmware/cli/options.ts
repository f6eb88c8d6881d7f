import type { ParseArgsConfig } from 'node:util';

/** Where a package puts the configuration. */
export const DEFAULT_CONFIG = '/etc/dmgw.json';

/** Every option of every command: how it is read. Which command takes which stands with the command. */
export const OPTIONS = {
  config: { type: 'string' },
  board: { type: 'string' },
  socket: { type: 'string' },
  server: { type: 'string' },
  id: { type: 'string' },
  uri: { type: 'string' },
  name: { type: 'string' },
  'image-version': { type: 'string' },
  description: { type: 'string' },
  digest: { type: 'string' },
  signature: { type: 'string' },
  priority: { type: 'string' },
  pinned: { type: 'boolean' },
  'no-wait': { type: 'boolean' },
  address: { type: 'string' },
  group: { type: 'string' },
  encapsulation: { type: 'string' },
  mode: { type: 'string' },
  'keep-images': { type: 'boolean' },
  'keep-provisioning': { type: 'boolean' },
  yes: { type: 'boolean' },
  store: { type: 'string' },
  'dry-run': { type: 'boolean' },
  watch: { type: 'boolean' },
  wait: { type: 'boolean' },
  follow: { type: 'boolean', short: 'f' },
  lines: { type: 'string', short: 'n' },
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
  id: ['--id ID', 'its ImageID: letters, digits, . _ - (1 to 64)'],
  uri: ['--uri URL', 'where it is fetched from'],
  name: ['--name TEXT', 'name for people'],
  'image-version': ['--image-version TEXT', 'version for people'],
  description: ['--description TEXT', 'description for people'],
  digest: ['--digest SHA256', 'what its content must have: sha-256=:<base64>: or 64 hex digits'],
  signature: ['--signature BASE64', 'Ed25519 signature over the SHA-256'],
  priority: ['--priority N', 'higher is retrieved first'],
  pinned: ['--pinned', 'never removed to make room'],
  'no-wait': ['--no-wait', 'do not wait for the end'],
  address: ['--address URL', 'where its notifications go: udp://192.168.1.57:2948 or http://..., in the LAN'],
  group: ['--group NAMES', 'groups that a fanout can name, separated by commas'],
  encapsulation: ['--encapsulation FORM', 'how Package#0 is wrapped: wsp (default) or raw'],
  mode: ['--mode MODE', 'how it is managed: transparent (default), proxy, adaptation'],
  'keep-images': ['--keep-images', 'the stored images stay'],
  'keep-provisioning': ['--keep-provisioning', 'what dmgw provision has written stays'],
  yes: ['--yes', 'really do it'],
  store: ['--store DIR', 'a storeDir that no gateway uses, as in a factory image'],
  'dry-run': ['--dry-run', 'only say what would be done'],
  watch: ['--watch', 'show the progress until the end'],
  wait: ['--wait', 'wait for the end'],
  follow: ['-f, --follow', 'go on with the lines that come'],
  lines: ['-n, --lines N', 'so many lines that are there already (default 100)'],
  json: ['--json', 'JSON on one line, for scripts'],
  help: ['-h, --help', 'this text'],
  version: ['-V, --version', 'the version'],
};

type ValueOf<O> = O extends { readonly type: 'boolean' } ? boolean : string;

/** What was given. */
export type Given = { readonly [Name in OptionName]?: ValueOf<(typeof OPTIONS)[Name]> | undefined };

/** The value of an option that takes a whole number. `Number` takes nothing at all for 0, and 0x10 and 1e3 for numbers. */
export function wholeNumber(text: string): number | undefined {
  const number = /^-?\d+$/.test(text) ? Number(text) : undefined;
  return Number.isSafeInteger(number) ? number : undefined;
}
