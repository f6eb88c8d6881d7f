import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { playNineSteps, type Observer } from './nine-steps.js';
import { MIB, testImage, withLab } from './with-lab.js';

const silent: Observer = { step: () => {}, retrieving: () => {}, device: () => {} };

describe('the nine steps', () => {
  it('bring the image over the WAN once and to every device', async () => {
    const image = await testImage('nine', 4 * MIB, 20);
    await withLab('nine-steps', { devices: 3, offers: [image.offer] }, async (lab) => {
      const played = await playNineSteps({ lab, image, maxWanRatio: 1.01, timeoutMs: 30_000, observer: silent });
      const unproved = played.steps.filter(({ ok }) => !ok).map(({ step, proof }) => `step ${step}: ${proof}`);
      assert.deepEqual(unproved, []);
      assert.deepEqual(
        played.steps.map(({ step }) => step),
        [1, 2, 3, 4, 5, 6, 7, 8, 9],
      );
      assert.deepEqual(
        played.devices.map(({ ok, sha256 }) => [ok, sha256]),
        lab.devices.map(() => [true, image.sha256]),
      );
      assert.equal(played.wanBytes, image.bytes);
      const { traffic } = await lab.gateway.status();
      assert.equal(traffic.lanSentBytes, 3 * image.bytes);
    });
  });

  it('leave no secret and no first nonce in the log of the gateway, however much it writes', async () => {
    const image = await testImage('secrets', MIB, 22);
    const gateway = { settings: { log: { level: 'debug' } } };
    await withLab('nine-steps-secrets', { devices: 1, offers: [image.offer], gateway }, async (lab) => {
      const played = await playNineSteps({ lab, image, maxWanRatio: 1.01, timeoutMs: 30_000, observer: silent });
      assert.equal(played.steps.length, 9);
      const { logFile } = lab.gateway;
      const { accounts } = JSON.parse(readFileSync(join(dirname(logFile), 'gateway.json'), 'utf8')) as {
        accounts: Record<'client' | 'server', { secret: string; nonce: string }>[];
      };
      const log = readFileSync(logFile, 'utf8');
      assert.match(log, /session completed/);
      const hidden = accounts.flatMap(({ client, server }) => [
        client.secret,
        client.nonce,
        server.secret,
        server.nonce,
      ]);
      assert.equal(hidden.length, 4);
      for (const text of hidden) assert.ok(text.length >= 16 && !log.includes(text), 'a secret stands in the log');
    });
  });

  it('end at the step that cannot be proved, with the reason', async () => {
    const image = await testImage('missing', MIB, 21);
    await withLab('nine-steps-missing', { devices: 1, offers: [] }, async (lab) => {
      const played = await playNineSteps({ lab, image, maxWanRatio: 1.01, timeoutMs: 10_000, observer: silent });
      assert.deepEqual(
        played.steps.map(({ step, ok }) => [step, ok]),
        [
          [1, true],
          [2, false],
        ],
      );
      assert.match(played.steps[1]?.proof ?? '', /not the whole image/);
    });
  });
});
