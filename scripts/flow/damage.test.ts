import assert from 'node:assert/strict';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Lab } from './lab.js';
import { addImage, ALERT, get, IMAGES, replaceImageUri } from './operator.js';
import { eventually } from './wait.js';
import { MIB, readImage, retrievalAlert, sha256At, testImage, withLab } from './with-lab.js';

const SUCCESS = '1200';
const AVAILABLE = '50';

/** Images stand elsewhere: what is given back to its server is what stands there. */
const PLACE = './Vendor/Images';
const renaming = {
  used: (uri: string): string => uri.replace(IMAGES, PLACE),
  standard: (used: string): string => used.replace(PLACE, IMAGES),
};

/** Flips every bit of some bytes of a file. */
function flip(path: string, offset: number, length: number): void {
  const content = readFileSync(path);
  for (let at = offset; at < Math.min(content.length, offset + length); at += 1)
    content[at] = (content[at] ?? 0) ^ 0xff;
  writeFileSync(path, content);
}

/** Number of the last event of the gateway, then the alert of damage behind it. */
function damageAlert(lab: Lab, after: number): ReturnType<Lab['dm']['waitFor']> {
  return lab.dm.waitFor(
    'the alert of the damage',
    lab.gatewayId,
    after,
    ({ kind, type }) => kind === 'alert' && type === ALERT.storeDamaged,
  );
}

/** The nonces are lost with the database: a server whose notification is not heeded asks for new ones (facts 5.8). */
async function resynchronise(lab: Lab): Promise<void> {
  for (const server of lab.dmServers) {
    const commands = [get('./DevInfo/DevId')];
    const ids = await server.queue(lab.gatewayId, commands);
    await lab.wake(server, true);
    await server.answers(lab.gatewayId, ids, commands);
  }
}

describe('a gateway whose database is damaged', () => {
  it('starts with the images that it has, tells the servers what is lost, and goes on', async () => {
    const [first, second] = [await testImage('kept', MIB, 60), await testImage('rotten', MIB, 61)];
    const gateway = { settings: { names: { ImageInventory: PLACE } } };
    const options = { devices: 0, dmServers: [{}, {}], offers: [first.offer, second.offer], gateway };
    await withLab('damage', options, async (lab) => {
      for (const server of lab.dmServers) server.renaming = renaming;
      for (const [node, image] of [
        ['kept', first],
        ['rotten', second],
      ] as const) {
        await lab.manage(addImage(node, { uri: lab.downloads.urlOf(image.path) }));
        assert.equal((await retrievalAlert(lab, node)).data, SUCCESS);
      }
      const database = join(lab.gateway.stateDir, 'dmgw.db');
      const damages: readonly (() => void)[] = [
        () => flip(database, 0, 100),
        () => flip(database, 4096 * 4, statSync(database).size),
      ];
      for (const [round, damage] of damages.entries()) {
        await lab.gateway.stop();
        damage();
        if (round === 0) flip(join(lab.gateway.storeDir, 'blobs', second.sha256), 5000, 1);
        const before = await lab.dm.now(lab.gatewayId);
        await lab.gateway.start();
        const told = await damageAlert(lab, before);
        assert.match(told.data ?? '', round === 0 ? /recovered=1 lost=1/ : /recovered=1 lost=0/);
        await lab.dmServers[1]!.waitFor(
          'the alert at the other server',
          lab.gatewayId,
          0,
          ({ kind, type }) => kind === 'alert' && type === ALERT.storeDamaged,
        );
        assert.ok(existsSync(`${database}.corrupt`));
        await resynchronise(lab);
        const { State, LocalImageURI } = await readImage(lab, 'kept');
        assert.equal(State, AVAILABLE);
        assert.equal(await sha256At(LocalImageURI), first.sha256);
        // It belongs to the server that added it, and to no other.
        assert.equal((await lab.manage([get(`${IMAGES}/kept/State`)], lab.dmServers[1]))[0]?.status, 425);
        // What is lost is not offered.
        assert.equal((await lab.manage([get(`${IMAGES}/rotten/State`)]))[0]?.status, 404);
      }
      // Nothing was fetched again, and it works as before.
      assert.equal((await lab.downloads.accesses()).length, 2);
      const [replaced] = await lab.manage([replaceImageUri('kept', lab.downloads.urlOf(first.path))]);
      assert.equal(replaced?.status, 200);
      await lab.manage(addImage('rotten', { uri: lab.downloads.urlOf(second.path) }));
      await eventually('the image that was lost', async () => {
        return (await lab.gateway.image('rotten'))?.state === 'available' || undefined;
      });
      assert.equal(await sha256At((await readImage(lab, 'rotten')).LocalImageURI), second.sha256);
      assert.equal((await lab.downloads.accesses()).length, 3);
    });
  });
});
