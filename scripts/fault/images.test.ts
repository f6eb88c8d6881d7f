import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { systemClock } from '../../firmware/clock/index.js';
import {
  BlobStore,
  Catalog,
  Downloader,
  imageSchema,
  momentSchema,
  retrievalSchema,
  systemDisk,
} from '../../firmware/image/index.js';
import { silentLog } from '../../firmware/log/index.js';
import { openStore } from '../../firmware/store/index.js';
import { campaign, ROUNDS, type Campaign } from './campaign.js';
import { contentOf } from './contents.js';
import { buildProgram, whyNoFaults } from './faulty-disk.js';

const skip = whyNoFaults() ?? false;

let writer = '';
before(() => {
  if (skip === false) writer = buildProgram('image-writer');
});

const MOMENTS = ['sync 80', 'name 60', 'now', 'write 200', 'sync 12', 'name 12'];

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');

/**
 * What is wrong with images after a cut: rows that name content which is not there or is not theirs, promises that are
 * not kept, files that nobody wants and that are still there after a start.
 */
async function faultsOf(folder: string, promises: readonly string[]): Promise<string[]> {
  if (!existsSync(join(folder, 'dmgw.db')) && promises.length === 0) return [];
  const log = silentLog;
  const store = openStore({
    file: join(folder, 'dmgw.db'),
    schema: [...imageSchema, ...retrievalSchema, ...momentSchema],
    log,
  });
  try {
    const catalog = new Catalog({ store, clock: systemClock(0), log });
    const faults = store
      .sql<{ integrity_check: string }>('PRAGMA integrity_check')
      .all()
      .map((row) => row.integrity_check)
      .filter((line) => line !== 'ok');
    const promised = new Map(promises.map((line) => line.split(' ') as [string, string]));
    for (const [node, n] of promised) {
      if (Number(catalog.byNode(node)?.leaves.version ?? 0) < Number(n)) faults.push(`${node} does not have ${n}`);
    }
    for (const { node, state, blob, leaves } of catalog.all()) {
      if (state !== 'available' || blob === null) continue;
      const file = join(folder, 'blobs', blob);
      if (!existsSync(file)) faults.push(`${node}: the content is missing`);
      else if (sha256(readFileSync(file)) !== blob) faults.push(`${node}: the content is damaged`);
      if (sha256(contentOf(Number(leaves.version))) !== blob) faults.push(`${node}: content of another number`);
    }
    const blobs = new BlobStore({ folder, disk: systemDisk, log });
    const parts = { store, catalog, blobs, clock: systemClock(0), random: Math.random, log };
    const defects: unknown[] = [];
    const downloader = new Downloader({
      ...parts,
      access: { allowAddress: () => true },
      onDefect: (thrown) => defects.push(thrown),
    });
    await downloader.start();
    await downloader.close();
    const wanted = new Set(catalog.all().flatMap(({ blob }) => (blob === null ? [] : [blob, `${blob}.json`])));
    const left = [...readdirSync(join(folder, 'blobs')), ...readdirSync(join(folder, 'partial'))];
    faults.push(...left.filter((name) => !wanted.has(name)).map((name) => `nobody wants ${name}`));
    return [...faults, ...defects.map(String)];
  } finally {
    await store.close();
  }
}

const run = (name: string, rules: string, rounds: number, until?: number): Promise<Campaign> =>
  campaign({ name, program: writer, faultsOf, moments: MOMENTS }, rules, rounds, until);

describe('images that come in when the power goes', { skip }, () => {
  it('are there as promised, or not at all, at whatever moment', async (t) => {
    const done = await run('images', '', ROUNDS);
    t.diagnostic(`${done.rounds} cuts (${JSON.stringify(done.cuts)}), ${done.promises} images promised`);
    assert.deepEqual(done.faults, []);
    assert.ok(done.promises > 2 * ROUNDS, `only ${done.promises} images`);
  });

  for (const lie of ['lie sync */partial/*', 'lie sync */blobs', 'lie sync *-wal']) {
    it(`are seen to be wrong or lost by "${lie}"`, async (t) => {
      const done = await run('images-lies', lie, ROUNDS, 1);
      t.diagnostic(`found in round ${done.rounds}: ${done.faults.join(' | ')}`);
      assert.ok(done.faults.length > 0, 'a lost sync was not noticed: this harness proves nothing');
    });
  }
});
