import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { AddressBook, DeviceInventory, deviceSchema, discoveredSchema, countSchema } from './index.js';

describe('address book', () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-book-'));
  let store: Store;
  let book: AddressBook;

  before(() => {
    store = openTestStore({
      file: join(folder, 'dmgw.db'),
      schema: [...deviceSchema, ...discoveredSchema, ...countSchema],
      log: silentLog,
    });
    const lan = Prefixes.parse(['192.168.1.0/24', 'fd00::/8']);
    assert.ok(lan.ok);
    const inventory = new DeviceInventory({ store, clock: systemClock(0), log: silentLog, lan: lan.value });
    const many = Array.from({ length: 600 }, (_, i) => ({ deviceId: `many:${i}`, groups: 'many', mode: 'proxy' }));
    const synced = inventory.syncConfigured([
      { deviceId: 'v4', address: 'udp://192.168.1.4', groups: 'hall/lamps' },
      { deviceId: 'v6', address: 'udp://[FD00:0::6]:77', encapsulation: 'raw', groups: 'lamps' },
      { deviceId: 'web', address: 'http://192.168.1.7:81/n', groups: 'hallway' },
      { deviceId: 'bare' },
      { deviceId: 'nat1', address: 'udp://192.168.1.9:1', mode: 'proxy' },
      { deviceId: 'nat2', address: 'udp://192.168.1.9:2', componentType: 'DMGateway', groups: 'hall' },
      ...many,
    ]);
    assert.ok(synced.ok);
    book = new AddressBook(store);
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  it('resolves with defaults for port and encapsulation', () => {
    const found = book.resolve(['v4', 'v6', 'web']);
    assert.deepEqual(
      ['v4', 'v6', 'web'].map((id) => found.get(id)),
      [
        { transport: 'udp', host: '192.168.1.4', port: 2948, encapsulation: 'wsp', showsSession: false },
        { transport: 'udp', host: 'FD00:0::6', port: 77, encapsulation: 'raw', showsSession: false },
        {
          transport: 'http',
          host: '192.168.1.7',
          port: 81,
          url: 'http://192.168.1.7:81/n',
          encapsulation: 'wsp',
          showsSession: false,
        },
      ],
    );
  });

  it('tells an unknown device from one without an address', () => {
    assert.deepEqual([...book.resolve(['nobody', 'bare'])], [['bare', undefined]]);
  });

  const addresses: readonly [string, string | undefined][] = [
    ['192.168.1.4', 'v4'],
    ['::ffff:192.168.1.4', 'v4'],
    ['fd00::6', 'v6'],
    ['192.168.1.7', 'web'],
    ['192.168.1.9', undefined], // two devices: nobody can say which
    ['192.168.1.200', undefined],
  ];
  for (const [address, expected] of addresses) {
    it(`says that ${expected ?? 'nobody for certain'} is at ${address}`, () => {
      assert.equal(book.deviceAt(address), expected);
    });
  }

  const targets: readonly [string, readonly string[]][] = [
    ['*', ['v4', 'v6', 'web', 'bare']],
    ['group:hall', ['v4', 'nat2']],
    ['group:lamps', ['v4', 'v6']],
    ['group:hall/lamps', []],
    ['group:', []],
    ['v4', ['v4']],
    ['unheard of', ['unheard of']],
  ];
  for (const [target, expected] of targets) {
    it(`expands ${target} to ${expected.length} devices`, () => {
      assert.deepEqual([...book.expand(target)], expected);
    });
  }

  it('expands a group of more than one page', () => {
    assert.equal(new Set(book.expand('group:many')).size, 600);
  });
});
