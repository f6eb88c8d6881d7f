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
    'For this Node.js and the flags that it runs with; another one compiles at each start, as without. For whoever installs dmgw: needs the right to write beside the program.',
  options: [],
  run: async ({ terminal }) => {
    const program = fileURLToPath(import.meta.url);
    try {
      const bytes = keepCompiled(program);
      await terminal.write(`${keptFile(program)}: ${bytes} bytes\n`);
      return ExitCode.done;
    } catch (thrown) {
      complain(terminal, `cannot keep the program compiled: ${describeThrown(thrown)}`);
      return ExitCode.failed;
    }
  },
};
