import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { openHouse, pattern, removeFolder, serveFile, startOrigin } from './fixture.js';
import { Flow } from './flow.js';
import { bothCaps, Throttle } from './throttle.js';

describe('the rate cap', () => {
  it('of 0 is none', () => {
    const throttle = new Throttle(new ManualClock(), 0);
    assert.equal(throttle.take(1e12), 0);
  });

  it('lets a burst in, then holds to the rate', () => {
    const clock = new ManualClock();
    const throttle = new Throttle(clock, 1000);
    assert.equal(throttle.take(250), 0);
    assert.equal(throttle.take(100), 100);
    clock.advance(100);
    assert.equal(throttle.take(500), 500);
  });

  it('holds to another rate from the moment on that it is set, and forgives what was owed', () => {
    const clock = new ManualClock();
    const throttle = new Throttle(clock, 1000);
    assert.equal(throttle.take(10_250), 10_000);
    throttle.setRate(2000);
    assert.equal(throttle.take(500), 250);
    throttle.setRate(0);
    assert.equal(throttle.take(1e12), 0);
    clock.advance(1000);
    throttle.setRate(1000);
    assert.equal(throttle.take(1000), 1000);
  });

  it('saves up no more than one burst, however long it was quiet', () => {
    const clock = new ManualClock();
    const throttle = new Throttle(clock, 1000);
    clock.advance(3_600_000);
    assert.equal(throttle.take(1250), 1000);
  });

  it('does not wait for small debts, and does not forget them', () => {
    const throttle = new Throttle(new ManualClock(), 1000);
    assert.equal(throttle.take(260), 0);
    assert.equal(throttle.take(9), 0);
    assert.equal(throttle.take(1), 20);
  });

  it('does not see the wall clock jump', () => {
    const clock = new ManualClock();
    const throttle = new Throttle(clock, 1000);
    throttle.take(250);
    clock.jumpWall(86_400_000);
    assert.equal(throttle.take(100), 100);
  });

  it('is kept to by several sources together, with one timer each', () => {
    const clock = new ManualClock();
    const throttle = new Throttle(clock, 1000);
    let bytes = 0;
    let timers = 0;
    const read = (): void => {
      bytes += 400;
      timers += 1;
      clock.after(throttle.take(400), read);
    };
    read();
    read();
    clock.advance(60_000);
    assert.ok(Math.abs(bytes - 60_000) <= 250 + 2 * 400, `${bytes} bytes`);
    assert.ok(timers <= 60_000 / 400 + 2, `${timers} timers`);
  });

  it('of two is that of the lower one, how much is read at once too, and follows both', () => {
    const clock = new ManualClock();
    const [one, other] = [new Throttle(clock, 0), new Throttle(clock, 1_000_000)];
    const both = bothCaps(one, other);
    assert.deepEqual([both.pieceBytes, both.take(1_000_000)], [other.pieceBytes, 750]);
    one.setRate(100_000);
    assert.equal(both.pieceBytes, one.pieceBytes);
    other.setRate(0);
    one.setRate(0);
    assert.deepEqual([both.pieceBytes, both.take(1_000_000)], [Infinity, 0]);
  });

  it('holds on real sockets, and its pauses are no stalls', async () => {
    const contents = [pattern(300_000, 1), pattern(300_000, 2)];
    const origin = await startOrigin((request, response, count) =>
      serveFile(contents[request.url?.endsWith('2') === true ? 1 : 0]!)(request, response, count),
    );
    const house = openHouse({ downloader: { concurrency: 2, maxBytesPerSecond: 200_000, idleTimeoutMs: 150 } });
    try {
      await house.downloader.start();
      const started = performance.now();
      const ids = [1, 2].map((n) => house.add(`n${n}`, `${origin.url}?${n}`).id);
      for (const id of ids) await house.until(id, 'available');
      const seconds = (performance.now() - started) / 1000;
      const rate = (house.downloader.wanBytes - 50_000) / seconds;
      // A machine that has much else to do may be slower.
      assert.ok(rate > 100_000 && rate < 220_000, `${rate} bytes per second`);
      assert.equal(origin.seen.length, 2);
    } finally {
      await house.close();
      await origin.close();
      removeFolder(house.folder);
    }
  });
});

describe('the flow of a body', () => {
  function start(maxBytesPerSecond = 0) {
    const clock = new ManualClock();
    const body = new PassThrough();
    const seen = { stalls: 0 };
    const throttle = new Throttle(clock, maxBytesPerSecond);
    const flow = new Flow({
      body,
      clock,
      throttle,
      stall: { windowMs: 1000, leastBytes: 100 },
      stalled: () => (seen.stalls += 1),
    });
    flow.start();
    return { clock, body, flow, seen, throttle };
  }

  it('that is silent, or slower than the least, has stalled', () => {
    const { clock, flow, seen } = start();
    for (let ms = 0; ms < 990; ms += 10) {
      flow.came(1);
      clock.advance(10);
    }
    assert.equal(seen.stalls, 0);
    clock.advance(10);
    assert.equal(seen.stalls, 1);
    clock.advance(10_000);
    assert.equal(seen.stalls, 1);
  });

  it('that is fast enough in each window has not', () => {
    const { clock, flow, seen } = start();
    for (let window = 0; window < 5; window += 1) {
      flow.came(100);
      clock.advance(1000);
    }
    assert.equal(seen.stalls, 0);
  });

  it('that the disk holds has not, and has what is left of its window afterwards', () => {
    const { clock, body, flow, seen } = start();
    clock.advance(900);
    flow.holdForDisk();
    assert.ok(body.isPaused());
    clock.advance(60_000);
    flow.diskReady();
    assert.ok(!body.isPaused());
    clock.advance(99);
    assert.equal(seen.stalls, 0);
    clock.advance(1);
    assert.equal(seen.stalls, 1);
  });

  it('that the disk holds now and then has the whole window beside that', () => {
    const { clock, flow, seen } = start();
    for (let time = 0; time < 10; time += 1) {
      clock.advance(90);
      flow.holdForDisk();
      clock.advance(40);
      flow.diskReady();
    }
    clock.advance(99);
    assert.equal(seen.stalls, 0);
    clock.advance(1);
    assert.equal(seen.stalls, 1);
  });

  it('is held until both the disk and the rate cap let go', () => {
    const { clock, body, flow } = start(1000);
    flow.came(1250);
    flow.holdForDisk();
    clock.advance(1000);
    assert.ok(body.isPaused());
    flow.diskReady();
    assert.ok(!body.isPaused());
  });

  it('goes on soon when the rate cap is raised while it waits', () => {
    const { clock, body, flow, throttle } = start(1);
    flow.came(1_000_000);
    clock.advance(60_000);
    assert.ok(body.isPaused());
    throttle.setRate(0);
    clock.advance(1000);
    assert.ok(!body.isPaused());
  });

  it('leaves no timer when it is stopped', () => {
    const { clock, flow } = start(1000);
    flow.came(1250);
    flow.stop();
    assert.equal(clock.nextInMs(), undefined);
  });
});
