import { setTimeout as sleep } from 'node:timers/promises';
import {
  askStatus,
  follow,
  operate,
  printable,
  type AccountReport,
  type AskError,
  type SessionsAsked,
} from '../ops/index.js';
import { failure, success, type Outcome } from '../outcome/index.js';
import { ask, noAnswer, present, withSocket } from './ask.js';
import type { Call, Command } from './command.js';
import { ExitCode } from './exit.js';
import { list } from './list.js';
import { wholeNumber, type OptionName } from './options.js';
import { complain, printJson } from './terminal.js';

const ASKING = ['config', 'board', 'socket', 'json'] as const satisfies readonly OptionName[];

/** Lines of the log that are shown where nobody says how many. */
const USUAL_LINES = 100;

const LOOK_MS = 300;

/** Sessions, the management tree and the log. */
export const LOOKING_COMMANDS: readonly Command[] = [
  {
    name: 'session now',
    summary: 'hold a session with the DM Servers now',
    details: `With --wait until it has ended: exit code 0 when every session has completed, 1 when one has failed. One that waits for the clock
or for its turn is said to.`,
    options: [...ASKING, 'server', 'wait'],
    run: sessionNow,
  },
  {
    name: 'tree get',
    summary: 'the value of a node of the management tree',
    details: `URI such as ./DevInfo/DevId, or with a property: ./GwMO/ImageInventory/a?prop=ACL. Secrets cannot be read. Values of
format bin are shown in base64.`,
    options: ASKING,
    operands: ['URI'],
    run: (call) => {
      const [uri = ''] = call.operands;
      return ask(
        call,
        (socket) => operate(socket, 'tree/get', { uri }),
        ({ value, nodeFormat }) => (value === null ? `(${nodeFormat})\n` : `${printable(value)}\n`),
      );
    },
  },
  {
    name: 'tree ls',
    summary: 'the children of a node of the management tree',
    details: 'URI such as ./GwMO/DeviceInventory; without it the root. Interior nodes end with /.',
    options: ASKING,
    operands: ['[URI]'],
    run: (call) =>
      list(
        call,
        'tree/ls',
        { uri: call.operands[0] ?? '.' },
        {
          headings: ['NODE', 'FORMAT'],
          none: 'no children',
          cells: ({ name, format }) => [format === 'node' ? `${name}/` : name, format],
        },
      ),
  },
  {
    name: 'logs',
    summary: 'the latest lines of the log, or with -f those that come too',
    details: `The running gateway keeps log.keepKiB of them in memory. A reader that is too slow misses some, and is told how many.`,
    options: [...ASKING, 'follow', 'lines'],
    run: showLogs,
  },
];

function sessionNow(call: Call): Promise<number> {
  const { server, wait } = call.given;
  return withSocket(call, async (socket) => {
    const asked = await operate(socket, 'session/now', server === undefined ? {} : { server });
    if (!asked.ok) return noAnswer(call, asked.error);
    if (wait !== true) {
      const lines = asked.value.servers.map(({ serverId, state }) => `${serverId}: ${STATE_TEXT[state]}`);
      await present(call, asked.value, lines.map(printable));
      return ExitCode.done;
    }
    const ended = await untilEnded(socket, asked.value);
    if (!ended.ok) return noAnswer(call, ended.error);
    const lines = ended.value.map(({ serverId, lastSession, lastFailure }) =>
      [serverId, ': ', lastSession ?? '', lastFailure === null ? '' : ` (${lastFailure})`].join(''),
    );
    await present(call, { servers: ended.value }, lines.map(printable));
    return ended.value.every(({ lastSession }) => lastSession === 'completed') ? ExitCode.done : ExitCode.failed;
  });
}

const STATE_TEXT: Readonly<Record<SessionsAsked['servers'][number]['state'], string>> = {
  due: 'a session begins',
  running: 'a session is running',
  clock: 'a session waits until the clock is set',
  turn: 'a session waits for the end of those with other servers',
};

/**
 * Waits until each server has had a session more. A server that has none because of the clock is waited for too. A gateway
 * that starts anew, as after a reload, counts from 0, may not know the server any more, and knows nothing of the wish.
 */
async function untilEnded(
  socket: string,
  { servers }: SessionsAsked,
): Promise<Outcome<readonly AccountReport[], AskError>> {
  let startedAt: string | undefined;
  for (;;) {
    const status = await askStatus(socket);
    if (!status.ok) return status;
    startedAt ??= status.value.startedAt;
    if (status.value.startedAt !== startedAt) {
      return failure('broken', 'the gateway has started anew before the session ended: ask once more');
    }
    const accounts = servers.flatMap(({ serverId, ended }) =>
      status.value.accounts.filter((account) => account.serverId === serverId && account.sessions > ended),
    );
    if (accounts.length === servers.length) return success(accounts);
    await sleep(LOOK_MS);
  }
}

function showLogs(call: Call): Promise<number> {
  const { given, terminal } = call;
  const lines = given.lines === undefined ? USUAL_LINES : wholeNumber(given.lines);
  if (lines === undefined || lines < 0 || lines > 10_000) {
    complain(terminal, `--lines takes a whole number from 0 to 10000; see: dmgw help logs`);
    return Promise.resolve(ExitCode.usage);
  }
  return withSocket(call, async (socket) => {
    const read = await follow(socket, 'logs', { follow: given.follow === true, lines }, async (item) => {
      if (given.json === true) await printJson(terminal, item);
      else if ('lost' in item) complain(terminal, `${item.lost} lines are not kept any more`);
      else await terminal.write(`${printable(item.line)}\n`);
    });
    return read.ok ? ExitCode.done : noAnswer(call, read.error);
  });
}
