import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Lab } from './lab.js';
import { addImage, ALERT, exec, get, IMAGES, startFanout } from './operator.js';
import { PROJECT_ROOT } from './project.js';
import { eventually } from './wait.js';
import { expectNotServed, MIB, readImage, retrievalAlert, sha256At, testImage, withLab } from './with-lab.js';

const FAILED = '60';
const EVICTED = '70';
const SUCCESS = '1200';
const OUT_OF_MEMORY = '1404';

describe('room for images', { concurrency: 2 }, () => {
  it('ends at the quota: a large image is refused before its first byte is kept, a small one fits', async () => {
    const [large, small] = [await testImage('large', 3 * MIB, 50), await testImage('small', MIB, 51)];
    const options = {
      devices: 0,
      offers: [large.offer, small.offer],
      gateway: { settings: { store: { quotaMiB: 2 } } },
    };
    await withLab('quota', options, async (lab) => {
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(large.path) }));
      assert.equal((await retrievalAlert(lab, 'a')).data, OUT_OF_MEMORY);
      const { ResultText } = await expectNotServed(lab, 'a', FAILED, OUT_OF_MEMORY);
      assert.match(ResultText, /quota/);
      await lab.manage(addImage('b', { uri: lab.downloads.urlOf(small.path) }));
      assert.equal((await retrievalAlert(lab, 'b')).data, SUCCESS);
      assert.equal(await sha256At((await readImage(lab, 'b')).LocalImageURI), small.sha256);
    });
  });

  it('is made by eviction, of which the server is told; what a running fanout needs stays', async () => {
    const images = await Promise.all(['needed', 'free', 'new'].map((name, index) => testImage(name, MIB, 53 + index)));
    const options = {
      devices: 0,
      absentDevices: 1,
      offers: images.map(({ offer }) => offer),
      gateway: { settings: { store: { quotaMiB: 2 } } },
    };
    await withLab('eviction', options, async (lab) => {
      const bring = async (index: number): Promise<void> => {
        const { path } = images[index]!;
        await lab.manage(addImage(path.slice(1), { uri: lab.downloads.urlOf(path) }));
        assert.equal((await retrievalAlert(lab, path.slice(1))).data, SUCCESS);
      };
      const room = (): Promise<unknown> => storageOf(lab);
      const quota = String(2 * MIB);
      assert.deepEqual(await room(), [quota, quota, '0', quota]);
      await bring(0);
      assert.deepEqual(await room(), [quota, String(MIB), '0', quota]);
      await bring(1);
      assert.deepEqual(await room(), [quota, '0', '0', quota]);
      const target = { deviceId: lab.absent[0]!, package0: Buffer.from('absent').toString('base64') };
      await lab.manage(startFanout('f', [target], { imageRef: 'needed', interval: 3600 }, 'c'));
      await bring(2);
      const told = await lab.dm.waitFor(
        'the alert of the eviction',
        lab.gatewayId,
        0,
        ({ kind, type }) => kind === 'alert' && type === ALERT.imageEvicted,
      );
      assert.deepEqual([told.source, told.data], [`${IMAGES}/free`, OUT_OF_MEMORY]);
      await expectNotServed(lab, 'free', EVICTED, OUT_OF_MEMORY);
      assert.equal(await sha256At((await readImage(lab, 'needed')).LocalImageURI), images[0]?.sha256);
      assert.deepEqual(await room(), [quota, '0', '0', quota]);
    });
  });

  it('is not taken by what has failed: of that as many are kept as is configured, the last ones', async () => {
    const options = { devices: 0, offers: [], gateway: { settings: { retain: { failedImages: 1 } } } };
    await withLab('retention', options, async (lab) => {
      for (const node of ['a', 'b', 'c']) {
        await lab.manage(addImage(node, { uri: lab.downloads.urlOf(`/${node}`) }));
        await retrievalAlert(lab, node);
      }
      // What has ended is looked at when the gateway starts, and every hour.
      await lab.gateway.stop();
      await lab.gateway.start();
      const kept = await lab.manage(['a', 'b', 'c'].map((node) => get(`${IMAGES}/${node}/State`)));
      assert.deepEqual(
        kept.map(({ status }) => status),
        [404, 404, 200],
      );
      assert.equal(kept[2]?.value, FAILED);
    });
  });

  it('ends when the disk is full in the middle, and comes back with the room', async (t) => {
    const disk = smallDisk();
    if (!disk) return t.skip('takes root, to mount a small file system');
    const image = await testImage('filling', 3 * MIB, 52);
    // The quota promises more than the disk has.
    const settings = { storeDir: disk.folder, store: { freeFloorMiB: 1, quotaMiB: 64 } };
    const options = { devices: 0, offers: [image.offer], rateBytesPerSecond: 2 * MIB, gateway: { settings } };
    try {
      await withLab('full-disk', options, async (lab) => {
        const quota = String(64 * MIB);
        assert.deepEqual(await storageOf(lab), [String(4 * MIB), String(4 * MIB), '0', quota]);
        await lab.downloads.rate(MIB / 2);
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
        await eventually('the first bytes', async () => ((await lab.downloads.stats()).bytes > 0 ? true : undefined));
        // What is promised is taken off, written or not.
        assert.deepEqual(await storageOf(lab), [String(4 * MIB), String(MIB), String(3 * MIB), quota]);
        await lab.downloads.rate(2 * MIB);
        const filler = join(disk.folder, 'filler');
        fill(filler);
        const failed = await retrievalAlert(lab, 'a');
        assert.equal(failed.data, OUT_OF_MEMORY);
        await expectNotServed(lab, 'a', FAILED, OUT_OF_MEMORY);

        rmSync(filler);
        const [again] = await lab.manage([exec(`${IMAGES}/a/Operations/Download`, 'again')]);
        assert.equal(again?.status, 202);
        const done = await retrievalAlert(lab, 'a', failed.n);
        assert.deepEqual([done.data, done.correlator], [SUCCESS, 'again']);
        assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), image.sha256);
      });
    } finally {
      disk.unmount();
    }
  });
});

/** What the nodes of ./GwMO/Storage say: Total, Free, Reserved, Quota. */
async function storageOf(lab: Lab): Promise<(string | undefined)[]> {
  const leaves = ['Total', 'Free', 'Reserved', 'Quota'];
  return (await lab.manage(leaves.map((leaf) => get(`./GwMO/Storage/${leaf}`)))).map(({ value }) => value);
}

/** Writes until its file system is full. */
function fill(file: string): void {
  const fd = openSync(file, 'w');
  const block = Buffer.alloc(64 * 1024);
  try {
    for (;;) writeSync(fd, block);
  } catch (thrown) {
    assert.equal((thrown as NodeJS.ErrnoException).code, 'ENOSPC');
  } finally {
    closeSync(fd);
  }
}

/** A file system of 5 MiB; undefined where none may be mounted. */
function smallDisk(): { readonly folder: string; unmount(): void } | undefined {
  const folder = join(PROJECT_ROOT, 'build/flow', `small-disk-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=5m', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  return {
    folder,
    unmount: () => {
      execFileSync('umount', [folder], { stdio: 'ignore' });
      rmSync(folder, { recursive: true });
    },
  };
}
