/** Images that must be signed: what is refused is not fetched where that is clear before, and never served. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  openHouse,
  pattern,
  removeFolder,
  serveFile,
  serverOptions,
  sha256,
  startOrigin,
  type House,
  type Origin,
} from './fixture.js';
import type { ImageRecord } from './image.js';
import { ImageServer } from './server.js';

const CONTENT = pattern(100_001);
const SHA = sha256(CONTENT);
const owner = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ed25519');
const signedBy = (key: KeyObject, digest = SHA): string =>
  sign(null, Buffer.from(digest, 'hex'), key).toString('base64');

let origin: Origin;
let house: House;
beforeEach(async () => {
  origin = await startOrigin(serveFile(CONTENT));
});
afterEach(async () => {
  await house.close();
  await origin.close();
  removeFolder(house.folder);
});

async function open(signatureKeys: readonly KeyObject[], requireSignature = true, folder?: string): Promise<void> {
  house = openHouse({ catalog: { signatureKeys, requireSignature }, ...(folder !== undefined && { folder }) });
  await house.downloader.start();
}

function add(signature: string | undefined): ImageRecord {
  return house.store.transaction(() => {
    const image = house.add('a', `${origin.url}\n${origin.url}?mirror`);
    if (signature !== undefined) house.catalog.setLeaf(image.id, 'signature', signature, 's');
    return image;
  });
}

/** Nothing of the image is on disk or has a LocalImageURI. */
async function expectRefused(id: number): Promise<void> {
  const image = await house.until(id, 'failed');
  assert.equal(image.result, 'signature-mismatch');
  const server = new ImageServer(serverOptions(house));
  assert.equal(server.localUri(image), '');
  for (let round = 0; readdirSync(join(house.folder, 'blobs')).length > 0; round += 1) {
    assert.ok(round < 500, 'the blob is still there');
    await sleep(5);
  }
}

describe('where a signature is required, an image', () => {
  it('with that of the owner is served', async () => {
    await open([stranger.publicKey, owner.publicKey]);
    assert.equal((await house.until(add(signedBy(owner.privateKey)).id, 'available')).blob, SHA);
  });
  it('with that of a stranger is refused', async () => {
    await open([owner.publicKey]);
    await expectRefused(add(signedBy(stranger.privateKey)).id);
  });
  it('with that of a stranger is refused at once, though its server tells no type and no version', async () => {
    await open([owner.publicKey]);
    const before = origin.behave;
    origin.behave = (_, response) => response.end(CONTENT);
    try {
      await expectRefused(add(signedBy(stranger.privateKey)).id);
    } finally {
      origin.behave = before;
    }
    assert.equal(origin.seen.length, 1);
  });
  it('with a signature of other content is refused', async () => {
    await open([owner.publicKey]);
    await expectRefused(add(signedBy(owner.privateKey, sha256(Buffer.from('other')))).id);
  });
  it('without one is refused before anything is fetched, and can be asked for again with one', async () => {
    await open([owner.publicKey]);
    const { id } = add(undefined);
    await expectRefused(id);
    assert.equal(origin.seen.length, 0);
    house.catalog.setLeaf(id, 'signature', signedBy(owner.privateKey), 's');
    house.catalog.request(id, 's');
    await house.until(id, 'available');
  });
});

describe('an image that is here', () => {
  it('is not served any more when it lacks a signature that is required now', async () => {
    await open([], false);
    const { id } = add(undefined);
    await house.until(id, 'available');
    await house.close();
    await open([owner.publicKey], true, house.folder);
    await expectRefused(id);
    assert.equal(origin.seen.length, 1);
    assert.deepEqual(
      house.events.map(({ kind }) => kind),
      ['failed'],
    );
  });
  it('is not served any more when the key of its signer is gone', async () => {
    await open([owner.publicKey]);
    const { id } = add(signedBy(owner.privateKey));
    await house.until(id, 'available');
    await house.close();
    await open([stranger.publicKey], true, house.folder);
    await expectRefused(id);
  });
  it('without a signature stays where none is required', async () => {
    await open([owner.publicKey], false);
    const { id } = add(undefined);
    await house.until(id, 'available');
    await house.close();
    await open([owner.publicKey], false, house.folder);
    assert.equal(house.catalog.byId(id)?.state, 'available');
  });
});
