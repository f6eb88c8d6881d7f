import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '../log/index.js';
import { openStore, rehearseMigration, StoreError, type Migration } from '../store/index.js';
import { present, withConfiguration } from './ask.js';
import type { Call, Command } from './command.js';
import { ExitCode } from './exit.js';
import { complain } from './terminal.js';

/** Name of the database in stateDir. */
export const DATABASE = 'dmgw.db';

export const MIGRATE_COMMAND: Command = {
  name: 'migrate',
  summary: 'bring the database to the schema of this version',
  details: `The gateway does so by itself when it starts; this is for those who want to know before. --dry-run tries the steps out in a
transaction that is rolled back, and says which. The gateway must not run meanwhile. Exit code 2: the database is of a
newer version (a downgrade): nothing is touched, install that version again.`,
  options: ['config', 'board', 'dry-run', 'json'],
  run: migrate,
};

function migrate(call: Call): Promise<number> {
  const { given, terminal, program } = call;
  return withConfiguration(call, async ({ configuration }) => {
    const options = {
      file: join(configuration.stateDir, DATABASE),
      schema: program.schema,
      log: silentLog,
      cacheKib: configuration.store.databaseCacheKiB,
    };
    const dryRun = given['dry-run'] === true;
    try {
      const planned = existsSync(options.file) ? rehearseMigration(options) : undefined;
      if (planned && !dryRun && planned.steps.length > 0) await openStore(options).close();
      const done = planned !== undefined && !dryRun;
      const report = { ...(planned ?? { from: null, to: program.schema.length, steps: [] }), done };
      await present(call, report, linesOf(planned, done));
      return ExitCode.done;
    } catch (thrown) {
      if (!(thrown instanceof StoreError)) throw thrown;
      complain(terminal, thrown.message);
      return thrown.code === 'newer-schema' ? ExitCode.usage : ExitCode.failed;
    }
  });
}

function linesOf(planned: Migration | undefined, done: boolean): string[] {
  if (!planned) return ['there is no database yet: the first start makes it'];
  const { from, to, steps } = planned;
  if (steps.length === 0) return [`schema ${to}: nothing to do`];
  const verb = done ? 'taken' : 'would be taken, and has been tried out';
  return [`schema ${from} -> ${to}`, ...steps.map(({ number, owner }) => `step ${number} (${owner}) ${verb}`)];
}
