/**
 * `make bench-fanout`: a notification of its own for each of many devices, as fast as it goes (Rate -1), beside a bare
 * `dgram` loop; and what the devices take in memory. All devices are played by this process, one address of loopback each;
 * the gateway's parts run in another one, find them by mDNS, and see them react by the SessionID that they announce.
 * One round of both goes first and is not counted, so that both are as fast as they get: cold, either is slower by what V8
 * happens to compile then. DEVICES: 10000. ROUNDS: 3. Ends with exit code 1 where a target is missed.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatBytes } from '../../../firmware/ops/index.js';
import { PROJECT_ROOT } from '../../flow/project.js';
import { nodeFlagsFrom, numberFrom } from '../environment.js';
import { MemoryWatch } from '../memory-watch.js';
import { ProgressBar } from '../progress-bar.js';
import { atMost, circumstances, reported, showTable, showVerdicts, writeReport } from '../report.js';
import { median } from '../statistics.js';
import { runWorker } from '../worker.js';
import { Devices } from './devices.js';
import type { WorkerLine } from './protocol.js';

type Line<K extends WorkerLine['kind']> = Extract<WorkerLine, { kind: K }>;

const TARGET = { allOutMs: 500, ratioToBare: 3, inventoryBytes: 6_000_000 };
/** Found before the memory is read that the others are measured against. */
const WARM = 100;
/** The last datagrams of a round are on their way so long after the worker has told of it. */
const ARRIVAL_MS = 300;
/** Between two announcements of what was done. */
const AGAIN_MS = 1_000;

const nodeFlags = nodeFlagsFrom(process.env);
const count = numberFrom(process.env, 'DEVICES', 2 * WARM, 16_000) ?? 10_000;
const rounds = numberFrom(process.env, 'ROUNDS', 1, 100) ?? 3;
const build = join(PROJECT_ROOT, 'build');
mkdirSync(build, { recursive: true });
const folder = mkdtempSync(join(build, 'bench-fanout-'));
const devices = await Devices.open();

const lines: WorkerLine[] = [];
/** What is waited for now. */
let bar = progressOf('devices found');
let memory: MemoryWatch | undefined;
try {
  await runWorker<WorkerLine>(
    {
      name: 'bench-fanout',
      program: 'build/bench/fanout-worker.js',
      args: [folder, devices.port, count, WARM, rounds].map(String),
      nodeFlags: [...nodeFlags, '--expose-gc'],
      onLine: (line) => {
        lines.push(line);
        showProgress(line);
        void follow(line);
      },
    },
    (pid) => {
      memory = new MemoryWatch(pid);
      void devices.appear(0, WARM, () => isPresent(WARM));
    },
  );
} finally {
  bar.end();
  devices.close();
  rmSync(folder, { recursive: true });
}

const bare = counted('bare').map((line) => outMs(line));
const fanouts = counted('sent').map((line, index) => {
  const finished = counted('finished')[index];
  const bareMs = bare[index] ?? NaN;
  const allOutMs = outMs(line);
  return {
    allOutMs,
    bareMs,
    ratioToBare: allOutMs / bareMs,
    arrived: devices.of(line.round).devices.size,
    ...line,
    finished,
  };
});
const results = {
  devices: count,
  target: TARGET,
  allOutMs: median(fanouts.map(({ allOutMs }) => allOutMs)),
  bareMs: median(bare),
  ratioToBare: median(fanouts.map(({ ratioToBare }) => ratioToBare)),
  inventoryBytes: (all('found')[0]?.collectedBytes ?? NaN) - (all('warm')[0]?.collectedBytes ?? NaN),
  found: all('found')[0],
  complete: fanouts.every(({ arrived, finished }) => arrived === count && isComplete(finished)),
  memory: memory?.stop(),
  rounds: fanouts,
};

showTable(process.stdout, {
  head: [
    'ROUND',
    'BARE MS',
    'ALL OUT MS',
    'RATIO',
    'OF IT START',
    'CPU MS',
    'BARE CPU',
    'DELAY MAX',
    'P99',
    'ARRIVED',
    'REACTED',
    'FAILED',
    'DELAY REACTING',
    'RSSANON MIB',
  ],
  rows: fanouts.map((one, index) => [
    String(index + 1),
    one.bareMs.toFixed(0),
    one.allOutMs.toFixed(0),
    one.ratioToBare.toFixed(2),
    one.startMs.toFixed(0),
    one.cpuMs.toFixed(0),
    (counted('bare')[index]?.cpuMs ?? NaN).toFixed(0),
    one.delayMaxMs.toFixed(1),
    one.delayP99Ms.toFixed(1),
    String(one.arrived),
    String(one.finished?.reacted ?? '-'),
    String(one.finished?.failed ?? '-'),
    (one.finished?.delayMaxMs ?? NaN).toFixed(1),
    (one.rssAnonBytes / 2 ** 20).toFixed(1),
  ]),
});
const { rssAnonBytes: idle = 0, collectedBytes: collected = 0 } = results.found ?? {};
process.exitCode = showVerdicts(process.stdout, [
  atMost('all out (median)', results.allOutMs, TARGET.allOutMs, (ms) => `${ms.toFixed(0)} ms`),
  atMost('times the bare loop (median)', results.ratioToBare, TARGET.ratioToBare, (ratio) => ratio.toFixed(2)),
  atMost(`RssAnon that ${count - WARM} devices are in`, results.inventoryBytes, TARGET.inventoryBytes, formatBytes),
  {
    figure: 'final reports',
    measured: results.complete ? 'complete' : 'not complete',
    target: 'complete',
    met: results.complete,
  },
  reported('RssAnon before the first fanout', `${formatBytes(idle)}, ${formatBytes(collected)} in use`),
  reported('RssAnon at its peak', formatBytes(results.memory?.peakRssAnonBytes ?? 0)),
]);
const file = writeReport('fanout', circumstances(nodeFlags), results);
process.stdout.write(`\n${file}\n`);

function progressOf(label: string): ProgressBar {
  return new ProgressBar(process.stdout, label, count, (amount) => amount.toFixed(0));
}

function showProgress(line: WorkerLine): void {
  if (line.kind === 'present' || line.kind === 'reacted') return bar.show(line.devices);
  if (line.kind !== 'sent' && line.kind !== 'finished') return;
  bar.end();
  bar = progressOf(`${line.round <= 2 ? 'to warm up' : `round ${line.round / 2 - 1} of ${rounds}`}, reactions`);
}

/** What the devices do when the worker has come so far. */
async function follow(line: WorkerLine): Promise<void> {
  if (line.kind === 'warm') await devices.appear(WARM, count, () => isPresent(count));
  if (line.kind === 'found') memory?.markIdle();
  if (line.kind !== 'sent') return;
  await sleep(ARRIVAL_MS);
  // What is lost on a busy machine is announced again, as devices do.
  const isOver = (): boolean => all('finished').some(({ round }) => round === line.round);
  while (!isOver()) {
    await devices.react(line.round, isOver);
    await sleep(AGAIN_MS);
  }
}

function isPresent(devices: number): boolean {
  return all('present').some((line) => line.devices >= devices);
}

function outMs({ round, startNs }: { readonly round: number; readonly startNs: string }): number {
  return Number(devices.of(round).lastNs - BigInt(startNs)) / 1e6;
}

function isComplete(finished: Line<'finished'> | undefined): boolean {
  return (
    finished?.end === 'finished' && finished.total === count && finished.sent === count && finished.reacted === count
  );
}

/** Those of the rounds that are counted: all but the first. */
function counted<K extends WorkerLine['kind']>(kind: K): Line<K>[] {
  return all(kind).slice(1);
}

function all<K extends WorkerLine['kind']>(kind: K): Line<K>[] {
  return lines.filter((line): line is Line<K> => line.kind === kind);
}
