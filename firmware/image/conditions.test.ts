/** What a retrieval waits for although nothing is wrong: windows, a metered link, a clock that is not set. */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ManualClock, systemClock, TimeZone, WeeklyWindows, type Clock } from '../clock/index.js';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { Conditions, type ConditionsOptions } from './conditions.js';
import type { DownloaderOptions } from './downloader.js';
import {
  openHouse,
  pattern,
  removeFolder,
  serveFile,
  sha256,
  startOrigin,
  type House,
  type Origin,
} from './fixture.js';
import type { ImageRecord } from './image.js';

const BERLIN = TimeZone.parse('CET-1CEST,M3.5.0,M10.5.0/3');
assert.ok(BERLIN.ok);
const NIGHT = WeeklyWindows.parse(['22:00-06:00'], BERLIN.value);
assert.ok(NIGHT.ok);
const windows = NIGHT.value;

/** Noon, and a minute before the night, in Berlin in winter. */
const NOON = Date.UTC(2026, 0, 15, 11);
const EVENING = Date.UTC(2026, 0, 15, 20, 59);

describe('the conditions', () => {
  const imageOf = (priority: number | null): ImageRecord => ({ leaves: { priority } }) as ImageRecord;
  function at(wallMs: number, options: Omit<ConditionsOptions, 'clock'> & { plausible?: boolean }) {
    const clock = new ManualClock();
    clock.jumpWall(wallMs - clock.wallMs());
    clock.isPlausible = options.plausible ?? true;
    return new Conditions({ clock, ...options });
  }
  const cases: readonly (readonly [
    name: string,
    conditions: Conditions,
    priority: number | null,
    hold: string | undefined,
  ])[] = [
    ['none', at(NOON, {}), null, undefined],
    ['the window, open', at(Date.UTC(2026, 0, 15, 22), { windows }), null, undefined],
    [
      'the window, closed',
      at(NOON, { windows }),
      null,
      'window: the download window opens at 2026-01-15 22:00 (UTC+01:00)',
    ],
    [
      'the window, and no clock',
      at(NOON, { windows, plausible: false }),
      null,
      'clock: the clock is not set: nobody knows whether the download window is open',
    ],
    ['no clock, and no window', at(NOON, { plausible: false }), null, undefined],
    ['a link that is not metered', at(NOON, { metered: () => false }), null, undefined],
    ['a metered link', at(NOON, { metered: () => true }), 100, 'metered: the link is metered'],
    [
      'a metered link, for an image that matters',
      at(NOON, { metered: () => true, meteredMinPriority: 5 }),
      5,
      undefined,
    ],
    [
      'a metered link, for one that matters less',
      at(NOON, { metered: () => true, meteredMinPriority: 5 }),
      4,
      'metered: the link is metered',
    ],
    [
      'a metered link, for one without Priority',
      at(NOON, { metered: () => true, meteredMinPriority: 1 }),
      null,
      'metered: the link is metered',
    ],
    [
      'a metered link, for one without Priority, where 0 will do',
      at(NOON, { metered: () => true, meteredMinPriority: 0 }),
      null,
      undefined,
    ],
  ];
  for (const [name, conditions, priority, expected] of cases) {
    it(`${name}: ${expected ?? 'nothing holds'}`, () => {
      const hold = conditions.holdOf(imageOf(priority));
      assert.equal(hold && `${hold.code}: ${hold.text}`, expected);
    });
  }

  it('are reported, as far as they are set and known', () => {
    assert.deepEqual(at(NOON, {}).report(), { metered: null, windowOpen: null, windowChangesMs: null });
    assert.deepEqual(at(NOON, { windows, metered: () => true }).report(), {
      metered: true,
      windowOpen: false,
      windowChangesMs: Date.UTC(2026, 0, 15, 21),
    });
    assert.equal(at(NOON, { windows, plausible: false }).report().windowOpen, null);
  });
});

const CONTENT = pattern(500_003);
const SHA = sha256(CONTENT);

/** The system's clock with another time of day, and set or not as a test wants. */
interface SetClock extends Clock {
  wall: number;
  set: boolean;
}

function setClock(): SetClock {
  const clock: SetClock = {
    ...systemClock(0),
    wall: NOON,
    set: true,
    wallMs: () => clock.wall,
    plausible: () => clock.set,
  };
  return clock;
}

let clock: SetClock;
let origin: Origin;
let house: House;
let metered: boolean;
/** Each test of the describe in which this stands has an origin, and opens a house. */
function atEachTest(): void {
  beforeEach(async () => {
    clock = setClock();
    metered = false;
    origin = await startOrigin(serveFile(CONTENT, { etag: '"1"' }));
  });
  afterEach(async () => {
    await house.close();
    await origin.close();
    removeFolder(house.folder);
  });
}

async function open(options: Partial<DownloaderOptions>, folder?: string): Promise<void> {
  house = openHouse({
    downloader: { clock, checkConditionsMs: 5, ...options },
    ...(folder !== undefined && { folder }),
  });
  await house.downloader.start();
}

/** So long that a retrieval that is not held would have begun. */
const AWHILE_MS = 60;
const slow = (first: number) => (_: unknown, response: ServerResponse) => {
  response.writeHead(200, { 'Content-Length': CONTENT.length, ETag: '"1"' });
  response.write(CONTENT.subarray(0, first));
};

describe('a retrieval', () => {
  atEachTest();

  it('waits for the window, says until when, and begins when it opens', async () => {
    clock.wall = EVENING;
    await open({ conditions: { windows } });
    const { id } = house.add('a', origin.url);
    const held = await house.until(id, 'waiting');
    assert.deepEqual(
      [held.result, held.resultText],
      ['window', 'the download window opens at 2026-01-15 22:00 (UTC+01:00)'],
    );
    await sleep(AWHILE_MS);
    assert.equal(origin.seen.length, 0);
    clock.wall += 60_000;
    assert.equal((await house.until(id, 'available')).retrieval.attempts, 1);
    assert.equal(house.events.length, 1);
  });

  it('stops when other windows are set that are closed, and goes on when there are none', async () => {
    origin.behave = slow(300_000);
    await open({});
    const { id } = house.add('a', origin.url);
    while (house.downloader.wanBytes < 300_000) await sleep(2);
    house.downloader.setWindows(windows);
    assert.equal((await house.until(id, 'waiting')).result, 'window');
    origin.behave = serveFile(CONTENT, { etag: '"1"' });
    house.downloader.setWindows(undefined);
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.equal(origin.seen.at(-1)?.headers.range, 'bytes=300000-');
  });

  it('stops when somebody says that the link is metered, whatever the switch says, and goes on when it is not', async () => {
    origin.behave = slow(300_000);
    // Not looked at again by itself.
    await open({ checkConditionsMs: 600_000, conditions: { metered: () => metered } });
    const { id } = house.add('a', origin.url);
    while (house.downloader.wanBytes < 300_000) await sleep(2);
    house.downloader.setMetered('on');
    assert.equal((await house.until(id, 'waiting')).result, 'metered');
    assert.equal(house.downloader.conditions.report().metered, true);
    origin.behave = serveFile(CONTENT, { etag: '"1"' });
    metered = true;
    house.downloader.setMetered('auto');
    await sleep(AWHILE_MS);
    assert.equal(house.catalog.byId(id)?.result, 'metered');
    house.downloader.setMetered('off');
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.equal(origin.seen.at(-1)?.headers.range, 'bytes=300000-');
  });

  it('stops when the window closes, and goes on at its byte, over a restart too', async () => {
    clock.wall = Date.UTC(2026, 0, 15, 22);
    origin.behave = slow(300_000);
    await open({ conditions: { windows } });
    const { id } = house.add('a', origin.url);
    while (house.downloader.wanBytes < 300_000) await sleep(2);
    clock.wall = NOON;
    const held = await house.until(id, 'waiting');
    assert.deepEqual([held.result, held.received, held.retrieval.attempts], ['window', 300_000, 0]);
    await house.close();
    await open({ conditions: { windows } }, house.folder);
    await sleep(AWHILE_MS);
    assert.equal(house.catalog.byId(id)?.result, 'window');
    origin.behave = serveFile(CONTENT, { etag: '"1"' });
    clock.wall = Date.UTC(2026, 0, 16, 4);
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.deepEqual(
      origin.seen.map(({ headers }) => headers.range),
      [undefined, 'bytes=300000-'],
    );
  });

  it('pauses as often as the link is metered, without using up its tries or reading its bytes again', async () => {
    let states = '';
    origin.behave = (request, response, count) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
      if (count > 6) return serveFile(CONTENT, { etag: '"1"' })(request, response, count);
      const range = from > 0 && { 'Content-Range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}` };
      response.writeHead(from > 0 ? 206 : 200, { ETag: '"1"', 'Content-Length': CONTENT.length - from, ...range });
      response.write(CONTENT.subarray(from, from + 10_000));
    };
    await open({ conditions: { metered: () => metered }, maxAttempts: 2 });
    const { id } = house.add('a', origin.url);
    for (let round = 1; round <= 6; round += 1) {
      while (house.downloader.wanBytes < round * 10_000) await sleep(2);
      metered = true;
      const held = await house.until(id, 'waiting');
      assert.deepEqual(
        [held.result, held.resultText, held.received],
        ['metered', 'the link is metered', round * 10_000],
      );
      metered = false;
      if (round < 6) await house.until(id, 'downloading');
      states += house.catalog.byId(id)?.state === 'verifying' ? 'v' : '.';
    }
    const image = await house.until(id, 'available');
    assert.equal(image.wanBytes, CONTENT.length);
    assert.equal(states, '......');
  });

  it('of an image that matters comes over a metered link too; one that comes to matter is let in', async () => {
    metered = true;
    await open({ conditions: { metered: () => metered, meteredMinPriority: 5 } });
    const plain = house.add('plain', `${origin.url}?plain`);
    const urgent = house.store.transaction(() => {
      const added = house.add('urgent', `${origin.url}?urgent`);
      house.catalog.setLeaf(added.id, 'priority', 7, 's');
      return added;
    });
    await house.until(urgent.id, 'available');
    await house.until(plain.id, 'waiting');
    house.catalog.setLeaf(plain.id, 'priority', 5, 's');
    await house.until(plain.id, 'available');
    assert.deepEqual(
      origin.seen.map(({ url }) => url),
      ['/image.bin?urgent', '/image.bin?plain'],
    );
  });

  it('that is held gives its place to one that is not, and is pending when nothing holds it any more', async () => {
    metered = true;
    origin.behave = slow(1000);
    await open({ conditions: { metered: () => metered, meteredMinPriority: 5 }, concurrency: 1 });
    const plain = house.add('plain', `${origin.url}?plain`);
    await house.until(plain.id, 'waiting');
    const urgent = house.store.transaction(() => {
      const added = house.add('urgent', `${origin.url}?urgent`);
      house.catalog.setLeaf(added.id, 'priority', 7, 's');
      return added;
    });
    await house.until(urgent.id, 'downloading');
    metered = false;
    const pending = await house.until(plain.id, 'pending');
    assert.deepEqual([pending.result, pending.resultText], [null, '']);
  });

  it('whose content another image has brought waits for no link', async () => {
    metered = true;
    await open({ conditions: { metered: () => metered, meteredMinPriority: 5 } });
    const plain = house.add('plain', `${origin.url}?plain`, SHA);
    await house.until(plain.id, 'waiting');
    house.store.transaction(() => {
      const { id } = house.add('urgent', `${origin.url}?urgent`, SHA);
      house.catalog.setLeaf(id, 'priority', 7, 's');
    });
    await house.until(plain.id, 'available');
    assert.equal(origin.seen.length, 1);
  });

  it('waits for the clock where there is a window', async () => {
    clock.set = false;
    clock.wall = 0;
    await open({ conditions: { windows } });
    const { id } = house.add('a', origin.url);
    const held = await house.until(id, 'waiting');
    assert.deepEqual(
      [held.result, held.resultText],
      ['clock', 'the clock is not set: nobody knows whether the download window is open'],
    );
    clock.wall = Date.UTC(2026, 0, 15, 22);
    clock.set = true;
    await house.until(id, 'available');
  });

  it('by http without a window does not wait for the clock', async () => {
    clock.set = false;
    await open({});
    assert.equal((await house.until(house.add('a', origin.url).id, 'available')).availableMs, null);
  });

  it(
    'by https waits for the clock, before anything is sent, and goes on at once when it is set',
    { skip: NO_CERTIFICATES },
    async () => {
      const certificate = makeCertificate('localhost');
      let asked = 0;
      const server = createTlsServer(certificate, (request, response) => {
        asked += 1;
        serveFile(CONTENT)(request, response, asked);
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      try {
        clock.set = false;
        await open({
          access: { allowAddress: () => true, ca: certificate.cert },
          backoff: { firstMs: 60_000, maxMs: 60_000 },
        });
        const url = `https://localhost:${(server.address() as AddressInfo).port}/x`;
        origin.behave = (_, response) => void response.writeHead(302, { Location: url }).end();
        const direct = house.add('direct', url);
        const held = await house.until(direct.id, 'waiting');
        assert.deepEqual(
          [held.result, held.resultText],
          ['clock', 'the clock is not set: certificates cannot be checked yet'],
        );
        const redirected = house.add('redirected', origin.url);
        await house.until(redirected.id, 'waiting');
        await sleep(AWHILE_MS);
        assert.equal(asked, 0);
        clock.set = true;
        for (const { id } of [direct, redirected]) assert.equal((await house.until(id, 'available')).blob, SHA);
      } finally {
        server.close();
        server.closeAllConnections();
      }
    },
  );
});

describe('the rate cap of an image', () => {
  atEachTest();

  it('holds for each by itself', async () => {
    const [bytes, cap] = [500_000, 400_000];
    origin.behave = (request, response, count) =>
      serveFile(Buffer.concat([pattern(bytes), Buffer.from(request.url ?? '')]))(request, response, count);
    await open({ concurrency: 3, maxBytesPerSecondPerImage: cap });
    const started = performance.now();
    const ids = [1, 2, 3].map((n) => house.add(`n${n}`, `${origin.url}?${n}`).id);
    for (const id of ids) await house.until(id, 'available');
    const seconds = (performance.now() - started) / 1000;
    // Less the burst at the start, and the last piece, whose debt nobody waits for.
    assert.ok(seconds > (bytes - cap / 4 - 65_536) / cap, `${seconds} s`);
    // One after the other would take three times as long.
    assert.ok(seconds < (3 * (bytes - cap / 4 - 65_536)) / cap, `${seconds} s`);
    assert.equal(origin.seen.length, 3);
  });

  it('is another one as soon as it is set, for those that run and those that come', async () => {
    await open({ concurrency: 1, maxBytesPerSecondPerImage: 1000 });
    for (const name of ['runs', 'comes']) {
      const { id } = house.add(name, `${origin.url}?${name}`);
      await sleep(AWHILE_MS);
      assert.equal(house.catalog.byId(id)?.state, 'downloading');
      house.downloader.setRatePerImage(0);
      await house.until(id, 'available');
      house.downloader.setRatePerImage(1000);
    }
  });
});
