import assert from 'node:assert/strict';
import { mkdirSync, rmSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { shareSecrets } from './credentials.js';
import { DmServer } from './dm-server.js';
import { DownloadServer } from './download-server.js';
import { GatewayProcess } from './gateway.js';
import { addImage, IMAGES } from './operator.js';
import { PROJECT_ROOT } from './project.js';
import { eventually } from './wait.js';
import { MIB, sha256At, testImage } from './with-lab.js';

const HOST = '::1';
const GATEWAY_ID = 'MAC:0200000000F6';
const SERVER_ID = 'dm6.lab';

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === HOST));

describe('over IPv6', { skip: hasIpv6 ? false : 'this machine has no ::1' }, () => {
  it('a DM Server has an image retrieved, which goes on after a cut, and it is served', async () => {
    const folder = join(PROJECT_ROOT, 'build/flow', `ipv6-${process.pid}`);
    mkdirSync(join(folder, 'gateway'), { recursive: true });
    const image = await testImage('ipv6', 3 * MIB, 31);
    const closings: (() => unknown)[] = [];
    try {
      const downloads = await DownloadServer.start(HOST, [image.offer], 0, folder);
      closings.push(() => downloads.child.stop());
      const shared = shareSecrets(GATEWAY_ID, SERVER_ID);
      const dm = await DmServer.start(SERVER_ID, HOST, [shared], folder);
      closings.push(() => dm.child.stop());
      const gateway = new GatewayProcess({
        deviceId: GATEWAY_ID,
        accounts: [{ serverId: SERVER_ID, url: dm.url, shared, settings: {} }],
        lanAddress: HOST,
        lanPrefix: `${HOST}/128`,
        wanAddress: HOST,
        wanPrefix: `${HOST}/128`,
        servePort: 0,
        notificationPort: 0,
        devices: [],
        folder: join(folder, 'gateway'),
      });
      closings.push(() => gateway.close());

      await downloads.fault({ kind: 'cut-at', path: image.path, offsets: [MIB] });
      const uri = downloads.urlOf(image.path);
      assert.match(uri, /^http:\/\/\[::1\]:\d+\//);
      await dm.queue(GATEWAY_ID, addImage('a', { uri }));
      await gateway.start();
      const stored = await eventually('the image', async () => {
        const found = await gateway.image('a');
        return found?.state === 'available' ? found : undefined;
      });
      assert.match(stored.localImageURI, /^http:\/\/\[::1\]:\d+\/scomo\/a$/);
      assert.equal(await sha256At(stored.localImageURI), image.sha256);
      const ranges = (await downloads.accesses()).map(({ status, from }) => `${status} ${from}`);
      assert.deepEqual(ranges, ['200 0', `206 ${MIB}`]);

      const ids = await dm.queue(GATEWAY_ID, [{ cmd: 'Get', target: `${IMAGES}/a/LocalImageURI` }]);
      const [port = 0] = (await gateway.status()).notification.listening.map((at) => Number(/\d+$/.exec(at)?.[0]));
      await dm.notification(GATEWAY_ID, { host: HOST, port, wsp: true });
      const [answer] = await dm.answers(GATEWAY_ID, ids, [{ cmd: 'Get', target: `${IMAGES}/a/LocalImageURI` }]);
      assert.equal(answer?.value, stored.localImageURI);
    } finally {
      for (const close of closings.reverse()) await close();
    }
    rmSync(folder, { recursive: true, force: true });
  });
});
