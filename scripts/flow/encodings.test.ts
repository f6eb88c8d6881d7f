import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Lab, DmServerOptions } from './lab.js';
import { playNineSteps, type Observer } from './nine-steps.js';
import { get } from './operator.js';
import { MIB, testImage, withLab } from './with-lab.js';

const silent: Observer = { step: () => {}, retrieving: () => {}, device: () => {} };

/** Plays the nine steps with two devices and checks that each is proved. */
async function nineSteps(
  name: string,
  seed: number,
  server: DmServerOptions,
  before: (lab: Lab) => Promise<void>,
  after: (lab: Lab) => Promise<void>,
): Promise<void> {
  const image = await testImage(name, MIB, seed);
  await withLab(name, { devices: 2, dmServers: [server], offers: [image.offer] }, async (lab) => {
    await before(lab);
    const played = await playNineSteps({ lab, image, maxWanRatio: 1.01, timeoutMs: 30_000, observer: silent });
    assert.deepEqual(
      played.steps.map(({ step, ok, proof }) => (ok ? step : proof)),
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    await after(lab);
  });
}

const nothing = (): Promise<void> => Promise.resolve();

describe('the nine steps in other encodings', { concurrency: 2 }, () => {
  it('are the same over WBXML', async () => {
    await nineSteps('nine-wbxml', 80, { encoding: 'wbxml' }, nothing, (lab) => {
      for (const deviceId of [lab.gatewayId, ...lab.devices.map((device) => device.deviceId)]) {
        const encodings = lab.dm.messages(deviceId).map(({ encoding }) => encoding);
        assert.ok(encodings.length > 2);
        assert.deepEqual(new Set(encodings), new Set(['wbxml']), deviceId);
      }
      return Promise.resolve();
    });
  });

  it('are the same over WBXML where every message of either side is sealed by HMAC', async () => {
    const server = { encoding: 'wbxml', schemes: { client: 'mac', server: 'mac' } } as const;
    await nineSteps('nine-hmac', 82, server, nothing, async (lab) => {
      for (const deviceId of [lab.gatewayId, ...lab.devices.map((device) => device.deviceId)]) {
        const proofs = (await lab.dm.events(deviceId)).filter(({ kind }) => kind === 'auth');
        assert.ok(proofs.length >= 4, deviceId);
        assert.deepEqual(new Set(proofs.map(({ result }) => result)), new Set(['accepted']), deviceId);
        const ofDevice = proofs.filter(({ code }) => code !== undefined);
        assert.deepEqual(new Set(ofDevice.map(({ code }) => code)), new Set([200]), 'never 212');
      }
    });
  });

  it('are the same where the server answers every message in the other encoding', async () => {
    const spoken = (lab: Lab, direction: 'in' | 'out'): Set<string> =>
      new Set(
        lab.dm
          .messages(lab.gatewayId)
          .filter((message) => message.direction === direction)
          .map(({ encoding }) => encoding),
      );
    await nineSteps(
      'nine-switching',
      81,
      {},
      (lab) => lab.dm.faults([{ kind: 'other-encoding', times: 1000 }]),
      async (lab) => {
        assert.deepEqual(spoken(lab, 'out'), new Set(['wbxml', 'xml']));
        assert.deepEqual(spoken(lab, 'in'), new Set(['xml', 'wbxml']));
        await lab.dm.faults([], { clear: true });
        assert.equal((await lab.manage([get('./DevInfo/DevId')]))[0]?.value, lab.gatewayId);
        // A session begins in what the server spoke last.
        const messages = lab.dm.messages(lab.gatewayId);
        const begun = messages.filter(
          (message, index) => index > 0 && message.sessionId !== messages[index - 1]?.sessionId,
        );
        assert.ok(begun.length >= 2);
        for (const message of begun) {
          const before = messages[messages.indexOf(message) - 1];
          assert.deepEqual([before?.direction, before?.encoding], ['out', message.encoding]);
        }
      },
    );
  });
});
