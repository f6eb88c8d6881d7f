/**
 * `make fuzz`: any number of inputs (N), from any seed (SEED), with what they cost. Exit code: 0 when the gateway stood
 * them all, 1 when it did not, 2 for a wrong wish.
 */
import { formatBytes } from '../../firmware/ops/index.js';
import { numberFrom } from '../bench/environment.js';
import { ProgressBar } from '../bench/progress-bar.js';
import { showTable } from '../bench/report.js';
import { HEAP_GROWTH_BYTES, RSS_ANON_GROWTH_BYTES, type FuzzFigures, type Growth } from './protocol.js';
import { fuzz, HANG_MS } from './watch.js';

const DEFAULT_INPUTS = 100_000;

function read(): { inputs: number; seed: number } {
  const inputs = numberFrom(process.env, 'N', 1, 1e9) ?? DEFAULT_INPUTS;
  const seed = numberFrom(process.env, 'SEED', 0, 2 ** 31 - 1) ?? Math.floor(Math.random() * 2 ** 31);
  return { inputs, seed };
}

async function main({ inputs, seed }: ReturnType<typeof read>): Promise<boolean> {
  process.stdout.write(`${inputs} inputs from seed ${seed} (again: make fuzz N=${inputs} SEED=${seed})\n`);
  const bar = new ProgressBar(process.stdout, 'fuzz', inputs, (count) => count.toFixed(0));
  const result = await fuzz(inputs, seed, (count) => bar.show(count));
  bar.end();
  if (!result.ok) {
    process.stdout.write(`\n${result.fault}\n\nThe life that failed: ${result.file}\n`);
    process.stdout.write(
      'Once it is understood, it belongs into scripts/fuzz/regressions/, which make test replays.\n',
    );
    return false;
  }
  show(result.figures);
  const steady =
    result.figures.heap.growthBytes < HEAP_GROWTH_BYTES && result.figures.rssAnon.growthBytes < RSS_ANON_GROWTH_BYTES;
  if (!steady) process.stdout.write('\nthe memory grows\n');
  return steady;
}

function show(figures: FuzzFigures): void {
  const growth = ({ firstBytes, lastBytes, growthBytes }: Growth): string =>
    `${formatBytes(firstBytes)} to ${formatBytes(lastBytes)}, trend ${(growthBytes / 1024).toFixed(0)} KiB`;
  showTable(process.stdout, {
    head: ['FIGURE', ''],
    rows: [
      ['inputs', `${figures.inputs}, of which ${figures.datagrams} notifications`],
      ['messages that could be read', String(figures.understood)],
      ['sessions', `${figures.sessions}, of which ${figures.completed} ended as they should`],
      ['answers that libwbxml has read', String(figures.checkedByLibwbxml ?? 'none, it is not installed')],
      ['kinds of Status', String(Object.keys(figures.statuses).length)],
      ['a message, median', `${figures.p50Ms.toFixed(2)} ms`],
      ['a message, 99 of 100', `${figures.p99Ms.toFixed(2)} ms`],
      ['a message, longest', `${figures.maxMs.toFixed(1)} ms (allowed: ${HANG_MS} ms)`],
      ['heap', growth(figures.heap)],
      ['RssAnon', growth(figures.rssAnon)],
    ],
  });
}

try {
  process.exitCode = (await main(read())) ? 0 : 1;
} catch (thrown) {
  process.stderr.write(`fuzz: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 2;
}
