import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { Store } from '../store/index.js';
import { closeBench, openBench, type Bench } from './fanout.fixture.js';
import { type FanoutLeaf, type LeafValue } from './index.js';

describe('a fanout refuses', () => {
  let bench: Bench;

  beforeEach(() => {
    bench = openBench();
  });
  afterEach(() => closeBench(bench));

  const codeOf = (outcome: { ok: true } | { ok: false; error: { code: string } }): string =>
    outcome.ok ? 'ok' : outcome.error.code;

  it('a start without targets, without notification, without DeviceID, or twice', () => {
    const { fanouts } = bench;
    const empty = bench.make({ targets: '\n', notification: Buffer.from('x') });
    assert.equal(codeOf(fanouts.start(empty, 's')), 'no-targets');
    const mute = bench.make({ targets: 'd1' }, { d2: 'own' });
    assert.equal(codeOf(fanouts.start(mute, 's')), 'no-notification');
    assert.deepEqual(Object.keys(bench.statuses(mute)), ['d2']);
    const anonymous = bench.make({ notification: Buffer.from('x') });
    assert.ok(fanouts.addTarget(anonymous, 't').ok);
    assert.equal(codeOf(fanouts.start(anonymous, 's')), 'target-without-device');
    assert.equal(codeOf(fanouts.start(99, 's')), 'no-such-fanout');
    const fine = bench.make({}, { d1: 'x' });
    assert.equal(codeOf(fanouts.stop(fine, { requester: 's' })), 'not-running');
    bench.start(fine);
    assert.equal(codeOf(fanouts.start(fine, 's')), 'running');
  });

  it('changes while it runs, except Reacted', () => {
    const { fanouts } = bench;
    const id = bench.make({}, { d1: 'x' });
    bench.start(id);
    assert.deepEqual(
      [
        fanouts.setLeaf(id, 'rate', 5),
        fanouts.addTarget(id, 't2'),
        fanouts.setTargetLeaf(id, 'd1', 'notification', Buffer.from('y')),
        fanouts.removeTarget(id, 'd1'),
        fanouts.setTargetLeaf(id, 'd1', 'reacted', false),
        fanouts.setTargetLeaf(id, 'nobody', 'reacted', true),
        fanouts.rename(id, 'other'),
        fanouts.renameTarget(id, 'd1', 'other'),
      ].map(codeOf),
      ['running', 'running', 'running', 'running', 'ok', 'no-such-target', 'ok', 'ok'],
    );
  });

  it('names and devices that are there already', () => {
    const { fanouts } = bench;
    const id = bench.make({}, { d1: 'x', d2: 'y' });
    assert.equal(codeOf(fanouts.create('f0', 's')), 'node-exists');
    assert.equal(codeOf(fanouts.addTarget(id, 'd1')), 'node-exists');
    assert.equal(codeOf(fanouts.renameTarget(id, 'd1', 'd2')), 'node-exists');
    assert.equal(codeOf(fanouts.setTargetLeaf(id, 'd1', 'deviceId', 'd2')), 'device-id-taken');
  });

  const values: readonly [FanoutLeaf, LeafValue, string][] = [
    ['type', 'notification', 'ok'],
    ['type', 'command', 'invalid-value'],
    ['repeat', 0, 'invalid-value'],
    ['repeat', 16, 'ok'],
    ['repeat', 17, 'invalid-value'],
    ['repeat', '4', 'invalid-value'],
    ['interval', 0, 'invalid-value'],
    ['interval', 1.5, 'invalid-value'],
    ['lifetime', 86_400, 'ok'],
    ['rate', -1, 'ok'],
    ['rate', -2, 'invalid-value'],
    ['waveSize', 0, 'ok'],
    ['abortAfterFailures', -1, 'invalid-value'],
    ['imageRef', 'fw-1.2_3', 'ok'],
    ['imageRef', 'a/b', 'invalid-value'],
    ['targets', 'a\nb\r\n\n*', 'ok'],
    ['targets', 'a\tb', 'invalid-value'],
    ['targets', 'x'.repeat(512 * 1024 + 1), 'too-long'],
    ['notification', Buffer.alloc(0), 'invalid-value'],
    ['notification', Buffer.alloc(1400), 'ok'],
    ['notification', Buffer.alloc(1401), 'too-long'],
  ];
  for (const [leaf, value, expected] of values) {
    it(`${leaf} = ${String(value).slice(0, 20).replace(/\s/g, ' ')} (${typeof value}) gives ${expected}`, () => {
      const id = bench.make({});
      assert.equal(codeOf(bench.fanouts.setLeaf(id, leaf, value)), expected);
      assert.deepEqual(bench.fanouts.getLeaf(id, leaf), expected === 'ok' ? value : null);
    });
  }

  it('more than 20,000 targets, and does not count them all for each', () => {
    const { fanouts, store } = bench;
    const id = bench.make({});
    let counted = 0;
    const sql = store.sql.bind(store);
    const watched: Pick<Store, 'sql'> = store;
    watched.sql = (text) => {
      if (text.includes('count(*)')) counted += 1;
      return sql(text) as never;
    };
    const add = (names: readonly string[]): string[] => names.map((name) => codeOf(fanouts.addTarget(id, name)));
    const first = Array.from({ length: 100 }, (_, n) => `t${n}`);
    assert.deepEqual([...new Set(add(first))], ['ok']);
    assert.equal(counted, 1);
    store
      .sql(
        `WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 19998)
         INSERT INTO fanout_target (fanout_id, name) SELECT ${id}, 't' || i FROM n`,
      )
      .run();
    // Somebody else's, so that this one is counted anew.
    assert.equal(codeOf(fanouts.addTarget(bench.make({}), 't')), 'ok');
    assert.deepEqual(add(['t19999', 'one more']), ['ok', 'too-many']);
    assert.ok(fanouts.removeTarget(id, 't0').ok);
    assert.deepEqual(add(['one more', 'another']), ['ok', 'too-many']);
  });
});
