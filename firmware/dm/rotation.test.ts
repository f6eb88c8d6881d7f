import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { accountChanges, Accounts, accountSchema, nonceSchema, rotationSchema, type Account } from './accounts.js';
import { challengeMeta, makeCred, verifyCred } from './auth.js';
import { HEADER } from './header.fixture.js';
import { buildNotification, NOTIFICATION_VERSION, UiMode } from './notification.js';
import { ClientProof, ServerProof } from './proof.js';
import { verifyTrigger } from './trigger.js';

const NONCE = Uint8Array.of(1, 2, 3);

let folder: string;
let store: Store;
let accounts: Accounts;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rotation-'));
  const schema = [...accountSchema, ...accountChanges, ...nonceSchema, ...rotationSchema];
  store = openTestStore({ file: join(folder, 'db'), schema, log: silentLog });
  accounts = new Accounts(store);
  configure('old');
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function configure(secret: string): void {
  const credentials = { scheme: 'md5', name: 'n', secret, nonce: NONCE } as const;
  const server = { ...credentials, name: 'srv' };
  accounts.configure([{ serverId: 'srv', name: '', url: 'https://s/', encoding: 'xml', client: credentials, server }]);
}

function account(): Account {
  const found = accounts.byServerId('srv');
  assert.ok(found);
  return found;
}

/** One session with a server that knows `secret`. @returns whether it let the gateway in */
function session(secret: string): boolean {
  const proof = new ClientProof(account(), false);
  for (;;) {
    const cred = proof.cred();
    if (cred && verifyCred(cred, 'md5', 'n', secret, NONCE)) break;
    if (proof.challenged(challengeMeta('md5', NONCE)) !== 'answerable') return false;
  }
  proof.accepted(212, undefined);
  proof.persist(accounts);
  return true;
}

function proves(secret: string): boolean {
  const proof = new ServerProof(account(), false, (bytes) => new Uint8Array(bytes));
  const cred = makeCred('md5', 'srv', secret, NONCE);
  proof.check({ header: { ...HEADER, cred }, body: new Uint8Array() }, true);
  proof.close(accounts);
  return proof.proven;
}

for (const [how, rotate] of [
  ['the configuration', () => configure('new')],
  [
    'the server',
    () => {
      accounts.set('srv', 'clientSecret', 'new');
      accounts.set('srv', 'serverSecret', 'new');
    },
  ],
] as const) {
  describe(`a secret that ${how} has changed`, () => {
    it('is tried first; the old one serves until the new one has worked, and then no longer', () => {
      rotate();
      assert.ok(session('old'), 'a server that does not know the new one yet');
      assert.ok(session('old'));
      assert.ok(session('new'));
      assert.equal(session('old'), false);
      assert.ok(session('new'));
    });

    it('is taken from the server likewise, in sessions and in notifications', () => {
      rotate();
      const notification = (secret: string): Uint8Array =>
        buildNotification(
          {
            version: NOTIFICATION_VERSION,
            uiMode: UiMode.BACKGROUND,
            initiator: 'server',
            sessionId: 7,
            serverId: 'srv',
            vendor: new Uint8Array(),
          },
          secret,
          account().server.nonce,
        );
      assert.ok(verifyTrigger(notification('old'), accounts).ok);
      assert.ok(verifyTrigger(notification('new'), accounts).ok);
      assert.ok(proves('old'));
      accounts.setServerNonce('srv', NONCE, NONCE);
      assert.ok(proves('new'));
      accounts.setServerNonce('srv', NONCE, NONCE);
      assert.equal(proves('old'), false);
      assert.equal(verifyTrigger(notification('old'), accounts).ok, false);
    });
  });
}

it('a secret that never worked is not kept in place of one that did', () => {
  configure('wrong');
  configure('new');
  assert.equal(account().client.secretBefore, 'old');
  configure('new');
  assert.equal(account().client.secret, 'new');
});
