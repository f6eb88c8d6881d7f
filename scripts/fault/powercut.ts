/**
 * `make powercut`: cuts the power under the database, and under database and images, at any number of moments (ROUNDS
 * each; DMGW_FAULT_SEED is the first seed). Exit code: 0 when nothing was lost that was promised, 1 when something was,
 * 2 for a wrong wish, or where the power cannot be cut.
 */
import { numberFrom } from '../bench/environment.js';
import { ProgressBar } from '../bench/progress-bar.js';
import { showTable } from '../bench/report.js';
import { arrivingSubject } from './arriving-subject.js';
import { campaign, type Campaign, type Subject } from './campaign.js';
import { buildProgram, whyNoFaults } from './faulty-disk.js';
import { imagesSubject } from './images-subject.js';
import { storeSubject } from './store-subject.js';

const DEFAULT_ROUNDS = 400;

/** Enough of them to see what is wrong. */
const MOST_FAULTS = 5;

/** What is cut, with which rules for what is lost, and whether something must be found then. */
const CAMPAIGNS: readonly (readonly [what: string, subject: () => Subject, rules: string, mustFail: boolean])[] = [
  ['database', () => storeSubject('store', buildProgram('writer')), '', false],
  ['database, last bytes first', () => storeSubject('store', buildProgram('writer')), 'loss back', false],
  ['database and images', () => imagesSubject('images', buildProgram('image-writer')), '', false],
  ['images served while they come in', () => arrivingSubject('arriving', buildProgram('arriving-writer')), '', false],
  ['database, its syncs do nothing', () => storeSubject('lies', buildProgram('writer')), 'lie sync *-wal', true],
  [
    'images, their syncs do nothing',
    () => imagesSubject('lies', buildProgram('image-writer')),
    'lie sync */partial/*',
    true,
  ],
  [
    'their sidecars, whose syncs do nothing',
    () => imagesSubject('lies', buildProgram('image-writer')),
    'lie sync */blobs/*.json.new',
    true,
  ],
  [
    'images served while they come in, their syncs do nothing',
    () => arrivingSubject('arriving-lies', buildProgram('arriving-writer')),
    'lie sync */partial/*',
    true,
  ],
  [
    'their names, whose syncs do nothing',
    () => arrivingSubject('arriving-lies', buildProgram('arriving-writer')),
    'loss all; lie sync */partial',
    true,
  ],
  [
    'the folders of them, whose syncs do nothing',
    () => arrivingSubject('arriving-lies', buildProgram('arriving-writer')),
    'loss all; names strict; lie sync */store',
    true,
  ],
];

async function main(rounds: number): Promise<boolean> {
  const why = whyNoFaults();
  if (why !== undefined) throw new Error(why);
  const rows: string[][] = [];
  let good = true;
  for (const [what, subject, rules, mustFail] of CAMPAIGNS) {
    const bar = new ProgressBar(process.stdout, what, rounds, (count) => count.toFixed(1));
    const done = await campaign(subject(), rules, rounds, mustFail ? 1 : MOST_FAULTS, (count) => bar.show(count));
    bar.end();
    good &&= mustFail === done.faults.length > 0;
    rows.push([what, String(done.rounds), String(done.promises), verdictOf(done, mustFail)]);
    if (!mustFail) for (const fault of done.faults) process.stdout.write(`${fault}\n`);
  }
  showTable(process.stdout, { head: ['POWER CUTS', 'CUTS', 'PROMISES', 'FOUND'], rows });
  return good;
}

function verdictOf({ faults }: Campaign, mustFail: boolean): string {
  if (mustFail) return faults.length > 0 ? 'a fault, as it must' : 'nothing: this harness proves nothing';
  return faults.length > 0 ? `${faults.length} faults` : 'nothing wrong';
}

try {
  process.exitCode = (await main(numberFrom(process.env, 'ROUNDS', 1, 1_000_000) ?? DEFAULT_ROUNDS)) ? 0 : 1;
} catch (thrown) {
  process.stderr.write(`powercut: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = 2;
}
