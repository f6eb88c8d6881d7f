import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { AddressBlock } from '../flow/addresses.js';
import type { DeviceEvent } from '../flow/dm-server.js';
import type { Lab } from '../flow/lab.js';
import { add, ALERT, FANOUTS, get, startFanout } from '../flow/operator.js';
import { eventually } from '../flow/wait.js';
import { withLab } from '../flow/with-lab.js';
import { FaultyDisk, whyNoFaults } from './faulty-disk.js';

const skip = whyNoFaults() ?? false;

/** Sends that are watched by a socket of their own; the socket for all has its part too. */
const WATCHED = 24;
const DEVICES = WATCHED + 6;

const SENT = '1';
const UNREACHABLE = '4';

/**
 * No real socket gives ENOBUFS here for a datagram that fits a frame: a full socket buffer is EAGAIN, and what a queue of
 * the kernel drops is told only to a socket that asked for it (IP_RECVERR). libuv takes both for "not now", and EPERM, of
 * a packet filter, for an error. After ENOBUFS it tries again: that of Node.js 20 by sendmmsg, a system call of its own
 * that the library does not see, that of Node.js 22 as before.
 * What the gateway makes of a refusal of its own is in firmware/notify/forwarder.test.ts.
 */
describe('notifications when the kernel does not take them', { skip }, () => {
  it('tell of a packet filter as unreachable, and leave by repetition once it lets them', async () => {
    await withDevices('send-eperm', async (lab, disk, heard, package0) => {
      await disk.tell('fail EPERM send 1+ udp');
      // So many that they are not used up before there is a way: the time between two doubles.
      await startAll(lab, package0, 16);
      await eventually('all devices to be unreachable', () => allAre(lab, UNREACHABLE));
      assert.ok(failures(disk) >= DEVICES, `${failures(disk)} failures`);
      assert.deepEqual(heard.flat(), []);

      await disk.tell('clear');
      await eventually('all devices to be sent to', () => allAre(lab, SENT), { timeoutMs: 60_000 });
      await eventually('each device to hear it', () => heard.every((one) => one.length > 0) || undefined);
      for (const one of heard) assert.deepEqual([...new Set(one)], [package0]);
    });
  });

  it('leave a little later where libuv is told that it has no buffers for them, and tries again', async () => {
    await withDevices('send-enobufs', async (lab, disk, heard, package0) => {
      await disk.tell('fail ENOBUFS send 1+ udp');
      await startAll(lab, package0, 1);
      assert.match(await report(lab), new RegExp(`total=${DEVICES} sent=${DEVICES} reacted=0 failed=0$`));
      // What stands behind a datagram that waits is not tried.
      assert.ok(failures(disk) > WATCHED, `${failures(disk)} failures`);
      await disk.tell('clear');
      await eventually('each device to hear it', () => (heard.flat().length >= DEVICES ? true : undefined));
      for (const one of heard) assert.deepEqual(one, [package0]);
    });
  });
});

function failures(disk: FaultyDisk): number {
  return disk.told.filter((line) => line === 'fail send udp').length;
}

/** A gateway over the fault-injecting library that knows devices; what each hears, base64. */
async function withDevices(
  name: string,
  test: (lab: Lab, disk: FaultyDisk, heard: readonly string[][], package0: string) => Promise<void>,
): Promise<void> {
  const block = await AddressBlock.claim();
  const heard: string[][] = [];
  const sockets: Socket[] = [];
  for (let index = 0; index < DEVICES; index += 1) {
    const own: string[] = [];
    const socket = createSocket('udp4', (datagram) => own.push(datagram.subarray(WSP_BYTES).toString('base64')));
    socket.bind(0, block.device(50 + index));
    await once(socket, 'listening');
    heard.push(own);
    sockets.push(socket);
  }
  try {
    await withLab(name, { devices: 0, absentDevices: 1, offers: [], network: block }, async (lab) => {
      await lab.gateway.stop();
      const disk = new FaultyDisk(name, '', [lab.gateway.stateDir]);
      try {
        await disk.under(() => lab.gateway.start());
        const added = await lab.manage(
          sockets.flatMap((socket, index) => {
            const { address, port } = socket.address();
            return [
              add(`./GwMO/DeviceInventory/d${index}/DeviceID`, 'chr', deviceIdOf(index)),
              add(`./GwMO/DeviceInventory/d${index}/Address`, 'chr', `udp://${address}:${port}`),
            ];
          }),
        );
        assert.deepEqual([...new Set(added.map(({ status }) => status))], [200]);
        await test(lab, disk, heard, (await lab.dm.notification(lab.absent[0] ?? '')).package0);
        await lab.gateway.stop();
      } finally {
        disk.remove();
      }
      await lab.gateway.start();
    });
  } finally {
    for (const socket of sockets) socket.close();
  }
}

/** In front of a Package#0: the head of a WSP Push. */
const WSP_BYTES = 6;

function deviceIdOf(index: number): string {
  return `X:d${index}`;
}

async function startAll(lab: Lab, package0: string, repeat: number): Promise<void> {
  const targets = Array.from({ length: DEVICES }, (_, index) => ({ deviceId: deviceIdOf(index), package0 }));
  const answers = await lab.manage(startFanout('f', targets, { repeat, interval: 1 }, 'f'));
  assert.equal(answers.at(-1)?.status, 202);
}

/** True when all targets have this status; else undefined. */
async function allAre(lab: Lab, status: string): Promise<true | undefined> {
  const nodes = Array.from({ length: DEVICES }, (_, index) => get(`${FANOUTS}/f/Target/t${index + 1}/Status`));
  return (await lab.manage(nodes)).every(({ value }) => value === status) || undefined;
}

async function report(lab: Lab): Promise<string> {
  const fits = ({ kind, type }: DeviceEvent): boolean => kind === 'alert' && type === ALERT.fanoutFinished;
  const alert = await lab.dm.waitFor('the result of the fanout', lab.gatewayId, 0, fits, 60_000);
  return alert.data ?? '';
}
