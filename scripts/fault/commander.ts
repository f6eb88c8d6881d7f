/**
 * Has a gateway execute one command after the other, without end, and prints the number of each as soon as its server
 * was answered 200. Goes on where the folder's tree is. For the tests that cut the power while it runs. Argument: the
 * folder of the gateway.
 */
import { writeSync } from 'node:fs';
import { CommandLab } from './command-lab.js';
import { commandOf, sameState, statesAfter } from './command-model.js';

/** Commands of one session. */
const AT_ONCE = 60;
/** A tree is looked for among so many first states. */
const MOST_COMMANDS = 100_000;

const lab = await CommandLab.start(process.argv[2] ?? '.', (thrown) => {
  process.stderr.write(`${String(thrown)}\n`);
  process.exit(70);
});
const found = await lab.read();
let done = -1;
for (const [n, state] of statesAfter(0, MOST_COMMANDS)) if (done < 0 && sameState(state, found)) done = n;
if (done < 0) throw new Error(`the tree is in no state of the model: ${JSON.stringify([...found])}`);
for (;;) {
  const commands = Array.from({ length: AT_ONCE }, (_, index) => ({
    ...commandOf(done + index + 1),
    id: String(done + index + 1),
  }));
  await lab.execute(commands, (id, code) => {
    // The commands inside an Atomic have ids of their own.
    if (!/^\d+$/.test(id)) return;
    writeSync(1, code === 200 ? `${id}\n` : `command ${id} was answered ${code}\n`);
  });
  done += AT_ONCE;
}
