import { setTimeout as sleep } from 'node:timers/promises';
import { operate, printable, type AskError, type FanoutDetail } from '../ops/index.js';
import type { Outcome } from '../outcome/index.js';
import { ask, noAnswer, present, withSocket } from './ask.js';
import type { Call, Command } from './command.js';
import { ExitCode } from './exit.js';
import { list } from './list.js';
import type { OptionName } from './options.js';
import { ProgressLine } from './progress.js';
import { complain } from './terminal.js';

const ASKING = ['config', 'board', 'socket', 'json'] as const satisfies readonly OptionName[];

/** The gateway is asked so often how far it is. */
const LOOK_MS = 500;

/** The End Devices of the LAN, and what is sent to them. */
export const NETWORK_COMMANDS: readonly Command[] = [
  {
    name: 'devices list',
    summary: 'the End Devices that the gateway knows',
    details: 'In the order of their nodes, page by page: also thousands of them take no memory.',
    options: ASKING,
    run: (call) =>
      list(
        call,
        'devices/list',
        {},
        {
          headings: ['DEVICE', 'ADDRESS', 'SOURCE', 'REACHABLE', 'LAST SEEN', 'GROUPS', 'NAME'],
          none: 'no device',
          cells: (device) => [
            device.deviceId,
            device.address || '-',
            device.source,
            device.reachable ? 'yes' : 'no',
            device.lastSeenAt?.slice(0, 19).replace('T', ' ') ?? '-',
            device.groups || '-',
            device.name,
          ],
        },
      ),
  },
  {
    name: 'devices add',
    summary: 'make an End Device known',
    details: `It lasts until it is removed. DM Servers may read it, and change it not. --group may name several, with commas.`,
    options: [...ASKING, 'address', 'name', 'group', 'encapsulation', 'mode'],
    operands: ['DEVICEID'],
    run: addDevice,
  },
  {
    name: 'devices remove',
    summary: 'forget an End Device',
    details: 'One that stands in the configuration is removed there; one that announces itself is found again.',
    options: ASKING,
    operands: ['DEVICEID'],
    run: (call) =>
      ask(
        call,
        (socket) => operate(socket, 'devices/remove', { deviceId: first(call) }),
        () => `removed ${printable(first(call))}\n`,
      ),
  },
  {
    name: 'fanout list',
    summary: 'the notification fanouts and their counts',
    details: 'In the order of their nodes.',
    options: ASKING,
    run: (call) =>
      list(
        call,
        'fanout/list',
        {},
        {
          headings: ['FANOUT', 'STATE', 'TARGETS', 'SENT', 'REACTED', 'FAILED', 'BY'],
          none: 'no fanout',
          cells: ({ id, state, total, sent, reacted, failed, requester }) => [
            id,
            state,
            ...[total, sent, reacted, failed].map(String),
            requester,
          ],
        },
      ),
  },
  {
    name: 'fanout show',
    summary: 'one fanout: the outcome for each device, or its progress',
    details: `Each target with its status, page by page. With --watch its progress instead, until it has ended: exit code 0 when no
target has failed, else 1. The fanout goes on when this command is interrupted.`,
    options: [...ASKING, 'watch'],
    operands: ['FANOUT'],
    run: (call) => (call.given.watch === true ? watchFanout(call) : showFanout(call)),
  },
  {
    name: 'fanout stop',
    summary: 'stop a running fanout',
    details: 'Whoever started it is told of its end, with the counts so far.',
    options: ASKING,
    operands: ['FANOUT'],
    run: (call) => ask(call, (socket) => operate(socket, 'fanout/stop', { id: first(call) }), renderFanout),
  },
];

function first({ operands: [word = ''] }: Call): string {
  return word;
}

function addDevice(call: Call): Promise<number> {
  const { address, name, group, encapsulation, mode } = call.given;
  if (address === undefined) {
    complain(
      call.terminal,
      `'devices add' needs --address, such as udp://192.168.1.57:2948; see: dmgw help devices add`,
    );
    return Promise.resolve(ExitCode.usage);
  }
  const device = {
    deviceId: first(call),
    address,
    ...(name !== undefined && { name }),
    ...(group !== undefined && { groups: group }),
    ...(encapsulation !== undefined && { encapsulation }),
    ...(mode !== undefined && { mode }),
  };
  return ask(
    call,
    (socket) => operate(socket, 'devices/add', device),
    (added) => `added ${printable(added.deviceId)} at ${printable(added.address)}\n`,
  );
}

function showFanout(call: Call): Promise<number> {
  const id = first(call);
  return withSocket(call, async (socket) => {
    const asked = await operate(socket, 'fanout/show', { id });
    return asked.ok ? showTargets(call, asked.value) : noAnswer(call, asked.error);
  });
}

function showTargets(call: Call, fanout: FanoutDetail): Promise<number> {
  const { id } = fanout;
  return list(
    call,
    'fanout/targets',
    { id },
    {
      headings: ['TARGET', 'DEVICE', 'STATUS', 'TRIES'],
      none: 'no target (they are there once the fanout has started)',
      within: { text: renderFanout(fanout), json: fanout, rows: 'targets' },
      cells: ({ target, deviceId, status, attempts }) => [target, deviceId || '-', status, String(attempts)],
    },
  );
}

function watchFanout(call: Call): Promise<number> {
  const { terminal, given } = call;
  return withSocket(call, async (socket) => {
    const progress = new ProgressLine(terminal);
    const look = (): Promise<Outcome<FanoutDetail, AskError>> => operate(socket, 'fanout/show', { id: first(call) });
    let seen = await look();
    while (seen.ok && seen.value.running) {
      const { id, state, total, sent, reacted, failed } = seen.value;
      const text = `${sent} sent, ${reacted} reacted, ${failed} failed of ${total}`;
      const label = terminal.isScreen ? `${id} ${state}` : `${id} ${state}: ${text}`;
      if (given.json !== true) await progress.show({ label, done: reacted + failed, total, text });
      await sleep(LOOK_MS);
      seen = await look();
    }
    await progress.end();
    if (!seen.ok) return noAnswer(call, seen.error);
    await present(call, seen.value, renderFanout(seen.value));
    return seen.value.state === 'done' && seen.value.failed === 0 ? ExitCode.done : ExitCode.failed;
  });
}

function renderFanout({ id, state, total, sent, reacted, failed }: FanoutDetail): string {
  return `${printable(id)}: ${state}, ${total} targets, ${sent} sent, ${reacted} reacted, ${failed} failed\n`;
}
