import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { LATER, type FoundService } from '../discovery/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';
import {
  AddressBook,
  Departed,
  DeviceInventory,
  LeaseWatch,
  type DiscoveredDevices,
  type Recognition,
} from './index.js';
import { parseLeases } from './leases.js';
import { openDevices, recogniser } from './recognition.fixture.js';

const parsed = Prefixes.parse(['192.168.0.0/16', 'fd00::/8']);
assert.ok(parsed.ok);
const lan = parsed.value;
const DAY_MS = 86_400_000;

describe('recognition of End Devices', () => {
  let folder: string;
  let store: Store;
  let clock: ManualClock;
  let inventory: DeviceInventory;
  let discovered: DiscoveredDevices;
  let recognition: Recognition;
  let verified: string[];
  let appeared: string[];
  let sessions: string[];
  let discarded: string[];
  const faults: unknown[] = [];

  /** Begins recognition, of so many devices at most. */
  const recognise = (maxDiscovered: number): void => {
    const verify = (deviceIds: ReadonlySet<string>): void => void verified.push(...deviceIds);
    const onFault = (thrown: unknown): void => void faults.push(thrown);
    ({ discovered, recognition } = recogniser({ store, clock, lan, inventory, maxDiscovered, verify, onFault }));
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-recognition-'));
    store = openDevices(folder);
    clock = new ManualClock();
    discarded = [];
    inventory = new DeviceInventory({
      store,
      clock,
      log: silentLog,
      lan,
      // Called while it is there: what the tree keeps of a node is found by the node.
      onRemove: (node) => discarded.push(inventory.byNode(node)?.deviceId ?? 'too late'),
    });
    verified = [];
    appeared = [];
    sessions = [];
    recognise(20);
    recognition.onAppeared((deviceId) => appeared.push(deviceId));
    recognition.onSession((deviceId, sessionId) => sessions.push(`${deviceId} ${sessionId}`));
  });
  afterEach(async () => {
    const counted = store.sql('SELECT source, n FROM device_count WHERE n <> 0 ORDER BY source').all();
    assert.deepEqual(counted, store.sql('SELECT source, count(*) AS n FROM device GROUP BY source').all());
    assert.deepEqual(faults, []);
    await store.close();
    rmSync(folder, { recursive: true });
  });

  const service = (devid: string, address: string | string[], more: Partial<FoundService> = {}): FoundService => ({
    instance: `i-${devid}`,
    link: 'br-lan',
    port: 2948,
    addresses: [address].flat(),
    knownAs: undefined,
    ...more,
    txt: { devid, ...more.txt },
  });
  const find = (...of: Parameters<typeof service>): ReturnType<Recognition['found']> => {
    const identity = recognition.found(service(...of));
    clock.advance(500);
    return identity;
  };
  const addressOf = (deviceId: string): string | null | undefined => inventory.byDeviceId(deviceId)?.address;

  it('adds a device with what it says of itself', () => {
    assert.equal(
      find('X:1', '192.168.1.7', { txt: { enc: 'raw', groups: 'hall/lamps', mode: 'proxy', sid: '4A' } }),
      'X:1',
    );
    const device = inventory.byDeviceId('X:1');
    assert.deepEqual(
      [
        device?.source,
        device?.address,
        device?.encapsulation,
        device?.groups,
        device?.mode,
        device?.name,
        device?.reachable,
      ],
      ['mdns', 'udp://192.168.1.7:2948', 'raw', 'hall/lamps', 'proxy', 'i-X:1', true],
    );
    assert.deepEqual([appeared, sessions], [['X:1'], ['X:1 4A']]);
    assert.equal(new AddressBook(store).resolve(['X:1']).get('X:1')?.showsSession, true);
  });

  const refused: readonly [string, string, string | string[]][] = [
    ['no devid', '', '192.168.1.7'],
    ['a devid that is no URI', 'seven', '192.168.1.7'],
    ['a devid with a space', 'X:a b', '192.168.1.7'],
    ['a devid that is too long', `X:${'y'.repeat(300)}`, '192.168.1.7'],
    ['an address outside the LAN', 'X:1', '10.0.0.7'],
    ['a group address and a broadcast address', 'X:1', ['224.0.0.1', '192.168.1.255']],
    ['no address', 'X:1', []],
  ];
  for (const [what, devid, address] of refused) {
    it(`does not take a service with ${what}`, () => {
      assert.equal(find(devid, address), undefined);
      assert.equal(inventory.count(), 0);
    });
  }

  it('takes a device without what it says wrongly', () => {
    find('X:1', '192.168.1.7', { txt: { enc: 'pigeon', groups: '//', mode: 'sulky', sid: 'a b' } });
    const device = inventory.byDeviceId('X:1');
    assert.deepEqual([device?.encapsulation, device?.groups, device?.mode, sessions], [null, null, null, []]);
    find('X:1', '192.168.1.7', { knownAs: 'X:1', txt: { enc: 'raw', groups: 'hall', mode: 'proxy' } });
    find('X:1', '192.168.1.7', { knownAs: 'X:1', txt: { enc: 'pigeon', groups: 'a\nb', mode: 'sulky' } });
    const after = inventory.byDeviceId('X:1');
    assert.deepEqual([after?.encapsulation, after?.groups, after?.mode], ['raw', 'hall', 'proxy']);
    find('X:1', '192.168.1.7', { knownAs: 'X:1', txt: {} });
    const bare = inventory.byDeviceId('X:1');
    assert.deepEqual([bare?.encapsulation, bare?.groups, bare?.mode], [null, null, null]);
  });

  it('prefers the address that the device had, then IPv4', () => {
    find('X:1', ['fd00::7', '192.168.1.7']);
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
    find('X:1', ['192.168.1.6', '192.168.1.7'], { knownAs: 'X:1' });
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
  });

  it('does not let another address have the DeviceID while the device is heard of at its own', () => {
    find('X:1', '192.168.1.7');
    find('X:1', '192.168.66.6', { instance: 'thief' });
    assert.deepEqual(verified, ['X:1']);
    clock.advance(30_000);
    assert.equal(verified.length, 4);
    recognition.heard('X:1', 'i-X:1', false);
    clock.advance(60_000);
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
  });

  it('does not let the same instance have another address while the device contradicts', () => {
    find('X:1', '192.168.1.7');
    find('X:1', '192.168.66.6', { knownAs: 'X:1' });
    find('X:1', '192.168.1.7', { knownAs: 'X:1' });
    clock.advance(120_000);
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
  });

  it('follows a device that has kept silent at its old address for the time of grace', () => {
    find('X:1', '192.168.1.7');
    find('X:1', '192.168.1.8', { knownAs: 'X:1' });
    clock.advance(30_000);
    find('X:1', '192.168.1.8', { knownAs: 'X:1', txt: { sid: '4A' } });
    clock.advance(28_000);
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
    clock.advance(2_000);
    assert.equal(addressOf('X:1'), 'udp://192.168.1.8:2948');
    assert.deepEqual(sessions, ['X:1 4A']);
    assert.deepEqual(
      discovered.history(inventory.byDeviceId('X:1')?.id ?? 0).map(({ address }) => address),
      ['udp://192.168.1.8:2948', 'udp://192.168.1.7:2948'],
    );
  });

  it('makes no exception for a device that had gone, nor for an address that it had before', () => {
    find('X:1', '192.168.1.7');
    recognition.gone('X:1', 'i-X:1');
    assert.equal(inventory.byDeviceId('X:1')?.reachable, false);
    find('X:1', '192.168.1.8');
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
    clock.advance(61_000);
    assert.equal(addressOf('X:1'), 'udp://192.168.1.8:2948');
    find('X:1', '192.168.1.7', { instance: 'thief' });
    assert.equal(addressOf('X:1'), 'udp://192.168.1.8:2948');
  });

  it('hears a device that contradicts, although a thief speaks last', () => {
    find('X:1', '192.168.1.7');
    for (let i = 0; i < 300; i += 1) {
      recognition.found(service('X:1', '192.168.1.7', { knownAs: 'X:1' }));
      recognition.found(service('X:1', '192.168.66.6', { knownAs: 'X:1' }));
      clock.advance(500);
    }
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
  });

  it('has a device wait where it was whose address is in doubt with 1,024 others', () => {
    const addressIn = (lan: number, n: number): string => `192.168.${lan + Math.floor(n / 250)}.${1 + (n % 250)}`;
    const many = 1_025;
    const one = (n: number, at: number): ReturnType<Recognition['found']> =>
      recognition.found(service(`X:${n}`, addressIn(at, n), { knownAs: at === 10 ? undefined : `X:${n}` }));
    recognise(many);
    for (let n = 0; n < many; n += 1) {
      assert.equal(one(n, 10), `X:${n}`);
      if (n % 500 === 0) clock.advance(500);
    }
    clock.advance(500);
    assert.equal(recognition.presentCount, many);
    for (let n = 0; n < many; n += 1) assert.equal(one(n, 20), n < many - 1 ? `X:${n}` : LATER);
    clock.advance(500);
    assert.equal(new Set(verified).size, many - 1);
    assert.equal(one(many - 1, 20), LATER);
    assert.equal(recognition.presentCount, many);
    assert.equal(inventory.byDeviceId(`X:${many - 1}`)?.reachable, true);
    clock.advance(61_000);
    assert.equal(one(many - 1, 20), `X:${many - 1}`);
    clock.advance(61_000);
    for (const n of [0, many - 1]) assert.equal(addressOf(`X:${n}`), `udp://${addressIn(20, n)}:2948`);
  });

  it('has no more than 1,024 wait to be written; more are offered again', () => {
    recognise(5_000);
    const found = Array.from({ length: 1_100 }, (_, i) =>
      recognition.found(service(`X:${i}`, `192.168.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`)),
    );
    assert.equal(found.indexOf(LATER), 1_024);
    clock.advance(500);
    assert.equal(find('X:1099', '192.168.5.100'), 'X:1099');
    assert.equal(inventory.count(), 1_025);
  });

  it('remembers the last eight addresses of a device', () => {
    find('X:1', '192.168.1.1');
    const { id = 0 } = inventory.byDeviceId('X:1') ?? {};
    for (let n = 2; n <= 12; n += 1) {
      clock.advance(1_000);
      const device = inventory.byId(id);
      assert.ok(device);
      discovered.move(device, `udp://192.168.1.${n}:2948`);
    }
    assert.deepEqual(
      discovered.history(id).map(({ address }) => address),
      [12, 11, 10, 9, 8, 7, 6, 5].map((n) => `udp://192.168.1.${n}:2948`),
    );
  });

  it('keeps the address and the record of a device that is gone', () => {
    find('X:1', '192.168.1.7');
    recognition.gone('X:1', 'i-X:1');
    clock.advance(3_600_000);
    assert.equal(addressOf('X:1'), 'udp://192.168.1.7:2948');
    assert.ok(new AddressBook(store).resolve(['X:1']).get('X:1'));
  });

  it('is gone with the last of its instances only', () => {
    find('X:1', '192.168.1.7');
    find('X:1', '192.168.1.7', { instance: 'second' });
    recognition.gone('X:1', 'second');
    assert.equal(inventory.byDeviceId('X:1')?.reachable, true);
    recognition.gone('X:1', 'i-X:1');
    assert.equal(inventory.byDeviceId('X:1')?.reachable, false);
  });

  it('does not touch what a server gave, and helps out where it gave no address', () => {
    for (const [node, deviceId] of [
      ['a', 'X:1'],
      ['b', 'X:2'],
    ] as const) {
      const created = inventory.create(node, 'server1');
      assert.ok(created.ok && inventory.setLeaf(created.value.id, 'deviceId', deviceId).ok);
    }
    assert.ok(inventory.setLeaf(inventory.byNode('a')?.id ?? 0, 'address', 'udp://192.168.9.9').ok);
    find('X:1', '192.168.1.1', { txt: { groups: 'stolen' } });
    find('X:2', '192.168.1.2');
    const found = new AddressBook(store).resolve(['X:1', 'X:2']);
    assert.deepEqual([found.get('X:1')?.host, found.get('X:2')?.host], ['192.168.9.9', '192.168.1.2']);
    assert.deepEqual([inventory.byNode('a')?.groups, inventory.byNode('b')?.address], [null, null]);
  });

  it('bounds devices at one address, and in all; what was seen for a moment only gives way', () => {
    for (let i = 0; i < 10; i += 1) find(`X:one-${i}`, '192.168.1.1');
    assert.equal(inventory.count(), 4);
    for (let i = 0; i < 30; i += 1) find(`X:many-${i}`, `192.168.2.${i}`);
    assert.equal(inventory.count(), 20);
    assert.equal(find('X:late', '192.168.3.1'), undefined);
    recognition.gone('X:many-3', 'i-X:many-3');
    inventory.flush();
    assert.equal(find('X:late', '192.168.3.1'), 'X:late');
    assert.equal(inventory.byDeviceId('X:many-3'), undefined);
    assert.deepEqual(discarded, ['X:many-3']);
    assert.equal(inventory.count(), 20);
  });

  const openDeparted = (): Departed =>
    new Departed({
      store,
      clock,
      log: silentLog,
      inventory,
      forgetAfterDays: 30,
      onFault: (thrown) => faults.push(thrown),
    });

  it('forgets what has departed: soon what was seen for a moment, by age what was there for longer, never a given one', () => {
    assert.ok(inventory.syncConfigured([{ deviceId: 'X:given' }]).ok);
    for (const name of ['moment', 'real', 'there']) find(`X:${name}`, `192.168.1.${name.length}`);
    inventory.flush();
    clock.advance(120_000);
    recognition.heard('X:real', 'i-X:real', false);
    inventory.flush();
    for (const name of ['moment', 'real']) recognition.gone(`X:${name}`, `i-X:${name}`);
    const departed = openDeparted();
    clock.jumpWall(2 * DAY_MS);
    assert.equal(departed.remove(), 1);
    assert.equal(inventory.byDeviceId('X:moment'), undefined);
    clock.jumpWall(29 * DAY_MS);
    clock.isPlausible = false;
    assert.equal(departed.remove(), 0);
    clock.isPlausible = true;
    assert.equal(departed.remove(), 1);
    clock.jumpWall(1000 * DAY_MS);
    assert.equal(departed.remove(), 0);
    assert.deepEqual(discarded, ['X:moment', 'X:real']);
    assert.deepEqual(
      inventory
        .nodes(undefined, 9)
        .map(({ deviceId }) => deviceId)
        .sort(),
      ['X:given', 'X:there'],
    );
  });

  it('looks for what has departed a minute after the start, then each hour, 256 records in a transaction', () => {
    for (let i = 0; i < 600; i += 1) assert.ok(inventory.addDiscovered(`X:old-${i}`).ok);
    const departed = openDeparted();
    const age = (): void => {
      store.sql('UPDATE device SET last_seen_ms = ?').run(Math.trunc(clock.wallMs()) - 3 * DAY_MS);
    };
    age();
    departed.start();
    clock.advance(59_999);
    assert.equal(inventory.count(), 600);
    clock.advance(1);
    assert.deepEqual([inventory.count(), discarded.length], [0, 600]);
    assert.ok(inventory.addDiscovered('X:late').ok);
    age();
    clock.advance(3_600_000 - 1);
    assert.equal(inventory.count(), 1);
    clock.advance(1);
    assert.equal(inventory.count(), 0);
    departed.stop();
  });

  it('follows a MAC address to its new lease, whoever gave the address before', async () => {
    const file = join(folder, 'dhcp.leases');
    const watch = new LeaseWatch({
      file,
      store,
      clock,
      log: silentLog,
      lan,
      inventory,
      discovered,
      onFault: (t) => faults.push(t),
    });
    assert.ok(
      inventory.syncConfigured([
        { deviceId: 'MAC:02000000AA01', address: 'udp://192.168.1.1:77' },
        { deviceId: 'X:learned', address: 'http://192.168.1.2:81/n' },
      ]).ok,
    );
    const write = (...leases: string[]): void => {
      writeFileSync(file, `${leases.join('\n')}\nduid 00:01\n99 1 fd00::1 x y\n`);
    };
    const until = async (fits: () => boolean): Promise<void> => {
      for (let left = 500; left > 0 && !fits(); left -= 1) await new Promise((resolve) => setTimeout(resolve, 10));
    };
    const learned = (): number | undefined =>
      store.sql<{ n: number }>('SELECT count(*) AS n FROM device WHERE mac IS NOT NULL').get()?.n;
    write('99 02:00:00:00:aa:01 192.168.1.1 a *', '99 02:00:00:00:aa:02 192.168.1.2 b *');
    watch.start();
    await until(() => learned() === 2);
    assert.equal(addressOf('MAC:02000000AA01'), 'udp://192.168.1.1:77');
    find('MAC:02000000AA03', '192.168.1.3');
    find('MAC:02000000AA04', '192.168.1.4');
    // Not to an address outside the LAN, and not as far as a file without end goes.
    write(
      '99 02:00:00:00:aa:03 10.9.9.9 c *',
      '99 02:00:00:00:aa:01 192.168.55.1 a *',
      '99 02:00:00:00:aa:02 192.168.55.2 b *',
      'x'.repeat(2 * 1024 * 1024),
      '99 02:00:00:00:aa:04 192.168.55.4 d *',
    );
    await until(() => {
      clock.advance(1_000);
      return addressOf('X:learned')?.includes('192.168.55.2') === true;
    });
    await watch.close();
    assert.equal(addressOf('MAC:02000000AA01'), 'udp://192.168.55.1:77');
    assert.equal(addressOf('X:learned'), 'http://192.168.55.2:81/n');
    assert.equal(addressOf('MAC:02000000AA03'), 'udp://192.168.1.3:2948');
    assert.equal(inventory.byDeviceId('MAC:02000000AA03')?.foundAddress, 'udp://192.168.1.3:2948');
    assert.equal(addressOf('MAC:02000000AA04'), 'udp://192.168.1.4:2948');
  });

  it('reads leases, and leaves out what is none', () => {
    assert.deepEqual(
      parseLeases('0 06-02:00:00:00:aa:01 192.168.1.1 a *\nnonsense\n\n5 zz 1.2.3.4\n5 02:00:00:00:aa:02 fd00::1 x'),
      [{ mac: '02000000AA01', address: '192.168.1.1' }],
    );
  });
});
