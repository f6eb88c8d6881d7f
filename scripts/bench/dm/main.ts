/**
 * `make bench-dm`: messages per second through the DM client: octets of the server to octets of the answer, with a real
 * database. MEMORY_MESSAGES: length of the memory run (100000). Ends with exit code 1 where a target is missed.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../../../firmware/ops/index.js';
import { PROJECT_ROOT } from '../../flow/project.js';
import { nodeFlagsFrom, numberFrom } from '../environment.js';
import { atMost, circumstances, reported, showTable, showVerdicts, writeReport } from '../report.js';
import { slope } from '../statistics.js';
import { runWorker } from '../worker.js';
import { nameOf, type WorkerLine } from './protocol.js';

type Line<K extends WorkerLine['kind']> = Extract<WorkerLine, { kind: K }>;

/** Get-only messages of 5 KiB a second, on one core. */
const TARGET = { name: 'get 5 KiB xml', perSecond: 2_000 };
/** Before this part of the memory run is over, caches fill and code is compiled. */
const WARM_UP = 0.1;
/** RssAnon that grows by less, over the rest of the memory run, is flat: its samples scatter by as much. */
const FLAT_BYTES = 4 * 1024 * 1024;

const nodeFlags = nodeFlagsFrom(process.env);
const memoryMessages = numberFrom(process.env, 'MEMORY_MESSAGES', 1_000, 1e9) ?? 100_000;
const build = join(PROJECT_ROOT, 'build');
mkdirSync(build, { recursive: true });
const folder = mkdtempSync(join(build, 'bench-dm-'));

const lines: WorkerLine[] = [];
try {
  // The memory in a process of its own: what V8 has seen of longer messages lets it collect later.
  for (const run of [['0'], [String(memoryMessages), 'none']]) {
    await runWorker<WorkerLine>({
      name: 'bench-dm',
      program: 'build/bench/dm-worker.js',
      args: [folder, ...run],
      nodeFlags,
      onLine: (line) => {
        lines.push(line);
        if (line.kind === 'rate')
          process.stderr.write(
            `  ${nameOf(line.of)}: ${line.perSecond.toFixed(0)} per second, ${line.cpuMs.toFixed(3)} ms of CPU each\n`,
          );
      },
    });
  }
} finally {
  rmSync(folder, { recursive: true });
}

const rates = all('rate');
const phases = all('phases');
const commits = all('commits').map(({ perSecond }) => perSecond);
const memory = all('memory').filter(({ messages }) => messages >= WARM_UP * memoryMessages);

showTable(process.stdout, {
  head: ['MESSAGE', 'COMMANDS', 'PER SECOND', 'CPU MS', 'DECODE', 'EXECUTE', 'WRITE'],
  rows: rates.map((rate, index) => {
    const ms = phases[index]?.ms;
    const split = ms ? [ms.decode, ms.execute, ms.write] : [];
    return [
      nameOf(rate.of),
      String(rate.commands),
      rate.perSecond.toFixed(0),
      rate.cpuMs.toFixed(3),
      ...split.map((part) => part.toFixed(3)),
    ];
  }),
});
const first = memory[0];
const last = memory.at(-1);
const perMessage = slope(memory.map(({ messages, rssAnonBytes }) => [messages, rssAnonBytes]));
const perSecond = rates.find(({ of }) => nameOf(of) === TARGET.name)?.perSecond ?? 0;
process.exitCode = showVerdicts(process.stdout, [
  {
    figure: TARGET.name,
    measured: `${perSecond.toFixed(0)} per second`,
    target: `at least ${TARGET.perSecond}`,
    met: perSecond >= TARGET.perSecond,
  },
  reported('bare SQLite commits, same durability', `${commits.map((rate) => rate.toFixed(0)).join(', ')} per second`),
  reported(`RssAnon after ${first?.messages ?? 0} messages`, formatBytes(first?.rssAnonBytes ?? 0)),
  reported(`RssAnon after ${last?.messages ?? 0} messages`, formatBytes(last?.rssAnonBytes ?? 0)),
  reported('growth', `${perMessage.toFixed(1)} bytes for each message (least squares)`),
  atMost('growth of RssAnon over the run', Math.max(0, perMessage * memoryMessages), FLAT_BYTES, formatBytes),
]);
const file = writeReport('dm', circumstances(nodeFlags), {
  target: TARGET,
  rates,
  phases,
  bareCommitsPerSecond: commits,
  memory: { samples: all('memory'), growthBytesPerMessage: perMessage },
});
process.stdout.write(`\n${file}\n`);

function all<K extends WorkerLine['kind']>(kind: K): Line<K>[] {
  return lines.filter((line): line is Line<K> => line.kind === kind);
}
