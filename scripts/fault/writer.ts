/**
 * Stores rows without end and prints the number of each as soon as the store has promised that it is durable. For the
 * tests that cut the power while it runs. Argument: the folder of the database.
 */
import { writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '../../firmware/log/index.js';
import { openTestStore } from '../../firmware/store/store.fixture.js';
import { fillerOf, rowSchema } from './rows.js';

/** Transactions that wait for their promise at the same time: some share a flush. */
const AT_ONCE = 3;

/** So few that the WAL begins anew every few transactions. */
const CHECKPOINT_PAGES = 24;

const store = openTestStore({
  file: join(process.argv[2] ?? '.', 'dmgw.db'),
  schema: rowSchema,
  log: silentLog,
  checkpointPages: CHECKPOINT_PAGES,
});
const last = store.sql<{ n: number | null }>('SELECT max(n) AS n FROM written').get();
/** After so many rows nothing is written for a while: the store then ends its checkpoint. */
const ROWS_IN_A_ROW = 15;
const PAUSE_MS = 12;

let pause = Promise.resolve();
let next = (last?.n ?? 0) + 1;

for (let worker = 0; worker < AT_ONCE; worker += 1) void writeOn();

async function writeOn(): Promise<never> {
  for (;;) {
    await pause;
    const n = next;
    next += 1;
    if (n % ROWS_IN_A_ROW === 0) pause = sleep(PAUSE_MS);
    store.transaction(() => {
      store.sql('INSERT INTO written (n, filler) VALUES (?, ?)').run(n, fillerOf(n));
      store.sql('UPDATE total SET count = count + 1, last = ?').run(n);
      // Pages are freed and used again, as by everything that comes and goes in a gateway.
      store.sql('DELETE FROM passing WHERE n < ?').run(n - 20);
      store.sql('INSERT INTO passing (n, filler) VALUES (?, ?)').run(n, fillerOf(n + 1));
    });
    await store.durable();
    writeSync(1, `${n}\n`);
  }
}
