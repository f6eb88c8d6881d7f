/**
 * Stores bursts of rows with pauses in between, and prints as JSON how long the event loop was held up and how large the
 * files became. For the test on a slow disk. Argument: the folder of the database.
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '../../firmware/log/index.js';
import { openTestStore } from '../../firmware/store/store.fixture.js';
import { fillerOf, rowSchema } from './rows.js';

const BURSTS = 4;
const ROWS = 12;
const PAUSE_MS = 500;

const file = join(process.argv[2] ?? '.', 'dmgw.db');
const store = openTestStore({ file, schema: rowSchema, log: silentLog, checkpointPages: 24 });
const meter = monitorEventLoopDelay({ resolution: 2 });
let n = 0;
const before = statSync(file).size;
await store.durable();
meter.enable();
for (let burst = 0; burst < BURSTS; burst += 1) {
  for (let row = 0; row < ROWS; row += 1) {
    n += 1;
    store.sql('INSERT INTO written (n, filler) VALUES (?, ?)').run(n, fillerOf(n));
  }
  await store.durable();
  await sleep(PAUSE_MS);
}
meter.disable();
const figures = {
  rows: n,
  p99Ms: meter.percentile(99) / 1e6,
  longestMs: meter.max / 1e6,
  grownBytes: statSync(file).size - before,
  walBytes: statSync(`${file}-wal`).size,
};
process.stdout.write(`${JSON.stringify(figures)}\n`);
process.exit(0);
