import { fstatSync, writeFileSync } from 'node:fs';
import { ANSI_PAINT, NO_PAINT, printable, type Paint } from '../ops/index.js';
import { describeThrown, systemErrorCode } from '../outcome/index.js';
import { ExitCode } from './exit.js';

/** Where a command writes: the process's own streams, or a test's. */
export interface Terminal {
  /** Writes on standard output; resolves when that is written. */
  readonly write: (text: string) => Promise<void>;
  /** Writes on standard error. */
  readonly warn: (text: string) => void;
  /** Whether standard output is a screen: lines may be written over, and colours used. */
  readonly isScreen: boolean;
  /** Characters in a line of it. */
  readonly columns: number;
  readonly paint: Paint;
  /** Standard input. */
  readonly input: AsyncIterable<Uint8Array>;
}

/** Where nobody knows better. */
const USUAL_COLUMNS = 80;

/** The streams of this process. A reader that has seen enough ends it, as does a disk that is full. */
export function processTerminal(): Terminal {
  let opened: NodeJS.WriteStream | undefined;
  // Node.js makes a stream when it is asked for: the daemon needs none but standard error.
  const out = (): NodeJS.WriteStream => (opened ??= process.stdout.on('error', endUnwritten));
  return {
    // It does not return from a failure: `endUnwritten` says how the process ends, not what comes after the write.
    write: async (text) => {
      if (isFile()) writeWhole(text);
      else await new Promise<void>((resolve) => out().write(text, (thrown) => thrown ?? resolve()));
    },
    warn: (text) => process.stderr.write(text),
    get isScreen() {
      return out().isTTY;
    },
    get columns() {
      // A serial line that nobody has told its size has 0.
      return (out().isTTY && out().columns) || USUAL_COLUMNS;
    },
    get paint() {
      return out().isTTY && out().hasColors() ? ANSI_PAINT : NO_PAINT;
    },
    get input() {
      return process.stdin;
    },
  };
}

const STANDARD_OUTPUT = 1;

function isFile(): boolean {
  return fstatSync(STANDARD_OUTPUT).isFile();
}

/** Node.js's stream takes a text for written of which a full disk has taken the beginning. */
function writeWhole(text: string): void {
  try {
    writeFileSync(STANDARD_OUTPUT, text);
  } catch (thrown) {
    endUnwritten(thrown);
  }
}

/** Ends the process: without a word where the reader has gone away, else with why nothing more is written. */
function endUnwritten(thrown: unknown): never {
  if (systemErrorCode(thrown) === 'EPIPE') process.exit(ExitCode.done);
  process.stderr.write(`dmgw: cannot write: ${describeThrown(thrown)}\n`);
  process.exit(ExitCode.failed);
}

/** One line for a person, on standard error. */
export function complain(terminal: Terminal, line: string): void {
  terminal.warn(`dmgw: ${printable(line.replace(/\s*\n\s*/g, ' '))}\n`);
}

export async function printLines(terminal: Terminal, lines: readonly string[]): Promise<void> {
  await terminal.write(lines.map((line) => `${line}\n`).join(''));
}

/** One line of JSON. */
export async function printJson(terminal: Terminal, value: unknown): Promise<void> {
  await terminal.write(`${JSON.stringify(value)}\n`);
}
