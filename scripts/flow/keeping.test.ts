/** What stands between the images and the rest of the gateway: what a running fanout needs is kept, whoever wants its room. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import type { Command } from './dm-server.js';
import { OneProcess } from './one-process.js';
import { add, addImage, get, IMAGES, startFanout } from './operator.js';
import { eventually } from './wait.js';

const DEVICE = 'MAC:020000000001';

it('what a running fanout needs stays: no image that is sent takes its room, and no sweep removes it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-keeping-'));
  // More than half of the quota.
  const dataFile = join(folder, 'image');
  writeFileSync(dataFile, Buffer.alloc(600_000, 'firmware '));
  const faults: unknown[] = [];
  const settings = {
    session: {
      startDelaySeconds: 0,
      intervalSeconds: 0,
      jitterSeconds: 0,
      alertDelaySeconds: 0,
      maxMessageBytes: 256 * 1024,
    },
    retrieve: { allowPrefixes: ['127.0.0.0/24'], maxTriesWithoutProgress: 1 },
    store: { quotaMiB: 1 },
    retain: { failedImages: 0 },
    lan: { prefixes: ['127.0.1.0/24'] },
    serve: { listen: ['127.0.1.1'] },
    devices: [{ deviceId: DEVICE, address: 'udp://127.0.1.9:2948' }],
  };
  const start = (): Promise<OneProcess> =>
    OneProcess.start({ folder, serverId: 'dm.lab', settings, onFatal: (thrown) => faults.push(thrown) });
  let gateway = await start();
  const statuses = async (...commands: readonly Command[]): Promise<(number | null)[]> => {
    const codes = new Map<string, number | null>();
    const asked = commands.map((command, n) => ({ ...command, id: String(n) }));
    await gateway.execute(asked, (id, code) => codes.set(id, code));
    return asked.map(({ id }) => codes.get(id) ?? null);
  };
  const send = (node: string): Command => ({ cmd: 'Add', target: `${IMAGES}/${node}/Data`, format: 'bin', dataFile });
  const needed = [{ deviceId: DEVICE, package0: Buffer.from('none').toString('base64') }];
  try {
    const failing = ['failed', 'other'].flatMap((node) => addImage(node, { uri: 'http://127.0.0.1:1/x' }));
    await gateway.manage(add(`${IMAGES}/sent`, 'node'), send('sent'), ...failing);
    await eventually('both to fail', async () => {
      const { images } = await gateway.status();
      return images.filter(({ state }) => state === 'failed').length === 2 || undefined;
    });
    const fanouts = ['sent', 'failed'].flatMap((imageRef) =>
      startFanout(imageRef, needed, { imageRef, interval: 3600 }, imageRef),
    );
    await gateway.manage(...fanouts);
    assert.deepEqual(await statuses(add(`${IMAGES}/more`, 'node'), send('more')), [200, 420]);

    await gateway.close();
    gateway = await start();
    assert.deepEqual(
      await statuses(...['sent', 'failed', 'other'].map((node) => get(`${IMAGES}/${node}`))),
      [200, 200, 404],
    );
    const states = (await gateway.status()).images.map(({ imageId, state }) => [imageId, state]);
    assert.deepEqual(states, [
      ['sent', 'available'],
      ['failed', 'failed'],
      ['more', 'idle'],
    ]);
    assert.deepEqual(faults, []);
  } finally {
    await gateway.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
