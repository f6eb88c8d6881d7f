/**
 * Discovery as a process of its own, for a network namespace: browses one type and announces one service.
 * Arguments: backend (daemon, builtin, auto), prefixes of the LAN separated by commas, type, name of the instance to announce or `-`; or `helper`, and
 * then it is the helper of a `daemon`. One JSON line for each thing that it hears or logs.
 */
import { fileURLToPath } from 'node:url';
import { systemClock, type Clock } from '../clock/index.js';
import { createLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { runBridge } from './bridge.js';
import { BuiltinDiscovery } from './builtin.js';
import { DaemonDiscovery } from './daemon.js';
import type { FoundService } from './service.js';

/** Of the pauses in looking after a daemon, those of at least so many ms are so much shorter. */
const HASTE: readonly (readonly [fromMs: number, factor: number])[] = [
  [20_000, 20],
  [5_000, 2.5],
];

const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

const [, , backend = '', prefixes = '', type = '', instance = '-'] = process.argv;
if (backend === 'helper') await runBridge(process.stdin, (line) => process.stdout.write(line));
const lan = Prefixes.parse(prefixes.split(','));
if (!lan.ok) throw new Error(lan.error.text);
const parts = {
  links: { names: [], lan: lan.value, own: [] },
  clock: hurried(systemClock(0)),
  random: Math.random,
  log: createLog({ level: 'info', write: (line) => say({ kind: 'log', line }) })('discovery'),
  browse: {
    type,
    listener: {
      found: ({ instance: name, link, addresses, port, txt }: FoundService) => {
        say({ kind: 'found', instance: name, link, addresses, port, txt });
        return name;
      },
      heard: (name: string) => say({ kind: 'heard', instance: name }),
      gone: (_: string, name: string) => say({ kind: 'gone', instance: name }),
    },
  },
};
const command = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url), 'helper'];
const discovery =
  backend === 'builtin'
    ? new BuiltinDiscovery(parts)
    : new DaemonDiscovery({ ...parts, command, standIn: backend === 'auto' });
if (instance !== '-')
  discovery.announce('own', { instance, type, port: 8180, txt: { path: '/scomo/' }, host: instance });
discovery.start();
process.once('SIGTERM', () => void discovery.close().then(() => process.exit(0)));

function hurried(clock: Clock): Clock {
  const factorFor = (delayMs: number): number => HASTE.find(([fromMs]) => delayMs >= fromMs)?.[1] ?? 1;
  return { ...clock, after: (delayMs, task) => clock.after(delayMs / factorFor(delayMs), task) };
}
