import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { arrivingSubject } from './arriving-subject.js';
import { campaign, ROUNDS, type Campaign } from './campaign.js';
import { buildProgram, whyNoFaults } from './faulty-disk.js';
import { imagesSubject } from './images-subject.js';

const skip = whyNoFaults() ?? false;

let writer = '';
let arrivingWriter = '';
before(() => {
  if (skip !== false) return;
  writer = buildProgram('image-writer');
  arrivingWriter = buildProgram('arriving-writer');
});

const run = (name: string, rules: string, rounds: number, until?: number): Promise<Campaign> =>
  campaign(imagesSubject(name, writer), rules, rounds, until);

describe('images that come in when the power goes', { skip }, () => {
  it('are there as promised, or not at all, at whatever moment', async (t) => {
    const done = await run('images', '', ROUNDS);
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promises} images promised`);
    assert.deepEqual(done.faults, []);
    assert.ok(done.promises > 2 * ROUNDS, `only ${done.promises} images`);
  });

  for (const lie of ['lie sync */partial/*', 'lie sync */blobs', 'lie sync */blobs/*.json.new', 'lie sync *-wal']) {
    it(`are seen to be wrong or lost by "${lie}"`, async (t) => {
      const done = await run('images-lies', lie, ROUNDS, 1);
      t.diagnostic(`found in round ${done.rounds}: ${done.faults.join(' | ')}`);
      assert.ok(done.faults.length > 0, 'a lost sync was not noticed: this harness proves nothing');
    });
  }
});

describe('images that are served while they come in when the power goes', { skip }, () => {
  it('are served again as far as was promised, and no byte is another, at whatever moment', async (t) => {
    const rounds = Math.ceil(ROUNDS / 3);
    const done = await campaign(arrivingSubject('arriving', arrivingWriter), '', rounds);
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promises} promises`);
    assert.deepEqual(done.faults, []);
    assert.ok(done.promises > rounds, `only ${done.promises} promises`);
  });

  for (const lie of [
    'lie sync */partial/*',
    'loss all; lie sync */partial',
    'loss all; names strict; lie sync */store',
  ]) {
    it(`are seen to be wrong or lost by "${lie}"`, async (t) => {
      const done = await campaign(arrivingSubject('arriving-lies', arrivingWriter), lie, ROUNDS, 1);
      t.diagnostic(`found in round ${done.rounds}: ${done.faults.join(' | ')}`);
      assert.ok(done.faults.length > 0, 'a lost sync was not noticed: this harness proves nothing');
    });
  }
});
