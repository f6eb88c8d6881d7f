import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog, type LogFields } from '../log/index.js';
import { Scheduler, type SchedulerOptions, type SessionResult, type SessionTrigger } from './scheduler.js';

interface Held {
  readonly serverId: string;
  readonly trigger: SessionTrigger;
  readonly signal: AbortSignal;
  readonly atMs: number;
  /** Ends the session. */
  readonly end: (result?: Partial<SessionResult>) => Promise<void>;
}

/** A scheduler whose sessions begin and end when the test says so. */
class Bench {
  readonly clock = new ManualClock();
  readonly held: Held[] = [];
  readonly scheduler: Scheduler;
  /** What the next draws of chance are; 0.5 otherwise. */
  readonly chance: number[] = [];
  readonly #startMs = this.clock.monotonicMs();

  constructor(
    options: Partial<SchedulerOptions> = {},
    private readonly intervalMs = 100_000,
  ) {
    this.scheduler = new Scheduler({
      clock: this.clock,
      random: () => this.chance.shift() ?? 0.5,
      log: silentLog,
      needsClock: () => false,
      startDelayMs: 1000,
      jitterMs: 10_000,
      alertDelayMs: 2000,
      retry: { firstMs: 4000, maxMs: 60_000 },
      run: (serverId, trigger, signal) =>
        new Promise((resolve) => {
          const end = async (result: Partial<SessionResult> = {}): Promise<void> => {
            resolve({ end: 'completed', alertsUnsent: false, ...result });
            await settle();
          };
          this.held.push({ serverId, trigger, signal, atMs: this.nowMs, end });
        }),
      ...options,
    });
  }

  start(...serverIds: readonly string[]): void {
    this.scheduler.start(serverIds.map((serverId) => ({ serverId, intervalMs: this.intervalMs })));
  }

  get nowMs(): number {
    return this.clock.monotonicMs() - this.#startMs;
  }

  get last(): Held {
    const last = this.held.at(-1);
    assert.ok(last, 'no session was held');
    return last;
  }

  /** What opened each session so far, and when. */
  get story(): string[] {
    return this.held.map(({ trigger, atMs }) =>
      trigger.kind === 'notification' ? `${trigger.sessionId} at ${atMs}` : `${trigger.kind} at ${atMs}`,
    );
  }
}

/** Lets promises run on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A server whose first session is over: the next one is far away. */
async function quiet(intervalMs?: number): Promise<Bench> {
  const bench = new Bench({}, intervalMs);
  bench.start('A');
  bench.clock.advance(6000);
  await bench.last.end();
  bench.held.length = 0;
  return bench;
}

describe('sessions by the clock', () => {
  it('the first after the start delay and its jitter, the next an interval and its jitter after its end', async () => {
    const bench = new Bench();
    bench.chance.push(0.25, 0.75);
    bench.start('A');
    bench.clock.advance(3499);
    assert.deepEqual(bench.story, []);
    bench.clock.advance(1);
    assert.deepEqual(bench.story, ['start at 3500']);
    bench.clock.advance(50_000);
    await bench.last.end();
    bench.clock.advance(107_499);
    assert.equal(bench.held.length, 1);
    bench.clock.advance(1);
    assert.deepEqual(bench.story, ['start at 3500', `interval at ${3500 + 50_000 + 107_500}`]);
  });
  it('none by the clock where the interval is 0', async () => {
    const bench = await quiet(0);
    bench.clock.advance(10 ** 9);
    assert.deepEqual(bench.story, []);
    assert.equal(bench.clock.nextInMs(), undefined);
  });
  it('each server has its own, and two may run at once; the third waits for its turn', async () => {
    const bench = new Bench();
    bench.chance.push(0, 0, 0);
    bench.start('A', 'B', 'C');
    bench.clock.advance(1000);
    const held = (): string[] => bench.held.map(({ serverId }) => serverId);
    assert.deepEqual(held(), ['A', 'B']);
    assert.deepEqual(
      bench.scheduler.report().map(({ waitsFor }) => waitsFor),
      [undefined, undefined, 'turn'],
    );
    await bench.last.end();
    assert.deepEqual(held(), ['A', 'B', 'C']);
    assert.equal(bench.scheduler.report()[2]?.waitsFor, undefined);
    bench.clock.advance(0);
    assert.equal(bench.held.length, 3);
  });
  it('those that wait for their turn take it in the order in which they became due', async () => {
    const bench = new Bench();
    bench.chance.push(0, 0, 0.3, 0.2);
    bench.start('A', 'B', 'C', 'D');
    bench.clock.advance(10_000);
    await bench.last.end();
    assert.deepEqual(
      bench.held.map(({ serverId }) => serverId),
      ['A', 'B', 'D'],
    );
  });
  it('each server has an interval of its own', async () => {
    const bench = new Bench();
    bench.chance.push(0, 0, 0, 0);
    bench.scheduler.start([
      { serverId: 'A', intervalMs: 50_000 },
      { serverId: 'B', intervalMs: 0 },
    ]);
    bench.clock.advance(1000);
    for (const session of [...bench.held]) await session.end();
    assert.deepEqual(
      bench.scheduler.report().map(({ nextInMs }) => nextInMs),
      [50_000, undefined],
    );
  });
  it('a wall clock that jumps moves nothing', async () => {
    const bench = await quiet();
    bench.clock.jumpWall(10 ** 10);
    bench.clock.advance(0);
    assert.deepEqual(bench.story, []);
  });
  it('a person may ask for one at once, but not for an unknown server', async () => {
    const bench = await quiet();
    assert.equal(bench.scheduler.sessionNow('B'), false);
    assert.equal(bench.scheduler.sessionNow('A'), true);
    bench.clock.advance(0);
    assert.deepEqual(bench.story, ['manual at 6000']);
  });
});

/** What each session was held for: the SessionID of its notification, or the kind of what else. */
function triggersOf({ held }: Bench): string[] {
  return held.map(({ trigger }) => (trigger.kind === 'notification' ? trigger.sessionId : trigger.kind));
}

describe('notifications', () => {
  it('open a session at once, with their SessionID, instead of the planned one', async () => {
    const bench = await quiet();
    assert.equal(bench.scheduler.notified('A', '1234', true), true);
    bench.clock.advance(0);
    assert.deepEqual(bench.last.trigger, { kind: 'notification', sessionId: '1234', defaultNonce: true });
    await bench.last.end();
    bench.clock.advance(105_000);
    assert.deepEqual(bench.story, ['1234 at 6000', 'interval at 111000']);
  });
  it('that come again open one session only: while planned, while it runs, and for ten minutes after', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    assert.equal(bench.scheduler.notified('A', '1', false), false);
    bench.clock.advance(0);
    assert.equal(bench.scheduler.notified('A', '1', false), false);
    await bench.last.end();
    assert.equal(bench.scheduler.notified('A', '1', false), false);
    bench.clock.advance(10 * 60_000);
    await bench.last.end();
    assert.equal(bench.scheduler.notified('A', '1', false), true);
  });
  it('for an unknown server are dropped', async () => {
    assert.equal((await quiet()).scheduler.notified('B', '1', false), false);
  });
  it('during a session wait for its end, in their order, and no more than four', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '0', false);
    bench.clock.advance(0);
    const taken = ['1', '2', '3', '4', '5'].map((sessionId) => bench.scheduler.notified('A', sessionId, false));
    assert.deepEqual(taken, [true, true, true, true, false]);
    for (let n = 0; n < 5; n += 1) {
      await bench.last.end();
      bench.clock.advance(0);
    }
    assert.deepEqual(
      bench.story.slice(0, 5),
      ['0', '1', '2', '3', '4'].map((sessionId) => `${sessionId} at 6000`),
    );
  });
  it('that were dropped because too many waited are taken when they come again', async () => {
    const bench = await quiet();
    for (const sessionId of ['0', '1', '2', '3', '4', '5']) bench.scheduler.notified('A', sessionId, false);
    bench.clock.advance(0);
    await bench.last.end();
    assert.equal(bench.scheduler.notified('A', '5', false), true);
  });
  it('whose session fails are tried again with the SessionID, three times, then without it', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    bench.clock.advance(0);
    for (let n = 0; n < 4; n += 1) {
      await bench.last.end({ end: 'failed' });
      bench.clock.advance(60_000);
    }
    assert.deepEqual(triggersOf(bench), ['1', '1', '1', '1', 'retry']);
  });
  it('that wait while the session of another fails go first; the other is tried again, as often as any', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    bench.clock.advance(0);
    bench.scheduler.notified('A', '2', false);
    const waits: number[] = [];
    for (let n = 0; n < 8; n += 1) {
      // Chance at its most: the upper bound of each delay.
      bench.chance.push(1);
      await bench.last.end({ end: 'failed' });
      waits.push(bench.clock.nextInMs() ?? 0);
      bench.clock.advance(waits.at(-1) ?? 0);
    }
    assert.deepEqual(waits, [0, 8000, 16_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
    assert.deepEqual(triggersOf(bench), ['1', '2', '1', '2', '1', '2', '1', '2', 'retry']);
  });
  it('that wait while the server asks for a pause wait too', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    bench.clock.advance(0);
    bench.scheduler.notified('A', '2', false);
    await bench.last.end({ end: 'failed', retryAfterMs: 3_600_000 });
    assert.ok((bench.clock.nextInMs() ?? 0) >= 3_600_000);
    bench.clock.advance(bench.clock.nextInMs() ?? 0);
    await bench.last.end();
    bench.clock.advance(0);
    assert.deepEqual(triggersOf(bench), ['1', '2', '1']);
  });
  it('that come while another waits for its next try go first; the other is not forgotten', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    bench.clock.advance(0);
    await bench.last.end({ end: 'failed' });
    assert.equal(bench.scheduler.notified('A', '2', false), true);
    bench.clock.advance(0);
    await bench.last.end();
    bench.clock.advance(0);
    assert.deepEqual(bench.story, ['1 at 6000', '2 at 6000', '1 at 6000']);
  });
});

describe('after a failure', () => {
  it('the next try comes after a delay that doubles up to its bound, and a success begins anew', async () => {
    const bench = await quiet();
    bench.scheduler.sessionNow('A');
    bench.clock.advance(0);
    const waits: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      // Chance at its most: the upper bound of each delay.
      bench.chance.push(1);
      await bench.last.end({ end: 'failed' });
      waits.push(bench.clock.nextInMs() ?? 0);
      bench.clock.advance(waits.at(-1) ?? 0);
    }
    assert.deepEqual(waits, [4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    assert.equal(bench.scheduler.report()[0]?.failuresInARow, 6);
    await bench.last.end();
    assert.equal(bench.scheduler.report()[0]?.failuresInARow, 0);
  });
  it('an alert that waits does not cut the delay short', async () => {
    const bench = await quiet();
    bench.scheduler.sessionNow('A');
    bench.clock.advance(0);
    bench.chance.push(1);
    await bench.last.end({ end: 'failed' });
    bench.scheduler.alertWaits('A');
    bench.clock.advance(3999);
    assert.equal(bench.held.length, 1);
    bench.clock.advance(1);
    assert.equal(bench.held.length, 2);
  });
});

describe('alerts', () => {
  it('open a session after a small random delay, which several share', async () => {
    const bench = await quiet();
    bench.chance.push(0.5, 0.9);
    bench.scheduler.alertWaits('A');
    bench.clock.advance(900);
    bench.scheduler.alertWaits('A');
    bench.clock.advance(100);
    assert.deepEqual(bench.story, ['alert at 7000']);
    await bench.last.end();
    bench.clock.advance(10_000);
    assert.equal(bench.held.length, 1);
  });
  it('that come while a session ends make another soon after it', async () => {
    const bench = await quiet();
    bench.scheduler.sessionNow('A');
    bench.clock.advance(0);
    bench.scheduler.alertWaits('A');
    await bench.last.end();
    bench.clock.advance(2000);
    assert.deepEqual(bench.story.slice(1).length, 1);
    assert.equal(bench.last.trigger.kind, 'alert');
  });
  it('that were not offered in a session make another soon after it', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    bench.clock.advance(0);
    bench.scheduler.alertWaits('A');
    await bench.last.end({ alertsUnsent: true });
    bench.clock.advance(2000);
    assert.deepEqual(bench.story, ['1 at 6000', 'alert at 7000']);
  });
  it('do not displace what comes earlier anyway, nor a notification', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    bench.scheduler.alertWaits('A');
    bench.clock.advance(0);
    assert.deepEqual(bench.story, ['1 at 6000']);
  });
  it('for an unknown server move nothing', async () => {
    const bench = await quiet();
    bench.scheduler.alertWaits('B');
    bench.clock.advance(50_000);
    assert.deepEqual(bench.story, []);
  });
});

describe('sessions that check a certificate', () => {
  const bench = (log = silentLog): Bench => {
    const waiting = new Bench({ log, needsClock: (serverId) => serverId === 'A' });
    waiting.clock.isPlausible = false;
    waiting.chance.push(0, 0);
    waiting.start('A', 'B');
    waiting.clock.advance(1000);
    return waiting;
  };
  it('wait until the clock is set, and say so; others do not', () => {
    const waits: unknown[] = [];
    const info = (text: string, fields?: LogFields): void => {
      if (text === 'session waits') waits.push(fields);
    };
    const { scheduler, held, clock } = bench({ ...silentLog, info });
    assert.deepEqual(
      held.map(({ serverId }) => serverId),
      ['B'],
    );
    assert.equal(scheduler.report()[0]?.waitsFor, 'clock');
    clock.advance(10 * 60_000);
    assert.equal(held.length, 1);
    assert.deepEqual(waits, [{ server_id: 'A', trigger: 'start', for: 'clock' }], 'once, however long it takes');
    clock.isPlausible = true;
    clock.advance(5000);
    assert.equal(held.at(-1)?.serverId, 'A');
    assert.equal(scheduler.report()[0]?.waitsFor, undefined);
  });
  it('go with the SessionID of a notification that came meanwhile', () => {
    const { scheduler, held, clock, last } = bench();
    assert.ok(last.serverId === 'B' && scheduler.notified('A', 'BEEF', false));
    clock.advance(60_000);
    assert.equal(held.length, 1);
    clock.isPlausible = true;
    clock.advance(5000);
    assert.deepEqual(held.at(-1)?.trigger, { kind: 'notification', sessionId: 'BEEF', defaultNonce: false });
  });
  it('do not begin once the gateway has stopped', async () => {
    const { scheduler, held, clock, last } = bench();
    const stopping = scheduler.stop();
    await last.end();
    await stopping;
    clock.isPlausible = true;
    clock.advance(60_000);
    assert.equal(held.length, 1);
  });
});

describe('report', () => {
  it('tells what runs, what comes next and how the last one ended', async () => {
    const bench = new Bench();
    bench.start('A');
    const [planned] = bench.scheduler.report();
    assert.deepEqual(planned, {
      serverId: 'A',
      running: false,
      waitsFor: undefined,
      nextInMs: 6000,
      failuresInARow: 0,
      sessions: 0,
      lastEnd: undefined,
      lastFailure: undefined,
      lastEndAtMs: undefined,
    });
    bench.clock.advance(6000);
    assert.equal(bench.scheduler.report()[0]?.running, true);
    await bench.last.end({ end: 'failed', failure: 'broken' });
    const [failed] = bench.scheduler.report();
    assert.equal(failed?.lastEnd, 'failed');
    assert.equal(failed.lastFailure, 'broken');
    assert.equal(failed.lastEndAtMs, bench.clock.wallMs());
    assert.equal(failed.failuresInARow, 1);
    assert.equal(failed.sessions, 1);
  });
});

describe('a server that speaks, but refuses', () => {
  /** The delays before the sessions that follow failures with this code. */
  async function delaysAfter(failure: string, chance: number): Promise<number[]> {
    const bench = new Bench({ random: () => chance });
    bench.start('A');
    const delays: number[] = [];
    for (let tries = 0; tries < 7; tries += 1) {
      bench.clock.advance(10 ** 6);
      const endedAt = bench.nowMs;
      await bench.last.end({ end: 'failed', failure });
      delays.push(bench.scheduler.report()[0]?.nextInMs ?? 0);
      assert.equal(bench.nowMs, endedAt);
    }
    return delays;
  }

  for (const code of ['authentication-failed', 'server-not-authenticated', 'refused-by-server', 'http-status']) {
    it(`${code}: it is called less and less often, whatever chance says, up to the bound`, async () => {
      assert.deepEqual(await delaysAfter(code, 0), [2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
      assert.deepEqual(await delaysAfter(code, 1), [4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    });
  }
  it('unlike one that cannot be reached: it may be back at any time', async () => {
    assert.deepEqual(await delaysAfter('unreachable', 0), [0, 0, 0, 0, 0, 0, 0]);
  });
  it('is not called before the pause that it asks for is over', async () => {
    const bench = new Bench();
    bench.start('A');
    bench.clock.advance(6000);
    await bench.last.end({ end: 'failed', failure: 'http-status', retryAfterMs: 500_000 });
    assert.equal(bench.scheduler.report()[0]?.nextInMs, 505_000);
    bench.scheduler.alertWaits('A');
    assert.equal(bench.scheduler.report()[0]?.nextInMs, 505_000);
  });
});

describe('stop', () => {
  it('aborts the session that runs, waits for its end, and opens no other', async () => {
    const bench = await quiet();
    bench.scheduler.notified('A', '1', false);
    bench.clock.advance(0);
    bench.scheduler.notified('A', '2', false);
    let stopped = false;
    const stopping = bench.scheduler.stop().then(() => (stopped = true));
    assert.ok(bench.last.signal.aborted);
    await settle();
    assert.equal(stopped, false);
    await bench.last.end({ end: 'failed' });
    await stopping;
    bench.scheduler.notified('A', '3', false);
    bench.scheduler.alertWaits('A');
    bench.scheduler.sessionNow('A');
    bench.clock.advance(10 ** 9);
    assert.equal(bench.held.length, 1);
    await bench.scheduler.stop();
  });
  it('before the first session: nothing begins', async () => {
    const bench = new Bench();
    bench.start('A');
    await bench.scheduler.stop();
    bench.clock.advance(10 ** 9);
    assert.deepEqual(bench.story, []);
  });
});

describe('another interval', () => {
  it('moves the session that the clock would bring, counted from the end of the last one', async () => {
    const bench = await quiet(100_000);
    bench.clock.advance(20_000);
    bench.scheduler.setInterval('A', 50_000);
    assert.equal(bench.scheduler.report()[0]?.nextInMs, 30_000 + 5000);
    bench.scheduler.setInterval('A', 10_000);
    assert.equal(bench.scheduler.report()[0]?.nextInMs, 5000);
  });
  it('of 0 leaves none, and a later one brings it back', async () => {
    const bench = await quiet(100_000);
    bench.scheduler.setInterval('A', 0);
    bench.clock.advance(1_000_000);
    await settle();
    assert.deepEqual([bench.held.length, bench.scheduler.report()[0]?.nextInMs], [0, undefined]);
    bench.scheduler.setInterval('A', 2_000_000);
    assert.equal(bench.scheduler.report()[0]?.nextInMs, 1_000_000 + 5000);
  });
  it('set while a session runs counts from its end; what is planned for another reason stays', async () => {
    const bench = await quiet(100_000);
    bench.scheduler.alertWaits('A');
    const { nextInMs } = bench.scheduler.report()[0] ?? {};
    bench.scheduler.setInterval('A', 50_000);
    assert.equal(bench.scheduler.report()[0]?.nextInMs, nextInMs);
    bench.clock.advance(nextInMs ?? 0);
    await settle();
    bench.scheduler.setInterval('A', 70_000);
    await bench.last.end();
    assert.equal(bench.scheduler.report()[0]?.nextInMs, 70_000 + 5000);
  });
});
