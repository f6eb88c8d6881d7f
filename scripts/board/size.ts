/**
 * `make size BOARD=...`: what the firmware takes, beside its targets. Where a target is missed, a ceiling is recorded
 * beside it: more than that is a failure, so that a known miss cannot grow unseen.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { memoryOf } from '../bench/proc.js';
import { median } from '../bench/statistics.js';
import { AddressBlock } from '../flow/addresses.js';
import { Child } from '../flow/child.js';
import { GatewayProcess } from '../flow/gateway.js';
import { PROGRAMS } from '../flow/project.js';
import { NATIVE_FILE } from './addons.js';
import { run } from './run.js';

/** One figure, in its unit, with the most that it should be, and the most that it may be as long as it is more. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: 'KB' | 'MB' | 'x' | '';
  readonly target: number | undefined;
  readonly ceiling: number | undefined;
}

export type Verdict = 'met' | 'missed' | 'worse' | 'shown';

/** Of a figure: `missed` is a known miss below its ceiling, `worse` is beyond what is allowed. */
export function verdictOf({ value, target, ceiling }: Omit<Figure, 'name' | 'unit'>): Verdict {
  if (target === undefined) return 'shown';
  if (value <= target) return 'met';
  return value <= (ceiling ?? target) ? 'missed' : 'worse';
}

/** What `dmgw.cjs` starts; it is this that is kept compiled. */
const PROGRAM = 'dmgw-main.cjs';

/** How much the figures are worth. */
interface Patience {
  /** The start is the median of so many: a machine that does other things too is slow now and then. */
  readonly starts: number;
  /** From the last start to the look at its memory. */
  readonly settleMs: number;
}

/** V8 gives back what a start took when nothing has happened for 8 s. Figures before 2026-11-29 were taken after 3 s. */
const PATIENT: Patience = { starts: 15, settleMs: 15_000 };
/** Every gateway has one; its session begins when all is measured. */
const ACCOUNT = {
  serverId: 'srv',
  url: 'http://127.0.0.1:9',
  allowInsecure: true,
  client: { name: 'gateway', secret: 'secret' },
  server: { secret: 'secret' },
};

/** What is asked of the firmware. */
export const BUDGETS = {
  bundle: { name: 'bundle, minified', unit: 'KB', target: 500, ceiling: undefined },
  native: { name: 'part in C', unit: 'KB', target: undefined, ceiling: undefined },
  package: { name: 'package, compressed', unit: 'MB', target: 2.5, ceiling: undefined },
  memory: { name: 'idle RssAnon', unit: 'MB', target: 12, ceiling: undefined },
  // To the control socket, the last to be opened. 1.7 to 1.9 x here, on two cores whose clock varies. Above 1 it is Node.js
  // loading and compiling what it has (a third), V8 reading the program (a fifth), configuration, database and sockets.
  start: { name: 'start to ready / node -e 0', unit: 'x', target: 2, ceiling: 3 },
  files: { name: 'open files, idle', unit: '', target: undefined, ceiling: undefined },
  threads: { name: 'threads, idle', unit: '', target: undefined, ceiling: undefined },
} as const satisfies Readonly<Record<string, Omit<Figure, 'value'>>>;

/** What the bundle of this machine takes on the disk, in memory and at its start; compiled, as it is once installed. */
export async function measureHere(nodeFlags: readonly string[], how: Patience = PATIENT): Promise<Figure[]> {
  // Certificates that a machine adds are read by each start, of the bare Node.js too: 80 ms and 1.2 MB that no router has.
  delete process.env.NODE_EXTRA_CA_CERTS;
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-size-'));
  const block = await AddressBlock.claim();
  try {
    const gateway = new GatewayProcess({
      deviceId: 'urn:uuid:00000000-0000-4000-8000-000000000001',
      accounts: [],
      lanAddress: block.gateway,
      lanPrefix: block.lanPrefix,
      wanAddress: block.gatewayInWan,
      wanPrefix: block.wanPrefix,
      // As on a router: with another one at each start the DM Server would have to be told of it.
      servePort: await block.freePort(block.gateway, 8080),
      notificationPort: await block.freePort(block.gatewayInWan, 2948),
      devices: [],
      folder,
      settings: { accounts: [ACCOUNT], session: { startDelaySeconds: 60 }, log: { level: 'info' } },
      nodeFlags,
    });
    try {
      return await measured(gateway, nodeFlags, how);
    } finally {
      await gateway.close();
    }
  } finally {
    block.release();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measured(
  gateway: GatewayProcess,
  nodeFlags: readonly string[],
  { starts, settleMs }: Patience,
): Promise<Figure[]> {
  // With these flags.
  run(process.execPath, [...nodeFlags, PROGRAMS.gateway, 'compile']);
  const bareCommand = [process.execPath, ...nodeFlags, '-e', '0'];
  const ratios: number[] = [];
  for (let start = 0; start < starts; start += 1) {
    // By turns, so that what else the machine does meets both, and both by way of the same programs.
    const bare = await timed(() => new Child({ name: 'bare', command: bareCommand, logFile: gateway.logFile }).ended);
    ratios.push((await timed(() => gateway.startListening())) / bare);
    if (start < starts - 1) await gateway.stop();
  }
  await sleep(settleMs);
  const { pid } = gateway.child;
  const memory = memoryOf(pid);
  if (!memory) throw new Error(gateway.child.describe('has ended'));
  return [
    ...programFigures(dirname(PROGRAMS.gateway)),
    { ...BUDGETS.memory, value: memory.rssAnonBytes / 1_000_000 },
    { ...BUDGETS.start, value: median(ratios) },
    { ...BUDGETS.files, value: readdirSync(`/proc/${pid}/fd`).length },
    { ...BUDGETS.threads, value: readdirSync(`/proc/${pid}/task`).length },
  ];
}

/** What a board's bundle and package take. @param app folder of the bundle @param packageFile the daemon's .ipk, with the addons */
export function measurePackage(app: string, packageFile: string): Figure[] {
  return [...programFigures(app), { ...BUDGETS.package, value: statSync(packageFile).size / 1_000_000 }];
}

/** What is always there: what starts the program, and the program; and beside them the part in C. */
function programFigures(app: string): Figure[] {
  const kilobytes = (file: string): number => statSync(join(app, file)).size / 1000;
  return [
    { ...BUDGETS.bundle, value: kilobytes('dmgw.cjs') + kilobytes(PROGRAM) },
    { ...BUDGETS.native, value: kilobytes(NATIVE_FILE) },
  ];
}

/** A table for people. */
export function renderFigures(figures: readonly Figure[]): string[] {
  const number = (value: number, unit: Figure['unit']): string =>
    unit === '' ? String(value) : `${value.toFixed(unit === 'KB' ? 0 : 2)} ${unit}`;
  return [
    row('FIGURE', 'MEASURED', 'TARGET', ''),
    ...figures.map((figure) => {
      const { name, value, unit, target, ceiling } = figure;
      const verdict = verdictOf(figure);
      const limit = verdict === 'missed' ? `missed; not more than ${number(ceiling ?? 0, unit)}` : verdict;
      return row(name, number(value, unit), target === undefined ? '' : `<= ${number(target, unit)}`, limit);
    }),
  ];
}

function row(...cells: [string, string, string, string]): string {
  const widths = [28, 10, 12, 0];
  return cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join('  ')
    .trimEnd();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
