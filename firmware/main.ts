/** The program: the command line and what it stands on. */
import { complain, ExitCode, processTerminal, runCommandLine, type Program } from './cli/index.js';
import { setFlags } from './flags.js';
import { AddonError } from './native/index.js';
import { http } from './net/index.js';
import { describeThrown } from './outcome/index.js';
import { compileStart } from './rehearsal.js';
import { runDaemon, tidyUpSoon } from './run.js';
import { databaseSchema } from './schema.js';
import { BUILD_TIME_MS, VERSION } from './version.js';

/** What the program is told when it runs, see `compiled`. */
declare const dmgwCompiled: () => Buffer;

const program: Program = {
  version: VERSION,
  buildTimeMs: BUILD_TIME_MS,
  schema: databaseSchema,
  runDaemon: (files, complain) => runDaemon(files, complain, () => setImmediate(finishStart)),
  compileStart: () => compileStart(dmgwCompiled),
};

const terminal = processTerminal();
runCommandLine(process.argv.slice(2), terminal, program).then(
  (code) => finish(code),
  (thrown: unknown) => {
    if (thrown instanceof AddonError) {
      complain(terminal, thrown.message);
      process.exit(ExitCode.usage);
    }
    complain(
      terminal,
      `defect: ${thrown instanceof Error ? (thrown.stack ?? thrown.message) : describeThrown(thrown)}`,
    );
    process.exit(ExitCode.fatal);
  },
);

/** What can wait until the gateway is ready. What Node.js has is compiled in it for V8 without flags: it is loaded before them. */
function finishStart(): void {
  http();
  setFlags();
  tidyUpSoon();
}

/** Ends after what was printed has left: a pipe may be slow. */
function finish(code: number): void {
  process.exitCode = code;
  process.stdout.write('', () => process.exit());
}
