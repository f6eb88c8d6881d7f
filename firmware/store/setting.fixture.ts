import { mock } from 'node:test';
import { Database } from './driver.js';

/**
 * For tests: what a setting of SQLite is on the connections that are opened while `work` runs, in their order. It is a
 * connection's own and stands in no file, so the connection itself is asked.
 */
export async function settingOfOpened(name: string, work: () => Promise<unknown>): Promise<unknown[]> {
  const watched = mock.method(Database.prototype, 'pragma');
  try {
    await work();
  } finally {
    watched.mock.restore();
  }
  const opened = new Set(watched.mock.calls.map((call) => call.this as Database));
  return [...opened].map((database) => database.pragmaValue(name));
}
