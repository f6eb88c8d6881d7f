import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock, systemClock, type Clock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { DeviceInventory, deviceSchema, discoveredSchema, countSchema, type DeviceLeaf } from './index.js';

const parsed = Prefixes.parse(['192.168.1.0/24', 'fd00::/8', 'fe80::/10']);
assert.ok(parsed.ok);
const lan = parsed.value;

describe('device inventory', () => {
  let folder: string;
  let store: Store;
  let inventory: DeviceInventory;

  const open = (clock: Clock = systemClock(0), maxDevices?: number): void => {
    store = openTestStore({
      file: join(folder, 'dmgw.db'),
      schema: [...deviceSchema, ...discoveredSchema, ...countSchema],
      log: silentLog,
    });
    inventory = new DeviceInventory({ store, clock, log: silentLog, lan, ...(maxDevices && { maxDevices }) });
  };
  const add = (node: string, deviceId: string): number => {
    const created = inventory.create(node, 'server1');
    assert.ok(created.ok);
    assert.ok(inventory.setLeaf(created.value.id, 'deviceId', deviceId).ok);
    return created.value.id;
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-device-'));
    open();
  });
  afterEach(async () => {
    const counted = store.sql('SELECT source, n FROM device_count WHERE n <> 0 ORDER BY source').all();
    assert.deepEqual(counted, store.sql('SELECT source, count(*) AS n FROM device GROUP BY source').all());
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('keeps what was set across a restart, and leaves that were not added are null', async () => {
    const id = add('a', 'IMEI:1');
    assert.ok(inventory.setLeaf(id, 'address', 'udp://192.168.1.57').ok);
    await store.close();
    open();
    assert.deepEqual(inventory.byNode('a'), {
      id,
      node: 'a',
      requester: 'server1',
      source: 'server',
      deviceId: 'IMEI:1',
      componentType: null,
      mode: null,
      address: 'udp://192.168.1.57',
      encapsulation: null,
      groups: null,
      name: null,
      lastSeenMs: null,
      reachable: false,
      foundAddress: null,
    });
    assert.ok(inventory.setLeaf(id, 'address', null).ok);
    assert.equal(inventory.byDeviceId('IMEI:1')?.address, null);
  });

  const values: readonly [DeviceLeaf, string, string][] = [
    ['address', 'udp://192.168.1.57', 'ok'],
    ['address', 'udp://192.168.1.57:9000', 'ok'],
    ['address', 'udp://[fd00::57]:2948', 'ok'],
    ['address', 'udp://[fe80::1%br-lan]:2948', 'ok'],
    ['address', 'http://192.168.1.57:8080/notify', 'ok'],
    ['address', 'https://[fd00::57]/notify', 'ok'],
    ['address', 'http://sensor.lan/notify', 'ok'],
    ['address', 'udp://192.168.2.57', 'outside-lan'],
    ['address', 'udp://[2001:db8::1]:2948', 'outside-lan'],
    ['address', 'http://8.8.8.8/', 'outside-lan'],
    ['address', 'http://3232235777/', 'ok'], // 192.168.1.1, as every HTTP client reads it
    ['address', 'http://[::ffff:8.8.8.8]/', 'outside-lan'],
    ['address', 'udp://sensor.lan', 'invalid-value'],
    ['address', 'udp://192.168.1.57:0', 'invalid-value'],
    ['address', 'udp://192.168.1.57:65536', 'invalid-value'],
    ['address', 'udp://fd00::57', 'invalid-value'],
    ['address', 'udp://[192.168.1.57]', 'invalid-value'],
    ['address', 'http://user:secret@192.168.1.57/', 'invalid-value'],
    ['address', 'ftp://192.168.1.57/', 'invalid-value'],
    ['address', '', 'invalid-value'],
    ['componentType', 'DMGateway', 'ok'],
    ['componentType', 'Toaster', 'invalid-value'],
    ['mode', 'adaptation', 'ok'],
    ['mode', 'Transparent', 'invalid-value'],
    ['encapsulation', 'raw', 'ok'],
    ['encapsulation', 'sms', 'invalid-value'],
    ['groups', 'hall/lamps', 'ok'],
    ['groups', 'hall//lamps', 'invalid-value'],
    ['groups', '', 'invalid-value'],
    ['name', 'Lamp 7', 'ok'],
    ['name', 'ü'.repeat(128), 'too-long'],
    ['deviceId', 'x'.repeat(256), 'too-long'],
    ['deviceId', '', 'invalid-value'],
    ['deviceId', 'a\nb', 'invalid-value'],
    ['deviceId', '*', 'invalid-value'],
    ['deviceId', 'group:hall', 'invalid-value'],
  ];
  for (const [leaf, value, expected] of values) {
    it(`${leaf} '${value.slice(0, 40)}' gives ${expected}`, () => {
      const id = add('a', 'IMEI:1');
      const before = inventory.byId(id);
      const set = inventory.setLeaf(id, leaf, value);
      assert.equal(set.ok ? 'ok' : set.error.code, expected);
      if (!set.ok) assert.deepEqual(inventory.byId(id), before);
    });
  }

  it('refuses a second record with the same DeviceID, and setting it again on its own record', () => {
    const id = add('a', 'IMEI:1');
    const other = inventory.create('b', 'server2');
    assert.ok(other.ok);
    const taken = inventory.setLeaf(other.value.id, 'deviceId', 'IMEI:1');
    assert.ok(!taken.ok && taken.error.code === 'device-id-taken');
    assert.ok(inventory.setLeaf(id, 'deviceId', 'IMEI:1').ok);
    const without = inventory.setLeaf(id, 'deviceId', null);
    assert.ok(!without.ok && without.error.code === 'required');
  });

  it('refuses a taken node name, an unknown id, and more records than fit', async () => {
    const id = add('a', 'IMEI:1');
    add('b', 'IMEI:2');
    const codes = [
      inventory.create('a', 's'),
      inventory.rename(id, 'b'),
      inventory.remove(99),
      inventory.rename(99, 'z'),
    ];
    assert.deepEqual(
      codes.map((result) => (result.ok ? 'ok' : result.error.code)),
      ['node-exists', 'node-exists', 'no-such-device', 'no-such-device'],
    );
    await store.close();
    open(systemClock(0), 2);
    const full = inventory.create('c', 's');
    assert.ok(!full.ok && full.error.code === 'too-many');
  });

  it('pages in the order of node names, and a rename keeps the identity', () => {
    const id = add('b', 'IMEI:2');
    for (const node of ['c', 'a', 'd']) add(node, `IMEI:${node}`);
    assert.deepEqual(
      inventory.nodes(undefined, 2).map(({ node }) => node),
      ['a', 'b'],
    );
    assert.ok(inventory.rename(id, 'zz').ok);
    assert.deepEqual(
      inventory.nodes('a', 10).map(({ node }) => node),
      ['c', 'd', 'zz'],
    );
    assert.equal(inventory.byNode('zz')?.id, id);
  });

  it('never gives an identity twice', () => {
    const id = add('a', 'IMEI:1');
    assert.ok(inventory.remove(id).ok);
    assert.notEqual(add('a', 'IMEI:1'), id);
  });

  it('joins an outer transaction: a rollback takes the record away', () => {
    assert.throws(() =>
      store.transaction(() => {
        add('a', 'IMEI:1');
        throw new Error('the message failed');
      }),
    );
    assert.equal(inventory.count(), 0);
  });

  describe('configuration', () => {
    const summary = (devices: Parameters<DeviceInventory['syncConfigured']>[0]): unknown => {
      const synced = inventory.syncConfigured(devices);
      return synced.ok ? synced.value : synced.error.code;
    };

    it('adds, updates only what changed, and removes its own records', () => {
      const first = { deviceId: 'IMEI:1', address: 'udp://192.168.1.1', groups: 'hall' };
      assert.deepEqual(summary([first, { deviceId: 'IMEI:2' }]), { added: 2, updated: 0, removed: 0, shadowed: [] });
      const id = inventory.byDeviceId('IMEI:1')?.id;
      assert.deepEqual(summary([{ deviceId: 'IMEI:1', address: 'udp://192.168.1.9' }]), {
        added: 0,
        updated: 1,
        removed: 1,
        shadowed: [],
      });
      const device = inventory.byDeviceId('IMEI:1');
      assert.deepEqual(
        [device?.id, device?.address, device?.groups, device?.source],
        [id, 'udp://192.168.1.9', null, 'config'],
      );
      assert.deepEqual(summary([{ deviceId: 'IMEI:1', address: 'udp://192.168.1.9' }]), {
        added: 0,
        updated: 0,
        removed: 0,
        shadowed: [],
      });
    });

    it('does not touch the record of a server with the same DeviceID, and takes over when that is gone', () => {
      const id = add('a', 'IMEI:1');
      const configured = [{ deviceId: 'IMEI:1', name: 'from the file' }];
      assert.deepEqual(summary(configured), { added: 0, updated: 0, removed: 0, shadowed: ['IMEI:1'] });
      assert.equal(inventory.byId(id)?.name, null);
      assert.deepEqual(summary([]), { added: 0, updated: 0, removed: 0, shadowed: [] });
      assert.ok(inventory.remove(id).ok);
      assert.deepEqual(summary(configured), { added: 1, updated: 0, removed: 0, shadowed: [] });
    });

    it('makes a discovered record the configured one', () => {
      const id = add('a', 'IMEI:1');
      store.sql("UPDATE device SET source = 'mdns'").run();
      assert.deepEqual(summary([{ deviceId: 'IMEI:1' }]), { added: 0, updated: 1, removed: 0, shadowed: [] });
      assert.deepEqual([inventory.byId(id)?.source, inventory.byId(id)?.node], ['config', 'a']);
    });

    it('changes nothing when one entry is wrong, and names it', () => {
      const synced = inventory.syncConfigured([
        { deviceId: 'IMEI:1' },
        { deviceId: 'IMEI:2', address: 'udp://8.8.8.8' },
      ]);
      assert.ok(!synced.ok);
      assert.equal(synced.error.code, 'outside-lan');
      assert.match(synced.error.text, /IMEI:2/);
      assert.equal(inventory.count(), 0);
      assert.equal(summary([{ deviceId: 'IMEI:1' }, { deviceId: 'IMEI:1' }]), 'device-id-taken');
    });

    it('names nodes readably, within 32 octets, apart from each other', () => {
      const ids = ['urn:uuid:0123456789-0123456789-a', 'urn:uuid:0123456789-0123456789-b', 'IMEI:1'];
      assert.ok(inventory.syncConfigured(ids.map((deviceId) => ({ deviceId }))).ok);
      const names = ids.map((deviceId) => inventory.byDeviceId(deviceId)?.node ?? '');
      assert.equal(new Set(names).size, 3);
      for (const name of names) assert.match(name, /^[\w-]{1,32}$/);
      assert.match(names[2]!, /^IMEI-1-/);
    });
  });

  describe('sightings', () => {
    it('are seen at once and written when flushed', () => {
      const id = add('a', 'IMEI:1');
      inventory.seen('IMEI:1', true);
      inventory.seen('IMEI:9', true);
      assert.equal(inventory.byId(id)?.reachable, true);
      const column = (): unknown => store.sql<{ last_seen_ms: number | null }>('SELECT last_seen_ms FROM device').get();
      assert.deepEqual({ ...(column() as object) }, { last_seen_ms: null });
      const lastSeenMs = inventory.byId(id)?.lastSeenMs;
      assert.ok(lastSeenMs);
      inventory.flush();
      assert.deepEqual({ ...(column() as object) }, { last_seen_ms: lastSeenMs });
      inventory.seen('IMEI:1', false);
      inventory.flush();
      assert.deepEqual([inventory.byId(id)?.reachable, inventory.byId(id)?.lastSeenMs], [false, lastSeenMs]);
    });

    it('are written together a minute after the first, or when there are 1,024, and only what is new', async () => {
      await store.close();
      const clock = new ManualClock();
      open(clock);
      for (let i = 0; i < 1_024; i += 1) add(`n${i}`, `X:${i}`);
      const written = (): number =>
        store.sql<{ n: number }>('SELECT count(*) AS n FROM device WHERE last_seen_ms IS NOT NULL').get()?.n ?? 0;
      for (let i = 0; i < 1_023; i += 1) inventory.seen(`X:${i}`, true);
      clock.advance(59_999);
      assert.equal(written(), 0);
      clock.advance(1);
      assert.equal(written(), 1_023);

      const lastSeen = (): unknown => store.sql("SELECT last_seen_ms FROM device WHERE device_id = 'X:0'").get();
      const before = lastSeen();
      inventory.seen('X:0', true);
      clock.advance(29_000);
      inventory.seen('X:0', true);
      inventory.flush();
      assert.notDeepEqual(lastSeen(), before);
      const after = lastSeen();
      clock.advance(900);
      inventory.seen('X:0', true);
      inventory.flush();
      assert.deepEqual(lastSeen(), after);

      clock.advance(60_000);
      for (let i = 0; i < 1_024; i += 1) inventory.seen(`X:${i}`, true);
      assert.equal(written(), 1_024);
    });

    it('have no time while the clock is not set', async () => {
      await store.close();
      open(systemClock(Date.now() + 1e9));
      const id = add('a', 'IMEI:1');
      inventory.seen('IMEI:1', true);
      assert.deepEqual([inventory.byId(id)?.reachable, inventory.byId(id)?.lastSeenMs], [true, null]);
    });
  });
});
