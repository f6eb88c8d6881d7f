import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { silentLog } from '../../firmware/log/index.js';
import { databaseSchema } from '../../firmware/schema.js';
import { openTestStore } from '../../firmware/store/store.fixture.js';
import { addImage, ALERT, IMAGES } from './operator.js';
import { MIB, readImage, retrievalAlert, sha256At, testImage, withLab } from './with-lab.js';

const SUCCESS = '1200';

describe('a gateway with an image that has changed on its disk', () => {
  it('tells the server, retrieves it again, and offers the right one', async () => {
    const [rotten, sound] = [await testImage('rots', MIB, 64), await testImage('stays', MIB, 65)];
    const options = {
      devices: 0,
      offers: [rotten.offer, sound.offer],
      gateway: { settings: { store: { scrubKiBPerSecond: 100_000 } } },
    };
    await withLab('scrub', options, async (lab) => {
      for (const { path } of [rotten, sound]) {
        await lab.manage(addImage(path.slice(1), { uri: lab.downloads.urlOf(path) }));
        assert.equal((await retrievalAlert(lab, path.slice(1))).data, SUCCESS);
      }
      await lab.gateway.stop();
      const file = join(lab.gateway.storeDir, 'blobs', rotten.sha256);
      const content = readFileSync(file);
      content[MIB / 2]! ^= 1;
      writeFileSync(file, content);
      // As if both had come long ago.
      const store = openTestStore({
        file: join(lab.gateway.stateDir, 'dmgw.db'),
        schema: databaseSchema,
        log: silentLog,
      });
      store.sql('UPDATE image SET available_ms = 1').run();
      await store.close();
      const before = await lab.dm.now(lab.gatewayId);
      await lab.gateway.start();
      const told = await lab.dm.waitFor(
        'the alert of the damage',
        lab.gatewayId,
        before,
        ({ kind, type }) => kind === 'alert' && type === ALERT.storeDamaged,
      );
      assert.deepEqual([told.source, told.data], [`${IMAGES}/rots`, 'image retrieved-again']);
      assert.equal((await retrievalAlert(lab, 'rots', before)).data, SUCCESS);
      assert.equal(await sha256At((await readImage(lab, 'rots')).LocalImageURI), rotten.sha256);
      assert.equal(await sha256At((await readImage(lab, 'stays')).LocalImageURI), sound.sha256);
      assert.equal((await lab.downloads.accesses()).length, 3);
    });
  });
});
