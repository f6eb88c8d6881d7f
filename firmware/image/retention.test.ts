import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { Catalog } from './catalog.js';
import { ImageRetention } from './retention.js';
import { imageSchema, momentSchema, retrievalSchema } from './schema.js';

const DAY_MS = 86_400_000;

let folder: string;
let store: Store;
let catalog: Catalog;
let clock: ManualClock;
const needed = new Set<string>();
const told: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dmgw-retention-'));
  clock = new ManualClock();
  store = openTestStore({
    file: join(folder, 'dmgw.db'),
    schema: [...imageSchema, ...retrievalSchema, ...momentSchema],
    log: silentLog,
  });
  catalog = new Catalog({ store, clock, log: silentLog });
  needed.clear();
  told.length = 0;
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

/** @param days 0: for ever */
function retention(count = 10, days = 30): ImageRetention {
  const ageMs = days === 0 ? undefined : days * DAY_MS;
  const pins = { needs: (imageId: string) => needed.has(imageId) };
  return new ImageRetention({ store, catalog, clock, pins, count, ageMs, onRemove: (node) => told.push(node) });
}

/** An image that has been cancelled. */
function cancelled(node: string): number {
  const created = catalog.create(node, 's');
  assert.ok(created.ok);
  const { id } = created.value;
  assert.ok(catalog.setLeaf(id, 'imageUri', 'http://origin/x', 's').ok);
  assert.ok(catalog.cancel(id).ok);
  return id;
}
const nodes = (): string[] => catalog.nodes(undefined, 100);

describe('the retention of images', () => {
  it('removes what has ended when it is older than the age, and says so before', () => {
    cancelled('a');
    clock.advance(20 * DAY_MS);
    cancelled('b');
    clock.advance(10 * DAY_MS);
    assert.equal(retention().sweep(), 0);
    clock.advance(1);
    assert.equal(retention().sweep(), 1);
    assert.deepEqual([nodes(), told], [['b'], ['a']]);
    clock.advance(20 * DAY_MS);
    assert.equal(retention().sweep(), 1);
    assert.deepEqual(nodes(), []);
  });

  it('removes the oldest where there are more than the count, in the order of their ends', () => {
    const first = cancelled('first');
    for (const node of ['b', 'c', 'd']) cancelled(node);
    // It ends once more: now it is the youngest.
    catalog.request(first, 's');
    catalog.cancel(first);
    assert.equal(retention(2).sweep(), 2);
    assert.deepEqual(nodes(), ['d', 'first']);
    assert.equal(retention(0).sweep(), 2);
  });

  it('never removes by age while the clock is not plausible, and counts from when it is', () => {
    clock.isPlausible = false;
    cancelled('a');
    clock.advance(100 * DAY_MS);
    assert.equal(retention().sweep(), 0);
    // The first sight of the right time: a jump of years.
    clock.jumpWall(1000 * DAY_MS);
    clock.isPlausible = true;
    assert.equal(retention().sweep(), 0);
    clock.advance(30 * DAY_MS);
    assert.equal(retention().sweep(), 0);
    // And a clock that is lost again removes nothing.
    clock.advance(1);
    clock.isPlausible = false;
    assert.equal(retention().sweep(), 0);
    clock.isPlausible = true;
    assert.equal(retention().sweep(), 1);
  });

  it('by count works without a clock', () => {
    clock.isPlausible = false;
    for (const node of ['a', 'b', 'c']) cancelled(node);
    assert.equal(retention(1).sweep(), 2);
    assert.deepEqual(nodes(), ['c']);
  });

  it('by age can be switched off', () => {
    cancelled('a');
    clock.advance(10_000 * DAY_MS);
    assert.equal(retention(10, 0).sweep(), 0);
  });

  it('spares what has not ended, what is available, and what is needed', () => {
    for (const state of ['idle', 'pending', 'available']) {
      const created = catalog.create(state, 's');
      assert.ok(created.ok);
      store.sql('UPDATE image SET state = ? WHERE id = ?').run(state, created.value.id);
    }
    needed.add('needed');
    cancelled('needed');
    clock.advance(100 * DAY_MS);
    assert.equal(retention(0).sweep(), 0);
    needed.clear();
    assert.equal(retention(0).sweep(), 1);
    assert.deepEqual(nodes(), ['available', 'idle', 'pending']);
  });

  it('gives one that waits for a new URL its age, however many others have ended', () => {
    const id = cancelled('waits');
    store.sql("UPDATE image SET state = 'needs-uri' WHERE id = ?").run(id);
    assert.equal(retention(0).sweep(), 0);
    clock.advance(31 * DAY_MS);
    assert.equal(retention(0).sweep(), 1);
  });
});
