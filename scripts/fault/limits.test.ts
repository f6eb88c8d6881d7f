import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { coverageOf } from '../flow/download-server.js';
import { addImage, replaceImageUri } from '../flow/operator.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { eventually } from '../flow/wait.js';
import { fetchLocal, MIB, readImage, retrievalAlert, sha256At, testImage, withLab } from '../flow/with-lab.js';

const SUCCESS = '1200';
const UNDEFINED_ERROR = '1412';

/** How many files a process may have open, from now on. */
function allowFiles(pid: number, count: number): void {
  execFileSync('prlimit', [`--nofile=${count}:`, '--pid', String(pid)], { stdio: 'ignore' });
}

function canLimit(): boolean {
  try {
    execFileSync('prlimit', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

describe('a gateway that may open no more files', { skip: canLimit() ? false : 'there is no prlimit here' }, () => {
  it('answers what it can, loses nothing, and does everything again once it may', async () => {
    const [first, second] = [await testImage('first', MIB, 140), await testImage('second', 3 * MIB, 141)];
    await withLab('open-files', { devices: 0, offers: [first.offer, second.offer] }, async (lab) => {
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(first.path) }));
      assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);
      await lab.downloads.rate(2 * MIB);
      const { pid } = lab.gateway.child;
      await lab.manage(addImage('b', { uri: lab.downloads.urlOf(second.path) }));
      await eventually('half of the image', async () => {
        return ((await lab.gateway.image('b'))?.receivedBytes ?? 0) >= MIB || undefined;
      });
      const open = readdirSync(`/proc/${pid}/fd`).length;
      // Descriptors that are free below the highest one may still be used: all that are left are taken by who asks first.
      allowFiles(pid, open);
      const url = lab.gateway.localUri('a');
      const clients = Array.from({ length: 30 }, () => fetchLocal(url).catch(() => undefined));
      for (const reply of await Promise.all(clients)) {
        assert.ok(reply === undefined || reply.status === 200 || reply.status >= 500, String(reply?.status));
        if (reply?.status === 200) assert.equal(reply.body.length, first.bytes);
      }
      // The image comes to its end meanwhile, which opens files.
      await eventually('the end of the retrieval', async () => {
        const { bytesByPath, open: bodies } = await lab.downloads.stats();
        return ((bytesByPath[second.path] ?? 0) >= second.bytes && bodies === 0) || undefined;
      });
      lab.requireAlive();
      allowFiles(pid, 1024);
      // Short of descriptors is waited for, as a lost link is.
      assert.equal((await retrievalAlert(lab, 'b')).data, SUCCESS);
      for (const [node, image] of Object.entries({ a: first, b: second })) {
        assert.equal(await sha256At((await readImage(lab, node)).LocalImageURI), image.sha256);
      }
      const { bytes } = coverageOf(await lab.downloads.accesses(), second.path, second.bytes);
      assert.ok(bytes <= second.bytes + MIB, `${bytes} bytes for ${second.bytes}`);
    });
  });
});

/** A file system in memory that can be made read-only; undefined where none may be mounted. */
function switchedDisk(): { readonly folder: string; set(how: 'ro' | 'rw'): void; unmount(): void } | undefined {
  const folder = join(PROJECT_ROOT, 'build/flow', `switched-disk-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const run = (program: string, ...words: string[]): void => {
    execFileSync(program, words, { stdio: 'ignore' });
  };
  try {
    run('mount', '-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder);
  } catch {
    rmSync(folder, { recursive: true });
    return undefined;
  }
  return {
    folder,
    set: (how) => run('mount', '-o', `remount,${how}`, folder),
    unmount: () => {
      run('umount', folder);
      rmSync(folder, { recursive: true });
    },
  };
}

describe('a gateway whose images lie on a file system that becomes read-only', () => {
  it('goes on serving what is there, says why nothing more comes, and takes images again afterwards', async (t) => {
    const disk = switchedDisk();
    if (!disk) return t.skip('takes root, to mount a small file system');
    try {
      const [first, second] = [await testImage('before', MIB, 142), await testImage('after', MIB, 143)];
      const settings = { storeDir: disk.folder, store: { freeFloorMiB: 0 } };
      const options = { devices: 0, offers: [first.offer, second.offer], gateway: { settings } };
      await withLab('read-only', options, async (lab) => {
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(first.path) }));
        assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);
        disk.set('ro');
        const uri = lab.downloads.urlOf(second.path);
        await lab.manage(addImage('b', { uri }));
        const failed = await retrievalAlert(lab, 'b');
        assert.equal(failed.data, UNDEFINED_ERROR);
        const { ResultText, LocalImageURI } = await readImage(lab, 'b');
        assert.match(ResultText, /EROFS/);
        assert.equal(LocalImageURI, '');
        assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), first.sha256);
        disk.set('rw');
        await lab.manage([replaceImageUri('b', uri)]);
        assert.equal((await retrievalAlert(lab, 'b', failed.n)).data, SUCCESS);
        assert.equal(await sha256At((await readImage(lab, 'b')).LocalImageURI), second.sha256);
        assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), first.sha256);
      });
    } finally {
      disk.unmount();
    }
  });
});
