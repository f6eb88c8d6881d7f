/**
 * The command line: arguments -> command -> exit code.
 * Leaves the daemon's life to run.ts and what commands show to the rooms that know it.
 */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import {
  configurationSchema,
  loadConfiguration,
  loadNames,
  readSignatureKeys,
  readTlsFiles,
  referenceOf,
  showConfiguration,
  type ConfigurationFiles,
  type LoadedConfiguration,
} from './config/index.js';
import { ExitCode } from './exit.js';
import { managementObjects, parseNames } from './mo/index.js';
import {
  ANSI_PAINT,
  askHealth,
  askMetered,
  askSettings,
  askStatus,
  formatTable,
  isMeteredSetting,
  NO_PAINT,
  renderHealth,
  renderMetered,
  renderStatus,
  sendEvent,
  type AskError,
  type EventReport,
  type Paint,
} from './ops/index.js';
import { describeThrown, success, type Outcome } from './outcome/index.js';
import { runDaemon } from './run.js';
import { ddfDocument, treeDefinition, type DescribedDevice } from './tree/index.js';
import { BUILD_TIME_MS, VERSION } from './version.js';

/** Where a package puts the configuration. */
const DEFAULT_CONFIG = '/etc/dmgw.json';

const OPTIONS = {
  config: { type: 'string' },
  board: { type: 'string' },
  socket: { type: 'string' },
  server: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean', short: 'V' },
} as const satisfies ParseArgsConfig['options'];

type OptionName = keyof typeof OPTIONS;

const OPTION_HELP: Readonly<Record<OptionName, readonly [string, string]>> = {
  config: ['--config FILE', `the configuration (default ${DEFAULT_CONFIG})`],
  board: ['--board FILE', 'a board profile: the same keys, below those of the configuration'],
  socket: ['--socket PATH', "the daemon's control socket, instead of the configuration's"],
  server: ['--server ID', 'ServerID of the only server that is told, instead of all'],
  json: ['--json', 'JSON on one line, for scripts'],
  help: ['-h, --help', 'this text'],
  version: ['-V, --version', 'the version'],
};

interface Arguments {
  readonly config?: string | undefined;
  readonly board?: string | undefined;
  readonly socket?: string | undefined;
  readonly server?: string | undefined;
  readonly json?: boolean | undefined;
}

interface Command {
  /** As typed: `config check`. */
  readonly name: string;
  readonly summary: string;
  readonly details: string;
  readonly options: readonly OptionName[];
  /** Words behind the name; those in brackets may be missing. */
  readonly operands?: readonly string[];
  run(given: Arguments, operands: readonly string[]): number | Promise<number>;
}

const COMMANDS: readonly Command[] = [
  {
    name: 'run',
    summary: 'run the gateway in the foreground',
    details: `Logs on standard error. SIGTERM or SIGINT stops it within 5 s, a second one at once; SIGUSR2 logs memory and counts.`,
    options: ['config', 'board'],
    run: (given) => runDaemon(filesOf(given), complain),
  },
  {
    name: 'status',
    summary: 'what the running gateway does',
    details: 'Accounts and their sessions, images, fanouts, devices, traffic, memory, and what someone should look at.',
    options: ['config', 'board', 'socket', 'json'],
    run: (given) => ask(given, askStatus, renderStatus, () => ExitCode.done),
  },
  {
    name: 'health',
    summary: 'whether the running gateway is well (exit code)',
    details: 'Exit code 0: healthy; 1: not healthy; 3: the daemon is not running.',
    options: ['config', 'board', 'socket', 'json'],
    run: (given) => ask(given, askHealth, renderHealth, ({ healthy }) => (healthy ? ExitCode.done : ExitCode.failed)),
  },
  {
    name: 'event',
    summary: 'tell the DM Servers of something (client event)',
    details:
      'Alert 1224 with this type and data goes out with the next session, which begins soon. It is kept until the server has answered: 2xx or 406.',
    options: ['config', 'board', 'socket', 'server', 'json'],
    operands: ['TYPE', '[DATA]'],
    run: (given, [type = '', data = '']) => {
      const { server } = given;
      const event = { type, data, ...(server !== undefined && { server }) };
      const render = ({ servers }: EventReport): string => `waits for ${servers.join(', ')}\n`;
      return ask(
        given,
        (socket) => sendEvent(socket, event),
        render,
        () => ExitCode.done,
      );
    },
  },
  {
    name: 'metered',
    summary: 'whether the link is metered, or tell the gateway so',
    details:
      'on: no image comes in over it but those of retrieve.meteredMinPriority; off: all do; auto: as retrieve.meteredFile says. What is told counts at once and until the gateway ends; then tell it again.',
    options: ['config', 'board', 'socket', 'json'],
    operands: ['[on|off|auto]'],
    run: (given, [word]) => {
      const set = isMeteredSetting(word) ? word : undefined;
      if (word === set)
        return ask(
          given,
          (socket) => askMetered(socket, set),
          renderMetered,
          () => ExitCode.done,
        );
      complain(`'metered' takes on, off or auto, not '${word ?? ''}'; see: dmgw help`);
      return ExitCode.usage;
    },
  },
  {
    name: 'config check',
    summary: 'check a configuration without running it',
    details: 'Prints the first thing that is wrong: file, key, what is wrong and what is allowed.',
    options: ['config', 'board'],
    run: (given) => withConfiguration(given, checkConfiguration),
  },
  {
    name: 'config show',
    summary: 'every value in force and where it comes from',
    details: 'What DM Servers have set (./GwMO/Config) is asked from the running gateway. Secrets are not shown.',
    options: ['config', 'board', 'socket', 'json'],
    run: (given) => withConfiguration(given, (loaded) => showValues(loaded, given)),
  },
  {
    name: 'config keys',
    summary: 'every key of the configuration, with its default',
    details: 'A key that ends with [] stands in each item of a list.',
    options: ['json'],
    run: (given) => showKeys(given.json === true),
  },
  {
    name: 'ddf',
    summary: 'the device description (DDF) of the management tree',
    details:
      'XML for the DM Server, under the names that the configuration (or just a board profile) gives. Without either: the standard names.',
    options: ['config', 'board'],
    run: (given) => describeDevice(given),
  },
  {
    name: 'version',
    summary: 'the version of dmgw',
    details: 'With --json also the time of the build and the Node.js it runs on.',
    options: ['json'],
    run: (given) => showVersion(given.json === true),
  },
];

process.stdout.on('error', () => process.exit(ExitCode.done)); // the reader of a pipe has seen enough

main(process.argv.slice(2)).then(
  (code) => finish(code),
  (thrown: unknown) => {
    complain(`defect: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : describeThrown(thrown)}`);
    process.exit(ExitCode.fatal);
  },
);

async function main(words: readonly string[]): Promise<number> {
  const parsed = parse(words);
  if (typeof parsed === 'string') {
    complain(`${parsed}; see: dmgw help`);
    return ExitCode.usage;
  }
  const { given, positionals } = parsed;
  const asksForHelp =
    given.help === true || positionals[0] === 'help' || (words.length === 0 && positionals.length === 0);
  const typed = positionals[0] === 'help' ? positionals.slice(1) : positionals;
  const name = typed.join(' ');
  if (given.version === true) return showVersion(given.json === true);
  if (asksForHelp && name === '') return print(overview());
  const command = COMMANDS.find((one) => one.name === (one.operands ? typed[0] : name));
  const operands = command?.operands ? typed.slice(1) : [];
  if (asksForHelp && command) return print(detailed(command));
  const wrong = command ? (wrongOption(command, given) ?? wrongOperands(command, operands)) : unknownCommand(name);
  if (!command || wrong !== undefined) {
    complain(`${wrong ?? ''}; see: dmgw help`);
    return ExitCode.usage;
  }
  return command.run(given, operands);
}

type Given = Arguments & { readonly help?: boolean | undefined; readonly version?: boolean | undefined };

function parse(words: readonly string[]): { given: Given; positionals: readonly string[] } | string {
  try {
    const { values, positionals } = parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true });
    return { given: values, positionals };
  } catch (thrown) {
    return describeThrown(thrown)
      .replace(/\. .*$/, '')
      .replace(/^./, (first) => first.toLowerCase());
  }
}

function unknownCommand(name: string): string {
  const group = COMMANDS.filter((one) => one.name.startsWith(`${name} `)).map((one) => one.name);
  if (name === '') return 'a command is missing';
  return group.length > 0 ? `'${name}' is not complete: ${group.join(', ')}` : `unknown command '${name}'`;
}

function wrongOption(command: Command, given: Given): string | undefined {
  const wrong = Object.keys(given).find((option) => !command.options.includes(option as OptionName));
  return wrong === undefined ? undefined : `'${command.name}' takes no --${wrong}`;
}

function wrongOperands({ name, operands = [] }: Command, given: readonly string[]): string | undefined {
  const missing = operands[given.length];
  if (missing !== undefined && !missing.startsWith('[')) return `'${name}' needs ${missing}`;
  return given.length > operands.length ? `'${name}' takes no '${given[operands.length] ?? ''}'` : undefined;
}

function filesOf({ config, board }: Arguments): ConfigurationFiles {
  return { file: config ?? DEFAULT_CONFIG, board };
}

function withConfiguration(
  given: Arguments,
  use: (loaded: LoadedConfiguration, file: string) => number | Promise<number>,
): number | Promise<number> {
  const files = filesOf(given);
  const loaded = loadConfiguration(files, process.getuid?.() ?? 0);
  if (loaded.ok) return use(loaded.value, files.file);
  complain(loaded.error.text);
  return ExitCode.usage;
}

function ask<Report>(
  given: Arguments,
  question: (socket: string) => Promise<Outcome<Report, AskError>>,
  render: (report: Report, paint: Paint) => string,
  exitCode: (report: Report) => number,
): number | Promise<number> {
  const askAt = async (socket: string): Promise<number> => {
    const asked = await question(socket);
    if (!asked.ok) {
      complain(asked.error.text);
      return asked.error.code === 'not-running' ? ExitCode.notRunning : ExitCode.failed;
    }
    print(given.json === true ? `${JSON.stringify(asked.value)}\n` : render(asked.value, paintOf(process.stdout)));
    return exitCode(asked.value);
  };
  if (given.socket !== undefined) return askAt(given.socket);
  return withConfiguration(given, ({ configuration }) => askAt(configuration.controlSocket));
}

function checkConfiguration({ configuration }: LoadedConfiguration, file: string): number {
  const tls = readTlsFiles(configuration, process.getuid?.() ?? 0);
  const read = tls.ok ? readSignatureKeys(configuration) : tls;
  if (read.ok) return print(`${file}: ok\n`);
  complain(`${file}: ${read.error.text}`);
  return ExitCode.usage;
}

async function showValues({ configuration, layers }: LoadedConfiguration, given: Arguments): Promise<number> {
  const tuned = await askSettings(given.socket ?? configuration.controlSocket);
  if (!tuned.ok && configuration.accounts.some(({ administrator }) => administrator)) {
    complain(`what DM Servers have set is not shown: ${tuned.error.text}`);
  }
  const changed = new Map((tuned.ok ? tuned.value.changed : []).map((setting) => [setting.key, setting]));
  const values = showConfiguration(configuration, layers).map((shown) => {
    const setting = changed.get(shown.key);
    if (!setting) return shown;
    return { ...shown, value: JSON.stringify(setting.value), origin: `DM Server ${setting.serverId}` };
  });
  if (given.json === true) return print(`${JSON.stringify(values)}\n`);
  return printLines(
    formatTable(
      ['KEY', 'VALUE', 'FROM'],
      values.map(({ key, value, origin }) => [key, value, origin]),
    ),
  );
}

function showKeys(json: boolean): number {
  const keys = referenceOf(configurationSchema);
  if (json) return print(`${JSON.stringify(keys)}\n`);
  return printLines(
    keys.flatMap((key) => [
      `${key.path} (${key.required ? 'required' : `default: ${key.default ?? 'none'}`})`,
      `    ${key.help}`,
      `    ${key.allowed}`,
    ]),
  );
}

/** Names and maker may come from a board profile alone: a server is told of a model before there is a configuration. */
function describeDevice(given: Arguments): number | Promise<number> {
  const { config, board } = given;
  if (config !== undefined) {
    return withConfiguration(given, ({ configuration: { names, device } }) => printDescription(names, device));
  }
  const names = board === undefined ? success({}) : loadNames(board);
  if (names.ok) return printDescription(names.value, {});
  complain(names.error.text);
  return ExitCode.usage;
}

function printDescription(overrides: Readonly<Record<string, string>>, device: DescribedDevice): number {
  const names = parseNames(overrides);
  if (names.ok) return print(ddfDocument(treeDefinition(managementObjects(names.value)), device));
  complain(names.error.text);
  return ExitCode.usage;
}

function showVersion(json: boolean): number {
  if (!json) return print(`dmgw ${VERSION}\n`);
  const { node, modules } = process.versions;
  const buildTime = new Date(BUILD_TIME_MS).toISOString();
  return print(`${JSON.stringify({ version: VERSION, buildTime, node, nodeAbi: modules, arch: process.arch })}\n`);
}

function overview(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    'dmgw: OMA DM Gateway. Fetches an image once, serves it to every device in the LAN.',
    '',
    'usage: dmgw COMMAND [OPTIONS]',
    '',
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    `  ${'help COMMAND'.padEnd(width)}  more about a command`,
    '',
    'exit codes: 0 done; 1 failed, or not healthy; 2 wrong argument or configuration; 3 the daemon is not running;',
    '            70 a defect, or the disk failed',
    '',
  ].join('\n');
}

function detailed({ name, summary, details, options, operands = [] }: Command): string {
  const lines = options.map((option) => OPTION_HELP[option]);
  return [
    `dmgw ${name}: ${summary}`,
    '',
    `usage: dmgw ${[name, ...operands, ...lines.map(([form]) => `[${form}]`)].join(' ')}`,
    '',
    ...lines.map(([form, help]) => `  ${form.padEnd(15)} ${help}`),
    '',
    details,
    '',
  ].join('\n');
}

function paintOf(stream: NodeJS.WriteStream): Paint {
  return stream.isTTY && stream.hasColors() ? ANSI_PAINT : NO_PAINT;
}

function print(text: string): number {
  process.stdout.write(text);
  return ExitCode.done;
}

function printLines(lines: readonly string[]): number {
  return print(`${lines.join('\n')}\n`);
}

/** One line for a person, on standard error. */
function complain(line: string): void {
  process.stderr.write(`dmgw: ${line.replace(/\s*\n\s*/g, ' ')}\n`);
}

/** Ends after what was printed has left: a pipe may be slow. */
function finish(code: number): void {
  process.exitCode = code;
  process.stdout.write('', () => process.exit());
}
