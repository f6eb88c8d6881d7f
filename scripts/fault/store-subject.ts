import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { silentLog } from '../../firmware/log/index.js';
import { openTestStore } from '../../firmware/store/store.fixture.js';
import type { Subject } from './campaign.js';
import { fillerOf, rowSchema } from './rows.js';

/** The database, written by writer.ts. @param program its bundle */
export function storeSubject(name: string, program: string): Subject {
  return { name, program, faultsOf, moments: ['sync 60', 'write 400', 'write 20', 'now'] };
}

/** What is wrong with a database after a cut. @param promises the numbers of the rows that were promised */
async function faultsOf(folder: string, promises: readonly string[]): Promise<string[]> {
  const promised = Math.max(0, ...promises.map(Number));
  if (!existsSync(join(folder, 'dmgw.db')) && promised === 0) return [];
  const store = openTestStore({ file: join(folder, 'dmgw.db'), schema: rowSchema, log: silentLog });
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
