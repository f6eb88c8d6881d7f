import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { silentLog } from '../../firmware/log/index.js';
import { openStore } from '../../firmware/store/index.js';
import { campaign, ROUNDS, type Campaign } from './campaign.js';
import { buildProgram, whyNoFaults } from './faulty-disk.js';
import { fillerOf, rowSchema } from './rows.js';

const skip = whyNoFaults() ?? false;

let writer = '';
before(() => {
  if (skip === false) writer = buildProgram('writer');
});

/** What is wrong with a database after a cut. @param promises the numbers of the rows that were promised */
async function faultsOf(folder: string, promises: readonly string[]): Promise<string[]> {
  const promised = Math.max(0, ...promises.map(Number));
  if (!existsSync(join(folder, 'dmgw.db')) && promised === 0) return [];
  const store = openStore({ file: join(folder, 'dmgw.db'), schema: rowSchema, log: silentLog });
  try {
    const faults = store
      .sql<{ integrity_check: string }>('PRAGMA integrity_check')
      .all()
      .map((row) => row.integrity_check)
      .filter((line) => line !== 'ok');
    const rows = store.sql<{ n: number; filler: Uint8Array }>('SELECT n, filler FROM written ORDER BY n').all();
    for (const [index, { n, filler }] of rows.entries()) {
      if (n !== index + 1) return [...faults, `row ${index + 1} is missing, row ${n} is there`];
      if (!fillerOf(n).equals(filler)) faults.push(`row ${n} has other content`);
    }
    if (rows.length < promised) faults.push(`${promised} was promised, the last row is ${rows.length}`);
    const total = store.sql<{ count: number; last: number }>('SELECT count, last FROM total').get();
    if (total?.count !== rows.length || total.last !== rows.length) {
      faults.push(`a transaction is there in part: ${JSON.stringify(total)} for ${rows.length} rows`);
    }
    return faults;
  } finally {
    await store.close();
  }
}

const run = (name: string, rules: string, rounds: number, until?: number): Promise<Campaign> =>
  campaign(
    { name, program: writer, faultsOf, moments: ['sync 60', 'write 400', 'write 20', 'now'] },
    rules,
    rounds,
    until,
  );

describe('the store when the power goes', { skip }, () => {
  it('keeps every row that it promised, whole, at whatever moment', async (t) => {
    const done = await run('store', '', ROUNDS);
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promises} rows promised`);
    assert.deepEqual(done.faults, []);
    assert.ok(done.promises > 10 * ROUNDS, `only ${done.promises} rows`);
  });

  it('is seen to lose rows where the sync of its journal does nothing', async (t) => {
    const done = await run('lies', 'lie sync *-wal', ROUNDS, 2);
    t.diagnostic(`${done.faults.length} faults found in ${done.rounds} cuts: ${done.faults.join(' | ')}`);
    assert.ok(done.faults.length > 0, 'a lost sync was not noticed: this harness proves nothing');
  });

  it('is seen to break where no sync does anything', async () => {
    const done = await run('all-lies', 'lie sync', ROUNDS, 1);
    assert.ok(done.faults.length > 0);
  });
});
