import { keepCompiled, keptFile } from '../compiled/index.js';
import { AddonError } from '../native/index.js';
import { describeThrown } from '../outcome/index.js';
import type { Command } from './command.js';
import { ExitCode } from './exit.js';
import { complain } from './terminal.js';

export const COMPILE_COMMAND: Command = {
  name: 'compile',
  summary: 'keep the program compiled beside it: the gateway starts sooner and takes less memory',
  details:
    'For this Node.js and its flags; another one compiles at each start, as without. A gateway that has nothing to do is run for it. For whoever installs dmgw.',
  options: [],
  run: async ({ terminal, program }) => {
    const file = import.meta.filename;
    try {
      const bytes = keepCompiled(file, await program.compileStart());
      await terminal.write(`${keptFile(file)}: ${bytes} bytes\n`);
      return ExitCode.done;
    } catch (thrown) {
      if (thrown instanceof AddonError) throw thrown;
      complain(terminal, `cannot keep the program compiled: ${describeThrown(thrown)}`);
      return ExitCode.failed;
    }
  },
};
