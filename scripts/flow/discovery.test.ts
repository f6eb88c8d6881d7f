import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { arrivalsOf, breachOf } from './arrivals.js';
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
    await withLab('asleep', { devices: 2, offers: [], discovery: () => ({ asleep: true }) }, async (lab) => {
      await fanOut(lab, { repeat: 5, interval: 3 });
      lab.wakeDevices();
      assert.match((await finalAlert(lab)).data ?? '', /^1200 total=2 sent=2 reacted=2 failed=0$/);
      expectPolicy(lab, 5);
    });
  });

  it('are notified at another address when they move, and twice told is once done', async () => {
    const discovery = (index: number) => ({ moves: index === 0, duplicates: true });
    const gateway = { settings: { discovery: { takeoverGraceSeconds: 1 } } };
    await withLab('moved', { devices: 2, devicesPerProcess: 2, offers: [], discovery, gateway }, async (lab) => {
      await eventually('two devices', async () => ((await present(lab)) === 2 ? true : undefined));
      await fanOut(lab, { repeat: 5, interval: 1 });
      assert.match((await finalAlert(lab)).data ?? '', /^1200 total=2 sent=2 reacted=2 failed=0$/);
      expectPolicy(lab, 5);
      const { missed, moved } = arrivalsOf(lab.devices);
      assert.deepEqual([missed, moved], [1, 1]);
    });
  });

  it('all react although 30 % of the datagrams are lost and 5 % sleep for a while, with no more datagrams to anyone than Repeat says', async () => {
    const count = 80;
    const awake = 76;
    const discovery = (index: number) => ({ dropPercent: 30, asleep: index >= awake });
    const options = { devices: count, devicesPerProcess: count, offers: [], discovery };
    await withLab('lossy', options, async (lab) => {
      await eventually('those that are awake', async () => ((await present(lab)) === awake ? true : undefined));
      const repeat = 8;
      await fanOut(lab, { repeat, interval: 1 });
      for (const device of lab.devices.slice(0, awake)) await device.waitFor('notification', { timeoutMs: 60_000 });
      lab.wakeDevices();
      assert.equal((await finalAlert(lab)).data, `1200 total=${count} sent=${count} reacted=${count} failed=0`);
      expectPolicy(lab, repeat);
      const { datagrams, lost, woken } = arrivalsOf(lab.devices);
      assert.equal(woken, count - awake);
      assert.ok(lost >= count / 5 && lost >= 0.2 * datagrams, `${lost} of ${datagrams} lost`);
    });
  });

  it('outlive the gateway: after its restart they are notified before they are found again', async () => {
    await withLab('remembered', { devices: 1, offers: [], discovery: () => ({}) }, async (lab) => {
      await eventually('the device', async () => ((await present(lab)) === 1 ? true : undefined));
      await lab.gateway.stop();
      lab.gateway.configure({ discovery: { backend: 'off' } });
      await lab.gateway.start();
      assert.deepEqual((await lab.gateway.status()).devices.known, 1);
      await fanOut(lab, { repeat: 3, interval: 2 });
      assert.match((await finalAlert(lab)).data ?? '', /total=1 sent=1 .*failed=[01]$/);
      await lab.devices[0]?.waitFor('notification');
    });
  });
});

async function present(lab: Lab): Promise<number> {
  return (await lab.gateway.status()).devices.discovery.present;
}

function expectPolicy(lab: Lab, repeat: number): void {
  for (const device of lab.devices) assert.equal(breachOf(device, repeat), undefined, device.deviceId);
}

async function fanOut(lab: Lab, policy: FanoutPolicy = { repeat: 3, interval: 10 }): Promise<void> {
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
