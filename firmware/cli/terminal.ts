import { ANSI_PAINT, NO_PAINT, type Paint } from '../ops/index.js';

/** Where a command writes: the process's own streams, or a test's. */
export interface Terminal {
  /** Writes on standard output; resolves when the reader can take more. */
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

/** The streams of this process. A reader that has seen enough ends it. */
export function processTerminal(): Terminal {
  let opened: NodeJS.WriteStream | undefined;
  // Node.js makes a stream when it is asked for: the daemon needs none but standard error.
  const out = (): NodeJS.WriteStream => (opened ??= process.stdout.on('error', () => process.exit(0)));
  return {
    write: (text) => new Promise((resolve) => (out().write(text) ? resolve() : out().once('drain', resolve))),
    warn: (text) => process.stderr.write(text),
    get isScreen() {
      return out().isTTY;
    },
    get columns() {
      return out().isTTY ? out().columns : 80;
    },
    get paint() {
      return out().isTTY && out().hasColors() ? ANSI_PAINT : NO_PAINT;
    },
    get input() {
      return process.stdin;
    },
  };
}

/** One line for a person, on standard error. */
export function complain(terminal: Terminal, line: string): void {
  terminal.warn(`dmgw: ${line.replace(/\s*\n\s*/g, ' ')}\n`);
}

export async function printLines(terminal: Terminal, lines: readonly string[]): Promise<void> {
  await terminal.write(lines.map((line) => `${line}\n`).join(''));
}

/** One line of JSON. */
export async function printJson(terminal: Terminal, value: unknown): Promise<void> {
  await terminal.write(`${JSON.stringify(value)}\n`);
}
