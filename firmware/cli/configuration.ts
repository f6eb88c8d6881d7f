import {
  configurationSchema,
  loadNames,
  referenceOf,
  renderValue,
  showConfiguration,
  type Configuration,
} from '../config/index.js';
import { managementObjects, parseNames } from '../mo/index.js';
import { loadAddons } from '../native/index.js';
import { askSettings, formatTable } from '../ops/index.js';
import { success } from '../outcome/index.js';
import { ddfDocument, treeDefinition, type DescribedDevice } from '../tree/index.js';
import { ownUid, present, withConfiguration } from './ask.js';
import type { Call, Command } from './command.js';
import { ExitCode } from './exit.js';
import { checkNamed } from './named.js';
import { complain, type Terminal } from './terminal.js';

/** What the configuration says, and what follows from it without a running gateway. */
export const CONFIGURATION_COMMANDS: readonly Command[] = [
  {
    name: 'config check',
    summary: 'check a configuration without running it',
    details: 'Prints the first thing that is wrong: file, key, what is wrong and what is allowed.',
    options: ['config', 'board', 'json'],
    run: checkConfiguration,
  },
  {
    name: 'config show',
    summary: 'every value in force and where it comes from',
    details: `What DM Servers have set (./GwMO/Config) is asked from the running gateway. Secrets are not shown. Exit code 2 where
a name of a node, or a file that it names (certificates, keys), is wrong, or an addon does not load.`,
    options: ['config', 'board', 'socket', 'json'],
    run: showValues,
  },
  {
    name: 'config keys',
    summary: 'every key of the configuration, with its default',
    details: 'A key that ends with [] stands in each item of a list.',
    options: ['json'],
    run: showKeys,
  },
  {
    name: 'ddf',
    summary: 'the device description (DDF) of the management tree',
    details:
      'XML for the DM Server, under the names that the configuration (or just a board profile) gives. Without either: the standard names.',
    options: ['config', 'board'],
    run: describeDevice,
  },
];

function checkConfiguration(call: Call): Promise<number> {
  return withConfiguration(call, async ({ configuration }, file) => {
    if (!isSound(call.terminal, configuration, file)) return ExitCode.usage;
    await present(call, { file, ok: true }, [`${file}: ok`]);
    return ExitCode.done;
  });
}

/** Says in one line what is wrong with names of nodes, or with a file that the configuration names. */
function isSound(terminal: Terminal, configuration: Configuration, file: string): boolean {
  const checked = checkNamed(configuration, ownUid());
  if (!checked.ok) complain(terminal, `${file}: ${checked.error.text}`);
  return checked.ok;
}

function showValues(call: Call): Promise<number> {
  const { given, terminal } = call;
  return withConfiguration(call, async ({ configuration, layers }, file) => {
    const tuned = await askSettings(given.socket ?? configuration.controlSocket);
    if (!tuned.ok && configuration.accounts.some(({ administrator }) => administrator)) {
      complain(terminal, `what DM Servers have set is not shown: ${tuned.error.text}`);
    }
    const changed = new Map((tuned.ok ? tuned.value.changed : []).map((setting) => [setting.key, setting]));
    const values = showConfiguration(configuration, layers).map((shown) => {
      const setting = changed.get(shown.key);
      if (!setting) return shown;
      return { ...shown, value: setting.value, origin: `DM Server ${setting.serverId}` };
    });
    const rows = values.map((shown) => [shown.key, renderValue(shown), shown.origin]);
    await present(call, values, formatTable(['KEY', 'VALUE', 'FROM'], rows));
    loadAddons();
    return isSound(terminal, configuration, file) ? ExitCode.done : ExitCode.usage;
  });
}

async function showKeys(call: Call): Promise<number> {
  const keys = referenceOf(configurationSchema);
  const lines = keys.flatMap((key) => [
    `${key.path} (${key.required ? 'required' : `default: ${key.default ?? 'none'}`})`,
    `    ${key.help}`,
    `    ${key.allowed}`,
  ]);
  await present(call, keys, lines);
  return ExitCode.done;
}

/** Names and maker may come from a board profile alone: a server is told of a model before there is a configuration. */
async function describeDevice(call: Call): Promise<number> {
  const { config, board } = call.given;
  if (config !== undefined) {
    return withConfiguration(call, ({ configuration: { names, device } }) => printDescription(call, names, device));
  }
  const names = board === undefined ? success({}) : loadNames(board);
  if (names.ok) return printDescription(call, names.value, {});
  complain(call.terminal, names.error.text);
  return ExitCode.usage;
}

async function printDescription(
  { terminal }: Call,
  overrides: Readonly<Record<string, string>>,
  device: DescribedDevice,
): Promise<number> {
  const names = parseNames(overrides);
  if (!names.ok) {
    complain(terminal, names.error.text);
    return ExitCode.usage;
  }
  await terminal.write(ddfDocument(treeDefinition(managementObjects(names.value)), device));
  return ExitCode.done;
}
