import { NO_PAINT } from '../ops/index.js';
import { runCommandLine, type Program, type Terminal } from './index.js';

/** How a command ended, and what it wrote. */
export interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A terminal that remembers. */
export class RecordingTerminal implements Terminal {
  out = '';
  err = '';
  readonly paint = NO_PAINT;
  readonly columns = 80;
  readonly input: AsyncIterable<Uint8Array>;

  /** @param input what is typed */
  constructor(
    readonly isScreen = false,
    input = '',
  ) {
    this.input = (async function* () {
      yield await Promise.resolve(Buffer.from(input));
    })();
  }

  readonly write = (text: string): Promise<void> => {
    this.out += text;
    return Promise.resolve();
  };

  readonly warn = (text: string): void => {
    this.err += text;
  };
}

/** A program that runs nothing. */
export const idleProgram: Program = {
  version: '1.2.3',
  buildTimeMs: 0,
  schema: [{ owner: 'test', sql: 'CREATE TABLE t (n INTEGER)' }],
  runDaemon: () => Promise.reject(new Error('not here')),
  compileStart: () => Promise.reject(new Error('not here')),
};

/** Runs a command in this process. */
export async function dmgw(
  words: readonly string[],
  terminal = new RecordingTerminal(),
  program: Program = idleProgram,
): Promise<Ended> {
  const code = await runCommandLine(words, terminal, program);
  return { code, out: terminal.out, err: terminal.err };
}
