import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DeviceEvent } from './dm-server.js';
import type { Lab } from './lab.js';
import { ALERT, startFanout, type FanoutPolicy } from './operator.js';
import { eventually } from './wait.js';
import { withLab } from './with-lab.js';

describe('devices that are found by mDNS', { concurrency: 2 }, () => {
  it('are notified, and are seen to react by the SessionID that they announce', async () => {
    await withLab('found', { devices: 3, offers: [], discovery: () => ({}) }, async (lab) => {
      await eventually('three devices', async () => ((await present(lab)) === 3 ? true : undefined));
      await fanOut(lab);
      assert.match((await finalAlert(lab)).data ?? '', /^1200 total=3 sent=3 reacted=3 failed=0$/);
      for (const device of lab.devices)
        assert.equal(device.log().filter(({ kind }) => kind === 'notification').length, 1);
      const { discovery } = (await lab.gateway.status()).devices;
      assert.deepEqual([discovery.backend, discovery.interfaces], ['builtin', ['lo']]);
    });
  });

  it('are notified when they wake, although nothing was known of them when the fanout began', async () => {
    await withLab('asleep', { devices: 2, offers: [], discovery: () => ({ sleepMs: 6_000 }) }, async (lab) => {
      // On a machine that is busy their reaction takes a while; a repetition ends with it.
      await fanOut(lab, { repeat: 5, interval: 3 });
      assert.match((await finalAlert(lab)).data ?? '', /^1200 total=2 sent=2 reacted=2 failed=0$/);
    });
  });

  it('all react although 30 % of the datagrams are lost and one sleeps for a while, with no more datagrams than allowed', async () => {
    const discovery = (index: number) => ({ dropPercent: 30, sleepMs: index === 0 ? 4_000 : 0 });
    await withLab('lossy', { devices: 8, offers: [], discovery }, async (lab) => {
      await eventually('those that are awake', async () => ((await present(lab)) >= 7 ? true : undefined));
      const repeat = 8;
      await fanOut(lab, { repeat, interval: 1 });
      assert.match((await finalAlert(lab)).data ?? '', /^1200 total=8 sent=8 reacted=8 failed=0$/);
      for (const device of lab.devices) {
        const kinds = device.log().map(({ kind }) => kind);
        const heard = kinds.filter((kind) => kind === 'notification').length;
        const lost = kinds.filter((kind) => kind === 'dropped').length;
        assert.ok(heard >= 1 && heard + lost <= repeat, `${device.deviceId}: ${heard} heard, ${lost} lost`);
      }
    });
  });

  it('outlive the gateway: after its restart they are notified before they are found again', async () => {
    await withLab('remembered', { devices: 1, offers: [], discovery: () => ({}) }, async (lab) => {
      await eventually('the device', async () => ((await present(lab)) === 1 ? true : undefined));
      await lab.gateway.stop();
      lab.gateway.configure({ discovery: { backend: 'off' } });
      await lab.gateway.start();
      assert.deepEqual((await lab.gateway.status()).devices.known, 1);
      await fanOut(lab);
      assert.match((await finalAlert(lab)).data ?? '', /total=1 sent=1 .*failed=[01]$/);
      await lab.devices[0]?.waitFor('notification');
    });
  });
});

async function present(lab: Lab): Promise<number> {
  return (await lab.gateway.status()).devices.discovery.present;
}

async function fanOut(lab: Lab, policy: FanoutPolicy = { repeat: 3, interval: 2 }): Promise<void> {
  const targets = await Promise.all(
    lab.devices.map(async ({ deviceId }) => ({ deviceId, package0: (await lab.dm.notification(deviceId)).package0 })),
  );
  const answers = await lab.manage(startFanout('f', targets, policy, 'f'));
  assert.equal(answers.at(-1)?.status, 202);
}

function finalAlert(lab: Lab): Promise<DeviceEvent> {
  const fits = ({ kind, type }: DeviceEvent): boolean => kind === 'alert' && type === ALERT.fanoutFinished;
  return lab.dm.waitFor('the result of the fanout', lab.gatewayId, 0, fits, 60_000);
}
