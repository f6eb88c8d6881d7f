/** The profile of a board, as its package installs it, in the gateway that runs with it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { startInstalled } from '../../firmware/gateway/gateway.fixture.js';
import { askStatus, operate, type StatusReport } from '../../firmware/ops/index.js';
import { eventually } from '../flow/wait.js';
import { writeBoardFiles } from './firmware.js';
import { crossProfile } from './profile.js';

const MIB = 1024 * 1024;

const folder = mkdtempSync(join(tmpdir(), 'dmgw-installed-'));
const closings: (() => Promise<unknown>)[] = [];
after(async () => {
  for (const close of closings.reverse()) await close();
  rmSync(folder, { recursive: true });
});

it("has the board's quota, and flushes what comes in as often as the board's fsync volume asks for", async () => {
  const { configuration: profile } = crossProfile('openwrt-armv7');
  assert.deepEqual(
    [(profile.retrieve as { fsyncVolumeMiB: number }).fsyncVolumeMiB, (profile.store as { quotaMiB: number }).quotaMiB],
    [4, 160],
  );
  writeBoardFiles(folder, crossProfile('openwrt-armv7'));
  // A volume, and silence.
  const origin = createServer((_, response) => {
    response.writeHead(200, { 'Content-Length': 64 * MIB }).write(Buffer.alloc(4 * MIB));
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  closings.push(async () => {
    origin.closeAllConnections();
    await new Promise((resolve) => origin.close(resolve));
  });

  // What the owner has in /etc/config/dmgw, and this machine has otherwise than that router.
  const file = join(folder, 'dmgw.json');
  const own = {
    stateDir: join(folder, 'state'),
    storeDir: join(folder, 'store'),
    controlSocket: join(folder, 'control.sock'),
    requireMount: '/',
    volatile: true,
    device: { devId: 'IMEI:1' },
    lan: { prefixes: ['127.0.1.0/24'] },
    retrieve: { allowPrefixes: ['127.0.0.0/24'] },
    // Without devices that wait for the first bytes: these would be flushed at once.
    serve: { listen: ['127.0.1.1'], interfaces: [], port: 0, cutThrough: false },
    discovery: { backend: 'off' },
  };
  const { gateway } = await startInstalled({ file, configuration: own, board: join(folder, 'board.json') });
  closings.push(() => gateway.close());

  const status = async (): Promise<StatusReport> => {
    const asked = await askStatus(own.controlSocket);
    assert.ok(asked.ok, asked.ok ? '' : asked.error.text);
    return asked.value;
  };
  assert.equal((await status()).store.quotaBytes, 160 * MIB);
  const uri = `http://127.0.0.1:${(origin.address() as AddressInfo).port}/`;
  assert.ok((await operate(own.controlSocket, 'images/add', { id: 'a', uri })).ok);
  const image = await eventually('half a volume to be durable', async () => {
    const [one] = (await status()).images;
    return one && one.arrivedBytes > 3.8 * MIB && one.receivedBytes >= 2 * MIB ? one : undefined;
  });
  // The write after which half a volume was there, of a quarter at most, and no other.
  assert.ok(image.receivedBytes <= 3 * MIB, `${image.receivedBytes} bytes`);
});
