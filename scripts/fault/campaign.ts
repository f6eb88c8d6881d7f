/** Cuts the power under a program again and again, at moments that a seed decides, and looks at what is left. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyDisk } from './faulty-disk.js';

/** Cuts per campaign and the first seed; by environment, for a long run. */
export const ROUNDS = Number(process.env.DMGW_FAULT_ROUNDS ?? 40);
const FIRST_SEED = Number(process.env.DMGW_FAULT_SEED ?? 1);

/** After so many rounds the program begins on an empty disk, so that its first steps are cut too. */
const ROUNDS_PER_DISK = 8;

export interface Subject {
  readonly name: string;
  /** Runs without end on the folder that is its argument; prints a line for each promise that it was given. */
  readonly program: string;
  /**
   * When the power goes: before one of the first operations of a kind ('sync 60': a random one of 60), or a while after
   * the first promise ('now'). Taken in turn.
   */
  readonly moments: readonly string[];
  /**
   * What is wrong in a folder after a cut; empty when nothing is. May change the folder: it is a copy. Rejects when it
   * cannot even be read.
   */
  faultsOf(folder: string, promises: readonly string[]): Promise<string[]>;
}

export interface Campaign {
  readonly rounds: number;
  readonly faults: readonly string[];
  /** How many promises were given. */
  readonly promises: number;
  /** What the power went at, by kind of operation. */
  readonly cuts: Readonly<Record<string, number>>;
}

/**
 * @param rules beside those of the cut
 * @param until no more rounds once this many have shown a fault
 * @param told how many rounds are done
 */
export async function campaign(
  subject: Subject,
  rules: string,
  rounds: number,
  until = Infinity,
  told: (rounds: number) => void = () => {},
): Promise<Campaign> {
  const faults: string[] = [];
  const cuts: Record<string, number> = {};
  let disk = new FaultyDisk(subject.name, '');
  let promises: string[] = [];
  let given = 0;
  try {
    for (let round = 0; round < rounds && faults.length < until; round += 1) {
      const seed = FIRST_SEED + round;
      const random = randomOf(seed);
      if (round % ROUNDS_PER_DISK === 0) {
        disk.remove();
        disk = new FaultyDisk(subject.name, '');
        promises = [];
      }
      const [kind = '', most] = (subject.moments[round % subject.moments.length] ?? '').split(' ');
      const moment = kind === 'now' ? undefined : `cut ${kind} ${1 + Math.floor(random() * Number(most))}`;
      // By turns, on an empty disk too.
      const names = (round + Math.floor(round / ROUNDS_PER_DISK)) % 2 === 0 ? 'ordered' : 'strict';
      disk.rules = [`seed ${seed}`, `names ${names}`, rules, moment].filter(Boolean).join('; ');
      const logged = disk.told.length;
      const lines = await runUntilCut(subject.program, disk, kind === 'now' ? random() * 60 : undefined);
      const what = disk.cutSince(logged)?.split(' ')[1] ?? '';
      cuts[what] = (cuts[what] ?? 0) + 1;
      promises.push(...lines);
      given += lines.length;
      told(round + 1);
      const found = await faultsOnCopy(subject, disk, promises);
      if (found.length > 0) {
        faults.push(`seed ${seed} (${disk.rules}): ${found.slice(0, 3).join('; ')}`);
        // What is broken once is broken in every later round.
        round = Math.ceil((round + 1) / ROUNDS_PER_DISK) * ROUNDS_PER_DISK - 1;
      }
    }
  } finally {
    disk.remove();
  }
  return { rounds: Object.values(cuts).reduce((sum, count) => sum + count, 0), faults, promises: given, cuts };
}

/** @param cutAfterMs after the first promise; undefined: by the disk's rules. @returns the promises */
async function runUntilCut(program: string, disk: FaultyDisk, cutAfterMs: number | undefined): Promise<string[]> {
  const before = disk.told.length;
  // What it has beside the disk outlives it, as it is killed.
  const beside = mkdtempSync(join(tmpdir(), 'cut-'));
  const child = spawn(process.execPath, [program, disk.folder], {
    env: { ...process.env, ...disk.environment, TMPDIR: beside },
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
    await Promise.race([ended, sleep(30_000, undefined, { ref: false })]);
    assert.ok(disk.cutSince(before), `the power did not go: ${disk.told.slice(before).join('; ')}`);
  } finally {
    child.kill('SIGKILL');
    await ended;
    rmSync(beside, { recursive: true });
  }
  assert.deepEqual(disk.notCovered, []);
  return text.split('\n').slice(0, -1);
}

/** The next round finds the disk as the cut left it. */
async function faultsOnCopy(subject: Subject, disk: FaultyDisk, promises: readonly string[]): Promise<string[]> {
  const copy = `${disk.folder}-copy`;
  rmSync(copy, { recursive: true, force: true });
  cpSync(disk.folder, copy, { recursive: true });
  return subject.faultsOf(copy, promises).catch((thrown: unknown) => [String(thrown)]);
}

/** mulberry32. @returns a function that gives numbers from 0 to 1 */
export function randomOf(seed: number): () => number {
  let state = seed * 0x9e3779b1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
