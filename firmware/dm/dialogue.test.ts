import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { failure, success } from '../outcome/index.js';
import { StoreError, type Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { Tree, treeChanges, treeSchema } from '../tree/index.js';
import { accountChanges, Accounts, accountSchema, nonceSchema, rotationSchema } from './accounts.js';
import { createSessionRunner, type Carrier } from './dialogue.js';
import { Outbox, outboxChanges, outboxSchema } from './outbox.js';
import type { SessionResult } from './scheduler.js';

const INFO = { format: 'node', access: ['Get'], occurrence: 'One', scope: 'Permanent', description: '' } as const;

let folder: string;
let store: Store;
let outbox: Outbox;
/** What happened, in order. */
let story: string[];
const clock = new ManualClock();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'dialogue-'));
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
  outbox = new Outbox(store);
  story = [];
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

type Failing = 'broken' | 'timeout' | 'unreachable' | 'http-status';
type Answer = keyof typeof BODIES | Failing | 'garbage' | 'busy' | 'hangs';

/** What the server says behind its Status. */
const BODIES = {
  bye: '',
  get: '<Get><CmdID>2</CmdID><Item><Target><LocURI>.</LocURI></Target></Item></Get>',
  /** With the two elements around it, as deep as a message may be, and deeper. */
  deep: '<a>'.repeat(62) + '</a>'.repeat(62),
  deeper: '<a>'.repeat(63) + '</a>'.repeat(63),
  many: '<a/>'.repeat(50_000),
  large: `<!--${'x'.repeat(10_000)}-->`,
};

const status = (msgId: number): string =>
  `<Status><CmdID>1</CmdID><MsgRef>${msgId}</MsgRef><CmdRef>0</CmdRef><Cmd>SyncHdr</Cmd><Data>200</Data></Status>`;

/** Holds a session with a server that answers as listed; `answers` that are left over are not used. */
async function hold(
  answers: readonly Answer[],
  options: {
    readonly store?: Partial<Store>;
    readonly signal?: AbortSignal;
    readonly serverId?: string;
    readonly maxMsgSize?: number;
  } = {},
): Promise<SessionResult> {
  const { maxMsgSize = 10_000 } = options;
  const accounts = new Accounts(store);
  const none = { scheme: 'none', name: '', secret: '', nonce: new Uint8Array() } as const;
  accounts.configure([
    { serverId: 'A', name: '', url: 'https://a.example/', encoding: 'xml', client: none, server: none },
  ]);
  let sends = 0;
  let msgId = 0;
  let last = '';
  const carrier: Carrier = {
    post: (_url, body, _type, { signal, maxReplyBytes }) => {
      assert.equal(maxReplyBytes, maxMsgSize);
      const text = Buffer.from(body).toString();
      story.push(text === last ? 'again' : 'send');
      if (text !== last) msgId += 1;
      last = text;
      const answer = answers[sends];
      sends += 1;
      if (text.includes('<Data>1223</Data>')) story.push('abort');
      if (answer === 'hangs') {
        return new Promise((resolve) => {
          signal?.addEventListener('abort', () => resolve(failure('aborted', 'as the test wants')));
        });
      }
      if (answer === 'busy') {
        const error = { code: 'http-status', text: '', status: 503, retryAfterSeconds: 120 } as const;
        return Promise.resolve({ ok: false, error });
      }
      if (answer === undefined || !(answer === 'garbage' || answer in BODIES)) {
        return Promise.resolve(failure((answer as Failing | undefined) ?? 'broken', 'as the test wants'));
      }
      const content = answer in BODIES ? BODIES[answer as keyof typeof BODIES] : '';
      const reply =
        `<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>${/<SessionID>(\w+)</.exec(text)?.[1] ?? ''}` +
        `</SessionID><MsgID>${msgId}</MsgID><Target><LocURI>d</LocURI></Target><Source><LocURI>s</LocURI></Source></SyncHdr>` +
        `<SyncBody>${status(msgId)}${content}<Final/></SyncBody></SyncML>`;
      const octets = Buffer.from(answer === 'garbage' ? '<SyncML>' : reply);
      return Promise.resolve(success({ status: 200, contentType: 'application/vnd.syncml.dm+xml', body: octets }));
    },
    close: () => story.push('close'),
  };
  const observed: Store = {
    sql: (text) => store.sql(text),
    transaction: (work) => store.transaction(work),
    tentative: (work) => store.tentative(work),
    afterCommit: (effect) => store.afterCommit(effect),
    get generation() {
      return store.generation;
    },
    get rollbacks() {
      return store.rollbacks;
    },
    durable: async () => {
      await store.durable();
      story.push('durable');
    },
    journal: store.journal,
    close: () => store.close(),
    ...options.store,
  };
  const tree = new Tree(
    observed,
    [
      {
        place: ['DevInfo'],
        definition: { ...INFO, key: 'DevInfo', name: undefined, children: [] },
        provider: {
          locate: () => '',
          children: () => [],
          read: () => success(''),
          stage: () => success(),
          exec: () => success('done'),
        },
      },
    ],
    clock,
  );
  const run = createSessionRunner({
    accounts,
    tree,
    store: observed,
    outbox,
    clock,
    log: silentLog,
    deviceId: 'd',
    maxMsgSize,
    maxObjSize: 100_000,
    randomBytes: (count) => new Uint8Array(count).fill(9),
    connect: () => carrier,
  });
  const result = run(options.serverId ?? 'A', { kind: 'start' }, options.signal ?? new AbortController().signal);
  // Time passes whenever it is waited for.
  const passing = setInterval(() => options.signal ?? clock.advance(60_000), 1);
  await result.catch(() => {});
  clearInterval(passing);
  return result;
}

/** @throws when it has not become true within ten seconds */
async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!condition()) {
    assert.ok(performance.now() < deadlineMs, `not within ten seconds: ${condition.toString().slice(6)}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a session', () => {
  it('is durable before each message leaves, and at its end', async () => {
    assert.deepEqual(await hold(['get', 'bye']), { end: 'completed', alertsUnsent: false });
    assert.deepEqual(story, ['durable', 'send', 'durable', 'send', 'durable', 'close']);
  });
  it('with a server that has no account fails without a connection', async () => {
    assert.deepEqual(await hold([], { serverId: 'B' }), { end: 'failed', alertsUnsent: false });
    assert.deepEqual(story, []);
  });
  it('says that more alerts wait than it could offer', async () => {
    for (let n = 0; n < 21; n += 1) {
      outbox.put({ serverId: 'A', source: './x', type: 't', format: 'chr', mark: 'minor', data: String(n) });
    }
    assert.deepEqual(await hold(['bye']), { end: 'completed', alertsUnsent: true });
    assert.deepEqual(await hold(['bye']), { end: 'completed', alertsUnsent: false });
  });
  it('is broken off by an answer that is no message, and not repeated', async () => {
    assert.equal((await hold(['garbage'])).end, 'failed');
    assert.deepEqual(story, ['durable', 'send', 'durable', 'close']);
  });
  it('reads no answer that is larger, deeper or of more elements than a message may be', async () => {
    assert.equal((await hold(['deep', 'bye'])).end, 'completed');
    assert.equal((await hold(['deeper'])).failure, 'too-deep');
    assert.equal((await hold(['large'])).failure, 'too-large');
    assert.equal((await hold(['many'], { maxMsgSize: 300_000 })).failure, 'too-many-elements');
  });
  it('closes its connection when the database fails under it, and lets the failure through', async () => {
    const store = { durable: () => Promise.reject(new StoreError('io', 'as the test wants')) };
    await assert.rejects(hold(['bye'], { store }), StoreError);
    assert.deepEqual(story, ['close']);
  });
});

describe('a transport failure', () => {
  for (const code of ['broken', 'timeout', 'unreachable'] as const) {
    it(`${code}: the identical message goes out up to three times`, async () => {
      assert.equal((await hold([code, code, 'bye'])).end, 'completed');
      assert.deepEqual(
        story.filter((event) => event !== 'durable'),
        ['send', 'again', 'again', 'close'],
      );
      story = [];
      assert.equal((await hold([code, code, code, 'bye'])).end, 'failed');
      assert.equal(story.filter((event) => event === 'again').length, 2);
    });
  }
  it('is followed by a second of silence, then by two', async () => {
    const ended = hold(['broken', 'broken', 'bye'], { signal: new AbortController().signal });
    const posts = (): number => story.filter((event) => event === 'send' || event === 'again').length;
    for (const [waitMs, before] of [
      [1000, 1],
      [2000, 2],
    ] as const) {
      await until(() => posts() === before && clock.nextInMs() === waitMs);
      clock.advance(waitMs);
    }
    assert.equal((await ended).end, 'completed');
  });
  it('of the second message repeats that one', async () => {
    assert.equal((await hold(['get', 'broken', 'bye'])).end, 'completed');
    assert.deepEqual(
      story.filter((event) => event !== 'durable'),
      ['send', 'send', 'again', 'close'],
    );
  });
  it('that says the server refuses, is not repeated', async () => {
    assert.equal((await hold(['http-status', 'bye'])).end, 'failed');
    assert.deepEqual(story, ['durable', 'send', 'durable', 'close']);
  });
  it('during a stop is not repeated', async () => {
    const stopping = new AbortController();
    const ended = hold(['broken', 'bye'], { signal: stopping.signal });
    await until(() => story.includes('send'));
    stopping.abort();
    assert.equal((await ended).end, 'failed');
    assert.deepEqual(story, ['durable', 'send', 'durable', 'close']);
  });
});

describe('a server that asks for a pause', () => {
  it('is told apart from one that does not, with the code of its failure', async () => {
    const result = await hold(['busy']);
    assert.deepEqual(result, { end: 'failed', alertsUnsent: false, failure: 'http-status', retryAfterMs: 120_000 });
  });
});

describe('a stop amid a session', () => {
  /** Stops while the answer to the message of that number is waited for. */
  async function stopAt(answers: readonly Answer[]): Promise<void> {
    const stopping = new AbortController();
    const ended = hold(answers, { signal: stopping.signal });
    await until(() => story.filter((one) => one === 'send').length >= answers.indexOf('hangs') + 1);
    stopping.abort();
    assert.equal((await ended).end, 'failed');
  }

  it('is told to the server that knows of the session: alert 1223, whose answer nobody needs', async () => {
    await stopAt(['get', 'hangs', 'broken']);
    assert.deepEqual(
      story.filter((event) => event !== 'durable'),
      ['send', 'send', 'send', 'abort', 'close'],
    );
  });
  it('is told to nobody before the server has answered once', async () => {
    await stopAt(['hangs']);
    assert.ok(!story.includes('abort'));
  });
  it('waits for the server no longer than two seconds', async () => {
    const stopping = new AbortController();
    const ended = hold(['get', 'hangs', 'hangs'], { signal: stopping.signal });
    await until(() => story.filter((one) => one === 'send').length >= 2);
    stopping.abort();
    await until(() => story.includes('abort'));
    let over = false;
    void ended.then(() => (over = true));
    clock.advance(1999);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(over, false);
    clock.advance(1);
    assert.equal((await ended).end, 'failed');
  });
});
