import { success, type Outcome } from '../outcome/index.js';
import { readArguments, wrong } from './arguments.js';
import type { Command } from './command.js';
import type { Given, OptionName } from './options.js';

/** What somebody has typed. */
export type Typed =
  | { readonly kind: 'version'; readonly json: boolean }
  | { readonly kind: 'help'; readonly command: Command | undefined }
  | { readonly kind: 'group'; readonly name: string; readonly commands: readonly Command[] }
  | {
      readonly kind: 'command';
      readonly command: Command;
      readonly given: Given;
      readonly operands: readonly string[];
    };

/** Names that a command group also goes by. */
const ALSO: Readonly<Record<string, string>> = { image: 'images', device: 'devices', fanouts: 'fanout' };

/** Reads the arguments. @returns or what is wrong, in half a sentence */
export function parse(words: readonly string[], commands: readonly Command[]): Outcome<Typed, string> {
  const read = readArguments(words);
  if (!read.ok) return read;
  const { given, operands } = read.value;
  if (given.version === true) return success({ kind: 'version', json: given.json === true });
  const helps = given.help === true || operands[0] === 'help' || words.length === 0;
  const [first = '', ...others] = operands[0] === 'help' ? operands.slice(1) : operands;
  const named = Object.hasOwn(ALSO, first) ? (ALSO[first] ?? first) : first;
  const typed = first === '' ? [] : [named, ...others];
  if (helps && typed.length === 0) return success({ kind: 'help', command: undefined });
  const command = commandOf(typed, commands);
  if (!command) {
    const group = helps ? groupOf(typed, commands) : [];
    return group.length === 0
      ? wrong(unknown(typed, commands))
      : success({ kind: 'group', name: typed.join(' '), commands: group });
  }
  if (helps) return success({ kind: 'help', command });
  const its = typed.slice(command.name.split(' ').length);
  const reason = wrongOption(command, given) ?? wrongOperands(command, its);
  return reason === undefined ? success({ kind: 'command', command, given, operands: its }) : wrong(reason);
}

/** The command with the longest name that the words begin with. */
function commandOf(typed: readonly string[], commands: readonly Command[]): Command | undefined {
  const line = `${typed.join(' ')} `;
  return commands.filter(({ name }) => line.startsWith(`${name} `)).sort((a, b) => b.name.length - a.name.length)[0];
}

/** The commands whose names go on behind the words. */
function groupOf(typed: readonly string[], commands: readonly Command[]): Command[] {
  return commands.filter(({ name }) => name.startsWith(`${typed.join(' ')} `));
}

function unknown(typed: readonly string[], commands: readonly Command[]): string {
  const [first] = typed;
  if (first === undefined) return 'a command is missing';
  const group = groupOf([first], commands).map(({ name }) => name);
  if (group.length === 0) return `unknown command '${first}'`;
  const said = typed.length === 1 ? `'${first}' is not complete` : `unknown command '${typed.slice(0, 2).join(' ')}'`;
  return `${said}: ${group.join(', ')}`;
}

function wrongOption({ name, options }: Command, given: Given): string | undefined {
  const option = Object.keys(given).find((key) => !options.includes(key as OptionName));
  return option === undefined ? undefined : `'${name}' takes no --${option}`;
}

function wrongOperands({ name, operands = [] }: Command, given: readonly string[]): string | undefined {
  const missing = operands[given.length];
  if (missing !== undefined && !missing.startsWith('[')) return `'${name}' needs ${missing}`;
  return given.length > operands.length ? `'${name}' takes no '${given[operands.length] ?? ''}'` : undefined;
}
