/**
 * Discovery as a process of its own, for a network namespace: browses one type and announces one service.
 * Arguments: LAN prefix, type, name of the instance to announce or `-`. One JSON line for each thing that it hears.
 */
import { systemClock } from '../clock/index.js';
import { createLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { BuiltinDiscovery } from './builtin.js';

const [, , prefix = '', type = '', instance = '-'] = process.argv;
const lan = Prefixes.parse([prefix]);
if (!lan.ok) throw new Error(lan.error.text);
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const discovery = new BuiltinDiscovery({
  links: { names: [], lan: lan.value, own: [] },
  clock: systemClock(0),
  random: Math.random,
  log: createLog({ level: 'info', write: (line) => process.stderr.write(`${line}\n`) })('discovery'),
  browse: {
    type,
    listener: {
      found: ({ instance: name, addresses, port, txt }) => {
        say({ kind: 'found', instance: name, addresses, port, txt });
        return name;
      },
      heard: (name) => say({ kind: 'heard', instance: name }),
      gone: (_, name) => say({ kind: 'gone', instance: name }),
    },
  },
});
if (instance !== '-')
  discovery.announce('own', { instance, type, port: 8180, txt: { path: '/scomo/' }, host: instance });
discovery.start();
process.once('SIGTERM', () => void discovery.close().then(() => process.exit(0)));
