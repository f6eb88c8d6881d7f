import {
  askHealth,
  askMetered,
  askStatus,
  isMeteredSetting,
  renderHealth,
  renderMetered,
  renderStatus,
  sendEvent,
  type EventReport,
} from '../ops/index.js';
import { ask, filesOf } from './ask.js';
import type { Command } from './command.js';
import { ExitCode } from './exit.js';
import { complain } from './terminal.js';

/** The gateway as a whole: it runs, how it is, what it is told. */
export const DAEMON_COMMANDS: readonly Command[] = [
  {
    name: 'run',
    summary: 'run the gateway in the foreground',
    details: `Logs on standard error. SIGTERM or SIGINT stops it within 5 s, a second one at once; SIGUSR2 logs memory and counts.`,
    options: ['config', 'board'],
    run: ({ given, terminal, program }) => program.runDaemon(filesOf(given), (line) => complain(terminal, line)),
  },
  {
    name: 'status',
    summary: 'what the running gateway does',
    details: 'Accounts and their sessions, images, fanouts, devices, traffic, memory, and what someone should look at.',
    options: ['config', 'board', 'socket', 'json'],
    run: (call) => ask(call, askStatus, renderStatus),
  },
  {
    name: 'health',
    summary: 'whether the running gateway is well (exit code)',
    details: 'Exit code 0: healthy; 1: not healthy; 3: the daemon is not running.',
    options: ['config', 'board', 'socket', 'json'],
    run: (call) => ask(call, askHealth, renderHealth, ({ healthy }) => (healthy ? ExitCode.done : ExitCode.failed)),
  },
  {
    name: 'event',
    summary: 'tell the DM Servers of something (client event)',
    details:
      'Alert 1224 with this type and data goes out with the next session, which begins soon. It is kept until the server has answered: 2xx or 406.',
    options: ['config', 'board', 'socket', 'server', 'json'],
    operands: ['TYPE', '[DATA]'],
    run: (call) => {
      const [type = '', data = ''] = call.operands;
      const { server } = call.given;
      const event = { type, data, ...(server !== undefined && { server }) };
      const render = ({ servers }: EventReport): string => `waits for ${servers.join(', ')}\n`;
      return ask(call, (socket) => sendEvent(socket, event), render);
    },
  },
  {
    name: 'metered',
    summary: 'whether the link is metered, or tell the gateway so',
    details:
      'on: no image comes in over it but those of retrieve.meteredMinPriority; off: all do; auto: as retrieve.meteredFile says. What is told counts at once and until the gateway ends; then tell it again.',
    options: ['config', 'board', 'socket', 'json'],
    operands: ['[on|off|auto]'],
    run: (call) => {
      const [word] = call.operands;
      const set = isMeteredSetting(word) ? word : undefined;
      if (word === set) return ask(call, (socket) => askMetered(socket, set), renderMetered);
      complain(call.terminal, `'metered' takes on, off or auto, not '${word ?? ''}'; see: dmgw help`);
      return Promise.resolve(ExitCode.usage);
    },
  },
];
