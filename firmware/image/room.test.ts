import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { systemClock } from '../clock/index.js';
import type { ImageState } from './states.js';
import { systemDisk, type Disk } from './disk.js';
import { openHouse, pattern, removeFolder, serveFile, startOrigin, type House, type HouseOptions } from './fixture.js';
import { releaseBlob } from './holders.js';
import { makeRoom } from './room.js';

let house: House;
afterEach(async () => {
  await house.close();
  removeFolder(house.folder);
});

const needed = new Set<string>();

async function open(options: HouseOptions = {}): Promise<House> {
  needed.clear();
  house = openHouse({ ...options, blobs: { quotaBytes: 10_000, ...options.blobs } });
  await house.downloader.start();
  return house;
}

/** An available image of so many bytes; others of the same version have the same content. */
async function bring(node: string, bytes: number, version = house.catalog.count()): Promise<number> {
  const created = house.catalog.create(node, 's');
  assert.ok(created.ok);
  const { id } = created.value;
  const upload = house.uploads.begin(id, { bytes });
  assert.ok(upload.ok);
  assert.ok((await upload.value.write(pattern(bytes, version))).ok);
  assert.ok((await upload.value.end()).ok);
  assert.ok(upload.value.commit('s').ok);
  await upload.value.discard();
  return id;
}

/** The whole image is sent to somebody. */
function serve(id: number): void {
  const { blob, size } = house.catalog.byId(id)!;
  const spans = [{ start: 0, length: size! }];
  house.deliveries.sent({
    image: id,
    sha256: blob!,
    size: size!,
    address: 'x',
    devices: [],
    spans,
    confirmed: true,
  });
  house.deliveries.flush();
}

const ask = (id: number, bytes: number): ReturnType<typeof makeRoom> =>
  makeRoom(id, bytes, {
    ...house,
    pins: { needs: (imageId) => needed.has(imageId) },
    release: (sha256) => releaseBlob(house, sha256),
  });
const states = (): Record<string, ImageState> =>
  Object.fromEntries(house.catalog.all().map(({ node, state }) => [node, state]));
const withState = (state: ImageState): string[] =>
  Object.entries(states())
    .filter(([, its]) => its === state)
    .map(([node]) => node);

describe('room', () => {
  for (const plausible of [true, false]) {
    it(`is made of what was used least recently, ${plausible ? 'with' : 'without'} a clock`, async () => {
      const clock = { ...systemClock(0), plausible: () => plausible };
      await open({ catalog: { clock } });
      const a = await bring('a', 2000);
      await bring('b', 2000);
      await bring('c', 2000);
      serve(a);
      assert.ok((await ask(90, 5000)).ok);
      assert.deepEqual(withState('evicted'), ['b']);
      assert.ok((await ask(91, 3000)).ok);
      assert.deepEqual(withState('evicted'), ['b', 'c']);
      assert.deepEqual(
        house.events.filter(({ kind }) => kind === 'evicted').map(({ image }) => [image.node, image.result]),
        [
          ['b', 'no-room'],
          ['c', 'no-room'],
        ],
      );
      assert.equal(readdirSync(join(house.folder, 'blobs')).length, 2);
    });
  }

  it('is never made of what is pinned, needed or being read, nor of anything when that is not enough', async () => {
    await open();
    const pinned = await bring('pinned', 2000);
    await bring('needed', 2000);
    const read = await bring('read', 2000);
    await bring('free', 2000);
    assert.ok(house.catalog.setLeaf(pinned, 'pinned', true, 's').ok);
    needed.add('needed');
    const reader = await house.blobs.openBlob(house.catalog.byId(read)!.blob!);
    const refused = await ask(90, 4001);
    assert.equal(refused.ok ? '' : refused.error.code, 'no-room');
    assert.deepEqual(withState('evicted'), []);
    assert.ok((await ask(90, 4000)).ok);
    assert.deepEqual(withState('evicted'), ['free']);
    await reader?.close();
    assert.ok((await ask(90, 6000)).ok);
    assert.deepEqual(withState('evicted'), ['read', 'free']);
  });

  it('is made of something else where somebody comes for what was to go, while another one goes', async () => {
    await open();
    await bring('first', 2000);
    const read = await bring('read', 2000);
    const pinned = await bring('pinned', 2000);
    const other = await bring('other', 2000);
    const last = await bring('last', 2000);
    const readers: unknown[] = [];
    const release = async (sha256: string): Promise<void> => {
      if (readers.length === 0) {
        readers.push(await house.blobs.openBlob(house.catalog.byId(read)!.blob!));
        assert.ok(house.catalog.setLeaf(pinned, 'pinned', true, 's').ok);
        // It has other content by now, that of the last one.
        assert.ok(house.catalog.setLeaf(other, 'imageUri', 'http://127.0.0.1:1/', 's').ok);
        assert.ok(house.catalog.setLeaf(other, 'digest', house.catalog.byId(last)!.blob, 's').ok);
        assert.equal(house.catalog.linkStored(other)?.state, 'available');
      }
      await releaseBlob(house, sha256);
    };
    const room = await makeRoom(90, 8000, { ...house, pins: { needs: () => false }, release });
    assert.equal(room.ok, false);
    assert.deepEqual(withState('evicted'), ['first']);
    assert.ok((await ask(90, 6000)).ok);
    assert.deepEqual(withState('evicted'), ['first', 'other', 'last']);
  });

  it('is made of the next ones where somebody comes for what was to go, though what is rotten has gone before', async () => {
    await open();
    const { blob } = house.catalog.byId(await bring('rotten', 1000))!;
    await house.blobs.setRotten(blob!, () => house.catalog.lost(blob!));
    await bring('first', 2000);
    const read = house.catalog.byId(await bring('read', 2000))!.blob!;
    for (const node of ['held', 'next', 'last']) await bring(node, 2000);
    let gone = 0;
    const release = async (sha256: string): Promise<void> => {
      gone += 1;
      if (gone === 1) assert.ok(await house.blobs.openBlob(read));
      // Its record has let it go, its bytes stay.
      if (gone === 2) house.blobs.hold(sha256);
      await releaseBlob(house, sha256);
    };
    assert.ok((await makeRoom(90, 6000, { ...house, pins: { needs: () => false }, release })).ok);
    assert.deepEqual(withState('evicted'), ['first', 'held', 'next', 'last']);
  });

  it('is made of a shared blob only when no image with it is needed, and then of all of them', async () => {
    await open();
    await bring('a', 4000, 7);
    await bring('b', 4000, 7);
    assert.equal((await house.blobs.usage()).stored, 4000);
    needed.add('b');
    assert.ok(!(await ask(90, 7000)).ok);
    needed.clear();
    assert.ok((await ask(90, 7000)).ok);
    assert.deepEqual(withState('evicted'), ['a', 'b']);
  });

  it('is made of what failed retrievals left first, of what waits for a new URL last', async () => {
    const content = pattern(6000);
    const origin = await startOrigin((request, response, count) => {
      if (request.headers.range === undefined) serveFile(content, { cutAfter: 1500 })(request, response, count);
      else response.writeHead(request.url?.includes('gone') ? 410 : 404).end();
    });
    try {
      await open();
      const gone = house.add('gone', `${origin.url}?gone`);
      await house.until(gone.id, 'needs-uri');
      const failed = house.add('failed', origin.url);
      // Not found: what is there is kept for another URL.
      await house.until(failed.id, 'failed');
      await house.downloader.close();
      assert.deepEqual(readdirSync(join(house.folder, 'partial')).sort(), [gone.id, failed.id].map(String).sort());
      await bring('image', 2000);
      const received = (id: number): number => house.catalog.byId(id)!.received;
      assert.ok((await ask(90, 6000)).ok);
      assert.deepEqual([received(failed.id), received(gone.id), withState('available')], [0, 1500, ['image']]);
      assert.ok((await ask(90, 8000)).ok);
      assert.deepEqual([received(gone.id), withState('evicted')], [1500, ['image']]);
      assert.ok((await ask(90, 9000)).ok);
      assert.deepEqual([received(gone.id), states().gone], [0, 'needs-uri']);
      assert.deepEqual(readdirSync(join(house.folder, 'partial')), []);
    } finally {
      await origin.close();
    }
  });

  it('is not made of bytes that a retrieval goes on from, which has begun again while others went', async () => {
    const origin = await startOrigin((request, response, count) => {
      if (request.headers.range === undefined) serveFile(pattern(6000), { cutAfter: 1500 })(request, response, count);
      else response.writeHead(404).end();
    });
    let removed = (): void => {};
    const remove: Disk['remove'] = async (path) => {
      await systemDisk.remove(path);
      removed();
    };
    try {
      await open({ blobs: { disk: { ...systemDisk, remove } } });
      await house.until(house.add('first', origin.url).id, 'failed');
      const { id } = await house.until(house.add('second', origin.url).id, 'failed');
      await house.downloader.close();
      removed = () => assert.ok(house.catalog.request(id, 's').ok);
      await ask(90, 9000);
      assert.deepEqual(readdirSync(join(house.folder, 'partial')), [String(id)]);
      assert.equal(house.catalog.byId(id)?.received, 1500);
    } finally {
      await origin.close();
    }
  });

  it('is made of what is rotten before anything else; of that little is kept', async () => {
    const rotten = (): string[] => readdirSync(join(house.folder, 'rotten'));
    let isTight = false;
    const free = (): number => (isTight && rotten().length > 0 ? 0 : 50_000);
    await open({ blobs: { disk: { ...systemDisk, freeBytes: () => Promise.resolve(free()) } } });
    for (const node of ['a', 'b', 'c']) {
      const { blob } = house.catalog.byId(await bring(node, 1000))!;
      await house.blobs.setRotten(blob!, () => house.catalog.lost(blob!));
    }
    await bring('d', 1000);
    assert.equal(rotten().length, 2);
    isTight = true;
    assert.ok((await ask(90, 3000)).ok);
    assert.deepEqual([rotten(), withState('available')], [[], ['d']]);
  });

  it('is not made of content that somebody still holds', async () => {
    await open();
    const release = house.blobs.hold(house.catalog.byId(await bring('a', 6000))!.blob!);
    assert.ok(!(await ask(90, 5000)).ok);
    assert.deepEqual(withState('available'), ['a']);
    release();
    assert.ok((await ask(90, 5000)).ok);
  });

  it('is not promised twice, however many ask at the same time', async () => {
    await open();
    await bring('a', 5000);
    const asked = await Promise.all([90, 91, 92, 93].map((id) => ask(id, 4000)));
    assert.deepEqual(
      asked.map(({ ok }) => ok),
      [true, true, false, false],
    );
    const { stored, reserved } = await house.blobs.usage();
    assert.ok(stored + reserved <= 10_000);
  });

  it('is promised to a retrieval before its first byte: another one that runs does not fill it', async () => {
    const content = pattern(6000, 5);
    let written = 0;
    const disk: Disk = {
      ...systemDisk,
      write: (fd, bytes, position) => {
        if (bytes.length >= 3000) written += bytes.length;
        return systemDisk.write(fd, bytes, position);
      },
    };
    await open({ blobs: { disk }, downloader: { concurrency: 2 } });
    // The first reply gives its head, and its body when the second one has been refused.
    let go = (): void => undefined;
    const origin = await startOrigin((_request, response, n) => {
      response.writeHead(200, { 'Content-Length': content.length, ETag: `"${n}"` });
      if (n > 1) return response.end(content);
      response.flushHeaders();
      go = () => response.end(content);
    });
    try {
      const first = house.add('a', origin.url);
      await house.until(first.id, 'downloading');
      while ((await house.blobs.usage()).reserved < content.length) await systemClock(0).sleep(2);
      const second = house.add('b', `${origin.url}?other`);
      const refused = await house.until(second.id, 'failed');
      assert.deepEqual([refused.result, refused.received, written], ['no-room', 0, 0]);
      go();
      await house.until(first.id, 'available');
      assert.equal(written, content.length);
    } finally {
      await origin.close();
    }
  });

  it('is promised as far as the disk has it beside what others may still write, and to who grows', async () => {
    const disk: Disk = { ...systemDisk, freeBytes: () => Promise.resolve(50_000) };
    await open({ blobs: { disk, freeFloorBytes: 100, quotaBytes: 1_000_000 } });
    const asked: readonly (readonly [id: number, bytes: number, has: boolean])[] = [
      [90, 30_000, true],
      [91, 19_901, false],
      [91, 19_900, true],
      [90, 30_001, false],
    ];
    for (const [id, bytes, has] of asked) assert.equal((await ask(id, bytes)).ok, has, `${id}: ${bytes}`);
    await house.blobs.dropPartial(91);
    assert.deepEqual([(await ask(90, 49_901)).ok, (await ask(90, 49_900)).ok], [false, true]);
  });

  it('is told with what is promised and not written yet, at once and later', async () => {
    const disk: Disk = { ...systemDisk, freeBytes: () => Promise.resolve(50_000), freeBytesNow: () => 50_000 };
    await open({ blobs: { disk, freeFloorBytes: 100 } });
    await bring('a', 1000);
    assert.ok((await ask(90, 4000)).ok);
    const fd = await house.blobs.openPartial(90);
    await disk.write(fd, Buffer.alloc(1500), 0);
    await disk.close(fd);
    const expected = { stored: 1000, reserved: 4000, unwritten: 2500, quota: 10_000, free: 50_000, freeFloor: 100 };
    assert.deepEqual([await house.blobs.usage(), house.blobs.usageNow()], [expected, expected]);
    await house.blobs.settle(90);
    assert.deepEqual(house.blobs.usageNow(), { ...expected, reserved: 1500, unwritten: 0 });
  });
});
