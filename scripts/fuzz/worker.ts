/**
 * The process that fuzzes: generates lives, lives them, and tells how it went. Whoever starts it watches its pulse, so
 * that an input on which it hangs or dies is known. Arguments: `run FOLDER INPUTS SEED`, or `replay FOLDER FILE...`;
 * FOLDER is for its pulse, for the life that it lives, and for a life that failed.
 */
import { openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { setFlags } from '../../firmware/flags.js';
import { Histogram } from '../bench/histogram.js';
import { tell } from '../bench/worker.js';
import { readByLibwbxml } from './libwbxml.js';
import { formatLife, parseLife, type Life } from './life.js';
import { lives } from './lives.js';
import { PULSE_BYTES, writePulse, type FuzzFigures } from './protocol.js';
import { runLife } from './run-life.js';
import { MemorySamples } from './samples.js';

/** Lives between two looks at the memory and the number of inputs. */
const LIVES_PER_ROUND = 4;
/** A part of the run, for caches to fill and code to be compiled. */
const WARM_UP = 0.25;
const PROGRESS_MS = 500;
/** A life that fails is made smaller for so long. */
const SHRINK_MS = 30_000;
/** Every so many answers in WBXML one is kept for libwbxml, up to so many. */
const KEEP_EVERY = 100;
const KEEP_MOST = 100;

const [mode, folder = '.', ...rest] = process.argv.slice(2);

// As the gateway runs. By default RssAnon scatters by 20 MB: of a young generation that grows, and of threads that compile.
setFlags();

// Databases too belong into the folder: whoever watches removes it, whatever becomes of this process.
process.env.TMPDIR = folder;

const pulseFile = openSync(join(folder, 'pulse'), 'w');
const pulse = Buffer.alloc(PULSE_BYTES);
const durations = new Histogram();
const memory = new MemorySamples();
const kept: Uint8Array[] = [];
const statuses = new Map<string, number>();
const counts = { inputs: 0, datagrams: 0, sessions: 0, completed: 0, understood: 0, wbxmlAnswers: 0 };
let toldMs = performance.now();

function beat(atWork: boolean): void {
  writePulse(pulse, counts.inputs, atWork);
  writeSync(pulseFile, pulse, 0, PULSE_BYTES, 0);
}

async function live(life: Life): Promise<void> {
  writeFileSync(join(folder, 'life.json'), formatLife(life));
  await runLife(life, {
    input: (kind) => {
      counts.inputs += 1;
      if (kind === 'datagram') counts.datagrams += 1;
      beat(true);
    },
    took: (ms) => {
      beat(false);
      durations.add(ms);
    },
    understood: () => (counts.understood += 1),
    answer: (encoding, octets) => {
      if (encoding !== 'wbxml') return;
      counts.wbxmlAnswers += 1;
      if (counts.wbxmlAnswers % KEEP_EVERY === 0 && kept.length < KEEP_MOST) kept.push(octets);
    },
    status: (command, code) => {
      const key = `${command} ${code}`;
      statuses.set(key, (statuses.get(key) ?? 0) + 1);
    },
    ended: (completed) => {
      counts.sessions += 1;
      if (completed) counts.completed += 1;
    },
  });
  beat(false);
  if (performance.now() - toldMs < PROGRESS_MS) return;
  toldMs = performance.now();
  tell({ kind: 'progress', inputs: counts.inputs });
}

/** Lives of one seed after the other, until there were enough inputs. @returns false when one failed */
async function fuzz(inputs: number, firstSeed: number): Promise<boolean> {
  for (let seed = firstSeed; counts.inputs < inputs; seed += 1) {
    let deadlineMs = Infinity;
    const property = fc.asyncProperty(lives, async (life) => {
      // Nothing smaller is found any more: the smallest so far is it.
      if (performance.now() > deadlineMs) return;
      try {
        await live(life);
      } catch (thrown) {
        deadlineMs = Math.min(deadlineMs, performance.now() + SHRINK_MS);
        throw thrown;
      }
    });
    const run = await fc.check(property, { seed, numRuns: LIVES_PER_ROUND });
    if (run.failed) {
      const file = join(folder, `failed-${seed}.json`);
      const [life] = run.counterexample ?? [];
      if (life) writeFileSync(file, formatLife(life));
      tell({ kind: 'fault', fault: faultOf(run.errorInstance), file, seed });
      return false;
    }
    if (counts.inputs > WARM_UP * inputs) memory.take(counts.inputs);
  }
  return true;
}

async function replay(files: readonly string[]): Promise<boolean> {
  for (const file of files) {
    try {
      await live(parseLife(readFileSync(file, 'utf8')));
    } catch (thrown) {
      tell({ kind: 'fault', fault: faultOf(thrown), file, seed: 0 });
      return false;
    }
  }
  return true;
}

function faultOf(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

function figures(): FuzzFigures {
  const { inputs, datagrams, sessions, completed, understood } = counts;
  return {
    ...{ inputs, datagrams, sessions, completed, understood },
    statuses: Object.fromEntries([...statuses].sort()),
    checkedByLibwbxml: readByLibwbxml(kept),
    p50Ms: durations.percentile(50),
    p99Ms: durations.percentile(99),
    maxMs: durations.max,
    heap: memory.heap,
    rssAnon: memory.rssAnon,
  };
}

tell({ kind: 'ready' });
beat(false);
const [inputs = '0', seed = '0'] = rest;
const good = mode === 'replay' ? await replay(rest) : await fuzz(Number(inputs), Number(seed));
if (good) tell({ kind: 'figures', figures: figures() });
