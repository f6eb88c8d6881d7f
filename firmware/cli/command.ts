import type { ConfigurationFiles } from '../config/index.js';
import type { SchemaStep } from '../store/index.js';
import type { Given, OptionName } from './options.js';
import type { Terminal } from './terminal.js';

/** What of the program the commands stand on; main.ts puts it together. */
export interface Program {
  readonly version: string;
  /** Wall time of the build in ms. */
  readonly buildTimeMs: number;
  /** The schema of the database. */
  readonly schema: readonly SchemaStep[];
  /** Runs the gateway until it is told to stop. @returns the exit code */
  runDaemon(files: ConfigurationFiles, complain: (line: string) => void): Promise<number>;
  /** What V8 has compiled of the program when a gateway that has nothing to do has just started; it has ended then. */
  compileStart(): Promise<Buffer>;
}

/** One run of a command. */
export interface Call {
  readonly given: Given;
  /** The words behind the command's name: as many as it asks for, those that may be missing undefined. */
  readonly operands: readonly string[];
  readonly terminal: Terminal;
  readonly program: Program;
}

export interface Command {
  /** As typed: `config check`. */
  readonly name: string;
  readonly summary: string;
  readonly details: string;
  readonly options: readonly OptionName[];
  /** Words behind the name; those in brackets may be missing. */
  readonly operands?: readonly string[];
  /** @returns the exit code */
  run(call: Call): Promise<number>;
}
