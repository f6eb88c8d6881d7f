import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { alertPart, Outbox, outboxChanges, outboxSchema, type GenericAlert, type WaitingAlert } from './outbox.js';

let folder: string;
let store: Store;
let outbox: Outbox;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outbox-'));
  open();
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function open(): void {
  store = openTestStore({ file: join(folder, 'db'), schema: [...outboxSchema, ...outboxChanges], log: silentLog });
  outbox = new Outbox(store);
}

function alert(data: string, serverId = 'A'): GenericAlert {
  return { serverId, source: './x', type: 'org.example.t', format: 'chr', mark: 'informational', data };
}

/** The alert that is handed out next. */
function next(serverId = 'A'): WaitingAlert {
  const [first] = outbox.waiting(serverId, 1);
  assert.ok(first);
  return first;
}

const waiting = (serverId = 'A', limit = 100): string[] => outbox.waiting(serverId, limit).map(({ data }) => data);

describe('Outbox', () => {
  it('hands out the oldest first, each server its own', () => {
    for (const data of ['1', '2', '3']) outbox.put(alert(data));
    outbox.put(alert('other', 'B'));
    assert.deepEqual(waiting('A', 2), ['1', '2']);
    assert.deepEqual(waiting('B'), ['other']);
    assert.deepEqual(waiting('C'), []);
    assert.equal(outbox.count('A'), 3);
  });
  it('keeps every part of an alert, and its id, over a restart', async () => {
    const whole: GenericAlert = { ...alert('1'), target: './y', mark: 'critical', correlator: 'c <7>' };
    outbox.put(whole);
    const [before] = outbox.waiting('A', 1);
    assert.ok(before);
    assert.deepEqual(before, { ...whole, id: before.id, code: 1226 });
    await store.close();
    open();
    assert.deepEqual(outbox.waiting('A', 1), [before]);
  });
  it('never uses the id of a delivered alert again', () => {
    outbox.put(alert('1'));
    const first = next();
    assert.ok(outbox.answered(first, 202));
    outbox.put(alert('2'));
    assert.notEqual(next().id, first.id);
  });
  it('has nothing more to say of a delivered alert', () => {
    outbox.put(alert('1'));
    outbox.answered(next(), 200);
    assert.deepEqual(waiting(), []);
    assert.equal(outbox.hasUnsent('A'), false);
  });
  it('tells of a renamed node under its new name', () => {
    outbox.put({ ...alert('1'), source: './a' });
    outbox.put({ ...alert('2'), source: './ab' });
    outbox.moved('./a', './c');
    assert.deepEqual(
      outbox.waiting('A', 9).map(({ source }) => source),
      ['./c', './ab'],
    );
  });
  it('puts refused alerts behind, does not call them unsent, and offers them until a 2xx', () => {
    outbox.put(alert('refused'));
    outbox.put(alert('new'));
    assert.equal(outbox.answered(next(), 500), false);
    assert.deepEqual(waiting(), ['new', 'refused']);
    assert.ok(outbox.hasUnsent('A'));
    outbox.answered(next(), 200);
    assert.equal(outbox.hasUnsent('A'), false);
    for (let refusals = 2; refusals < 30; refusals += 1) assert.equal(outbox.answered(next(), 500), false);
    assert.deepEqual(waiting(), ['refused']);
    outbox.answered(next(), 202);
    assert.deepEqual(waiting(), []);
  });
  it('keeps the newest thousand for a server that never answers, and all of the others', () => {
    outbox.put(alert('B', 'B'));
    store.transaction(() => {
      for (let n = 1; n <= 1005; n += 1) outbox.put(alert(String(n)));
    });
    assert.equal(outbox.count('A'), 1000);
    assert.deepEqual(waiting('A', 1), ['6']);
    assert.equal(outbox.count('B'), 1);
  });
  it('tells of an alert after the commit only, and never of one that was rolled back', () => {
    const told: string[] = [];
    outbox.onWaiting((serverId) => told.push(serverId));
    store.transaction(() => {
      outbox.put(alert('1'));
      assert.deepEqual(told, []);
    });
    assert.deepEqual(told, ['A']);
    store.tentative(() => {
      outbox.put(alert('2', 'B'));
      return { ok: false };
    });
    assert.deepEqual(told, ['A']);
    assert.equal(outbox.count('B'), 0);
  });
  it('forgets a server whose account is gone', () => {
    outbox.put(alert('1'));
    outbox.put(alert('2', 'B'));
    outbox.forget('A');
    assert.deepEqual([outbox.count('A'), outbox.count('B')], [0, 1]);
  });
});

describe('a client event', () => {
  it('waits over a restart like any alert, about no node', async () => {
    outbox.putEvent({ serverId: 'A', type: 'org.example.button', data: 'pressed' });
    await store.close();
    open();
    assert.deepEqual(alertPart(next()), {
      kind: 'Alert',
      data: '1224',
      items: [{ meta: { format: 'chr', type: 'org.example.button' }, data: 'pressed' }],
    });
  });
  for (const [status, ended] of [
    [200, true],
    [406, true],
    [500, false],
  ] as const) {
    it(`${status}: ${ended ? 'is not repeated' : 'is offered again'}`, () => {
      outbox.putEvent({ serverId: 'A', type: 't', data: '' });
      assert.equal(outbox.answered(next(), status), ended);
      assert.equal(outbox.count('A'), ended ? 0 : 1);
    });
  }
  it('that is refused by 406 is not like a generic alert, which is offered again', () => {
    outbox.put(alert('1'));
    assert.equal(outbox.answered(next(), 406), false);
    assert.equal(outbox.count('A'), 1);
  });
});

describe('an alert as a command', () => {
  it('names Correlator and Target only where there are any', () => {
    outbox.put(alert('1'));
    const plain = alertPart(next());
    assert.deepEqual(Object.keys(plain.items[0] ?? {}), ['source', 'meta', 'data']);
    assert.ok(!('correlator' in plain));
    const answered = alertPart({ ...next(), correlator: '', target: './y' });
    assert.equal(answered.correlator, '');
    assert.deepEqual(answered.items[0]?.target, { uri: './y' });
  });
});
