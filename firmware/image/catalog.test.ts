import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Outcome } from '../outcome/index.js';
import { openHouse, removeFolder, type House } from './fixture.js';
import type { ImageRecord } from './image.js';
import { Progress } from './progress.js';
import { systemClock } from '../clock/index.js';

let house: House;
const SHA = 'ab'.repeat(32);
const OTHER = 'cd'.repeat(32);

beforeEach(() => {
  const { publicKey } = keys;
  house = openHouse({ catalog: { maxImages: 4, signatureKeys: [publicKey] } });
});
afterEach(async () => {
  await house.close();
  removeFolder(house.folder);
});

const keys = generateKeyPairSync('ed25519');

function value<T>(outcome: Outcome<T, { code: string; text: string }>): T {
  assert.ok(outcome.ok, outcome.ok ? '' : outcome.error.text);
  return outcome.value;
}

function code(outcome: Outcome<unknown, { code: string }>): string {
  return outcome.ok ? 'ok' : outcome.error.code;
}

/** An image as if it had been retrieved. */
function available(node: string, sha256: string): ImageRecord {
  const { id } = house.add(node, 'http://origin/x?secret=1');
  const generation = house.catalog.byId(id)!.retrieval.generation;
  const progress = new Progress(house.catalog.table, systemClock(0));
  progress.checking({ id, generation });
  return progress.complete({ id, generation }, sha256, 5, 1_700_000_000_000)!;
}

describe('names', () => {
  it('the node name is the ImageID until there is one', () => {
    const { id } = value(house.catalog.create('pkg1', 's'));
    assert.equal(house.catalog.byImageId('pkg1')?.id, id);
    value(house.catalog.setLeaf(id, 'imageId', 'fw.bin', 's'));
    assert.equal(house.catalog.byImageId('pkg1'), undefined);
    assert.equal(house.catalog.byImageId('fw.bin')?.id, id);
    value(house.catalog.setLeaf(id, 'imageId', null, 's'));
    assert.equal(house.catalog.byImageId('pkg1')?.id, id);
  });

  it('an ImageID is unique in the gateway, also against node names', () => {
    const first = value(house.catalog.create('a', 's'));
    const second = value(house.catalog.create('b', 's'));
    assert.equal(code(house.catalog.setLeaf(second.id, 'imageId', 'a', 's')), 'exists');
    value(house.catalog.setLeaf(first.id, 'imageId', 'c', 's'));
    assert.equal(code(house.catalog.create('c', 's')), 'exists');
    assert.equal(code(house.catalog.rename(second.id, 'a')), 'exists');
    assert.equal(value(house.catalog.rename(second.id, 'd')).imageId, 'd');
  });

  it('pages node names in order', () => {
    for (const node of ['c', 'a', 'd', 'b']) value(house.catalog.create(node, 's'));
    assert.deepEqual(house.catalog.nodes(undefined, 2), ['a', 'b']);
    assert.deepEqual(house.catalog.nodes('b', 10), ['c', 'd']);
    assert.equal(code(house.catalog.create('e', 's')), 'limit');
  });

  it('tells that the LocalImageURI changes with the ImageID', () => {
    const { id } = available('a', SHA);
    house.events.length = 0;
    value(house.catalog.rename(id, 'b'));
    assert.deepEqual(
      house.events.map((event) => event.kind),
      ['local-uri'],
    );
  });
});

describe('leaf values', () => {
  const rows = [
    ['imageId', '..', 'bad-value'],
    ['imageId', 'a/b', 'bad-value'],
    ['imageId', 'x'.repeat(65), 'bad-value'],
    ['name', 'x'.repeat(255), 'ok'],
    ['name', 'ü'.repeat(128), 'bad-value'],
    ['imageUri', 'ftp://x/y', 'bad-value'],
    ['imageUri', 'file:///etc/passwd', 'bad-value'],
    ['imageUri', '', 'bad-value'],
    ['imageUri', 'http://a/1\nhttps://b/2', 'ok'],
    ['digest', SHA.toUpperCase(), 'ok'],
    ['digest', `sha-256=:${Buffer.from(SHA, 'hex').toString('base64')}:`, 'ok'],
    ['digest', 'sha-256=:abc:', 'bad-value'],
    ['digest', 'md5=:abc:', 'bad-value'],
    ['priority', 2 ** 31, 'bad-value'],
    ['priority', -5, 'ok'],
    ['pinned', 'yes', 'bad-value'],
    ['signature', 'AAAA', 'bad-value'],
  ] as const;
  for (const [leaf, given, expected] of rows) {
    it(`${leaf} ${JSON.stringify(given).slice(0, 40)}: ${expected}`, () => {
      const { id } = value(house.catalog.create('a', 's'));
      assert.equal(code(house.catalog.setLeaf(id, leaf, given, 's')), expected);
      assert.equal(house.catalog.byId(id)?.leaves[leaf], expected === 'ok' ? given : null);
    });
  }
});

describe('requests', () => {
  it('an ImageURI asks for the image, and again only where it is another', () => {
    const { id, state, retrieval } = house.add('a', 'http://origin/x');
    assert.equal(state, 'pending');
    const repeated = value(house.catalog.setLeaf(id, 'imageUri', 'http://origin/x', 's'));
    assert.equal(repeated.retrieval.generation, retrieval.generation);
    const other = value(house.catalog.setLeaf(id, 'imageUri', 'http://origin/y', 's'));
    assert.equal(other.retrieval.generation, retrieval.generation + 1);
  });

  it('without an ImageURI there is nothing to ask for', () => {
    const { id } = value(house.catalog.create('a', 's'));
    assert.equal(code(house.catalog.request(id, 's')), 'no-uri');
  });

  it('a running retrieval takes one correlator, and answers it when it is cancelled', () => {
    const { id } = house.add('a', 'http://origin/x');
    assert.equal(value(house.catalog.request(id, 's', 'c1')), 'running');
    assert.equal(code(house.catalog.request(id, 's', 'c2')), 'busy');
    value(house.catalog.cancel(id));
    const [event] = house.events;
    assert.equal(event?.kind, 'cancelled');
    assert.equal(event.correlator, 'c1');
    assert.equal(code(house.catalog.cancel(id)), 'not-running');
    assert.equal(value(house.catalog.request(id, 's', 'c2')), 'started');
  });

  it('an available image stays as it is', () => {
    const { id } = available('a', SHA);
    assert.equal(value(house.catalog.request(id, 's', 'c')), 'done');
    assert.equal(house.catalog.byId(id)?.state, 'available');
  });

  it('a correlator is answered when a new ImageURI supersedes its retrieval, and when the image is removed', () => {
    const { id } = house.add('a', 'http://origin/x');
    house.catalog.request(id, 's', 'c1');
    value(house.catalog.setLeaf(id, 'imageUri', 'http://origin/y', 's'));
    house.catalog.request(id, 's', 'c2');
    house.catalog.remove(id);
    assert.deepEqual(
      house.events.map((event) => event.correlator),
      ['c1', 'c2'],
    );
    assert.equal(house.catalog.remove(id), false);
  });

  it('events are rolled back with what they tell', () => {
    const { id } = house.add('a', 'http://origin/x');
    const told: string[] = [];
    house.catalog.onEvent(() => {
      house.store.sql('INSERT INTO store_probe VALUES (7)').run();
      told.push('event');
    });
    house.store.tentative(() => {
      house.catalog.cancel(id);
      return { ok: false };
    });
    assert.deepEqual(told, ['event']);
    assert.equal(house.catalog.byId(id)?.state, 'pending');
    assert.equal(house.store.sql('SELECT * FROM store_probe').all().length, 0);
  });
});

describe('another ImageURI of an available image', () => {
  it('supersedes the content', () => {
    const { id } = available('a', SHA);
    const changed = value(house.catalog.setLeaf(id, 'imageUri', 'http://origin/y', 's'));
    assert.equal(changed.state, 'pending');
    assert.equal(changed.blob, null);
  });

  it('keeps the content when Digest says so', () => {
    const { id } = available('a', SHA);
    value(house.catalog.setLeaf(id, 'digest', SHA, 's'));
    const changed = value(house.catalog.setLeaf(id, 'imageUri', 'http://origin/y', 's'));
    assert.equal(changed.state, 'available');
    assert.equal(changed.blob, SHA);
  });

  for (const order of [
    ['imageUri', 'digest'],
    ['digest', 'imageUri'],
  ] as const) {
    it(`with another Digest supersedes it, ${order.join(' first, then ')}`, () => {
      const { id } = available('a', SHA);
      value(house.catalog.setLeaf(id, 'digest', SHA, 's'));
      const values = { imageUri: 'http://origin/y', digest: OTHER };
      for (const leaf of order) value(house.catalog.setLeaf(id, leaf, values[leaf], 's'));
      assert.equal(house.catalog.byId(id)?.state, 'pending');
    });
  }

  it('takes content that another image has', () => {
    available('a', SHA);
    const { id } = house.add('b', 'http://origin/y');
    house.catalog.cancel(id);
    value(house.catalog.setLeaf(id, 'digest', SHA, 's'));
    assert.equal(value(house.catalog.request(id, 's', 'c')), 'done');
    assert.equal(house.catalog.byId(id)?.blob, SHA);
    assert.equal(house.catalog.byId(id)?.size, 5);
  });
});

describe('a signature', () => {
  it('that no key made refuses the content that is here', () => {
    const { id } = available('a', SHA);
    const good = sign(null, Buffer.from(SHA, 'hex'), keys.privateKey).toString('base64');
    assert.equal(value(house.catalog.setLeaf(id, 'signature', good, 's')).state, 'available');
    const bad = sign(null, Buffer.from(OTHER, 'hex'), keys.privateKey).toString('base64');
    assert.equal(value(house.catalog.setLeaf(id, 'signature', bad, 's')).state, 'pending');
  });
});
