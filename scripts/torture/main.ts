/**
 * `make torture`: any number of kills (ROUNDS), from any seed (SEED), with what they cost. Exit code: 0 when every image
 * was right, 1 when one was not, 2 for a wrong wish.
 */
import { AssertionError } from 'node:assert';
import { join } from 'node:path';
import { formatBytes } from '../../firmware/ops/index.js';
import { describeThrown } from '../../firmware/outcome/index.js';
import { numberFrom } from '../bench/environment.js';
import { ProgressBar } from '../bench/progress-bar.js';
import { showTable } from '../bench/report.js';
import { Lab } from '../flow/lab.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { QUOTA_MIB, torture, VOLUME_BYTES, WAN_BYTES_PER_SECOND, type TortureFigures } from './kills.js';

const DEFAULT_ROUNDS = 200;

/** Gateways that are killed at the same time: each waits about as much as it computes. */
const SIDE_BY_SIDE = 2;

function read(): { rounds: number; seed: number } {
  const rounds = numberFrom(process.env, 'ROUNDS', 1, 1_000_000) ?? DEFAULT_ROUNDS;
  const seed = numberFrom(process.env, 'SEED', 0, 2 ** 20) ?? Math.floor(Math.random() * 2 ** 20);
  return { rounds, seed };
}

async function main({ rounds, seed }: ReturnType<typeof read>): Promise<boolean> {
  process.stdout.write(`${rounds} kills from seed ${seed} (again: make torture ROUNDS=${rounds} SEED=${seed})\n`);
  const folder = join(PROJECT_ROOT, 'build/torture');
  const bar = new ProgressBar(process.stdout, 'kills', rounds, (count) => count.toFixed(1));
  const shares = Array.from({ length: SIDE_BY_SIDE }, (_, index) => ({
    folder: join(folder, String(index + 1)),
    rounds: Math.floor((rounds + index) / SIDE_BY_SIDE),
    seed: seed + index,
    done: 0,
  })).filter((share) => share.rounds > 0);
  const ends = await Promise.allSettled(
    shares.map((share) =>
      tortureOne(share.folder, share.rounds, share.seed, (kills) => {
        share.done = kills;
        bar.show(shares.reduce((sum, { done }) => sum + done, 0));
      }),
    ),
  );
  bar.end();
  const faults = ends.flatMap((end): unknown[] => (end.status === 'rejected' ? [end.reason] : []));
  const fault = faults.find((thrown) => !(thrown instanceof AssertionError)) ?? faults[0];
  if (fault instanceof AssertionError) {
    process.stdout.write(`\n${fault.message}\n\nThe logs are in ${folder}\n`);
    return false;
  }
  if (fault !== undefined) throw new Error(describeThrown(fault), { cause: fault });
  show(together(ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))));
  return true;
}

async function tortureOne(
  folder: string,
  rounds: number,
  seed: number,
  told: (kills: number) => void,
): Promise<TortureFigures> {
  const settings = { store: { quotaMiB: QUOTA_MIB } };
  const options = { folder, devices: 0, offers: [], rateBytesPerSecond: WAN_BYTES_PER_SECOND, gateway: { settings } };
  const lab = await Lab.start(options);
  try {
    return await torture(lab, rounds, seed, told);
  } finally {
    await lab.close();
  }
}

function together(all: readonly TortureFigures[]): TortureFigures {
  const sum = (of: (figures: TortureFigures) => number): number =>
    all.reduce((total, figures) => total + of(figures), 0);
  const [resumed, images] = [sum((figures) => figures.resumed), sum((figures) => figures.images)];
  return {
    kills: sum(({ kills }) => kills),
    images,
    moments: {
      starting: sum(({ moments }) => moments.starting),
      'coming in': sum(({ moments }) => moments['coming in']),
      whole: sum(({ moments }) => moments.whole),
    },
    resumed,
    mostRefetched: Math.max(...all.map(({ mostRefetched }) => mostRefetched)),
    meanRefetched: sum((figures) => figures.meanRefetched * figures.resumed) / Math.max(1, resumed),
    sentOverSize: sum((figures) => figures.sentOverSize * figures.images) / images,
  };
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
