import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { accountChanges, Accounts, accountSchema, nonceSchema, rotationSchema } from './accounts.js';
import { verifyTrigger } from './trigger.js';

const NONCE = Uint8Array.from({ length: 16 }, (_, n) => n);
const TRIGGER = '02d8000000123408646d736572766572';

describe('verifyTrigger', () => {
  const folder = mkdtempSync(join(tmpdir(), 'trigger-'));
  let store: Store;
  let accounts: Accounts;
  before(() => {
    store = openTestStore({
      file: join(folder, 'db'),
      schema: [...accountSchema, ...accountChanges, ...nonceSchema, ...rotationSchema],
      log: silentLog,
    });
    accounts = new Accounts(store);
  });
  after(async () => {
    await store.close();
    rmSync(folder, { recursive: true });
  });

  function verify(packageZero: string, secret = 'srvSecret1', nonce = NONCE): unknown {
    accounts.configure([
      {
        serverId: 'dmserver',
        name: '',
        url: 'https://dm.example/',
        encoding: 'xml',
        client: { scheme: 'none', name: '', secret: '', nonce: new Uint8Array() },
        server: { scheme: secret === '' ? 'none' : 'md5', name: 'dmserver', secret, nonce },
      },
    ]);
    // As after a session: the secret of before is good no longer.
    accounts.secretWorked('dmserver', 'server', secret);
    const trigger = verifyTrigger(Buffer.from(packageZero, 'hex'), accounts);
    return trigger.ok ? trigger.value : trigger.error.code;
  }

  // The vectors A, B, D and Q of the facts, section 15.2.
  it('takes the stored nonce', () => {
    assert.deepEqual(verify(`13064ee6f4ad913d9949092bc462ab58${TRIGGER}`), {
      serverId: 'dmserver',
      sessionId: '1234',
      defaultNonce: false,
    });
  });
  it('takes the default nonce, and says so', () => {
    assert.deepEqual(verify(`c2f41916a51da279efdc2b028a707a27${TRIGGER}`), {
      serverId: 'dmserver',
      sessionId: '1234',
      defaultNonce: true,
    });
  });
  it('takes a vendor-specific part into the digest', () => {
    const digest = '2313393dcc671b86d11d0813b6bb2bb1';
    assert.equal(typeof verify(`${digest}${TRIGGER}0102`), 'object');
    assert.equal(verify(`${digest}${TRIGGER}0103`), 'wrong-digest');
  });
  it('drops the default nonce taken as ASCII text', () => {
    assert.equal(verify(`1ab0f7847d167c17bca25d744d0b107b${TRIGGER}`), 'wrong-digest');
  });
  it('drops a notification of an earlier nonce, of another secret, and an altered one', () => {
    const good = `13064ee6f4ad913d9949092bc462ab58${TRIGGER}`;
    assert.equal(
      verify(
        good,
        'srvSecret1',
        NONCE.map((octet) => octet + 16),
      ),
      'wrong-digest',
    );
    assert.equal(verify(good, 'srvSecret2'), 'wrong-digest');
    assert.equal(verify(good.replace('1234', '1235')), 'wrong-digest');
  });
  it('takes the nonce before the last session, as long as no other session has changed it again', () => {
    const good = `13064ee6f4ad913d9949092bc462ab58${TRIGGER}`;
    assert.equal(typeof verify(good), 'object');
    const take = (): unknown => {
      const trigger = verifyTrigger(Buffer.from(good, 'hex'), accounts);
      return trigger.ok ? trigger.value : trigger.error.code;
    };
    accounts.setServerNonce('dmserver', Uint8Array.of(1), NONCE);
    assert.deepEqual(take(), { serverId: 'dmserver', sessionId: '1234', defaultNonce: false });
    accounts.setServerNonce('dmserver', Uint8Array.of(2), Uint8Array.of(1));
    assert.equal(take(), 'wrong-digest');
  });
  it('drops every notification for an account without a secret: anyone could make it', () => {
    // Secret and nonce empty, SessionID 1234: what whoever knows the server identifier can compute.
    const forged = '6e0444d06d89b5de0cb35c0267ad098a';
    assert.equal(verify(`${forged}${TRIGGER}`, '', new Uint8Array()), 'wrong-digest');
  });
  it('drops what is for nobody here, of another version, or cut off', () => {
    const other = '13064ee6f4ad913d9949092bc462ab5802d8000000123408646d736572766573';
    assert.equal(verify(other), 'unknown-server');
    assert.equal(verify('4ae66243b8cc6c939b8f33e5040ee1f00308000000000508646d736572766572'), 'unknown-version');
    assert.equal(verify(other.slice(0, 40)), 'too-short');
    assert.equal(verify(other.slice(0, -2)), 'truncated');
    assert.equal(verify(''), 'too-short');
  });
});
