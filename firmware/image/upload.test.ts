import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import type { Outcome } from '../outcome/index.js';
import { systemDisk, type Disk } from './disk.js';
import {
  openHouse,
  pattern,
  removeFolder,
  serveFile,
  sha256,
  startOrigin,
  type House,
  type HouseOptions,
} from './fixture.js';
import { parseSidecar } from './sidecar.js';
import type { Upload } from './upload.js';

const CONTENT = pattern(500_003);
const SHA = sha256(CONTENT);
const OTHER = pattern(300_001, 1);

let house: House;
afterEach(async () => {
  await house.close();
  removeFolder(house.folder);
});

async function open(options: HouseOptions = {}): Promise<House> {
  house = openHouse(options);
  await house.downloader.start();
  return house;
}

function value<T>(outcome: Outcome<T, { code: string; text: string }>): T {
  if (!outcome.ok) throw new Error(`${outcome.error.code}: ${outcome.error.text}`);
  return outcome.value;
}
const codeOf = (outcome: Outcome<unknown, { code: string }>): string => (outcome.ok ? 'ok' : outcome.error.code);

function create(node = 'a'): number {
  return value(house.catalog.create(node, 'server-1')).id;
}

/** Writes in pieces as a DM session brings them; stops at the first failure. */
async function writeAll(upload: Upload, content: Buffer, piece = 60_000): Promise<string> {
  for (let at = 0; at < content.length; at += piece) {
    const written = await upload.write(content.subarray(at, at + piece));
    if (!written.ok) return written.error.code;
  }
  return 'ok';
}

/** The whole way of an upload, committed by `by`. */
async function bring(id: number, content: Buffer, by = 'server-1'): Promise<string> {
  const upload = value(house.uploads.begin(id, { bytes: content.length, contentType: 'application/x-firmware' }));
  const written = await writeAll(upload, content);
  const ended = written === 'ok' ? await upload.end() : undefined;
  const code = ended?.ok ? codeOf(house.store.tentative(() => upload.commit(by))) : written;
  await upload.discard();
  return code;
}

const files = (folder: string): string[] => readdirSync(join(house.folder, folder)).sort();
const blobs = (): string[] => files('blobs').filter((name) => /^[0-9a-f]{64}$/.test(name));

describe('an image that a server sends', () => {
  it('has the garbage of its messages collected: the young after every 32 KiB, all after every 4 MiB', async () => {
    const collectedAt = { young: [] as number[], all: [] as number[] };
    await open({ uploads: { collectGarbage: (generation) => collectedAt[generation].push(upload.received) } });
    const upload = value(house.uploads.begin(create()));
    assert.equal(await writeAll(upload, Buffer.alloc(9 * 1024 * 1024), 16 * 1024), 'ok');
    await upload.discard();
    assert.deepEqual(collectedAt.all, [4 * 1024 * 1024, 8 * 1024 * 1024]);
    const every = Array.from({ length: 288 }, (_, index) => (index + 1) * 32 * 1024);
    assert.deepEqual(
      collectedAt.young,
      every.filter((bytes) => !collectedAt.all.includes(bytes)),
    );
  });

  it('is available when it is committed, and not before', async () => {
    await open();
    const id = create();
    const upload = value(house.uploads.begin(id, { bytes: CONTENT.length, contentType: 'application/x-firmware' }));
    assert.equal(await writeAll(upload, CONTENT), 'ok');
    assert.equal(upload.received, CONTENT.length);
    const content = value(await upload.end());
    assert.deepEqual([content.sha256, content.size], [SHA, CONTENT.length]);
    assert.equal(house.catalog.byId(id)?.state, 'idle');
    assert.equal(house.events.length, 0);

    const image = value(house.store.tentative(() => upload.commit('server-2')));
    await upload.discard();
    assert.deepEqual(
      [image.state, image.blob, image.size, image.received, image.contentType, image.requester, image.wanBytes],
      ['available', SHA, CONTENT.length, CONTENT.length, 'application/x-firmware', 'server-2', 0],
    );
    assert.ok(image.availableMs !== null);
    const [event] = house.events;
    assert.deepEqual([event?.kind, event?.image.id, event?.correlator], ['retrieved', id, null]);
    assert.ok(readFileSync(join(house.folder, 'blobs', SHA)).equals(CONTENT));
    assert.deepEqual(files('partial'), []);
    await house.close();
    await open({ folder: house.folder });
    assert.equal(house.catalog.byId(id)?.blob, SHA);
    await house.downloader.close();
    const sidecar = parseSidecar(readFileSync(join(house.folder, 'blobs', `${SHA}.json`), 'utf8'));
    assert.deepEqual([sidecar?.size, sidecar?.contentType], [CONTENT.length, 'application/x-firmware']);
    assert.deepEqual(
      sidecar?.images.map(({ node, requester, source }) => [node, requester, source]),
      [['a', 'server-2', null]],
    );
  });

  it('may be empty, and of a size that was not announced', async () => {
    await open();
    for (const [node, content] of [
      ['a', Buffer.alloc(0)],
      ['b', CONTENT],
    ] as const) {
      const upload = value(house.uploads.begin(create(node)));
      await writeAll(upload, content);
      assert.equal(value(await upload.end()).sha256, sha256(content));
      value(upload.commit('s'));
      await upload.discard();
      assert.equal(house.catalog.byNode(node)?.size, content.length);
    }
  });

  it('leaves nothing when it is discarded: in the middle, at its end, or with its transaction', async () => {
    await open();
    const id = create();
    for (const until of ['begin', 'write', 'end', 'rollback']) {
      const upload = value(house.uploads.begin(id, { bytes: CONTENT.length }));
      if (until !== 'begin') await upload.write(CONTENT.subarray(0, 100_000));
      if (until === 'end' || until === 'rollback') {
        await writeAll(upload, CONTENT.subarray(100_000));
        value(await upload.end());
        assert.deepEqual(blobs(), [SHA]);
      }
      if (until === 'rollback') {
        house.store.tentative(() => ({ ok: !upload.commit('s').ok }));
      }
      await upload.discard();
      await upload.discard();
      assert.deepEqual([files('partial'), files('blobs')], [[], []], until);
      assert.equal(house.catalog.byId(id)?.state, 'idle');
      const { stored, reserved } = await house.blobs.usage();
      assert.deepEqual([stored, reserved], [0, 0]);
    }
  });

  it('leaves nothing after a restart, wherever it was interrupted', async () => {
    await open();
    const ids = [create('a'), create('b')] as const;
    const half = value(house.uploads.begin(ids[0], { bytes: CONTENT.length }));
    await half.write(CONTENT.subarray(0, 100_000));
    const whole = value(house.uploads.begin(ids[1], { bytes: OTHER.length }));
    await writeAll(whole, OTHER);
    value(await whole.end());
    assert.equal(files('partial').length, 1);
    assert.equal(blobs().length, 1);
    // The process ends here: nothing is discarded.
    await house.downloader.close();
    await house.store.close();
    await open({ folder: house.folder });
    assert.deepEqual([files('partial'), files('blobs')], [[], []]);
    assert.deepEqual(
      house.catalog.all().map(({ state, blob }) => [state, blob]),
      [
        ['idle', null],
        ['idle', null],
      ],
    );
  });

  it('takes the place of other content, which goes when nobody has it any more', async () => {
    await open();
    const [first, second] = [create('a'), create('b')];
    assert.equal(await bring(first, CONTENT), 'ok');
    assert.equal(await bring(second, CONTENT), 'ok');
    assert.deepEqual(blobs(), [SHA]);
    assert.equal(await bring(first, OTHER), 'ok');
    assert.deepEqual(blobs(), [SHA, sha256(OTHER)].sort());
    assert.equal(await bring(second, OTHER), 'ok');
    await house.downloader.close();
    assert.deepEqual(blobs(), [sha256(OTHER)]);
    assert.deepEqual(
      house.catalog.all().map(({ blob }) => blob),
      [sha256(OTHER), sha256(OTHER)],
    );
  });

  it('of the same content again is told again and changes nothing', async () => {
    await open();
    const id = create();
    await bring(id, CONTENT);
    assert.equal(await bring(id, CONTENT), 'ok');
    assert.equal(house.events.length, 2);
    await house.downloader.close();
    assert.deepEqual(blobs(), [SHA]);
  });

  it('for an image that did not exist becomes the content of the one that was made for it', async () => {
    await open();
    const upload = value(house.uploads.begin('new'));
    await writeAll(upload, CONTENT);
    value(await upload.end());
    assert.deepEqual(house.catalog.all(), []);
    const id = create();
    house.store.transaction(() => value(upload.commit('s', id)));
    await upload.discard();
    assert.equal(house.catalog.byId(id)?.state, 'available');
    assert.deepEqual(blobs(), [sha256(CONTENT)]);
  });

  it('stays held between its end and its commit, although the only image with that content is removed', async () => {
    await open();
    const [old, fresh] = [create('old'), create('fresh')];
    await bring(old, CONTENT);
    const upload = value(house.uploads.begin(fresh));
    await writeAll(upload, CONTENT);
    value(await upload.end());
    house.catalog.remove(old);
    await house.downloader.close();
    value(house.store.tentative(() => upload.commit('s')));
    await upload.discard();
    assert.deepEqual(blobs(), [SHA]);
    assert.equal(house.catalog.byNode('fresh')?.state, 'available');
  });
});

describe('an upload is refused', () => {
  it('by Digest and Signature, with the image as it was', async () => {
    await open();
    const id = create();
    await bring(id, OTHER);
    house.events.length = 0;
    value(house.catalog.setLeaf(id, 'digest', sha256(OTHER), 's'));
    assert.equal(await bring(id, CONTENT), 'digest-mismatch');
    value(house.catalog.setLeaf(id, 'digest', null, 's'));
    const second = create('b');
    value(house.catalog.setLeaf(second, 'signature', Buffer.alloc(64).toString('base64'), 's'));
    assert.equal(await bring(second, CONTENT), 'signature-mismatch');
    assert.deepEqual(
      house.catalog.all().map(({ state, blob }) => [state, blob]),
      [
        ['available', sha256(OTHER)],
        ['idle', null],
      ],
    );
    assert.deepEqual(house.events, []);
    assert.deepEqual(blobs(), [sha256(OTHER)]);
  });

  it('when there is no image, when one runs for it, and when too many run', async () => {
    await open();
    assert.equal(codeOf(house.uploads.begin(77)), 'not-found');
    const ids = ['a', 'b', 'c', 'd', 'e'].map(create);
    const uploads = ids.slice(0, 4).map((id) => value(house.uploads.begin(id)));
    assert.equal(codeOf(house.uploads.begin(ids[0] ?? 0)), 'busy');
    assert.equal(codeOf(house.uploads.begin(ids[4] ?? 0)), 'busy');
    await uploads[0]?.discard();
    assert.equal(codeOf(house.uploads.begin(ids[4] ?? 0)), 'ok');
  });

  it('when its image has been removed meanwhile', async () => {
    await open();
    const id = create();
    const upload = value(house.uploads.begin(id));
    await writeAll(upload, CONTENT);
    value(await upload.end());
    house.catalog.remove(id);
    assert.equal(codeOf(house.store.tentative(() => upload.commit('s'))), 'not-found');
    await upload.discard();
    assert.deepEqual(files('blobs'), []);
  });

  it('when more or fewer bytes come than were announced', async () => {
    await open();
    const id = create();
    const more = value(house.uploads.begin(id, { bytes: 10 }));
    assert.equal(codeOf(await more.write(CONTENT.subarray(0, 10))), 'ok');
    assert.equal(codeOf(await more.write(CONTENT.subarray(10, 11))), 'size-mismatch');
    assert.equal(codeOf(await more.end()), 'size-mismatch');
    await more.discard();
    const fewer = value(house.uploads.begin(id, { bytes: 10 }));
    await fewer.write(CONTENT.subarray(0, 9));
    assert.equal(codeOf(await fewer.end()), 'size-mismatch');
    await fewer.discard();
    assert.deepEqual([files('partial'), files('blobs')], [[], []]);
  });

  it('for lack of room before its first byte is written, evicting nothing where that would not do', async () => {
    await open({ blobs: { quotaBytes: 900_000 } });
    const old = create('old');
    assert.equal(await bring(old, OTHER), 'ok');
    const upload = value(house.uploads.begin(create('large'), { bytes: 1_000_000 }));
    assert.equal(codeOf(await upload.write(CONTENT.subarray(0, 1000))), 'no-room');
    assert.deepEqual(files('partial'), []);
    assert.equal(codeOf(await upload.write(CONTENT.subarray(0, 1000))), 'no-room');
    await upload.discard();
    assert.equal(house.catalog.byId(old)?.state, 'available');
    assert.equal(await bring(create('small'), pattern(700_000, 2)), 'ok');
    assert.equal(house.catalog.byId(old)?.state, 'evicted');
  });

  it('for lack of room in the middle, when its size was not announced', async () => {
    await open({ blobs: { quotaBytes: 400_000 }, uploads: { fsyncVolumeBytes: 100_000 } });
    const upload = value(house.uploads.begin(create()));
    assert.equal(await writeAll(upload, CONTENT), 'no-room');
    await upload.discard();
    assert.deepEqual(files('partial'), []);
    assert.equal((await house.blobs.usage()).reserved, 0);
  });

  const disks: readonly [string, string, Partial<Disk>][] = [
    ['a full disk', 'no-room', { write: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) }],
    ['a failed write', 'disk', { write: () => Promise.reject(Object.assign(new Error('bad'), { code: 'EIO' })) }],
    ['a failed flush', 'disk', { flush: () => Promise.reject(Object.assign(new Error('bad'), { code: 'EIO' })) }],
    ['a failed name', 'disk', { rename: () => Promise.reject(Object.assign(new Error('bad'), { code: 'EIO' })) }],
  ];
  for (const [what, code, faults] of disks) {
    it(`by ${what}: ${code}, and nothing is left`, async () => {
      await open({ blobs: { disk: { ...systemDisk, ...faults } } });
      const upload = value(house.uploads.begin(create()));
      const written = await writeAll(upload, CONTENT);
      assert.equal(written === 'ok' ? codeOf(await upload.end()) : written, code);
      await upload.discard();
      assert.deepEqual([files('partial'), blobs()], [[], []]);
    });
  }
});

describe('an upload and a retrieval of the same image', () => {
  it('run side by side until the upload is committed: that supersedes the retrieval and settles its correlator', async () => {
    const origin = await startOrigin((_request, response) => {
      response.writeHead(200, { 'Content-Length': OTHER.length, ETag: '"x"' });
      response.write(OTHER.subarray(0, 100_000));
    });
    try {
      await open();
      const { id } = house.add('a', origin.url);
      house.catalog.request(id, 'server-1', 'c1');
      await house.until(id, 'downloading');
      while (!existsSync(join(house.folder, 'partial', String(id)))) await new Promise(setImmediate);
      assert.equal(await bring(id, CONTENT), 'ok');
      await house.downloader.close();
      assert.deepEqual(
        house.events.map(({ kind, correlator }) => [kind, correlator]),
        [
          ['cancelled', 'c1'],
          ['retrieved', null],
        ],
      );
      assert.equal(house.catalog.byId(id)?.blob, SHA);
      assert.deepEqual([files('partial'), blobs()], [[], [SHA]]);
    } finally {
      await origin.close();
    }
  });

  it('takes the place of what was retrieved, and another ImageURI takes its place again', async () => {
    const origin = await startOrigin(serveFile(OTHER));
    try {
      await open();
      const { id } = house.add('a', origin.url);
      await house.until(id, 'available');
      assert.equal(await bring(id, CONTENT), 'ok');
      assert.equal(house.catalog.byId(id)?.blob, SHA);
      value(house.catalog.setLeaf(id, 'imageUri', `${origin.url}?again`, 's'));
      await house.until(id, 'available');
      assert.equal(house.catalog.byId(id)?.blob, sha256(OTHER));
    } finally {
      await origin.close();
    }
  });
});

describe('an upload that is used wrongly', () => {
  it('throws: two pieces at a time, a commit before its end, a piece after it', async () => {
    await open();
    const upload = value(house.uploads.begin(create()));
    const first = upload.write(CONTENT.subarray(0, 10));
    assert.throws(() => upload.write(CONTENT.subarray(10, 20)), /one piece after the other/);
    await first;
    assert.throws(() => upload.commit('s'), /between its end and its discard/);
    value(await upload.end());
    assert.throws(() => upload.write(CONTENT), /has ended/);
    await upload.discard();
    assert.throws(() => upload.commit('s'), /between its end and its discard/);
  });
});
