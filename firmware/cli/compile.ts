import { fileURLToPath } from 'node:url';
import { keepCompiled, keptFile } from '../compiled/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Command } from './command.js';
import { ExitCode } from './exit.js';
import { complain } from './terminal.js';

export const COMPILE_COMMAND: Command = {
  name: 'compile',
  summary: 'keep the program compiled beside it: the gateway starts sooner and takes less memory',
  details:
    'For this Node.js and the flags that it runs with; another one compiles at each start, as without. A gateway that has nothing to do is started and ended for it, in a folder of its own. For whoever installs dmgw: needs the right to write beside the program.',
  options: [],
  run: async ({ terminal, program }) => {
    const file = fileURLToPath(import.meta.url);
    try {
      // V8 has compiled only what has run, and keeps that: without it a start takes a fifth longer.
      const rehearsed = await program.rehearseStart();
      if (!rehearsed.ok) complain(terminal, `no start could be tried: ${rehearsed.error.text}`);
      const bytes = keepCompiled(file, program.compiled());
      await terminal.write(`${keptFile(file)}: ${bytes} bytes\n`);
      return ExitCode.done;
    } catch (thrown) {
      complain(terminal, `cannot keep the program compiled: ${describeThrown(thrown)}`);
      return ExitCode.failed;
    }
  },
};
