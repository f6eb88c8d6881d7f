import { closeSync, fdatasync, openSync, rmSync } from 'node:fs';
import { promisify } from 'node:util';
import Sqlite from 'better-sqlite3';

/**
 * Commits per second of SQLite alone, each of one row and each flushed as the store does it: what is answered to a
 * server survives a power cut.
 * @param file made and removed
 */
export async function bareCommits(file: string, forMs: number): Promise<number> {
  const db = new Sqlite(file);
  const flush = promisify(fdatasync);
  try {
    db.pragma('locking_mode = EXCLUSIVE');
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = NORMAL');
    db.exec('CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, NULL)');
    const update = db.prepare('UPDATE t SET v = ? WHERE k = 1');
    const wal = openSync(`${file}-wal`, 'r');
    let commits = 0;
    const startMs = performance.now();
    for (; performance.now() - startMs < forMs; commits += 1) {
      update.run(String(commits));
      await flush(wal);
    }
    const rate = (commits * 1000) / (performance.now() - startMs);
    closeSync(wal);
    return rate;
  } finally {
    db.close();
    rmSync(file, { force: true });
  }
}
