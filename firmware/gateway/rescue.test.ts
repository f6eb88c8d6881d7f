import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { systemClock } from '../clock/index.js';
import { BlobStore, Catalog, NO_LEAVES, systemDisk } from '../image/index.js';
import { silentLog } from '../log/index.js';
import { parseNames } from '../mo/index.js';
import { rescue } from './rescue.js';
import { databaseSchema } from '../schema.js';
import { openTestStore } from '../store/store.fixture.js';

it('a rescue gives images back to their servers where these are known, counts the others, and is settled when that is durable', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-rescue-'));
  const blobFolder = join(folder, 'blobs');
  mkdirSync(blobFolder);
  /** A blob; its sidecar, where it has one, says that this server sent it. */
  const store = (content: string, requester?: string): void => {
    const sha256 = createHash('sha256').update(content).digest('hex');
    writeFileSync(join(blobFolder, sha256), content);
    if (requester === undefined) return;
    const image = { node: content, leaves: NO_LEAVES, requester, availableMs: 1, generation: 1, source: null };
    const sidecar = { format: 1, size: content.length, contentType: null, images: [image] };
    writeFileSync(join(blobFolder, `${sha256}.json`), JSON.stringify(sidecar));
  };
  store('of-a-known-one', 'known');
  store('of-one-that-has-gone', 'gone');
  store('of-nobody-knows-whom');
  const database = openTestStore({ file: join(folder, 'db'), schema: databaseSchema, log: silentLog });
  const durable = database.durable.bind(database);
  const story: unknown[] = [];
  database.durable = async () => {
    await durable();
    story.push('durable');
  };
  const clock = systemClock(0);
  const names = parseNames({});
  assert.ok(names.ok);
  try {
    const catalog = new Catalog({ store: database, clock, log: silentLog });
    const account = { serverId: 'known' };
    await rescue(
      { damage: 'damaged', keptAs: undefined, settled: () => story.push('settled') },
      {
        store: database,
        catalog,
        blobs: new BlobStore({ folder, disk: systemDisk, clock, log: silentLog }),
        tree: { giveTo: (path, serverId) => story.push(['given', path.at(-1), serverId]) },
        accounts: { list: () => [account], byServerId: (serverId) => (serverId === 'known' ? account : undefined) },
        outbox: { put: ({ serverId, data }) => story.push(['told', serverId, data]) },
        names: names.value,
        log: silentLog,
      },
    );
    assert.deepEqual(story, [
      ['given', 'of-a-known-one', 'known'],
      ['told', 'known', 'database recovered=2 lost=1 gone=retrievals,fanouts,devices,acls'],
      'durable',
      'settled',
    ]);
    assert.deepEqual(catalog.nodes(undefined, 9), ['of-a-known-one', 'of-one-that-has-gone']);
  } finally {
    await database.close();
    rmSync(folder, { recursive: true });
  }
});
