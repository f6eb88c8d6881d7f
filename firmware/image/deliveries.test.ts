import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ManualClock, systemClock, type Clock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { Deliveries, type Delivery, type Sent } from './deliveries.js';
import { openHouse, pattern, removeFolder, serveFile, startOrigin, type House } from './fixture.js';
import type { ImageRecord } from './image.js';

describe('the accounts of deliveries', () => {
  let house: House;
  const images = new Map<number, ImageRecord>();
  let isClockSet = true;
  const real = systemClock(0);
  const clock: Clock = {
    plausible: () => isClockSet,
    wallMs: () => real.wallMs(),
    monotonicMs: () => real.monotonicMs(),
    after: (ms, call) => real.after(ms, call),
    sleep: (ms, signal) => real.sleep(ms, signal),
  };

  before(async () => {
    house = openHouse();
    await house.downloader.start();
    for (const size of [0, 1000]) {
      const origin = await startOrigin(serveFile(pattern(size)));
      images.set(size, await house.until(house.add(`of-${size}`, origin.url).id, 'available'));
      await origin.close();
    }
  });
  after(async () => {
    await house.close();
    removeFolder(house.folder);
  });

  function open(): Deliveries {
    return new Deliveries({ store: house.store, catalog: house.catalog, clock, log: silentLog });
  }

  function sentOf(size: number, address: string, more: Partial<Sent> = {}): Sent {
    const { id, blob } = images.get(size)!;
    return { image: id, sha256: blob!, size, address, devices: [], spans: [], confirmed: true, ...more };
  }

  function rowOf(size: number, address: string): Delivery {
    return open()
      .list(images.get(size)!.id, 0, 100)
      .find((row) => row.address === address)!;
  }

  function rowOfAfter(deliveries: Deliveries, address: string): Delivery {
    deliveries.flush();
    return rowOf(1000, address);
  }

  it('know an image without a byte as whole, once it was taken', () => {
    const deliveries = open();
    assert.equal(deliveries.sent(sentOf(0, 'a', { confirmed: false })), false);
    assert.equal(deliveries.sent(sentOf(0, 'a')), true);
    assert.equal(deliveries.sent(sentOf(0, 'a')), false);
    deliveries.flush();
    assert.equal(rowOf(0, 'a').complete, true);
    assert.equal(deliveries.sent(sentOf(1000, 'a')), false, 'an image with bytes is not whole without them');
    deliveries.flush();
  });

  it('do not give what one device was sent to the next one at its address', () => {
    for (const [address, isFlushed] of [
      ['b', false],
      ['c', true],
    ] as const) {
      const deliveries = open();
      const half = (start: number, ...devices: string[]): boolean =>
        deliveries.sent(sentOf(1000, address, { devices, spans: [{ start, length: 500 }] }));
      half(0);
      half(0, 'one');
      if (isFlushed) deliveries.flush();
      half(0);
      half(0, 'one');
      deliveries.flush();
      assert.deepEqual([rowOf(1000, address).device, rowOf(1000, address).ambiguous], ['one', false]);
      half(500, 'two');
      half(0, 'two');
      deliveries.flush();
      const { device, ambiguous, complete } = rowOf(1000, address);
      assert.deepEqual([device, ambiguous, complete], [null, true, true]);
      half(0, 'two');
      deliveries.flush();
      assert.deepEqual([rowOf(1000, address).device, rowOf(1000, address).ambiguous], [null, true], 'for ever');
    }
  });

  it('have no first time where the clock was not set at the first answer', () => {
    const deliveries = open();
    const send = (address: string): boolean =>
      deliveries.sent(sentOf(1000, address, { spans: [{ start: 0, length: 10 }] }));
    isClockSet = false;
    send('d');
    isClockSet = true;
    send('d');
    send('e');
    deliveries.flush();
    // As after an upgrade: an older version did not write it.
    house.store.sql("UPDATE image_delivery SET first_ms = NULL WHERE address = 'e'").run();
    send('e');
    send('f');
    send('f');
    deliveries.flush();
    for (const address of ['d', 'e']) {
      const { firstMs, timeMs } = rowOf(1000, address);
      assert.deepEqual([firstMs, timeMs !== null], [null, true]);
    }
    assert.ok(rowOf(1000, 'f').firstMs! <= rowOf(1000, 'f').timeMs!);
  });

  const piece = (start: number, length: number) => [{ start, length }];
  const bytesOf = (size: number, address: string): number => rowOf(size, address).bytes;

  it('are one for each image and each address, and for the present content only', () => {
    const twin = house.add('twin', 'http://127.0.0.1:1/x').id;
    const { blob: other } = images.get(0)!;
    const { blob } = images.get(1000)!;
    const become = (content: string | null): void =>
      void house.catalog.table.save({ ...house.catalog.byId(twin)!, blob: content });
    become(blob);
    const deliveries = open();
    const send = (address: string, length: number, more: Partial<Sent> = {}): boolean =>
      deliveries.sent(sentOf(1000, address, { spans: piece(0, length), ...more }));
    send('g', 1);
    send('h', 2);
    send('g', 4, { image: twin });
    send('h', 8, { image: twin });
    deliveries.flush();
    const ofTwin = (): unknown[] => deliveries.list(twin, 0, 10).map(({ address, bytes }) => [address, bytes]);
    assert.deepEqual([bytesOf(1000, 'g'), bytesOf(1000, 'h')], [1, 2]);
    assert.deepEqual(ofTwin(), [
      ['g', 4],
      ['h', 8],
    ]);
    // Both contents on their way to one address, at the moment at which one follows the other.
    send('g', 16, { image: twin });
    become(other);
    send('g', 32, { image: twin, sha256: other! });
    assert.deepEqual(ofTwin(), [['g', 32]], 'no more of the content before it');
    send('h', 64, { image: twin });
    assert.deepEqual(ofTwin(), [['g', 32]]);
    become(null);
    send('h', 64, { image: twin, sha256: other! });
    assert.deepEqual(ofTwin(), [['g', 32]]);
    send('g', 1, { image: twin });
    house.catalog.remove(twin);
    deliveries.flush();
    assert.deepEqual(ofTwin(), []);
  });

  it('remember 32 ranges that do not touch, from the first on', () => {
    const deliveries = open();
    const send = (start: number, length = 1): boolean =>
      deliveries.sent(sentOf(1000, 'i', { spans: piece(start, length) }));
    for (let start = 10; start < 10 + 40 * 20; start += 20) send(start);
    const { spans, bytes } = rowOfAfter(deliveries, 'i');
    assert.equal(bytes, 40);
    assert.deepEqual(
      spans.map(({ start }) => start),
      Array.from({ length: 32 }, (_, n) => 10 + n * 20),
    );
    // One that comes before them all takes the place of the last; the whole takes all.
    send(0);
    assert.deepEqual(rowOfAfter(deliveries, 'i').spans.slice(-1), piece(10 + 30 * 20, 1));
    assert.equal(send(0, 1000), true);
    assert.deepEqual(rowOfAfter(deliveries, 'i').spans, piece(0, 1000));
  });

  it('count a device once that came under two addresses', () => {
    const deliveries = open();
    const image = images.get(1000)!.id;
    const before = deliveries.delivered(image);
    const send = (address: string, length: number, ...devices: string[]): boolean =>
      deliveries.sent(sentOf(1000, address, { devices, spans: piece(0, length) }));
    for (const address of ['j', 'k']) send(address, 1000, 'roaming');
    send('l', 999, 'not yet whole');
    assert.equal(deliveries.delivered(image), before + 1);
    send('m', 1000);
    assert.equal(deliveries.delivered(image), before + 2);
  });

  it('tell when an image was served last, to whomever', () => {
    const deliveries = open();
    for (const address of ['n', 'o', 'n']) {
      deliveries.sent(sentOf(1000, address, { spans: piece(0, 1) }));
      for (const from = real.wallMs(); real.wallMs() < from + 2;);
    }
    const last = rowOfAfter(deliveries, 'n').timeMs!;
    assert.ok(last > rowOfAfter(deliveries, 'o').timeMs!);
    assert.equal(house.catalog.byId(images.get(1000)!.id)!.servedMs, last);
  });

  it('are written after 10 s or 1,024 addresses; 4,096 of them are kept of an image', () => {
    const manual = new ManualClock();
    let broken = false;
    const store = {
      sql: (text: string) => house.store.sql(text),
      transaction: <T>(work: () => T) => {
        if (broken) throw new Error('the disk is full');
        return house.store.transaction(work);
      },
    } as Store;
    const deliveries = new Deliveries({ store, catalog: house.catalog, clock: manual, log: silentLog });
    const image = images.get(1000)!.id;
    const written = (): number =>
      house.store
        .sql<{ n: number }>("SELECT count(*) AS n FROM image_delivery WHERE image = ? AND address LIKE 'p%'")
        .get(image)!.n;
    const send = (n: number): boolean => deliveries.sent(sentOf(1000, `p${n}`, { spans: piece(0, 1) }));
    send(0);
    manual.advance(9_999);
    assert.equal(written(), 0);
    broken = true;
    manual.advance(1);
    assert.equal(written(), 0);
    broken = false;
    send(1);
    manual.advance(10_000);
    assert.equal(written(), 2, 'also what could not be written');
    for (let n = 2; n < 1025; n += 1) send(n);
    assert.equal(written(), 2);
    send(1025);
    assert.equal(written(), 1026);
    for (let n = 1026; n < 4100; n += 1) send(n);
    deliveries.flush();
    assert.equal(written(), 4096);
    assert.equal(rowOf(1000, 'p0'), undefined, 'the oldest have gone');
  });
});
