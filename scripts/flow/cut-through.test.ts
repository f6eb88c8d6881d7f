import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { it } from 'node:test';
import type { Lab } from './lab.js';
import { addImage, ALERT, IMAGES } from './operator.js';
import { eventually } from './wait.js';
import { expectNotServed, fetchLocal, MIB, readImage, retrievalAlert, testImage, withLab } from './with-lab.js';

const FAILED = '60';
const SUCCESS = '1200';
const DOWNLOAD_FAILED = '1402';
const VALIDATION_FAILED = '1407';

/** Durable with the first write. */
const FIRST_BYTES = 256 * 1024;

/** An End Device that takes whatever comes. */
class Client {
  readonly #hash = createHash('sha256');
  bytes = 0;
  /** Whether the answer came to its announced end. */
  readonly whole: Promise<boolean>;

  constructor(url: string) {
    this.whole = this.#take(url).then(
      () => true,
      () => false,
    );
  }

  async #take(url: string): Promise<void> {
    const { body } = await fetch(url);
    if (!body) throw new Error('no body');
    for await (const chunk of body) {
      this.#hash.update(chunk as Uint8Array);
      this.bytes += (chunk as Uint8Array).length;
    }
  }

  sha256(): string {
    return this.#hash.digest('hex');
  }
}

/** Waits until LocalImageURI is told to have changed. @param after number of the event behind which to look */
async function uriTold(lab: Lab, node: string, after = 0): Promise<number> {
  const alert = await lab.dm.waitFor(
    `the alert about LocalImageURI of ${node}`,
    lab.gatewayId,
    after,
    ({ kind, type, source }) => kind === 'alert' && type === ALERT.imageLocalUri && source === `${IMAGES}/${node}`,
  );
  return alert.n;
}

async function firstBytesOf(file: string, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(file, { end: bytes - 1 })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

it('an image is served while it comes in: through a kill, a wrong digest and a failing server', async () => {
  const [kept, wrong, failing] = [
    await testImage('cut-through', 3 * MIB, 31),
    await testImage('wrong', 2 * MIB, 32),
    await testImage('failing', 2 * MIB, 33),
  ];
  const options = {
    devices: 0,
    offers: [kept.offer, wrong.offer, failing.offer],
    rateBytesPerSecond: MIB,
    gateway: { settings: { serve: { cutThrough: true } } },
  };
  await withLab('cut-through', options, async (lab) => {
    // A kill in the middle: the connection breaks, and what is durable is served again at once.
    await lab.manage(addImage('a', { uri: lab.downloads.urlOf(kept.path), digest: kept.sha256 }));
    await uriTold(lab, 'a');
    await lab.downloads.rate(100_000);
    const { LocalImageURI } = await readImage(lab, 'a');
    const cut = new Client(LocalImageURI);
    await eventually('the first bytes', () => Promise.resolve(cut.bytes >= FIRST_BYTES ? true : undefined));
    await lab.gateway.kill();
    assert.equal(await cut.whole, false);
    await lab.gateway.start();
    assert.equal((await readImage(lab, 'a')).LocalImageURI, LocalImageURI);
    const prefix = await fetch(LocalImageURI, { headers: { Range: `bytes=0-${FIRST_BYTES - 1}` } });
    assert.deepEqual([prefix.status, prefix.headers.get('etag')], [206, `"${kept.sha256}"`]);
    assert.ok(Buffer.from(await prefix.arrayBuffer()).equals(await firstBytesOf(kept.file, FIRST_BYTES)));
    const ahead = new Client(LocalImageURI);
    await lab.downloads.rate(MIB);
    assert.equal(await ahead.whole, true);
    assert.equal(ahead.sha256(), kept.sha256);
    assert.equal((await retrievalAlert(lab, 'a')).data, SUCCESS);

    // A wrong digest: never ended as if complete, withdrawn, and told.
    const uri = lab.downloads.urlOf(wrong.path);
    await lab.manage(addImage('b', { uri, digest: '00'.repeat(32) }));
    const assigned = await uriTold(lab, 'b');
    const deceived = new Client((await readImage(lab, 'b')).LocalImageURI);
    assert.equal(await deceived.whole, false);
    assert.ok(deceived.bytes < wrong.bytes);
    await uriTold(lab, 'b', assigned);
    assert.equal((await retrievalAlert(lab, 'b')).data, VALIDATION_FAILED);
    await expectNotServed(lab, 'b', FAILED, VALIDATION_FAILED);

    // A server that fails in the middle.
    await lab.downloads.fault({ kind: 'cut', path: failing.path, afterBytes: MIB, reset: true, times: 1 });
    await lab.manage(addImage('c', { uri: lab.downloads.urlOf(failing.path), digest: failing.sha256 }));
    await uriTold(lab, 'c');
    const waiting = new Client((await readImage(lab, 'c')).LocalImageURI);
    await lab.downloads.fault({ kind: 'status', path: failing.path, status: 404, headers: {}, body: '' });
    assert.equal((await retrievalAlert(lab, 'c')).data, DOWNLOAD_FAILED);
    assert.equal(await waiting.whole, false);
    await expectNotServed(lab, 'c', FAILED, DOWNLOAD_FAILED);
    assert.equal((await fetchLocal(LocalImageURI)).status, 200);
  });
});
