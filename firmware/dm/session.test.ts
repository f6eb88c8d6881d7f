import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { success } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { Tree, treeChanges, treeSchema, type ByteSink, type NodeDefinition, type Provider } from '../tree/index.js';
import { accountChanges, Accounts, accountSchema, nonceSchema, rotationSchema, type AuthScheme } from './accounts.js';
import { challengeMeta, makeCred } from './auth.js';
import type { BodyCommand, Header, Message, StatusCommand } from './message.js';
import { buildNotification, NOTIFICATION_VERSION, UiMode } from './notification.js';
import { Outbox, outboxChanges, outboxSchema } from './outbox.js';
import { ServerAddress } from './server-address.js';
import { ClientSession, type SessionStep } from './session.js';
import { verifyTrigger } from './trigger.js';
import { xmlWire } from './wire.js';

const DEVICE_INFO: NodeDefinition = {
  key: 'DevInfo',
  name: undefined,
  format: 'node',
  access: ['Get'],
  occurrence: 'One',
  scope: 'Permanent',
  description: '',
  children: [
    {
      key: 'DevId',
      name: 'DevId',
      format: 'chr',
      access: ['Get'],
      occurrence: 'One',
      scope: 'Permanent',
      description: '',
    },
    {
      key: 'Blob',
      name: 'Blob',
      format: 'bin',
      access: ['Replace'],
      occurrence: 'One',
      scope: 'Permanent',
      description: '',
      acl: 'Replace=*',
      maxBytes: 20_000_000,
    },
  ],
};

/** Takes the values of Blob, where a test has put it here. */
let blobSink: ByteSink | undefined;

const provider: Provider = {
  writeSink: () => blobSink && success(blobSink),
  locate: (path) => path.join('/'),
  children: () => [],
  read: () => success('urn:x:gw'),
  stage: () => success(),
  exec: () => success('done'),
};

const nonce = (octet: number): Uint8Array => new Uint8Array(16).fill(octet);

let folder: string;
let store: Store;
let accounts: Accounts;
let tree: Tree;
let made: number;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'session-'));
  const schema = [
    ...treeSchema,
    ...treeChanges,
    ...accountSchema,
    ...accountChanges,
    ...nonceSchema,
    ...rotationSchema,
    ...outboxSchema,
    ...outboxChanges,
  ];
  store = openTestStore({ file: join(folder, 'db'), schema, log: silentLog });
  accounts = new Accounts(store);
  tree = new Tree(store, [{ place: ['DevInfo'], definition: DEVICE_INFO, provider }], new ManualClock());
  made = 0;
  blobSink = undefined;
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

/** A session whose server proves itself by `server`; our nonces are 0xa1.., 0xa2.. in order. */
function session(server: AuthScheme, client: AuthScheme = 'none', maxObjSize = 100_000): ClientSession {
  accounts.configure([
    {
      serverId: 'A',
      name: '',
      url: 'https://a.example/dm',
      encoding: 'xml',
      client: { scheme: client, name: 'gw', secret: 'c', nonce: nonce(1) },
      server: { scheme: server, name: 'A', secret: 's', nonce: nonce(2) },
    },
  ]);
  const account = accounts.byServerId('A');
  assert.ok(account);
  return new ClientSession({
    account,
    accounts,
    tree,
    store,
    outbox: new Outbox(store),
    log: silentLog,
    deviceId: 'urn:x:gw',
    sessionId: '7',
    serverInitiated: false,
    defaultNonce: false,
    maxMsgSize: 10_000,
    maxObjSize,
    address: new ServerAddress(account.url, () => false),
    wire: xmlWire,
    randomBytes: () => {
      made += 1;
      return nonce(0xa0 + made);
    },
  });
}

function message(msgId: number, body: readonly BodyCommand[], header: Partial<Header> = {}): Message {
  return {
    header: {
      verDtd: '1.2',
      verProto: 'DM/1.2',
      sessionId: '7',
      msgId: String(msgId),
      target: { uri: 'urn:x:gw' },
      source: { uri: 'https://a.example/dm' },
      ...header,
    },
    body,
    final: true,
  };
}

function headerStatus(msgRef: number, code: number, chal?: StatusCommand['chal']): StatusCommand {
  return {
    kind: 'Status',
    cmdId: '1',
    msgRef: String(msgRef),
    cmdRef: '0',
    cmd: 'SyncHdr',
    targetRefs: [],
    sourceRefs: [],
    ...(chal && { chal }),
    data: String(code),
    items: [],
  };
}

/** A Package#0 of the server whose nonce this is. */
function notification(made: Uint8Array): Uint8Array {
  return buildNotification(
    {
      version: NOTIFICATION_VERSION,
      uiMode: UiMode.BACKGROUND,
      initiator: 'server',
      sessionId: 7,
      serverId: 'A',
      vendor: new Uint8Array(),
    },
    's',
    made,
  );
}

/** The session's next step after a message of the server. */
function receive(held: ClientSession, received: Message): Promise<SessionStep> {
  return held.receive({ message: received, wire: xmlWire, body: xmlWire.encode(received) });
}

const ALERT: BodyCommand = { kind: 'Alert', cmdId: '2', data: '1100', items: [] };
const GET: BodyCommand = { kind: 'Get', cmdId: '2', items: [{ target: { uri: './DevInfo/DevId' } }] };

function sent(step: SessionStep): Message {
  assert.ok(step.kind === 'send', `the session ${step.kind}`);
  return step.message;
}

function status(step: SessionStep, cmdRef: string): StatusCommand | undefined {
  return sent(step).body.find(
    (command): command is StatusCommand => command.kind === 'Status' && command.cmdRef === cmdRef,
  );
}

const stored = (): readonly (number | undefined)[] => {
  const account = accounts.byServerId('A');
  return [account?.client.nonce[0], account?.server.nonce[0]];
};

describe('nonces', () => {
  it('of the server: the next one is stored before the message that tells it leaves', async () => {
    const held = session('md5');
    held.open();
    const cred = makeCred('md5', 'A', 's', nonce(2));
    const step = await receive(held, message(1, [headerStatus(1, 200), GET], { cred }));
    assert.equal(status(step, '0')?.chal?.nextNonce, Buffer.from(nonce(0xa1)).toString('base64'));
    assert.deepEqual(stored(), [1, 0xa1]);
  });
  it('of the server: a lost message leaves the two sides apart, and one challenge brings them together', async () => {
    const lost = session('md5');
    lost.open();
    await receive(lost, message(1, [headerStatus(1, 200), GET], { cred: makeCred('md5', 'A', 's', nonce(2)) }));
    // The answer never arrives: the server still has the nonce of before.
    const next = session('md5');
    next.open();
    const challenge = await receive(
      next,
      message(1, [headerStatus(1, 200), GET], { cred: makeCred('md5', 'A', 's', nonce(2)) }),
    );
    assert.equal(status(challenge, '0')?.data, '401');
    const again = await receive(
      next,
      message(2, [headerStatus(2, 200), GET], { cred: makeCred('md5', 'A', 's', nonce(0xa2)) }),
    );
    assert.equal(status(again, '0')?.data, '212');
    assert.equal(status(again, '2')?.data, '200');
  });
  it('of the server: one that a session under way has given is good for notifications, until that session ends', async () => {
    const notified = (made: number): boolean => verifyTrigger(notification(nonce(made)), accounts).ok;
    const broken = session('md5');
    broken.open();
    const stale = makeCred('md5', 'A', 's', nonce(9));
    await receive(broken, message(1, [headerStatus(1, 200), GET], { cred: stale }));
    assert.deepEqual([notified(2), notified(0xa1), notified(9)], [true, true, false]);
    await broken.close();
    assert.deepEqual([notified(2), notified(0xa1)], [true, false], 'the server has not shown that it has it');

    const proved = session('md5');
    proved.open();
    await receive(proved, message(1, [headerStatus(1, 200), GET], { cred: stale }));
    const cred = makeCred('md5', 'A', 's', nonce(0xa2));
    const last = await receive(proved, message(2, [headerStatus(2, 200)], { cred }));
    assert.equal(last.kind, 'completed');
    assert.deepEqual([notified(0xa2), stored()[1]], [true, 2], 'to the server the session has ended');
    await proved.close();
    assert.deepEqual([notified(0xa2), notified(2), stored()[1]], [true, true, 0xa2]);
  });
  it('of the client: what an unproven server says is used at once, and not stored', async () => {
    const held = session('md5', 'md5');
    held.open();
    const chal = challengeMeta('md5', nonce(3));
    const step = await receive(held, message(1, [headerStatus(1, 407, chal)]));
    assert.deepEqual(sent(step).header.cred, makeCred('md5', 'gw', 'c', nonce(3)));
    assert.deepEqual(stored(), [1, 2]);
    await receive(
      held,
      message(2, [headerStatus(2, 212, challengeMeta('md5', nonce(4)))], {
        cred: makeCred('md5', 'A', 's', nonce(0xa1)),
      }),
    );
    assert.equal(stored()[0], 4);
  });
  it('of the client: one that is too long, or none at all, changes nothing', async () => {
    for (const chal of [challengeMeta('md5', new Uint8Array(200)), { type: 'syncml:auth-md5' }]) {
      const held = session('none', 'md5');
      held.open();
      const step = await receive(held, message(1, [headerStatus(1, 401, chal)]));
      assert.deepEqual(sent(step).header.cred, makeCred('md5', 'gw', 'c', nonce(1)));
    }
  });
  it('a challenge of a kind that we cannot answer ends the session', async () => {
    for (const type of ['syncml:auth-basic', 'digest', undefined]) {
      const held = session('none', 'md5');
      held.open();
      const chal = { ...(type !== undefined && { type }), nextNonce: 'AAAA' };
      const step = await receive(held, message(1, [headerStatus(1, 401, chal)]));
      assert.ok(step.kind === 'failed' && step.failure === 'authentication-failed', type);
    }
  });
});

describe('the Status for our header', () => {
  const cases: readonly (readonly [what: string, StatusCommand | undefined, outcome: string])[] = [
    ['200', headerStatus(1, 200), 'send'],
    ['212', headerStatus(1, 212), 'send'],
    ['an unknown 2xx', headerStatus(1, 299), 'send'],
    ['101, in progress', headerStatus(1, 101), 'send'],
    ['none', undefined, 'send'],
    ['one for another message', headerStatus(9, 500), 'send'],
    ['an unknown 3xx', headerStatus(1, 399), 'refused-by-server'],
    ['400', headerStatus(1, 400), 'refused-by-server'],
    ['513', headerStatus(1, 513), 'refused-by-server'],
    ['no number', { ...headerStatus(1, 0), data: 'yes' }, 'refused-by-server'],
  ];
  for (const [what, one, outcome] of cases) {
    it(`${what}: ${outcome}`, async () => {
      const held = session('none');
      held.open();
      const step = await receive(held, message(1, [...(one ? [one] : []), GET]));
      assert.equal(step.kind === 'failed' ? step.failure : step.kind, outcome);
    });
  }
});

describe('a server without proof', () => {
  it('does not make us say more than Status, package 1 and challenges', async () => {
    const held = session('md5', 'md5');
    held.open();
    const first = await receive(held, message(1, [headerStatus(1, 407, challengeMeta('md5', nonce(3))), GET]));
    const kinds = sent(first).body.map((command) => (command.kind === 'Status' ? command.data : command.kind));
    assert.deepEqual(kinds, ['407', '407', 'Alert', 'Replace']);
  });
  it('that proves itself once needs no proof for the rest of the session', async () => {
    const held = session('md5');
    held.open();
    await receive(held, message(1, [headerStatus(1, 200), GET], { cred: makeCred('md5', 'A', 's', nonce(2)) }));
    const step = await receive(held, message(2, [headerStatus(2, 200), GET]));
    assert.equal(status(step, '0')?.data, '212');
    assert.equal(status(step, '0')?.chal, undefined);
    assert.equal(status(step, '2')?.data, '200');
  });
});

describe('the end', () => {
  it('comes after ten thousand messages, whatever the server still wants', async () => {
    const held = session('none');
    let step = held.open();
    let messages = 0;
    while (step.kind === 'send') {
      messages += 1;
      step = await receive(held, message(messages, [headerStatus(messages, 200), ALERT]));
    }
    assert.ok(step.kind === 'failed' && step.failure === 'endless');
    assert.equal(messages, 10_000);
  });
  it('drops what has come of a large object', async () => {
    const story: string[] = [];
    blobSink = {
      write: (octets) => Promise.resolve(success(void story.push(`wrote ${octets.byteLength}`))),
      end: () => Promise.reject(new Error('its last piece has not come')),
      discard: () => Promise.resolve(void story.push('dropped')),
    };
    const held = session('none');
    held.open();
    const item = { target: { uri: './DevInfo/Blob' }, meta: { size: 9 }, data: new Uint8Array(4), moreData: true };
    const piece: BodyCommand = { kind: 'Replace', cmdId: '2', items: [item] };
    await receive(held, { ...message(1, [headerStatus(1, 200), piece]), final: false });
    assert.deepEqual(story, ['wrote 4']);
    await held.close();
    assert.deepEqual(story, ['wrote 4', 'dropped']);
  });
  for (const [bytes, outcome] of [
    [1024, 'goes on: each has been worth its answer'],
    [1, 'has ended: a piece of an octet is not'],
  ] as const) {
    it(`after twelve thousand pieces of a large object of ${bytes} octets the session ${outcome}`, async () => {
      const held = session('none', 'none', 20_000_000);
      let step = held.open();
      const size = 12_000 * bytes;
      const data = new Uint8Array(bytes);
      for (let messages = 1; messages < 12_000 && step.kind === 'send'; messages += 1) {
        const meta = messages === 1 ? { meta: { size } } : {};
        const item = { target: { uri: './DevInfo/Blob' }, ...meta, data, moreData: true };
        const piece: BodyCommand = { kind: 'Replace', cmdId: '2', items: [item] };
        step = await receive(held, { ...message(messages, [headerStatus(messages, 200), piece]), final: false });
      }
      assert.equal(step.kind, bytes > 1 ? 'send' : 'failed');
      await held.close();
    });
  }
});
