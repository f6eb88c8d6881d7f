/**
 * `make torture`: any number of kills (ROUNDS), from any seed (SEED), with what they cost. Exit code: 0 when every image
 * was right, 1 when one was not, 2 for a wrong wish.
 */
import { AssertionError } from 'node:assert';
import { join } from 'node:path';
import { formatBytes } from '../../firmware/ops/index.js';
import { numberFrom } from '../bench/environment.js';
import { ProgressBar } from '../bench/progress-bar.js';
import { showTable } from '../bench/report.js';
import { Lab } from '../flow/lab.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { QUOTA_MIB, torture, VOLUME_BYTES, WAN_BYTES_PER_SECOND, type TortureFigures } from './kills.js';

const DEFAULT_ROUNDS = 200;

function read(): { rounds: number; seed: number } {
  const rounds = numberFrom(process.env, 'ROUNDS', 1, 1_000_000) ?? DEFAULT_ROUNDS;
  const seed = numberFrom(process.env, 'SEED', 0, 2 ** 20) ?? Math.floor(Math.random() * 2 ** 20);
  return { rounds, seed };
}

async function main({ rounds, seed }: ReturnType<typeof read>): Promise<boolean> {
  process.stdout.write(`${rounds} kills from seed ${seed} (again: make torture ROUNDS=${rounds} SEED=${seed})\n`);
  const folder = join(PROJECT_ROOT, 'build/torture');
  const settings = { store: { quotaMiB: QUOTA_MIB } };
  const options = { folder, devices: 0, offers: [], rateBytesPerSecond: WAN_BYTES_PER_SECOND, gateway: { settings } };
  const lab = await Lab.start(options);
  const bar = new ProgressBar(process.stdout, 'kills', rounds, (count) => count.toFixed(1));
  try {
    const figures = await torture(lab, rounds, seed, (kills) => bar.show(kills));
    bar.end();
    show(figures);
    return true;
  } catch (thrown) {
    bar.end();
    if (!(thrown instanceof AssertionError)) throw thrown;
    process.stdout.write(`\n${thrown.message}\n\nThe logs are in ${folder}\n`);
    return false;
  } finally {
    await lab.close();
  }
}

function show(figures: TortureFigures): void {
  const { moments } = figures;
  showTable(process.stdout, {
    head: ['FIGURE', ''],
    rows: [
      ['kills', `${figures.kills}, over ${figures.images} images; each had the right content in the end`],
      [
        'they met',
        Object.entries(moments)
          .map(([moment, count]) => `${count} ${moment}`)
          .join(', '),
      ],
      ['the image was asked for again', `${figures.resumed} times`],
      [
        'bytes that were there before the kill, most',
        `${formatBytes(figures.mostRefetched)} (allowed: ${formatBytes(VOLUME_BYTES)})`,
      ],
      ['mean', formatBytes(figures.meanRefetched)],
      ['sent by the server', `${figures.sentOverSize.toFixed(2)} x the images, with what was on its way at a kill`],
    ],
  });
}

try {
  process.exitCode = (await main(read())) ? 0 : 1;
} catch (thrown) {
  process.stderr.write(`torture: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 2;
}
