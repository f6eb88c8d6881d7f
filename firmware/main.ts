/** The program: the command line and what it stands on. */
import { complain, ExitCode, processTerminal, runCommandLine, type Program } from './cli/index.js';
import { setFlags } from './flags.js';
import { AddonError, loadOutside } from './native/index.js';
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
  runDaemon: (files, complain) => {
    // Whatever listens has them loaded: before the flags, see there.
    for (const name of ['node:cluster', 'node:dns']) loadOutside(name);
    setFlags();
    return runDaemon(files, complain, tidyUpSoon);
  },
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

/** Ends after what was printed has left: a pipe may be slow. */
function finish(code: number): void {
  process.exitCode = code;
  process.stdout.write('', () => process.exit());
}
