import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { withLab } from '../flow/with-lab.js';
import { QUOTA_MIB, torture, WAN_BYTES_PER_SECOND } from './kills.js';

/** Few: `make torture` does 200, or any number. */
const KILLS = 5;

describe('the gateway when it is killed at random moments while images come in', () => {
  it('has the right content in the end, offers no other, and asks for at most one fsync volume again', async (t) => {
    const options = {
      devices: 0,
      offers: [],
      rateBytesPerSecond: WAN_BYTES_PER_SECOND,
      gateway: { settings: { store: { quotaMiB: QUOTA_MIB } } },
    };
    await withLab('torture', options, async (lab) => {
      const figures = await torture(lab, KILLS, 1, () => {});
      t.diagnostic(JSON.stringify(figures));
      assert.equal(figures.kills, KILLS);
      assert.ok(figures.moments['coming in'] > 0 && figures.resumed > 0, 'no kill met a retrieval');
    });
  });
});
