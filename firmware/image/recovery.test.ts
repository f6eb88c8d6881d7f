import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { systemDisk, type Disk } from './disk.js';
import { openHouse, pattern, removeFolder, serveFile, sha256, startOrigin, type House } from './fixture.js';
import { findImages, type FoundImages } from './recovery.js';
import { parseSidecar, type Sidecar } from './sidecar.js';

const CONTENT = pattern(300_001);
const SHA = sha256(CONTENT);

let house: House;
afterEach(async () => {
  await house.close();
  removeFolder(house.folder);
});

async function open(folder?: string): Promise<void> {
  house = openHouse(folder === undefined ? {} : { folder });
  await house.downloader.start();
}

/** An available image that a server sent. */
async function bring(node: string, content = CONTENT): Promise<number> {
  const created = house.catalog.create(node, 'server-1');
  assert.ok(created.ok);
  const { id } = created.value;
  const upload = house.uploads.begin(id, { bytes: content.length, contentType: 'application/x-firmware' });
  assert.ok(upload.ok);
  assert.ok((await upload.value.write(content)).ok);
  assert.ok((await upload.value.end()).ok);
  assert.ok(house.store.tentative(() => upload.value.commit('server-1')).ok);
  await upload.value.discard();
  return id;
}

/** Closes, takes the database away, and opens on what is left. Nothing has been removed yet. */
async function loseDatabase(): Promise<FoundImages> {
  await house.close();
  for (const suffix of ['', '-wal']) rmSync(join(house.folder, `dmgw.db${suffix}`), { force: true });
  house = openHouse({ folder: house.folder });
  return findImages(house.blobs, silentLog);
}

const blobFile = (sha: string): string => join(house.folder, 'blobs', sha);
const sidecar = (sha: string): Sidecar | undefined => parseSidecar(readFileSync(`${blobFile(sha)}.json`, 'utf8'));

/** Waits until what follows from the last changes has been done: it begins when the database is durable. */
async function settled(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    await house.store.durable();
    await new Promise(setImmediate);
    await house.blobs.settled();
  }
}

describe('images after the loss of the database', () => {
  it('are what they were, with their leaves, their content and their owner', async () => {
    const origin = await startOrigin(serveFile(pattern(1000, 5)));
    try {
      await open();
      const id = await bring('a');
      const leaves = { name: 'Näme', version: '1', priority: -3, pinned: true, imageId: 'fw', digest: SHA } as const;
      for (const [leaf, value] of Object.entries(leaves)) {
        assert.ok(house.catalog.setLeaf(id, leaf as keyof typeof leaves, value, 'server-1').ok);
      }
      const fetched = house.add('b', origin.url);
      await house.until(fetched.id, 'available');
      const before = house.catalog.all();
      await settled();
      const { images, rotten, unknown } = await loseDatabase();
      assert.deepEqual([images.length, rotten, unknown], [2, 0, 0]);
      for (const { lost, content } of images) assert.ok(house.catalog.restore(lost, content).ok);
      const named = (records: typeof before): unknown =>
        records
          .map(({ node, imageId, leaves: its, blob, size, contentType, requester, availableMs, state, received }) =>
            JSON.stringify([node, imageId, its, blob, size, contentType, requester, availableMs, state, received]),
          )
          .sort();
      assert.deepEqual(named(house.catalog.all()), named(before));
      await house.downloader.start();
      assert.ok(house.catalog.all().every(({ state }) => state === 'available'));
      assert.ok(readFileSync(blobFile(SHA)).equals(CONTENT));
      // The same URL again is no reason to retrieve it again.
      const b = house.catalog.byNode('b')!;
      assert.ok(house.catalog.setLeaf(b.id, 'imageUri', origin.url, 'server-1').ok);
      assert.equal(house.catalog.byId(b.id)?.state, 'available');
      assert.equal(origin.seen.length, 1);
    } finally {
      await origin.close();
    }
  });

  it('are all those that shared a blob; one whose content has changed on the disk is not offered', async () => {
    await open();
    for (const node of ['a', 'b', 'c']) await bring(node);
    await bring('rotten', pattern(1000, 2));
    await settled();
    const sha = sha256(pattern(1000, 2));
    const content = readFileSync(blobFile(sha));
    content[500] = content[500]! ^ 1;
    writeFileSync(blobFile(sha), content);
    const { images, rotten } = await loseDatabase();
    assert.deepEqual([images.map(({ lost }) => lost.node).sort(), rotten], [['a', 'b', 'c'], 1]);
    assert.deepEqual(readdirSync(join(house.folder, 'rotten')), [sha]);
    assert.ok(!existsSync(blobFile(sha)));
  });

  it('whose content cannot be read are as good as rotten', async () => {
    await open();
    await bring('a');
    await settled();
    await house.close();
    const read: Disk['read'] = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
    house = openHouse({ folder: house.folder, blobs: { disk: { ...systemDisk, read } } });
    const known = sidecar(SHA);
    assert.ok(known);
    house.blobs.found = () => Promise.resolve([{ sha256: SHA, size: CONTENT.length, sidecar: known }]);
    const { images, rotten } = await findImages(house.blobs, silentLog);
    assert.deepEqual([images, rotten], [[], 1]);
  });

  it('that nobody can tell any more are counted', async () => {
    await open();
    await bring('a');
    await bring('b', pattern(1000, 2));
    await settled();
    writeFileSync(`${blobFile(SHA)}.json`, '{"format":1,"size":"much"}');
    const { images, unknown } = await loseDatabase();
    assert.deepEqual([images.map(({ lost }) => lost.node), unknown], [['b'], 1]);
  });

  it('are not taken for those of a sidecar with values that no leaf can have, or with another Digest', async () => {
    await open();
    await bring('a');
    await settled();
    const { images } = await loseDatabase();
    const { lost, content } = images[0]!;
    const code = (changes: object): string => {
      const restored = house.catalog.restore({ ...lost, ...changes }, content);
      return restored.ok ? 'ok' : restored.error.code;
    };
    assert.equal(code({ node: '../x' }), 'bad-value');
    assert.equal(code({ leaves: { ...lost.leaves, imageUri: 'file:///etc/passwd' } }), 'bad-value');
    assert.equal(code({ leaves: { ...lost.leaves, digest: sha256(Buffer.from('other')) } }), 'digest-mismatch');
    assert.equal(house.catalog.count(), 0);
    assert.equal(code({}), 'ok');
    assert.equal(code({}), 'exists');
  });

  it('of two blobs that claim the same node the newer one comes first', async () => {
    await open();
    const id = await bring('a');
    await settled();
    const stale = readFileSync(`${blobFile(SHA)}.json`, 'utf8');
    const newer = pattern(1000, 3);
    const upload = house.uploads.begin(id);
    assert.ok(upload.ok);
    await upload.value.write(newer);
    await upload.value.end();
    assert.ok(upload.value.commit('server-1').ok);
    await upload.value.discard();
    await settled();
    writeFileSync(blobFile(SHA), CONTENT);
    writeFileSync(`${blobFile(SHA)}.json`, stale);
    const { images } = await loseDatabase();
    assert.deepEqual(
      images.map(({ content }) => content.sha256),
      [sha256(newer), SHA],
    );
  });
});

describe('a sidecar', () => {
  it('follows what is changed of its images, and is not written where nothing changes', async () => {
    await open();
    const id = await bring('a');
    const second = await bring('b');
    await settled();
    assert.deepEqual(
      sidecar(SHA)?.images.map(({ node }) => node),
      ['a', 'b'],
    );
    house.catalog.setLeaf(id, 'name', 'N', 'server-1');
    house.catalog.rename(second, 'c');
    await settled();
    assert.deepEqual(
      sidecar(SHA)?.images.map(({ node, leaves }) => [node, leaves.name]),
      [
        ['a', 'N'],
        ['c', null],
      ],
    );
    house.catalog.remove(second);
    await settled();
    assert.deepEqual(
      sidecar(SHA)?.images.map(({ node }) => node),
      ['a'],
    );
    writeFileSync(`${blobFile(SHA)}.json`, 'written by nobody else');
    house.catalog.setLeaf(id, 'name', 'N', 'server-1');
    await settled();
    assert.equal(readFileSync(`${blobFile(SHA)}.json`, 'utf8'), 'written by nobody else');
    // A start reads it, and makes it right.
    await house.close();
    await open(house.folder);
    await settled();
    assert.deepEqual(
      sidecar(SHA)?.images.map(({ node }) => node),
      ['a'],
    );
  });

  it('holds an ImageURI only where that has no secret', async () => {
    await open();
    const id = await bring('a');
    for (const [uri, kept] of [
      ['https://host/fw.bin', 'https://host/fw.bin'],
      ['https://host/fw.bin?signature=secret', null],
      ['https://user:secret@host/fw.bin', null],
      ['https://a/fw.bin\nhttps://b/fw.bin?secret', null],
    ] as const) {
      house.catalog.setLeaf(id, 'digest', SHA, 's');
      assert.equal(house.catalog.setLeaf(id, 'imageUri', uri, 's').ok, true, uri);
      await settled();
      assert.equal(sidecar(SHA)?.images[0]?.leaves.imageUri, kept);
      assert.ok(!readFileSync(`${blobFile(SHA)}.json`, 'utf8').includes('secret'));
    }
  });

  it('that is damaged is none', () => {
    const whole = JSON.stringify({ format: 1, size: 1, contentType: null, images: [] });
    assert.ok(parseSidecar(whole));
    for (const text of [
      '',
      'null',
      '[]',
      whole.slice(0, -2),
      whole.replace('"format":1', '"format":2'),
      whole.replace('"size":1', '"size":-1'),
      whole.replace('[]', '[null]'),
      whole.replace('[]', '[{"node":"a","leaves":{},"requester":"s","availableMs":null,"generation":0,"source":null}]'),
      whole.replace('null', '7'),
    ]) {
      assert.equal(parseSidecar(text), undefined, text);
    }
  });
});
