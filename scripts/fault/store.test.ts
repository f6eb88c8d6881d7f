import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from '../../firmware/log/index.js';
import { openStore } from '../../firmware/store/index.js';
import { buildWriter, FaultyDisk, whyNoFaults } from './faulty-disk.js';
import { fillerOf, rowSchema } from './rows.js';

const skip = whyNoFaults() ?? false;

/** More by environment, for a long run. */
const ROUNDS = Number(process.env.DMGW_FAULT_ROUNDS ?? 40);
const FIRST_SEED = Number(process.env.DMGW_FAULT_SEED ?? 1);

/** After so many rounds the database begins anew, so that its making is cut too. */
const ROUNDS_PER_DATABASE = 8;

let writer = '';
before(() => {
  if (skip === false) writer = buildWriter();
});

/** Runs the writer until the power goes. @returns the numbers that it was promised */
async function writeUntilCut(disk: FaultyDisk, cutAfterMs: number | undefined): Promise<number[]> {
  const before = disk.told.length;
  const child = spawn(process.execPath, [writer, disk.folder], {
    env: { ...process.env, ...disk.environment },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  try {
    if (cutAfterMs !== undefined) {
      while (text === '' && child.exitCode === null) await sleep(2);
      await sleep(cutAfterMs);
      await disk.tell('cut now');
    }
    await Promise.race([ended, sleep(10_000, undefined, { ref: false })]);
    assert.ok(disk.cutSince(before), `the power did not go: ${disk.told.slice(before).join('; ')}`);
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
  assert.deepEqual(disk.notCovered, []);
  return text.split('\n').slice(0, -1).map(Number);
}

/** What is wrong with a database after a cut; empty when nothing is. Works on a copy: the next round finds it as it is. */
async function faultsOf(disk: FaultyDisk, promised: number): Promise<string[]> {
  const copy = `${disk.folder}-copy`;
  rmSync(copy, { recursive: true, force: true });
  cpSync(disk.folder, copy, { recursive: true });
  if (!existsSync(join(copy, 'dmgw.db')) && promised === 0) return [];
  try {
    const store = openStore({ file: join(copy, 'dmgw.db'), schema: rowSchema, log: silentLog });
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
  } catch (thrown) {
    return [String(thrown)];
  }
}

interface Campaign {
  readonly rounds: number;
  readonly faults: readonly string[];
  readonly promised: number;
  /** What the power went at, by kind of operation. */
  readonly cuts: Readonly<Record<string, number>>;
}

/** @param rules beside those of the cut @param until no more rounds once this many have shown a fault */
async function campaign(name: string, rules: string, rounds: number, until = Infinity): Promise<Campaign> {
  const faults: string[] = [];
  const cuts: Record<string, number> = {};
  let disk = new FaultyDisk(name, '');
  let promised = 0;
  let promises = 0;
  let round = 0;
  try {
    for (; round < rounds && faults.length < until; round += 1) {
      const seed = FIRST_SEED + round;
      const random = randomOf(seed);
      if (round % ROUNDS_PER_DATABASE === 0) {
        disk.remove();
        disk = new FaultyDisk(name, '');
        promised = 0;
      }
      const moments = [
        `cut sync ${1 + Math.floor(random() * 60)}`,
        `cut write ${1 + Math.floor(random() * 400)}`,
        // The first operations: a new database, or recovery after the cut before.
        `cut write ${1 + Math.floor(random() * 20)}`,
        undefined,
      ] as const;
      const moment = moments[round % moments.length];
      const names = round % 2 === 0 ? 'ordered' : 'strict';
      disk.rules = [`seed ${seed}`, `names ${names}`, rules, moment].filter(Boolean).join('; ');
      const logged = disk.told.length;
      const numbers = await writeUntilCut(disk, moment === undefined ? random() * 60 : undefined);
      const kind = disk.cutSince(logged)?.split(' ')[1] ?? '';
      cuts[kind] = (cuts[kind] ?? 0) + 1;
      promised = Math.max(promised, ...numbers);
      promises += numbers.length;
      const found = await faultsOf(disk, promised);
      if (found.length > 0) {
        faults.push(`seed ${seed} (${disk.rules}): ${found.slice(0, 3).join('; ')}`);
        // What is broken once is broken in every later round.
        round = Math.ceil((round + 1) / ROUNDS_PER_DATABASE) * ROUNDS_PER_DATABASE - 1;
      }
    }
  } finally {
    disk.remove();
  }
  return { rounds: Object.values(cuts).reduce((sum, count) => sum + count, 0), faults, promised: promises, cuts };
}

/** mulberry32. @returns a function that gives numbers from 0 to 1 */
function randomOf(seed: number): () => number {
  let state = seed * 0x9e3779b1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

describe('the store when the power goes', { skip }, () => {
  it('keeps every row that it promised, whole, at whatever moment', async (t) => {
    const done = await campaign('store', '', ROUNDS);
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promised} rows promised`);
    assert.deepEqual(done.faults, []);
    assert.ok(done.promised > 10 * ROUNDS, `only ${done.promised} rows`);
  });

  it('is seen to lose rows where the sync of its journal does nothing', async (t) => {
    const done = await campaign('lies', 'lie sync *-wal', ROUNDS, 2);
    t.diagnostic(`${done.faults.length} faults found in ${done.rounds} cuts: ${done.faults.join(' | ')}`);
    assert.ok(done.faults.length > 0, 'a lost sync was not noticed: this harness proves nothing');
  });

  it('is seen to break where no sync does anything', async () => {
    const done = await campaign('all-lies', 'lie sync', ROUNDS, 1);
    assert.ok(done.faults.length > 0);
  });
});
