import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { account, minimal } from '../config/example.fixture.js';
import { parseConfiguration, tunableValues, type TunableKey } from '../config/index.js';
import { silentLog } from '../log/index.js';
import { Settings, settingSchema } from '../settings/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { applySettings } from './tuning.js';

const folder = mkdtempSync(join(tmpdir(), 'tuning-'));
const store = openTestStore({ file: join(folder, 'db'), schema: settingSchema, log: silentLog });
after(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

it('what is set reaches the part that it is for, at the start and each time that it changes', () => {
  const parsed = parseConfiguration([
    {
      file: 'F',
      value: { ...minimal(), accounts: [account()], store: { quotaMiB: 7 }, session: { intervalSeconds: 3600 } },
    },
  ]);
  assert.ok(parsed.ok, parsed.ok ? '' : parsed.error.text);
  const { configuration } = parsed.value;
  const settings = new Settings({ store, log: silentLog, configured: tunableValues(configuration), locked: [] });
  const told: unknown[] = [];
  const tell = (what: string) => (value: unknown) => void told.push([what, value]);
  applySettings(settings, configuration, {
    blobs: { setQuota: tell('quota') },
    downloader: {
      setRate: tell('rate'),
      setRatePerImage: tell('rate of each'),
      setWindows: (windows) => told.push(['windows', windows?.isOpen(Date.UTC(2026, 0, 1, 12))]),
    },
    scheduler: { setInterval: (serverId, ms) => told.push([serverId, ms]) },
  });
  assert.deepEqual(told.splice(0), [
    ['quota', 7 * 1024 * 1024],
    ['rate', 0],
    ['rate of each', 0],
    ['windows', undefined],
    ['srv', 3_600_000],
  ]);
  const changes: readonly (readonly [key: TunableKey, text: string, what: unknown])[] = [
    ['store.quotaMiB', '0', ['quota', undefined]],
    ['retrieve.maxBytesPerSecond', '1000', ['rate', 1000]],
    ['retrieve.maxBytesPerSecondPerImage', '500', ['rate of each', 500]],
    ['retrieve.windows', '11:00-13:00', ['windows', true]],
    ['session.intervalSeconds', '7200', ['srv', 7_200_000]],
  ];
  for (const [key, text, what] of changes) {
    const set = store.transaction(() => settings.set(key, text, 'A'));
    assert.ok(set.ok, set.ok ? '' : set.error.text);
    assert.deepEqual(told.splice(0), [what], key);
  }
});
