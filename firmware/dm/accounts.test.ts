import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import {
  accountChanges,
  Accounts,
  accountSchema,
  nonceSchema,
  rotationSchema,
  type AccountField,
  type AccountSettings,
} from './accounts.js';

let folder: string;
let store: Store;
let accounts: Accounts;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'accounts-'));
  store = openTestStore({
    file: join(folder, 'db'),
    schema: [...accountSchema, ...accountChanges, ...nonceSchema, ...rotationSchema],
    log: silentLog,
  });
  accounts = new Accounts(store);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function settings(serverId: string, changes: Partial<AccountSettings> = {}): AccountSettings {
  return {
    serverId,
    name: `Name of ${serverId}`,
    url: `https://${serverId}.example/dm`,
    encoding: 'xml',
    client: { scheme: 'md5', name: 'gw', secret: 'c', nonce: Uint8Array.of(1) },
    server: { scheme: 'basic', name: serverId, secret: 's', nonce: Uint8Array.of(2) },
    ...changes,
  };
}

describe('a database that is older than the encodings', () => {
  it('keeps its accounts with their nonces, and speaks XML', async () => {
    accounts.configure([settings('A')]);
    accounts.setClientNonce('A', Uint8Array.of(7));
    for (const column of ['encoding', 'server_nonce_before', 'client_secret_before', 'server_secret_before']) {
      store.sql(`ALTER TABLE account DROP COLUMN ${column}`).run();
    }
    store.sql(`PRAGMA user_version = ${accountSchema.length}`).run();
    await store.close();
    store = openTestStore({
      file: join(folder, 'db'),
      schema: [...accountSchema, ...accountChanges, ...nonceSchema, ...rotationSchema],
      log: silentLog,
    });
    accounts = new Accounts(store);
    accounts.configure([settings('A')]);
    assert.deepEqual(accounts.byServerId('A')?.client.nonce, Uint8Array.of(7));
    assert.equal(accounts.byServerId('A')?.encoding, 'xml');
  });
});

describe('Accounts.configure', () => {
  it('takes over what the file says', () => {
    assert.deepEqual(accounts.configure([settings('A'), settings('B')]), []);
    const { id, ...rest } = accounts.byServerId('A') ?? { id: 0 };
    assert.ok(id > 0);
    assert.deepEqual(rest, settings('A'));
    assert.deepEqual(
      accounts.list().map(({ serverId }) => serverId),
      ['A', 'B'],
    );
  });
  it('leaves an unchanged account what its server changed meanwhile, and its nonces', () => {
    accounts.configure([settings('A')]);
    accounts.set('A', 'clientSecret', 'new');
    accounts.setClientNonce('A', Uint8Array.of(7));
    accounts.setServerNonce('A', Uint8Array.of(8, 9), Uint8Array.of(2));
    accounts.configure([settings('A')]);
    const account = accounts.byServerId('A');
    assert.equal(account?.client.secret, 'new');
    assert.deepEqual(account.client.nonce, Uint8Array.of(7));
    assert.deepEqual(account.server.nonce, Uint8Array.of(8, 9));
    assert.deepEqual(account.serverNonceBefore, Uint8Array.of(2));
  });
  it('forgets the nonce of before where the file has given a new one', () => {
    accounts.configure([settings('A')]);
    accounts.setServerNonce('A', Uint8Array.of(8, 9), Uint8Array.of(2));
    accounts.configure([settings('A', { name: 'changed' })]);
    assert.equal(accounts.byServerId('A')?.serverNonceBefore, undefined);
  });
  const changes: readonly (readonly [string, Partial<AccountSettings>])[] = [
    ['name', { name: 'other' }],
    ['url', { url: 'https://other.example/' }],
    ['client', { client: { scheme: 'md5', name: 'gw', secret: 'changed', nonce: Uint8Array.of(1) } }],
    ['a nonce', { client: { scheme: 'md5', name: 'gw', secret: 'c', nonce: Uint8Array.of(3) } }],
    ['server', { server: { scheme: 'none', name: 'A', secret: '', nonce: new Uint8Array() } }],
  ];
  for (const [what, change] of changes) {
    it(`${what} changed in the file: the file wins, for nonces too, and the account stays the same one`, () => {
      accounts.configure([settings('A')]);
      const before = accounts.byServerId('A');
      accounts.set('A', 'clientSecret', 'of the server');
      accounts.setClientNonce('A', Uint8Array.of(7));
      accounts.configure([settings('A', change)]);
      const wanted = settings('A', change);
      // What the server may know instead is kept until the file's has worked.
      const secretBefore = wanted.client.secret === 'c' ? 'of the server' : 'c';
      const client = { ...wanted.client, secretBefore };
      assert.deepEqual(accounts.byServerId('A'), { ...wanted, client, id: before?.id });
    });
  }
  it('removes an account that is gone from the file, says so, and does not give its identity to another', () => {
    accounts.configure([settings('A'), settings('B')]);
    const gone = accounts.byServerId('B')?.id;
    assert.deepEqual(accounts.configure([settings('A')]), ['B']);
    assert.equal(accounts.byServerId('B'), undefined);
    accounts.configure([settings('A'), settings('B')]);
    assert.notEqual(accounts.byServerId('B')?.id, gone);
  });
});

describe('Accounts.set', () => {
  const fields: readonly AccountField[] = ['name', 'url', 'clientName', 'clientSecret', 'serverName', 'serverSecret'];
  for (const field of fields) {
    it(`${field} of one account`, () => {
      accounts.configure([settings('A'), settings('B')]);
      accounts.set('A', field, "x'; --");
      const text = JSON.stringify(accounts.byServerId('A'));
      assert.equal(text.split("x'; --").length, 2);
      const { id, ...other } = accounts.byServerId('B') ?? { id: 0 };
      assert.ok(id > 0);
      assert.deepEqual(other, settings('B'));
    });
  }
});
