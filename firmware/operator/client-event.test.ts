import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { tellServers } from './client-event.js';
import {
  accountChanges,
  Accounts,
  accountSchema,
  nonceSchema,
  rotationSchema,
  Outbox,
  outboxChanges,
  outboxSchema,
} from '../dm/index.js';
import { silentLog } from '../log/index.js';
import { REPORT_FORMAT } from '../ops/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';

const schema = [
  ...accountSchema,
  ...outboxSchema,
  ...accountChanges,
  ...nonceSchema,
  ...rotationSchema,
  ...outboxChanges,
];

let folder: string;
let store: Store;
let accounts: Accounts;
let outbox: Outbox;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'event-'));
  store = openTestStore({ file: join(folder, 'db'), schema, log: silentLog });
  accounts = new Accounts(store);
  outbox = new Outbox(store);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

const none = { scheme: 'none', name: '', secret: '', nonce: new Uint8Array() } as const;

describe('tellServers', () => {
  const event = { type: 'org.example.door', data: 'open' };
  beforeEach(() => {
    accounts.configure(
      ['A', 'B'].map((serverId) => ({
        ...{ serverId, name: '', url: 'https://a.example/', encoding: 'xml' as const },
        client: none,
        server: none,
      })),
    );
  });

  it('puts the event into the outbox of every server, or of the one that is named', async () => {
    assert.deepEqual(await tellServers(event, { accounts, outbox, store }), {
      ok: true,
      value: { format: REPORT_FORMAT, servers: ['A', 'B'] },
    });
    await tellServers({ ...event, server: 'B' }, { accounts, outbox, store });
    assert.deepEqual([outbox.count('A'), outbox.count('B')], [1, 2]);
    assert.equal(outbox.waiting('B', 1)[0]?.code, 1224);
  });
  it('refuses a server that has no account, and an event that nobody would hear', async () => {
    const told = await tellServers({ ...event, server: 'C' }, { accounts, outbox, store });
    assert.equal(told.ok ? '' : told.error.code, 'no-server');
    accounts.configure([]);
    const unheard = await tellServers(event, { accounts, outbox, store });
    assert.equal(unheard.ok ? '' : unheard.error.code, 'no-server');
  });
});
