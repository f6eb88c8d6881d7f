import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { systemClock, type Clock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
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
});
