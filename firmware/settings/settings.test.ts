import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { parseConfiguration, tunableValues, type TunableKey } from '../config/index.js';
import { minimal } from '../config/example.fixture.js';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { Settings, settingSchema } from './index.js';

let folder: string;
let store: Store;
let settings: Settings;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'settings-'));
  open();
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

/** Opens the database under a configuration with these sections. */
function open(sections: Record<string, unknown> = {}): void {
  const parsed = parseConfiguration([{ file: 'F', value: { ...minimal(), ...sections } }]);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  const { configuration } = parsed.value;
  store = openTestStore({ file: join(folder, 'db'), schema: settingSchema, log: silentLog });
  const configured = tunableValues(configuration);
  settings = new Settings({ store, log: silentLog, configured, locked: configuration.settings.locked });
}

async function restart(sections: Record<string, unknown> = {}): Promise<void> {
  await store.close();
  open(sections);
}

const set = (key: TunableKey, text: string) => store.transaction(() => settings.set(key, text, 'A'));

describe('the settings', () => {
  it('are those of the configuration where no server has set another', async () => {
    await restart({ fanout: { repeat: 7 }, retrieve: { windows: ['22:00-06:00', 'Sat 00:00-24:00'] } });
    assert.equal(settings.get('fanout.repeat'), 7);
    assert.equal(settings.get('fanout.intervalSeconds'), 2);
    assert.equal(settings.text('retrieve.windows'), '22:00-06:00\nSat 00:00-24:00');
    assert.deepEqual(settings.changed(), []);
  });
  it('that a server has set hold from the commit on, are told once, and survive a restart', async () => {
    const told: unknown[] = [];
    settings.onChange('retrieve.windows', (value) => told.push(value));
    store.transaction(() => {
      assert.ok(settings.set('retrieve.windows', '22:00-06:00\n\n Sat 00:00-24:00 ', 'A').ok);
      assert.equal(settings.text('retrieve.windows'), '22:00-06:00\nSat 00:00-24:00');
      assert.deepEqual([settings.get('retrieve.windows'), told], [[], []]);
    });
    const windows = ['22:00-06:00', 'Sat 00:00-24:00'];
    assert.deepEqual(told, [windows]);
    set('retrieve.windows', windows.join('\n'));
    assert.deepEqual(told, [windows]);
    await restart();
    assert.deepEqual(settings.get('retrieve.windows'), windows);
    assert.deepEqual(settings.changed(), [{ key: 'retrieve.windows', value: windows, serverId: 'A' }]);
  });
  it('that were rolled back never were', () => {
    const told: unknown[] = [];
    settings.onChange('fanout.repeat', (value) => told.push(value));
    assert.throws(() =>
      store.transaction(() => {
        settings.set('fanout.repeat', '9', 'A');
        throw new Error('no');
      }),
    );
    assert.deepEqual([settings.get('fanout.repeat'), settings.text('fanout.repeat'), told], [4, '4', []]);
  });
  it('are what the configuration says again when it says something else than it did', async () => {
    set('fanout.repeat', '9');
    set('store.quotaMiB', '5');
    await restart({ fanout: { repeat: 3 } });
    assert.deepEqual([settings.get('fanout.repeat'), settings.get('store.quotaMiB')], [3, 5]);
    await restart();
    assert.equal(settings.get('fanout.repeat'), 4);
  });
  it('that the configuration locks keep its value, whatever was set before', async () => {
    set('fanout.repeat', '9');
    await restart({ settings: { locked: ['fanout.repeat'] } });
    assert.equal(settings.get('fanout.repeat'), 4);
    const refused = set('fanout.repeat', '9');
    assert.ok(!refused.ok && refused.error.code === 'locked');
    assert.deepEqual(settings.changed(), []);
  });
  it('of a server whose account is gone go with it', () => {
    set('fanout.repeat', '9');
    store.transaction(() => settings.set('store.quotaMiB', '5', 'B'));
    store.transaction(() => settings.forget('A'));
    assert.deepEqual([settings.get('fanout.repeat'), settings.get('store.quotaMiB')], [4, 5]);
  });

  const WRONG: readonly (readonly [TunableKey, string])[] = [
    ['fanout.repeat', '0'],
    ['fanout.repeat', '17'],
    ['fanout.repeat', ''],
    ['fanout.repeat', '2.5'],
    ['fanout.repeat', '0x2'],
    ['fanout.ratePerSecond', '-2'],
    ['session.intervalSeconds', '1209601'],
    ['store.quotaMiB', '-1'],
    ['retrieve.maxBytesPerSecond', '1000000001'],
    ['retrieve.windows', 'at night'],
    ['retrieve.windows', Array.from({ length: 33 }, () => '22:00-06:00').join('\n')],
  ];
  for (const [key, text] of WRONG) {
    it(`refuse what the configuration would refuse: ${key} = ${JSON.stringify(text.slice(0, 12))}`, () => {
      const before = settings.text(key);
      const refused = set(key, text);
      assert.ok(!refused.ok && refused.error.code === 'bad-value');
      assert.match(refused.error.text, new RegExp(`^${key}: expected `));
      assert.equal(settings.text(key), before);
    });
  }
});
