/** What a DM Server sees of an image while the gateway, after a restart, hashes again what it has of it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { PLAIN_RETRIEVALS } from '../image/downloader.fixture.js';
import { systemClock } from '../clock/index.js';
import { Outbox, outboxChanges, outboxSchema } from '../dm/index.js';
import {
  BlobStore,
  Catalog,
  Deliveries,
  Downloader,
  imageSchema,
  momentSchema,
  retrievalSchema,
  systemDisk,
  Uploads,
  type Disk,
} from '../image/index.js';
import { silentLog } from '../log/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { Tree, treeChanges, treeSchema } from '../tree/index.js';
import { imageInventory, Names } from './index.js';

const IMAGE = './GwMO/ImageInventory/fw';
const CONTENT = Buffer.alloc(500_000, 'firmware');
const CUT = 300_000;
const PATIENT = { timeoutMs: 60_000 };

const folder = mkdtempSync(join(tmpdir(), 'verifying-'));
after(() => rmSync(folder, { recursive: true }));
const clock = systemClock(0);
const by = { serverId: 'A' };

/** A gateway's way of images, with the tree above it. */
async function open(disk: Disk) {
  const schema = [
    ...treeSchema,
    ...treeChanges,
    ...outboxSchema,
    ...outboxChanges,
    ...imageSchema,
    ...retrievalSchema,
    ...momentSchema,
  ];
  const store = openTestStore({ file: join(folder, 'db'), schema, log: silentLog });
  const parts = { store, clock, log: silentLog };
  const catalog = new Catalog(parts);
  const blobs = new BlobStore({ folder, disk, clock, log: silentLog, freeFloorBytes: 0 });
  const uploads = new Uploads({ store, catalog, blobs, clock, pins: { needs: () => false } });
  const names = Names.parse({});
  assert.ok(names.ok);
  const deliveries = new Deliveries({ ...parts, catalog });
  const outbox = new Outbox(store);
  const tree = new Tree(
    store,
    [imageInventory(names.value, { catalog, deliveries, uploads, outbox, localUri: () => '' })],
    clock,
  );
  const downloader = new Downloader({
    ...PLAIN_RETRIEVALS,
    ...parts,
    catalog,
    blobs,
    random: () => 0,
    onDefect: (thrown) => assert.fail(String(thrown)),
  });
  await downloader.start();
  return {
    tree,
    store,
    downloader,
    state: () => {
      const got = tree.get(by, `${IMAGE}/State`);
      return got.ok ? got.value.data : got.error.code;
    },
    close: async () => {
      await downloader.close();
      await store.close();
    },
  };
}

it('is State 35, Verifying, before anything is asked of the server', async (test) => {
  const asked: IncomingHttpHeaders[] = [];
  const server = createServer(({ headers }, response) => {
    const from = asked.push(headers) > 1 ? CUT : 0;
    const range = { 'Content-Range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}` };
    response.writeHead(from > 0 ? 206 : 200, {
      ETag: '"1"',
      'Content-Length': CONTENT.length - from,
      ...(from && range),
    });
    // The first reply stops on its way.
    if (from > 0) response.end(CONTENT.subarray(from));
    else response.write(CONTENT.subarray(0, CUT));
  });
  test.after(() => {
    server.close();
    server.closeAllConnections();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const first = await open(systemDisk);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/fw`;
  const added = first.store.transaction(() =>
    first.tree.add(by, `${IMAGE}/ImageURI`, { format: undefined, type: undefined, data: url }),
  );
  assert.ok(added.ok);
  await eventually('the first bytes', () => first.downloader.wanBytes === CUT, PATIENT);
  assert.equal(first.state(), '30');
  await first.close();

  let goOn: () => void = () => {};
  const held = new Promise<void>((resolve) => (goOn = resolve));
  let reads = 0;
  const second = await open({
    ...systemDisk,
    read: async (...how) => {
      reads += 1;
      await held;
      return systemDisk.read(...how);
    },
  });
  await eventually('the file is read', () => reads > 0, PATIENT);
  assert.equal(second.state(), '35');
  assert.equal(asked.length, 1);
  goOn();
  await eventually('the image', () => second.state() === '50', PATIENT);
  assert.equal(asked[1]?.range, `bytes=${CUT}-`);
  await second.close();
});
