import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { Outbox, outboxChanges, outboxSchema, type WaitingAlert } from '../dm/index.js';
import {
  BlobStore,
  Catalog,
  Deliveries,
  imageSchema,
  momentSchema,
  retrievalSchema,
  systemDisk,
  type ImageEvent,
  type ImageRecord,
  Uploads,
} from '../image/index.js';
import { silentLog } from '../log/index.js';
import { Fanouts, endSchema, notifySchema, sleepersSchema } from '../notify/index.js';
import { success } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { Tree, treeChanges, treeSchema, type IncomingValue } from '../tree/index.js';
import { fanout, imageInventory, Names, tellDamage, tellRotten } from './index.js';

const by = { serverId: 'A' };
const other = { serverId: 'B' };

let folder: string;
let store: Store;
let outbox: Outbox;
let catalog: Catalog;
let fanouts: Fanouts;
let tree: Tree;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'alerts-'));
  const schema = [
    ...treeSchema,
    ...treeChanges,
    ...outboxSchema,
    ...outboxChanges,
    ...imageSchema,
    ...retrievalSchema,
    ...momentSchema,
    ...notifySchema,
    ...endSchema,
    ...sleepersSchema,
  ];
  store = openTestStore({ file: join(folder, 'db'), schema, log: silentLog });
  outbox = new Outbox(store);
  catalog = new Catalog({ store, clock: new ManualClock(), log: silentLog });
  const clock = new ManualClock();
  fanouts = new Fanouts({
    store,
    clock,
    log: silentLog,
    book: {
      resolve: () => new Map(),
      deviceAt: () => undefined,
      expand: (line) => [line],
    },
    capacity: { free: () => 100 },
    reactions: { onFetched: () => () => {}, onSession: () => () => {} },
    appearances: { onAppeared: () => () => {}, presenceOf: () => 'untold' },
    sessionIdOf: () => undefined,
    defaults: { repeat: 1, interval: 1, lifetime: 10, rate: -1 },
    send: () => Promise.resolve(success()),
    onFault: (thrown) => {
      throw thrown;
    },
  });
  const names = Names.parse({});
  assert.ok(names.ok);
  const deliveries = new Deliveries({ store, catalog, clock, log: silentLog });
  const blobs = new BlobStore({ folder, disk: systemDisk, clock, log: silentLog });
  const uploads = new Uploads({ store, catalog, blobs, clock, pins: { needs: () => false } });
  tree = new Tree(
    store,
    [
      imageInventory(names.value, { catalog, deliveries, uploads, outbox, localUri: () => '' }),
      fanout(names.value, fanouts, outbox),
    ],
    clock,
  );
});
afterEach(async () => {
  await fanouts.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

function value(data: string): IncomingValue {
  return { format: undefined, type: undefined, data };
}

function add(uri: string, data: string): void {
  const added = store.transaction(() => tree.add(by, uri, value(data)));
  assert.ok(added.ok, added.ok ? '' : added.error.text);
}

function exec(subject: typeof by, uri: string, correlator?: string): string {
  const started = store.transaction(() => tree.exec(subject, uri, undefined, correlator));
  return started.ok ? started.value : started.error.code;
}

/** Generic alerts that wait for a server, without their ids. */
function alerts(serverId = 'A'): Omit<WaitingAlert, 'id' | 'serverId' | 'code'>[] {
  return outbox.waiting(serverId, 100).map(({ id, serverId: to, code, ...rest }) => {
    assert.ok(id > 0 && to === serverId && code === 1226);
    return rest;
  });
}

describe('the end of a retrieval', () => {
  const common = {
    source: './GwMO/ImageInventory/fw',
    type: 'org.dmgw.imageinventory.retrieved',
    format: 'int',
  };
  it('is told to the server that asked for it, in the words of SCOMO', () => {
    add('./GwMO/ImageInventory/fw/ImageURI', 'http://a.example/fw');
    assert.deepEqual(alerts(), []);
    assert.equal(exec(by, './GwMO/ImageInventory/fw/Operations/Cancel'), 'done');
    assert.deepEqual(alerts(), [{ ...common, mark: 'warning', data: '1401' }]);
  });
  it('carries the correlator of the Exec that started it, and only then', () => {
    add('./GwMO/ImageInventory/fw/Name', 'x');
    assert.equal(exec(by, './GwMO/ImageInventory/fw/Operations/Download', 'c7'), 'failed', 'there is no ImageURI');
    add('./GwMO/ImageInventory/fw/ImageURI', 'http://a.example/fw');
    exec(by, './GwMO/ImageInventory/fw/Operations/Cancel');
    assert.equal(exec(by, './GwMO/ImageInventory/fw/Operations/Download', 'c8'), 'accepted');
    exec(by, './GwMO/ImageInventory/fw/Operations/Cancel');
    assert.deepEqual(
      alerts().map(({ correlator }) => correlator),
      [undefined, 'c8'],
    );
  });
  it('is told of the image under the name that it has got meanwhile', () => {
    add('./GwMO/ImageInventory/fw/ImageURI', 'http://a.example/fw');
    exec(by, './GwMO/ImageInventory/fw/Operations/Cancel');
    assert.ok(store.transaction(() => tree.replace(by, './GwMO/ImageInventory/fw?prop=Name', value('new'))).ok);
    assert.deepEqual(
      alerts().map(({ source }) => source),
      ['./GwMO/ImageInventory/new'],
    );
  });
  it('is not told when the message that brought it about is rolled back', () => {
    add('./GwMO/ImageInventory/fw/ImageURI', 'http://a.example/fw');
    store.tentative(() => {
      tree.exec(by, './GwMO/ImageInventory/fw/Operations/Cancel', undefined, undefined);
      return { ok: false };
    });
    assert.deepEqual(alerts(), []);
  });

  const results: readonly (readonly [ImageEvent['kind'], ImageRecord['result'], string, string, string])[] = [
    ['retrieved', 'ok', 'retrieved', 'informational', '1200'],
    ['failed', 'not-found', 'retrieved', 'warning', '1402'],
    ['failed', 'no-room', 'retrieved', 'warning', '1404'],
    ['failed', 'digest-mismatch', 'retrieved', 'warning', '1407'],
    ['failed', 'unauthorized', 'retrieved', 'warning', '1403'],
    ['failed', 'server-error', 'retrieved', 'warning', '1500'],
    ['failed', 'unreachable', 'retrieved', 'warning', '1501'],
    ['failed', 'bad-url', 'retrieved', 'warning', '1414'],
    ['failed', 'disk', 'retrieved', 'warning', '1412'],
    ['cancelled', 'cancelled', 'retrieved', 'warning', '1401'],
    ['needs-uri', 'expired', 'needsuri', 'warning', '1402'],
    ['evicted', 'ok', 'evicted', 'warning', '1200'],
    ['local-uri', 'ok', 'localuri', 'informational', '1200'],
  ];
  for (const [kind, result, type, mark, data] of results) {
    it(`${kind}, ${result ?? ''}: ${type} ${data}`, () => {
      add('./GwMO/ImageInventory/fw/Name', 'x');
      const image = catalog.byNode('fw');
      assert.ok(image);
      catalog.table.tell(kind, { ...image, result }, null);
      assert.deepEqual(alerts(), [{ ...common, type: `org.dmgw.imageinventory.${type}`, mark, data }]);
    });
  }
});

describe('the end of a fanout', () => {
  const fanoutNode = './GwMO/Fanout/f';
  beforeEach(() => {
    add(`${fanoutNode}/Notification`, 'AQID');
    add(`${fanoutNode}/Targets`, 'urn:uuid:1\nurn:uuid:2');
  });
  const common = { source: fanoutNode, type: 'org.dmgw.fanout.finished', format: 'chr', mark: 'warning' };

  it('that is stopped is told twice: to who started it and to who stopped it, each with its own correlator', () => {
    assert.equal(exec(by, `${fanoutNode}/Operations/Start`, 'start'), 'accepted');
    const opened = store.transaction(() => tree.replace(by, `${fanoutNode}?prop=ACL`, value('Get=*&Exec=*')));
    assert.ok(opened.ok);
    assert.equal(exec(other, `${fanoutNode}/Operations/Stop`, 'stop'), 'accepted');
    const data = '1412 total=2 sent=0 reacted=0 failed=0';
    assert.deepEqual(alerts(), [{ ...common, data, correlator: 'start' }]);
    assert.deepEqual(alerts('B'), [{ ...common, data, correlator: 'stop' }]);
  });
  it('whose devices nobody knows says that all have failed', async () => {
    assert.equal(exec(by, `${fanoutNode}/Operations/Start`), 'accepted');
    const deadlineMs = performance.now() + 10_000;
    while (alerts().length === 0 && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual(alerts(), [{ ...common, data: '1412 total=2 sent=0 reacted=0 failed=2' }]);
    const state = tree.get('local', `${fanoutNode}/State`);
    assert.ok(state.ok && state.value.data === '30');
  });
  it('cannot be brought about twice: 417 for a second start, 500 for a stop of what does not run', () => {
    assert.equal(exec(by, `${fanoutNode}/Operations/Stop`), 'failed');
    exec(by, `${fanoutNode}/Operations/Start`);
    assert.equal(exec(by, `${fanoutNode}/Operations/Start`), 'busy');
    const changed = store.transaction(() => tree.replace(by, `${fanoutNode}/Targets`, value('urn:uuid:3')));
    assert.equal(changed.ok ? 'ok' : changed.error.code, 'busy');
  });
});

describe('damage of the disk', () => {
  it('is told under the names in use', () => {
    const names = Names.parse({
      ImageInventory: './Vendor/Images',
      Storage: './Room',
      'alert:storeDamaged': 'com.example.damaged',
    });
    assert.ok(names.ok);
    add('./GwMO/ImageInventory/fw/ImageURI', 'http://a.example/fw');
    add('./GwMO/ImageInventory/given/Name', 'x');
    const images = ['fw', 'given'].flatMap((node) => catalog.byNode(node) ?? []);
    store.transaction(() => {
      tellDamage(names.value, outbox, ['A'], { recovered: 1, lost: 2 });
      tellRotten(names.value, outbox, images);
    });
    const common = { type: 'com.example.damaged', format: 'chr', mark: 'critical' };
    assert.deepEqual(alerts(), [
      { ...common, source: './Room', data: 'database recovered=1 lost=2 gone=retrievals,fanouts,devices,acls' },
      { ...common, source: './Vendor/Images/fw', data: 'image retrieved-again' },
      { ...common, source: './Vendor/Images/given', data: 'image lost' },
    ]);
  });
});
