import { loadConfiguration, type ConfigurationFiles, type LoadedConfiguration } from '../config/index.js';
import type { AskError, Paint } from '../ops/index.js';
import type { Outcome } from '../outcome/index.js';
import type { Call } from './command.js';
import { ExitCode } from './exit.js';
import { DEFAULT_CONFIG, type Given } from './options.js';
import { complain, printJson, printLines } from './terminal.js';

export function filesOf({ config, board }: Given): ConfigurationFiles {
  return { file: config ?? DEFAULT_CONFIG, board };
}

/** The user that a file with secrets may belong to, beside root. */
export function ownUid(): number {
  return process.getuid?.() ?? 0;
}

/** Does something with the configuration, if it can be read; else says in one line why not. */
export async function withConfiguration(
  { given, terminal }: Call,
  use: (loaded: LoadedConfiguration, file: string) => number | Promise<number>,
): Promise<number> {
  const files = filesOf(given);
  const loaded = loadConfiguration(files, ownUid());
  if (loaded.ok) return use(loaded.value, files.file);
  complain(terminal, loaded.error.text);
  return ExitCode.usage;
}

/** Does something with the path of the daemon's socket: as given, or as the configuration says. */
export async function withSocket(call: Call, use: (socket: string) => Promise<number>): Promise<number> {
  if (call.given.socket !== undefined) return use(call.given.socket);
  return withConfiguration(call, ({ configuration }) => use(configuration.controlSocket));
}

/** Says why the daemon gave no answer. @returns the exit code */
export function noAnswer({ terminal }: Call, error: AskError): number {
  complain(terminal, error.text);
  return error.code === 'not-running' ? ExitCode.notRunning : ExitCode.failed;
}

/** Shows a report: as it is with --json, else as text for a person, or as lines of it. */
export async function present(
  { given, terminal }: Call,
  report: object,
  text: string | readonly string[],
): Promise<void> {
  if (given.json === true) await printJson(terminal, report);
  else if (typeof text === 'string') await terminal.write(text);
  else await printLines(terminal, text);
}

/** Asks the daemon once and shows its answer, as text or, with --json, as it is. */
export function ask<Report>(
  call: Call,
  question: (socket: string) => Promise<Outcome<Report, AskError>>,
  render: (report: Report, paint: Paint) => string,
  exitCode: (report: Report) => number = () => ExitCode.done,
): Promise<number> {
  const { given, terminal } = call;
  return withSocket(call, async (socket) => {
    const asked = await question(socket);
    if (!asked.ok) return noAnswer(call, asked.error);
    if (given.json === true) await printJson(terminal, asked.value);
    else await terminal.write(render(asked.value, terminal.paint));
    return exitCode(asked.value);
  });
}
