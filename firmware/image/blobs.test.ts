import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, before, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../clock/eventually.fixture.js';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { BlobStore } from './blobs.js';
import { systemDisk, type Disk } from './disk.js';
import { openHouse, pattern, removeFolder, serveFile, sha256, startOrigin, type House } from './fixture.js';
import { sidecarFor } from './sidecar.js';

const CONTENT = pattern(10_001);
const SHA = sha256(CONTENT);

let house: House;
before(async () => {
  const origin = await startOrigin(serveFile(CONTENT));
  house = openHouse();
  await house.downloader.start();
  await house.until(house.add('fw', origin.url).id, 'available');
  await origin.close();
});
after(async () => {
  await house.close();
  removeFolder(house.folder);
});

it('a blob that nobody reads any more stays open for a while, and is closed then, or at once when it goes', async () => {
  const opened: string[] = [];
  let openNow = 0;
  const disk: Disk = {
    ...systemDisk,
    open: (path, how) => {
      if (/blobs\/[0-9a-f]{64}$/.test(path) && how === 'read') {
        opened.push(path);
        openNow += 1;
      }
      return systemDisk.open(path, how);
    },
    close: (fd) => {
      openNow -= 1;
      return systemDisk.close(fd);
    },
  };
  const clock = new ManualClock();
  const blobs = new BlobStore({ folder: house.folder, disk, clock, log: silentLog, freeFloorBytes: 0 });
  await blobs.start({ blob: () => true, partial: () => true });
  openNow = 0;
  opened.length = 0;
  for (let request = 0; request < 3; request += 1) await (await blobs.openBlob(SHA))!.close();
  assert.deepEqual([opened.length, openNow, blobs.isRead(SHA)], [1, 1, false]);
  clock.advance(300);
  await new Promise(setImmediate);
  assert.equal(openNow, 0);
  const reader = (await blobs.openBlob(SHA))!;
  await reader.close();
  assert.deepEqual([opened.length, openNow], [2, 1]);
  await blobs.forget(SHA, () => true);
  assert.equal(openNow, 1, 'a blob that is used stays');
  await blobs.setRotten(SHA);
  assert.equal(openNow, 0);
});

it('what came in is found among the blobs when the power went between its name there and the record of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-blobs-'));
  try {
    const content = pattern(1_000);
    const digest = sha256(content);
    mkdirSync(join(folder, 'blobs'));
    writeFileSync(join(folder, 'blobs', digest), content);
    const clock = new ManualClock();
    const blobs = new BlobStore({ folder, disk: systemDisk, clock, log: silentLog, freeFloorBytes: 0 });
    const fd = await blobs.openArriving(1, content.length, digest);
    assert.ok(fd !== undefined);
    const read = Buffer.alloc(content.length);
    await systemDisk.read(fd, read, read.length, 0);
    await systemDisk.close(fd);
    assert.ok(read.equals(content));
    assert.equal(await blobs.openArriving(1, content.length + 1, digest), undefined);
    assert.equal(await blobs.openArriving(1, content.length, SHA), undefined);
  } finally {
    removeFolder(folder);
  }
});

it('what a retrieval leaves is flushed before anything rests on it: content, sidecar, and each name by its folder', async () => {
  const story: string[] = [];
  const names = new Map<number, string>();
  let folder = '';
  const nameOf = (path: string): string => relative(folder, path).replaceAll(SHA, '<sha256>') || '.';
  const disk: Disk = {
    ...systemDisk,
    open: async (path, how) => {
      const fd = await systemDisk.open(path, how);
      names.set(fd, nameOf(path));
      return fd;
    },
    flush: (fd) => {
      story.push(`flush ${names.get(fd) ?? ''}`);
      return systemDisk.flush(fd);
    },
    flushData: (fd) => {
      story.push(`flush ${names.get(fd) ?? ''}`);
      return systemDisk.flushData(fd);
    },
    flushFolder: (path) => {
      story.push(`flush ${nameOf(path)}`);
      return systemDisk.flushFolder(path);
    },
    rename: (from, to) => {
      story.push(`rename ${nameOf(from)} ${nameOf(to)}`);
      return systemDisk.rename(from, to);
    },
  };
  const origin = await startOrigin(serveFile(CONTENT));
  const other = openHouse({ blobs: { disk }, downloader: { fsyncVolumeBytes: 1 << 20 } });
  folder = other.folder;
  try {
    await other.downloader.start();
    assert.deepEqual(story, []);
    const { id } = await other.until(other.add('fw', origin.url).id, 'available');
    assert.deepEqual(story, [
      'flush .',
      'flush partial',
      `flush partial/${id}`,
      'flush blobs/<sha256>.json.new',
      'rename blobs/<sha256>.json.new blobs/<sha256>.json',
      `rename partial/${id} blobs/<sha256>`,
      'flush blobs',
    ]);
  } finally {
    await other.close();
    await origin.close();
    removeFolder(other.folder);
  }
});

it('no file is cut, named or removed before the record that allows it is durable; nor is a retrieval over', async () => {
  const story: string[] = [];
  /** Nothing becomes durable until it is opened. */
  let gate = { opened: Promise.resolve(), open: (): void => {} };
  const shut = (): void => {
    let open = (): void => {};
    const opened = new Promise<void>((resolve) => (open = resolve));
    gate = { opened, open };
  };
  const disk: Disk = {
    ...systemDisk,
    truncate: (fd, length) => {
      story.push(`cut to ${length}`);
      return systemDisk.truncate(fd, length);
    },
    flush: (fd) => {
      // The partial file comes first, then the sidecar.
      if (!story.includes('flush')) shut();
      story.push('flush');
      return systemDisk.flush(fd);
    },
    rename: (from, to) => {
      if (to.endsWith(SHA)) {
        story.push('name');
        shut();
      }
      return systemDisk.rename(from, to);
    },
    remove: (path) => {
      if (path.endsWith(SHA)) story.push('remove');
      return systemDisk.remove(path);
    },
  };
  const origin = await startOrigin(serveFile(CONTENT));
  const other = openHouse({ blobs: { disk } });
  const durable = other.store.durable.bind(other.store);
  other.store.durable = async () => {
    await gate.opened;
    await durable();
  };
  /** What has been done by then, for a while. */
  const isHeld = async (...expected: readonly string[]): Promise<void> => {
    await sleep(50);
    assert.deepEqual(story, expected);
    gate.open();
  };
  try {
    await other.downloader.start();
    shut();
    const { id } = other.add('fw', origin.url);
    await isHeld();
    const whole = ['cut to 0', `cut to ${CONTENT.length}`, 'flush'];
    await eventually('the content', () => story.includes('flush'));
    await isHeld(...whole);
    await other.until(id, 'available');
    const named = [...whole, 'flush', 'name'];
    await sleep(50);
    assert.equal(other.downloader.running, 1);
    await isHeld(...named);
    await eventually('the end', () => other.downloader.running === 0);
    shut();
    other.catalog.remove(id);
    await isHeld(...named);
    await eventually('the removal', () => story.includes('remove'));
  } finally {
    gate.open();
    await other.close();
    await origin.close();
    removeFolder(other.folder);
  }
});

const NOT_ASIDE = 'cannot put a rotten file aside';
for (const [what, fails, expected] of [
  ['is put aside, durably', '', ['flushed', 'told']],
  ['that cannot be put aside is removed, with what is beside it, durably', 'rename', [NOT_ASIDE, 'flushed', 'told']],
  ['that cannot be removed either is logged', 'rename remove', [NOT_ASIDE, 'cannot remove a file', 'told']],
] as const) {
  it(`a rotten file ${what} before its images are told`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'dmgw-blobs-'));
    const blobFolder = join(folder, 'blobs');
    try {
      const steps: string[] = [];
      const left = (): string[] => readdirSync(blobFolder);
      const disk: Disk = {
        ...systemDisk,
        rename: (from, to) =>
          to.includes('/rotten/') && fails.includes('rename')
            ? Promise.reject(new Error('EIO'))
            : systemDisk.rename(from, to),
        remove: (path) => (fails.includes('remove') ? Promise.reject(new Error('EIO')) : systemDisk.remove(path)),
        flushFolder: (path) => {
          if (path === blobFolder && left().length === 0) steps.push('flushed');
          return systemDisk.flushFolder(path);
        },
      };
      const log = { ...silentLog, error: (text: string) => steps.push(text) };
      const blobs = new BlobStore({ folder, disk, clock: new ManualClock(), log, freeFloorBytes: 0 });
      await blobs.start({ blob: () => true, partial: () => true });
      writeFileSync(join(folder, 'partial', '1'), CONTENT);
      await blobs.adopt(1, SHA, sidecarFor({ size: CONTENT.length, contentType: null }, []), () => undefined);
      steps.length = 0;
      await blobs.setRotten(SHA, () => steps.push('told'));
      assert.deepEqual(steps, expected);
      assert.deepEqual(left(), fails.includes('remove') ? [SHA, `${SHA}.json`] : []);
    } finally {
      removeFolder(folder);
    }
  });
}

it('content that is there already stays as it is, with what is said beside it; the file that came again is left', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-blobs-'));
  try {
    const clock = new ManualClock();
    const blobs = new BlobStore({ folder, disk: systemDisk, clock, log: silentLog, freeFloorBytes: 0 });
    await blobs.start({ blob: () => true, partial: () => true });
    const adopt = async (id: number, contentType: string): Promise<string> => {
      writeFileSync(join(folder, 'partial', String(id)), CONTENT);
      const sidecar = sidecarFor({ size: CONTENT.length, contentType }, []);
      return blobs.adopt(id, SHA, sidecar, () => `adopted ${id}`);
    };
    assert.equal(await adopt(1, 'text/first'), 'adopted 1');
    const [blob, sidecar] = [join(folder, 'blobs', SHA), join(folder, 'blobs', `${SHA}.json`)];
    const before = [statSync(blob).ino, readFileSync(sidecar, 'utf8')];
    assert.equal(await adopt(2, 'text/second'), 'adopted 2');
    assert.deepEqual([statSync(blob).ino, readFileSync(sidecar, 'utf8')], before);
    assert.deepEqual(readdirSync(join(folder, 'partial')), ['2']);
  } finally {
    removeFolder(folder);
  }
});

it('what stands beside a blob is written again only where it changes, or is damaged or gone: also after a restart', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-blobs-'));
  const written: string[] = [];
  const disk: Disk = {
    ...systemDisk,
    rename: (from, to) => {
      written.push(relative(folder, to));
      return systemDisk.rename(from, to);
    },
  };
  const start = async (): Promise<BlobStore> => {
    const blobs = new BlobStore({ folder, disk, clock: new ManualClock(), log: silentLog, freeFloorBytes: 0 });
    await blobs.start({ blob: () => true, partial: () => true });
    return blobs;
  };
  const saying = (contentType: string): ReturnType<typeof sidecarFor> =>
    sidecarFor({ size: CONTENT.length, contentType }, []);
  const [name, sidecar] = [join('blobs', `${SHA}.json`), join(folder, 'blobs', `${SHA}.json`)];
  try {
    const first = await start();
    writeFileSync(join(folder, 'partial', '1'), CONTENT);
    await first.adopt(1, SHA, saying('text/first'), () => undefined);
    const steps: [string, () => void, string, string[]][] = [
      ['the same', () => undefined, 'text/first', []],
      ['something else', () => undefined, 'text/second', [name]],
      ['that again', () => undefined, 'text/second', []],
      ['that beside a damaged one', () => truncateSync(sidecar, 9), 'text/second', [name]],
      ['that where there is none', () => rmSync(sidecar), 'text/second', [name]],
    ];
    for (const [what, happens, contentType, expected] of steps) {
      happens();
      written.length = 0;
      await (await start()).describe(SHA, saying(contentType));
      assert.deepEqual(written, expected, what);
    }
  } finally {
    removeFolder(folder);
  }
});
