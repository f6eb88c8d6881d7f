import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { writtenBytesOf } from '../bench/proc.js';
import { coverageOf } from './download-server.js';
import { addImage, get, IMAGES, replaceImageUri } from './operator.js';
import { eventually } from './wait.js';
import {
  expectNotServed,
  fetchLocal,
  MIB,
  readImage,
  retrievalAlert,
  sha256At,
  testImage,
  withLab,
} from './with-lab.js';

/** Values of the State and Result nodes. */
const AVAILABLE = '50';
const FAILED = '60';
const NEEDS_URI = '45';
const SUCCESS = '1200';
const DOWNLOAD_FAILED = '1402';
const AUTHENTICATION_FAILED = '1403';
const VALIDATION_FAILED = '1407';
const SERVER_UNAVAILABLE = '1501';

describe('retrieval of an image', { concurrency: 2 }, () => {
  it('brings every byte about once although the connection is cut 10 times', async (t) => {
    const image = await testImage('cuts', 8 * MIB, 1);
    await withLab('cuts', { devices: 0, offers: [image.offer] }, async (lab) => {
      const offsets = Array.from({ length: 10 }, (_, index) => Math.floor(((index + 1) * image.bytes) / 11));
      await lab.downloads.fault({ kind: 'cut-at', path: image.path, offsets });
      const written = async (): Promise<number> => (await lab.gateway.status()).traffic.diskWrittenBytes ?? 0;
      const before = await written();
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);
      // What wears the flash, as the status tells it: the image once, and beside it database, sidecar and log.
      const { pid } = lab.gateway.child;
      const bounds = [writtenBytesOf(pid) ?? 0, await written(), writtenBytesOf(pid) ?? 0] as const;
      assert.ok(bounds[0] <= bounds[1] && bounds[1] <= bounds[2], bounds.join());
      const wear = (bounds[1] - before) / image.bytes;
      t.diagnostic(`${wear.toFixed(3)} bytes written for each byte of the image`);
      // A file system in memory counts nothing.
      if (bounds[0] > 0) assert.ok(wear >= 1 && wear <= 1.3, `${wear} bytes written for each byte of the image`);

      const coverage = coverageOf(await lab.downloads.accesses(), image.path, image.bytes);
      assert.equal(coverage.ranges.length, 11);
      assert.ok(coverage.bytes <= 1.05 * image.bytes, `${coverage.bytes} bytes for ${image.bytes}`);
      const { LocalImageURI } = await readImage(lab, 'a');
      assert.equal(await sha256At(LocalImageURI), image.sha256);
    });
  });

  it('goes on where it was when the gateway is killed in the middle', async () => {
    const image = await testImage('killed', 6 * MIB, 2);
    const options = { devices: 0, offers: [image.offer], rateBytesPerSecond: 3 * MIB };
    await withLab('killed-in-retrieval', options, async (lab) => {
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      await eventually('half of the image', async () => {
        const { bytes } = await lab.downloads.stats();
        return bytes > image.bytes / 2 ? true : undefined;
      });
      await lab.gateway.kill();
      await lab.gateway.start();
      assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);

      const accesses = (await lab.downloads.accesses()).filter(({ bytes }) => bytes > 0);
      assert.equal(accesses.length, 2);
      assert.ok((accesses[1]?.from ?? 0) >= MIB, 'what was flushed is not fetched again');
      assert.equal(accesses[1]?.status, 206);
      assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), image.sha256);
    });
  });

  it('is not repeated when the gateway is killed after it', async () => {
    const image = await testImage('kept', 3 * MIB, 3);
    await withLab('killed-after-retrieval', { devices: 0, offers: [image.offer] }, async (lab) => {
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      await retrievalAlert(lab, 'a');
      const before = await readImage(lab, 'a');
      await lab.gateway.kill();
      await lab.gateway.start();
      const after = await readImage(lab, 'a');
      assert.deepEqual(after, before);
      assert.equal(await sha256At(after.LocalImageURI), image.sha256);
      assert.equal((await lab.downloads.accesses()).length, 1);
    });
  });

  it('brings one version whole when the content changes under the same URL', async () => {
    const [old, now] = [await testImage('old', 4 * MIB, 4), await testImage('now', 4 * MIB, 5)];
    await withLab('changed-content', { devices: 0, offers: [old.offer] }, async (lab) => {
      const thenOffer = { ...now.offer, path: old.path };
      await lab.downloads.fault({ kind: 'cut-at', path: old.path, offsets: [2 * MIB], thenOffer });
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(old.path) }));
      assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);
      assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), now.sha256);
    });
  });

  it('never joins two versions, even when the server keeps the ETag', async () => {
    const [old, now] = [await testImage('old', 4 * MIB, 6), await testImage('now', 4 * MIB, 7)];
    const etag = '"the-same"';
    await withLab('changed-behind-etag', { devices: 0, offers: [{ ...old.offer, etag }] }, async (lab) => {
      const thenOffer = { ...now.offer, path: old.path, etag };
      await lab.downloads.fault({ kind: 'cut-at', path: old.path, offsets: [2 * MIB], thenOffer });
      const uri = lab.downloads.urlOf(old.path);
      await lab.manage(addImage('a', { uri, digest: now.sha256 }));
      // Such a server breaks HTTP: only the digest can tell, and the whole file is fetched once more.
      assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);
      assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), now.sha256);
    });
  });

  it('fails with the reason when there is no such file, and can be asked for again', async () => {
    const image = await testImage('later', MIB, 8);
    await withLab('not-found', { devices: 0, offers: [image.offer] }, async (lab) => {
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf('/missing') }));
      const alert = await retrievalAlert(lab, 'a');
      assert.deepEqual([alert.data, alert.mark], [DOWNLOAD_FAILED, 'warning']);
      const { ResultText } = await expectNotServed(lab, 'a', FAILED, DOWNLOAD_FAILED);
      assert.match(ResultText, /404/);
      await lab.manage([replaceImageUri('a', lab.downloads.urlOf(image.path))]);
      assert.equal((await retrievalAlert(lab, 'a', alert.n)).data, SUCCESS);
      assert.equal(await sha256At((await readImage(lab, 'a')).LocalImageURI), image.sha256);
    });
  });

  it('asks for another URI when this one is refused', async () => {
    const image = await testImage('forbidden', MIB, 9);
    await withLab('forbidden', { devices: 0, offers: [image.offer] }, async (lab) => {
      await lab.downloads.fault({ kind: 'status', path: image.path, status: 403, headers: {}, body: '' });
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      const alert = await retrievalAlert(lab, 'a');
      assert.equal(alert.data, AUTHENTICATION_FAILED);
      await expectNotServed(lab, 'a', NEEDS_URI, AUTHENTICATION_FAILED);
      await lab.downloads.clearFaults();
      await lab.manage([replaceImageUri('a', `${lab.downloads.urlOf(image.path)}?token=new`)]);
      assert.equal((await retrievalAlert(lab, 'a', alert.n)).data, SUCCESS);
    });
  });

  it('refuses content with another digest', async () => {
    const image = await testImage('digest', 2 * MIB, 10);
    await withLab('digest-mismatch', { devices: 0, offers: [image.offer] }, async (lab) => {
      const uri = lab.downloads.urlOf(image.path);
      await lab.manage(addImage('a', { uri, digest: '00'.repeat(32) }));
      assert.equal((await retrievalAlert(lab, 'a')).data, VALIDATION_FAILED);
      await expectNotServed(lab, 'a', FAILED, VALIDATION_FAILED);
    });
  });

  it('gives up a server that is always busy, as often as the configuration says', async () => {
    const image = await testImage('busy', MIB, 11);
    const gateway = { settings: { retrieve: { maxTriesWithoutProgress: 2 } } };
    await withLab('busy', { devices: 0, offers: [image.offer], gateway }, async (lab) => {
      const headers = { 'retry-after': '1' };
      await lab.downloads.fault({ kind: 'status', path: image.path, status: 503, headers, body: '' });
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      assert.equal((await retrievalAlert(lab, 'a')).data, SERVER_UNAVAILABLE);
      await expectNotServed(lab, 'a', FAILED, SERVER_UNAVAILABLE);
      assert.equal((await lab.downloads.accesses()).length, 2);
    });
  });

  it('serves nothing while it is under way', async () => {
    const image = await testImage('slow', 2 * MIB, 12);
    const options = { devices: 0, offers: [image.offer], rateBytesPerSecond: MIB };
    await withLab('half-written', options, async (lab) => {
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      await eventually('the first bytes', async () => ((await lab.downloads.stats()).bytes > 0 ? true : undefined));
      const { LocalImageURI } = await readImage(lab, 'a');
      assert.equal(LocalImageURI, '');
      const [serving] = (await lab.gateway.status()).serve.listening;
      assert.equal((await fetchLocal(`http://${serving ?? ''}/scomo/a`)).status, 404);
      await retrievalAlert(lab, 'a');
      const { State, LocalImageURI: later } = await readImage(lab, 'a');
      assert.equal(State, AVAILABLE);
      assert.equal(await sha256At(later), image.sha256);
      assert.deepEqual(await lab.manage([get(`${IMAGES}/a/Size`)]).then(([size]) => size?.value), String(image.bytes));
    });
  });
});
