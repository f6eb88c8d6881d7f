/** What finds End Devices as the gateway puts it together: by real mDNS on loopback, a lease file, and a database. */
import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { decode, type Answer } from 'dns-packet';
import { eventually } from '../clock/eventually.fixture.js';
import { systemClock, type Clock } from '../clock/index.js';
import { minimal } from '../config/example.fixture.js';
import { parseConfiguration } from '../config/index.js';
import { DeviceInventory } from '../device/index.js';
import { openDevices } from '../device/recognition.fixture.js';
import { Finder } from './finder.js';
import { BuiltinDiscovery } from '../discovery/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';

const DAY_MS = 86_400_000;
const lan = Prefixes.of(['127.46.0.0/16']);
const ID = `MAC:0200${process.pid.toString(16).padStart(8, '0')}`;

/** What is looked at now and then is looked at at once. */
const clock: Clock = {
  ...systemClock(0),
  after: (delayMs, task) => systemClock(0).after(delayMs >= 10_000 ? 50 : delayMs, task),
};

describe('the finder of End Devices', () => {
  let folder: string;
  let store: Store;
  let inventory: DeviceInventory;
  let finder: Finder;
  let net: Socket;
  let isClosed: boolean;
  let leaseFile: string;
  /** All records that were heard. */
  const heard: Answer[] = [];

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-finder-'));
    leaseFile = join(folder, 'leases');
    heard.length = 0;
    isClosed = false;
    store = openDevices(folder);
    net = createSocket({ type: 'udp4', reuseAddr: true });
    net.bind(5353, '0.0.0.0');
    await once(net, 'listening');
    net.addMembership('224.0.0.251', '127.0.0.1');
    net.on('message', (bytes) => {
      if (bytes.includes('_dmgw')) heard.push(...(decode(bytes).answers ?? []));
    });
    const discovery = { backend: 'builtin', leaseFile, forgetAfterDays: 2, takeoverGraceSeconds: 0, maxDevices: 3 };
    const value = {
      ...minimal(),
      lan: { prefixes: lan.texts },
      serve: { listen: ['127.46.0.1'] },
      discovery,
    };
    const parsed = parseConfiguration([{ file: 'test', value }]);
    assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
    const { configuration } = parsed.value;
    inventory = new DeviceInventory({ store, clock, log: silentLog, lan });
    finder = new Finder({
      configuration,
      version: '7.8.9',
      deviceId: ID,
      store,
      clock,
      log: () => silentLog,
      lan,
      inventory,
      mdnsHelper: [],
      onFault: (thrown) => assert.fail(String(thrown)),
    });
  });
  afterEach(async () => {
    await close();
    net.close();
    await store.close();
    rmSync(folder, { recursive: true });
  });

  const close = async (): Promise<void> => {
    if (!isClosed) await finder.close();
    isClosed = true;
  };
  const service = (deviceId: string, address: string) =>
    ({
      instance: deviceId,
      link: 'lo',
      port: 2948,
      addresses: [address],
      txt: { devid: deviceId },
      knownAs: undefined,
    }) as const;
  /** A discovered device that was seen so long ago, and for longer than a moment. */
  const departed = (deviceId: string, days: number): void => {
    assert.ok(inventory.addDiscovered(deviceId).ok);
    store
      .sql('UPDATE device SET confirmed = 1, last_seen_ms = ? WHERE device_id = ?')
      .run(Math.trunc(clock.wallMs() - days * DAY_MS), deviceId);
  };

  it('announces the gateway with path, version and id, and says goodbye', async () => {
    finder.start(8180);
    const ofUs = (type: Answer['type']): Answer[] =>
      heard.filter((one) => one.type === type && JSON.stringify(one).includes(ID.slice(4).toLowerCase()));
    const isTold = (ttl: number): boolean =>
      ofUs('SRV').some((one) => one.type === 'SRV' && (one.ttl === 0) === (ttl === 0) && one.data.port === 8180);
    await eventually('the announcement', () => isTold(120) && ofUs('TXT').length > 0);
    const [txt] = ofUs('TXT');
    assert.ok(txt?.type === 'TXT' && Array.isArray(txt.data));
    assert.match(txt.name, /\._dmgw\._tcp\.local$/);
    assert.deepEqual(txt.data.map(String).sort(), [`id=${ID}`, 'path=/scomo/', 'version=7.8.9']);
    await close();
    await eventually('the goodbye', () => isTold(0));
  });

  it('finds devices, knows which are there, and has them written when it is closed', async () => {
    const device = new BuiltinDiscovery({
      links: { names: [], lan, own: ['127.46.0.1'] },
      clock: systemClock(0),
      random: Math.random,
      log: silentLog,
    });
    try {
      device.announce('lamp', {
        instance: `lamp-${process.pid}`,
        type: '_omadm-notify._udp',
        port: 77,
        txt: { devid: 'X:lamp' },
        host: `lamp-${process.pid}`,
        addresses: ['127.46.1.7'],
      });
      device.start();
      assert.ok(inventory.syncConfigured([{ deviceId: 'X:given', address: 'udp://127.46.1.9' }]).ok);
      assert.deepEqual([finder.presenceOf('X:lamp'), finder.report().backend], ['untold', 'off']);
      finder.start(8180);
      await eventually('the lamp', () => inventory.byDeviceId('X:lamp'));
      assert.equal(inventory.byDeviceId('X:lamp')?.address, 'udp://127.46.1.7:77');
      assert.deepEqual(
        ['X:lamp', 'X:given', 'X:other'].map((one) => finder.presenceOf(one)),
        ['present', 'untold', 'absent'],
      );
      const { backend, interfaces, present } = finder.report();
      assert.deepEqual([backend, interfaces, present], ['builtin', ['lo'], 1]);
      finder.recognition.found(service('X:last', '127.46.1.8'));
      await close();
      assert.equal(inventory.byDeviceId('X:last')?.address, 'udp://127.46.1.8:2948');
    } finally {
      await device.close();
    }
  });

  it('takes as many, and believes another address as soon, as the configuration says', async () => {
    for (const [n, deviceId] of ['X:1', 'X:2', 'X:3', 'X:4'].entries())
      assert.equal(finder.recognition.found(service(deviceId, `127.46.2.${n + 1}`)), n < 3 ? deviceId : undefined);
    await eventually('the first', () => inventory.byDeviceId('X:1'));
    finder.recognition.found(service('X:1', '127.46.2.9'));
    await eventually('its move', () => inventory.byDeviceId('X:1')?.address === 'udp://127.46.2.9:2948');
  });

  it('follows leases, and forgets what has departed', async () => {
    assert.ok(inventory.syncConfigured([{ deviceId: 'MAC:02000000AA01', address: 'udp://127.46.1.1' }]).ok);
    departed('X:long-ago', 3);
    departed('X:lately', 1);
    finder.start(8180);
    await eventually('the end of one', () => !inventory.byDeviceId('X:long-ago'));
    assert.ok(inventory.byDeviceId('X:lately'));
    writeFileSync(leaseFile, '99 02:00:00:00:aa:01 127.46.1.2 a *\n');
    await eventually('the move', () => inventory.byDeviceId('MAC:02000000AA01')?.address === 'udp://127.46.1.2:2948');
  });
});
