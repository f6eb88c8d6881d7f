import type { SchemaStep } from '../../firmware/store/index.js';

/** What the writer stores: each transaction adds a row, counts it, and replaces a passing one. */
export const rowSchema: readonly SchemaStep[] = [
  {
    owner: 'test',
    sql: `CREATE TABLE written (n INTEGER PRIMARY KEY, filler BLOB NOT NULL);
          CREATE TABLE passing (n INTEGER PRIMARY KEY, filler BLOB NOT NULL);
          CREATE TABLE total (count INTEGER NOT NULL, last INTEGER NOT NULL);
          INSERT INTO total VALUES (0, 0);`,
  },
];

/** Longest filler, in bytes: more than two pages of the database. */
const FILLER_BYTES = 9_000;

/** Bytes that follow from the number of a row; most are short, a few go over several pages. */
export function fillerOf(n: number): Buffer {
  const length = n % 7 === 0 ? (n * 7919) % FILLER_BYTES : (n * 31) % 300;
  return Buffer.alloc(length, `row ${n} `);
}
