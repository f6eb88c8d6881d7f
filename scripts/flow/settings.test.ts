import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Command } from './dm-server.js';
import { add, addImage, get } from './operator.js';
import { eventually } from './wait.js';
import { MIB, readImage, retrievalAlert, testImage, withLab } from './with-lab.js';

const CONFIG = './GwMO/Config';

function set(key: string, value: string | number): Command {
  const format = typeof value === 'number' ? 'int' : 'chr';
  return { cmd: 'Replace', target: `${CONFIG}/${key}`, format, data: value };
}

describe('settings that a DM Server changes while the gateway runs', () => {
  it('act at once, survive a kill, and are the administrator’s alone', async () => {
    const image = await testImage('tuned', MIB, 90);
    const options = {
      devices: 0,
      offers: [image.offer],
      dmServers: [{ account: { administrator: true } }, {}],
      gateway: { settings: { settings: { locked: ['fanout.lifetimeSeconds'] } } },
    };
    await withLab('settings', options, async (lab) => {
      const [, other] = lab.dmServers;
      assert.ok(other);
      const statuses = async (commands: readonly Command[], server = lab.dm): Promise<(number | null)[]> =>
        (await lab.manage(commands, server)).map(({ status }) => status);

      // Nobody else may; the file keeps what it locks; the bounds are those of the configuration.
      assert.deepEqual(await statuses([set('fanout/repeat', 2), get(`${CONFIG}/fanout/repeat`)], other), [425, 200]);
      assert.deepEqual(
        await statuses([
          set('fanout/lifetimeSeconds', 60),
          set('fanout/repeat', 99),
          add(`${CONFIG}/fanout/more`, 'int', 1),
        ]),
        [403, 400, 405],
      );

      // A window that never opens holds a retrieval; the quota shows in the room. Both are there after a kill.
      const never = neverOpen();
      assert.deepEqual(await statuses([set('retrieve/windows', never), set('store/quotaMiB', 7)]), [200, 200]);
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      assert.match((await waiting(lab)).ResultText, /window/);
      await lab.gateway.kill();
      await lab.gateway.start();
      assert.match((await waiting(lab)).ResultText, /window/);
      assert.deepEqual((await lab.manage([get('./GwMO/Storage/Quota')]))[0]?.value, String(7 * MIB));
      assert.equal((await lab.downloads.stats()).bytes, 0);
      const shown = await lab.gateway.command('config', 'show');
      assert.match(shown.stdout, /\nstore\.quotaMiB +7 +DM Server dm1\.lab\n/);

      // Without the window, and with a rate cap, it comes in slowly; without the cap, at once.
      const rate = 20_000;
      await lab.manage([set('retrieve/maxBytesPerSecond', rate), set('retrieve/windows', '')]);
      await eventually('the first bytes', async () => ((await lab.downloads.stats()).bytes > 0 ? true : undefined));
      const received = (await lab.gateway.image('a'))?.receivedBytes ?? 0;
      assert.ok(received < MIB / 2, `${received} bytes came in at once`);
      await lab.manage([set('retrieve/maxBytesPerSecond', 0)]);
      assert.equal((await retrievalAlert(lab, 'a')).data, '1200');

      // Who edits the file has the last word.
      await lab.gateway.stop();
      lab.gateway.configure({ ...options.gateway.settings, store: { quotaMiB: 9 } });
      await lab.gateway.start();
      assert.deepEqual((await lab.manage([get('./GwMO/Storage/Quota')]))[0]?.value, String(9 * MIB));
    });
  });
});

/** The image `a`, once it waits. */
function waiting(lab: Parameters<typeof readImage>[0]): ReturnType<typeof readImage> {
  return eventually('the image to wait', async () => {
    const image = await readImage(lab, 'a');
    return image.State === '40' ? image : undefined;
  });
}

/** A window of one minute on the other side of the week. */
function neverOpen(): string {
  const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][(new Date().getUTCDay() + 3) % 7] ?? '';
  return `${day} 12:00-12:01`;
}
