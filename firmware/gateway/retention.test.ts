import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { ManualClock, systemClock } from '../clock/index.js';
import { Catalog } from '../image/index.js';
import { silentLog } from '../log/index.js';
import { parseNames } from '../mo/index.js';
import { Retention, retentionSweeps } from './retention.js';
import { databaseSchema } from '../schema.js';
import { openTestStore } from '../store/store.fixture.js';

describe('retention', () => {
  it('sweeps at the start and every hour until it is stopped, also after a failure, which it tells', () => {
    const clock = new ManualClock();
    const lines: unknown[] = [];
    const faults: unknown[] = [];
    const counts = [0, 3, 0];
    let sweeps = 0;
    const retention = new Retention({
      clock,
      log: { ...silentLog, info: (text, fields) => lines.push([text, fields]) },
      sweeps: {
        images: () => {
          sweeps += 1;
          if (sweeps === 3) throw new Error('disk');
          return counts[sweeps - 1] ?? 0;
        },
        fanouts: () => 0,
      },
      onFault: (thrown) => faults.push(String(thrown)),
    });
    retention.start();
    assert.deepEqual([sweeps, lines], [1, []]);
    clock.advance(3_600_000);
    assert.deepEqual(lines, [['removed what had ended', { images: 3 }]]);
    clock.advance(3_600_000);
    clock.advance(3_600_000);
    assert.deepEqual([sweeps, faults], [4, ['Error: disk']]);
    retention.stop();
    clock.advance(36_000_000);
    assert.equal(sweeps, 4);
  });
});

describe('what is kept of what has ended', () => {
  it('is as the configuration says, for images and fanouts; what goes is forgotten by the tree', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-retention-'));
    const store = openTestStore({ file: join(folder, 'db'), schema: databaseSchema, log: silentLog });
    const catalog = new Catalog({ store, clock: systemClock(0), log: silentLog });
    const names = parseNames({});
    assert.ok(names.ok);
    let aheadMs = 0;
    const clock = { ...systemClock(0), wallMs: () => Date.now() + aheadMs };
    const forgotten: string[] = [];
    const asked: unknown[] = [];
    const sweeps = retentionSweeps({ days: 2, failedImages: 2, finishedFanouts: 3 }, names.value, {
      store,
      catalog,
      clock,
      pins: { needs: () => false },
      tree: { forgetNode: (path) => void forgotten.push(path.join('/')) },
      fanouts: {
        removeEnded: (limits, forget) => {
          asked.push(limits);
          forget('f');
          return 1;
        },
      },
    });
    const sweep = (): (number | undefined)[] => [sweeps['images']?.(), sweeps['fanouts']?.()];
    try {
      for (const node of ['a', 'b', 'c']) {
        const created = catalog.create(node, 's');
        assert.ok(created.ok);
        catalog.setLeaf(created.value.id, 'imageUri', 'http://images.example/', 's');
        assert.ok(catalog.cancel(created.value.id).ok);
      }
      assert.deepEqual(sweep(), [1, 1]);
      aheadMs = 2 * 86_400_000 - 60_000;
      assert.deepEqual(sweep(), [0, 1]);
      aheadMs += 120_000;
      assert.deepEqual(sweep(), [2, 1]);
      assert.deepEqual(asked[0], { count: 3, ageMs: 2 * 86_400_000 });
      const images = ['a', 'c', 'b'].map((node) => `GwMO/ImageInventory/${node}`);
      assert.deepEqual(
        forgotten.filter((uri) => !uri.endsWith('/f')),
        images,
      );
      assert.equal(forgotten.includes('GwMO/Fanout/f'), true);
    } finally {
      await store.close();
      rmSync(folder, { recursive: true });
    }
  });
});
