import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../clock/eventually.fixture.js';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { systemDisk, type Disk } from './disk.js';
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
import { Scrub, type ScrubOptions } from './scrub.js';
import { ImageServer } from './server.js';

const DAY_MS = 86_400_000;
const CONTENT = pattern(300_001);
const SHA = sha256(CONTENT);

let house: House;
let origin: Origin;
let scrub: Scrub | undefined;
/** What was read, by blob. */
let read: Map<string, number>;
/** Nodes of images that were told to be rotten. */
let told: string[];
/** What reading a blob throws, beside what is on the disk. */
let trouble: string | undefined;

const disk: Disk = {
  ...systemDisk,
  open: async (path, how) => {
    const fd = await systemDisk.open(path, how);
    names.set(fd, path);
    return fd;
  },
  read: async (fd, buffer, length, position) => {
    if (trouble !== undefined) throw Object.assign(new Error(trouble), { code: trouble });
    const bytes = await systemDisk.read(fd, buffer, length, position);
    const name = names.get(fd)?.split('/').at(-1) ?? '';
    read.set(name, (read.get(name) ?? 0) + bytes);
    return bytes;
  },
};
const names = new Map<number, string>();

afterEach(async () => {
  await scrub?.stop();
  scrub = undefined;
  await house.close();
  await origin.close();
  removeFolder(house.folder);
});

/** A house with an available image `a` that came from an origin. */
async function open(): Promise<number> {
  read = new Map();
  told = [];
  trouble = undefined;
  origin = await startOrigin(serveFile(CONTENT));
  house = openHouse({ blobs: { disk } });
  await house.downloader.start();
  const { id } = house.add('a', origin.url);
  await house.until(id, 'available');
  return id;
}

/** Another available image, of one that a server sent. */
async function bring(node: string, content: Buffer): Promise<number> {
  const created = house.catalog.create(node, 's');
  assert.ok(created.ok);
  const { id } = created.value;
  const upload = house.uploads.begin(id, { bytes: content.length });
  assert.ok(upload.ok);
  assert.ok((await upload.value.write(content)).ok);
  assert.ok((await upload.value.end()).ok);
  assert.ok(upload.value.commit('s').ok);
  await upload.value.discard();
  return id;
}

/** Begins to read blobs, by a clock that stands far beyond their times and that a test moves. */
function begin(changes: Partial<ScrubOptions> = {}): ManualClock {
  const clock = new ManualClock();
  clock.jumpWall(Date.now() + 100 * DAY_MS - clock.wallMs());
  scrub = new Scrub({
    ...house,
    clock,
    log: silentLog,
    intervalMs: 7 * DAY_MS,
    bytesPerSecond: 1024 * 1024,
    busy: () => false,
    onRotten: (images) => told.push(...images.map(({ node }) => node)),
    onFault: (thrown) => {
      throw thrown;
    },
    ...changes,
  });
  scrub.start();
  return clock;
}

/** Lets time pass, with the work that belongs to it. */
async function pass(clock: ManualClock, ms: number, stepMs = 100): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await sleep(3);
    clock.advance(stepMs);
  }
  await sleep(3);
}

/** Lets time pass until something has become so. */
async function passUntil(clock: ManualClock, condition: () => boolean, stepMs = 100): Promise<void> {
  for (let step = 0; !condition(); step += 1) {
    assert.ok(step < 5000, 'waited in vain');
    await pass(clock, stepMs, stepMs);
  }
}

const isTold =
  (...nodes: string[]) =>
  (): boolean =>
    String([...told].sort()) === String(nodes);

const fileOf = (sha: string): string => join(house.folder, 'blobs', sha);

function rot(sha: string): void {
  const content = readFileSync(fileOf(sha));
  content[content.length >> 1]! ^= 1;
  writeFileSync(fileOf(sha), content);
}

describe('a stored image whose content has changed on the disk', () => {
  it('is found, told of, taken out of use and retrieved again', async () => {
    const id = await open();
    rot(SHA);
    await passUntil(begin(), isTold('a'));
    await house.until(id, 'available');
    assert.ok(readFileSync(fileOf(SHA)).equals(CONTENT));
    assert.ok(!readFileSync(join(house.folder, 'rotten', SHA)).equals(CONTENT));
    assert.equal(origin.seen.length, 2);
  });

  it('is not sent to an end to who is getting it, and has no LocalImageURI until it has come again', async () => {
    const id = await open();
    const content = pattern(16_000_000, 3);
    const big = sha256(content);
    const other = await bring('big', content);
    const server = new ImageServer(serverOptions(house));
    const started = await server.start();
    assert.ok(started.ok);
    try {
      const socket = connect(started.value[0]!.port, '127.0.0.1');
      socket.write('GET /scomo/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      await new Promise((resolve) => socket.once('readable', resolve));
      rot(big);
      await passUntil(begin(), isTold('big'));
      assert.equal(server.localUri(house.catalog.byId(other)!), '');
      assert.notEqual(server.localUri(house.catalog.byId(id)!), '');
      let bytes = 0;
      socket.on('data', (chunk) => (bytes += chunk.length)).on('error', () => undefined);
      await new Promise((resolve) => socket.once('close', resolve));
      assert.ok(bytes < content.length, 'the reply was sent to its end');
    } finally {
      await server.close();
    }
  });

  it('has failed where it cannot be retrieved', async () => {
    await open();
    const content = pattern(1000, 2);
    const id = await bring('sent', content);
    rot(sha256(content));
    await passUntil(begin(), isTold('sent'));
    const image = house.catalog.byId(id)!;
    assert.deepEqual([image.state, image.result], ['failed', 'disk']);
    assert.equal(house.blobs.has(sha256(content)), false);
  });

  it('is the same to all images that share it', async () => {
    await open();
    await bring('b', CONTENT);
    rot(SHA);
    await passUntil(begin(), isTold('a', 'b'));
    assert.deepEqual(told.sort(), ['a', 'b']);
  });

  it('is one that cannot be read, or is not there, too', async () => {
    const id = await open();
    trouble = 'EIO';
    const clock = begin();
    await passUntil(clock, isTold('a'));
    trouble = undefined;
    await house.until(id, 'available');
    rmSync(fileOf(SHA));
    await passUntil(clock, isTold('a', 'a'), DAY_MS);
    await house.until(id, 'available');
  });
});

it('that a stored image is rotten is told to who asks once that is durable', async () => {
  await open();
  rot(SHA);
  begin();
  const { store } = house;
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const durable = store.durable.bind(store);
  store.durable = () => held.then(durable);
  const found: unknown[] = [];
  const asking = (async () => {
    for await (const progress of scrub!.verify(SHA, new AbortController().signal)) found.push(progress.found);
  })();
  try {
    await eventually('the rot to be seen', isTold('a'));
    for (let turn = 0; turn < 20; turn += 1) await setImmediate();
    assert.deepEqual(new Set(found), new Set([null]));
  } finally {
    letGo();
  }
  await asking;
  assert.equal(found.at(-1), 'rotten');
});

describe('stored images', () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EINTR', 'EACCES']) {
    it(`are left alone where it is the process that cannot open them: ${code}`, async () => {
      const id = await open();
      trouble = code;
      const clock = begin();
      await pass(clock, 1000);
      assert.deepEqual([told, house.catalog.byId(id)?.state], [[], 'available']);
      trouble = undefined;
      read.clear();
      await passUntil(clock, () => read.get(SHA) === CONTENT.length, 50_000);
    });
  }

  it('are read again where the time of the last reading is still to come; those that are gone are forgotten', async () => {
    await open();
    const note = house.store.sql('INSERT INTO blob_check (blob, at_ms) VALUES (?, ?)');
    note.run(SHA, Date.now() + 1000 * DAY_MS);
    note.run('gone', 1);
    const known = house.store.sql<{ blob: string; ahead: number }>(
      'SELECT blob, at_ms > ? AS ahead FROM blob_check ORDER BY blob',
    );
    const expected = JSON.stringify([{ blob: SHA, ahead: 0 }]);
    await passUntil(begin(), () => JSON.stringify(known.all(Date.now() + 200 * DAY_MS)) === expected);
  });

  it('that are sound are read once in the interval, those first that have waited longest, also after a restart', async () => {
    await open();
    const second = pattern(200_000, 2);
    await bring('b', second);
    const clock = begin();
    // The first is read, the second not to its end.
    await passUntil(clock, () => read.size === 2, 10);
    await scrub?.stop();
    const [first = '', other = ''] = read.keys();
    assert.ok((read.get(first) ?? 0) === statSync(fileOf(first)).size);
    read.clear();
    const again = begin();
    await passUntil(again, () => read.get(other) === statSync(fileOf(other)).size);
    await pass(again, 1000);
    assert.deepEqual([...read.keys()], [other]);
    assert.deepEqual(told, []);
    assert.equal(statSync(fileOf(SHA)).size, CONTENT.length);
    assert.ok(!existsSync(join(house.folder, 'rotten')));
  });

  it('are read no faster than allowed, and much more slowly while there is other work', async () => {
    await open();
    const content = pattern(4_000_000, 4);
    await bring('big', content);
    house.catalog.remove(house.catalog.byNode('a')!.id);
    let busy = false;
    const clock = begin({ bytesPerSecond: 500_000, busy: () => busy });
    const big = sha256(content);
    const has = (bytes: number) => (): boolean => (read.get(big) ?? 0) >= bytes;
    const since = clock.monotonicMs();
    await passUntil(clock, has(1_000_000), 20);
    assert.ok(clock.monotonicMs() - since >= 1_800, `${clock.monotonicMs() - since} ms for 1 MB`);
    busy = true;
    // What was read before has been waited for by then.
    await pass(clock, 200, 20);
    const [before, beganMs] = [read.get(big) ?? 0, clock.monotonicMs()];
    await passUntil(clock, has(before + 65_536), 20);
    assert.ok(
      clock.monotonicMs() - beganMs >= 1_500,
      `${clock.monotonicMs() - beganMs} ms for 64 KiB beside other work`,
    );
  });

  it('wait for the clock to be set', async () => {
    await open();
    read.clear();
    rot(SHA);
    const clock = begin();
    await scrub?.stop();
    assert.deepEqual(told, []);
    const unset = new ManualClock();
    unset.isPlausible = false;
    scrub = new Scrub({
      ...house,
      clock: unset,
      log: silentLog,
      intervalMs: 0,
      bytesPerSecond: 1e9,
      busy: () => false,
      onRotten: (images) => told.push(...images.map(({ node }) => node)),
      onFault: () => undefined,
    });
    scrub.start();
    await pass(unset, 1_300_000, 100_000);
    assert.deepEqual([...read.keys()].includes(SHA) && told.length > 0, false);
    unset.isPlausible = true;
    unset.jumpWall(clock.wallMs() - unset.wallMs());
    await passUntil(unset, isTold('a'), 100_000);
  });
});
