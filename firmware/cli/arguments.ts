import { success, type Outcome } from '../outcome/index.js';
import { OPTIONS, type Given, type OptionName } from './options.js';

/** What was typed, told apart. */
export interface Arguments {
  readonly given: Given;
  readonly operands: readonly string[];
}

/**
 * Tells options from operands, as `parseArgs` of Node.js does, which takes a start 1 ms: `--name value`, `--name=value`,
 * `-n value`, `-nvalue`, `-fh` for `-f -h`; behind `--` nothing is an option. Of an option given twice the last counts. A `-`
 * among short options, which begins something else for Node.js, is refused.
 * @returns or what is wrong, in half a sentence
 */
export function readArguments(words: readonly string[]): Outcome<Arguments, string> {
  const given: { [Name in OptionName]?: string | boolean } = {};
  const operands: string[] = [];
  const left = [...words];
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    if (word === '--') return success({ given: given as Given, operands: [...operands, ...left.splice(0)] });
    if (!looksLikeOption(word)) {
      operands.push(word);
      continue;
    }
    const { typed, name, attached } = word.startsWith('--') ? longOption(word) : shortOption(word);
    if (!name) return wrong(`unknown option '${typed}'`);
    if (OPTIONS[name].type === 'boolean') {
      const isGroup = attached !== undefined && !word.startsWith('--') && !attached.startsWith('-');
      if (attached !== undefined && !isGroup) return wrong(`'${typed}' takes no value`);
      if (isGroup) left.unshift(`-${attached}`);
      given[name] = true;
      continue;
    }
    const value = attached ?? left.shift();
    if (value === undefined) return wrong(`'${typed}' needs a value`);
    if (attached === undefined && looksLikeOption(value)) {
      return wrong(`'${typed}' needs a value; one that begins with - is written --${name}=${value}`);
    }
    given[name] = value;
  }
  return success({ given: given as Given, operands });
}

interface OneOption {
  /** Without its value. */
  readonly typed: string;
  /** Undefined: there is none of this name. */
  readonly name: OptionName | undefined;
  /** What stands in the same word behind it: its value, or further short options. */
  readonly attached: string | undefined;
}

function longOption(word: string): OneOption {
  const end = word.indexOf('=', 3);
  const typed = end < 0 ? word : word.slice(0, end);
  const name = typed.slice(2);
  return {
    typed,
    name: Object.hasOwn(OPTIONS, name) ? (name as OptionName) : undefined,
    attached: end < 0 ? undefined : word.slice(end + 1),
  };
}

function shortOption(word: string): OneOption {
  const [, letter = ''] = word;
  const name = (Object.keys(OPTIONS) as OptionName[]).find(
    (each) => 'short' in OPTIONS[each] && OPTIONS[each].short === letter,
  );
  return {
    typed: `-${letter}`,
    name,
    attached: word.length > 1 + letter.length ? word.slice(1 + letter.length) : undefined,
  };
}

/** What is wrong with what was typed, in half a sentence. */
export function wrong(reason: string): Outcome<never, string> {
  return { ok: false, error: reason };
}

/** `-` alone is an operand: standard input. */
function looksLikeOption(word: string): boolean {
  return word.length > 1 && word.startsWith('-');
}
