import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../clock/index.js';
import {
  child,
  parseWbxml,
  parseXml,
  textOf,
  writeWbxml,
  writeXml,
  writeXmlFragment,
  type Element,
} from '../codec/index.js';
import type { TunableValues } from '../config/index.js';
import { AddressBook, DeviceInventory } from '../device/index.js';
import {
  Accounts,
  createSessionRunner,
  formatHmac,
  macOf,
  MIME_XML,
  Outbox,
  wireOf,
  WIRES,
  type AccountSettings,
  type AuthScheme,
  type Carrier,
  type Encoding,
  type SessionTrigger,
} from '../dm/index.js';
import { BlobStore, Catalog, Deliveries, systemDisk, Uploads } from '../image/index.js';
import { silentLog, type Logger } from '../log/index.js';
import {
  config,
  deviceInventory,
  devDetail,
  devInfo,
  dmAccounts,
  fanout,
  imageInventory,
  Names,
  storage,
} from '../mo/index.js';
import { Prefixes } from '../net/index.js';
import { Fanouts } from '../notify/index.js';
import { failure, success } from '../outcome/index.js';
import { databaseSchema } from '../schema.js';
import { Settings } from '../settings/index.js';
import { openStore, type Store } from '../store/index.js';
import { Tree } from '../tree/index.js';
import {
  CLIENT,
  DEVICE_ID,
  DEVICE_INFO,
  expandMessage,
  MAX_MSG_SIZE,
  MAX_OBJ_SIZE,
  NONCES,
  pretty,
  SERVER,
  SERVER_URL,
  withNamespaces,
  type Conversation,
  type Reply,
  type Turn,
} from './format.js';

/** What the configuration says of the settings. */
const SETTINGS: TunableValues = {
  'session.intervalSeconds': 86_400,
  'retrieve.maxBytesPerSecond': 0,
  'retrieve.maxBytesPerSecondPerImage': 0,
  'retrieve.windows': [],
  'store.quotaMiB': 0,
  'fanout.repeat': 4,
  'fanout.intervalSeconds': 2,
  'fanout.lifetimeSeconds': 86_400,
  'fanout.ratePerSecond': 0,
};

/** What the gateway sent, and where. */
export interface Sent {
  readonly url: string;
  readonly body: Uint8Array;
  readonly encoding: Encoding;
  /** Its `x-syncml-hmac`. */
  readonly hmac?: string;
}

/** Told of each message of the gateway; gives the answer. Throws where the message is not the expected one. */
export type Peer = (sent: Sent, index: number) => Reply | undefined;

/**
 * The DM client with every management object, on a database of its own: no network, no time, no chance. Two accounts:
 * `dmserver`, who speaks, and `other`.
 */
export class Bench {
  readonly clock = new ManualClock();
  readonly store: Store;
  readonly accounts: Accounts;
  readonly outbox: Outbox;
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly settings: Settings;
  /** Told of each message as it goes over the wire. */
  onMessage: (sender: 'client' | 'server', octets: Uint8Array, encoding: Encoding) => void = () => {};
  /** Told of each warning of a session. */
  onWarning: (text: string) => void = () => {};
  readonly #folder = mkdtempSync(join(tmpdir(), 'conversation-'));
  readonly #fanouts: Fanouts;
  #nonces = 0;
  #failure = '';
  #allowedHost = '';
  #trigger: SessionTrigger = { kind: 'start' };

  /** @param encoding in which the gateway begins to speak */
  constructor(
    settings: Conversation['settings'],
    overrides: Readonly<Record<string, string>> = {},
    readonly encoding: Encoding = 'xml',
  ) {
    const { clock } = this;
    const find = (key: string): string | undefined => settings.find(([name]) => name === key)?.[1];
    const store = openStore({
      file: join(this.#folder, 'dmgw.db'),
      schema: databaseSchema,
      log: silentLog,
      cacheKib: 512,
    });
    const lan = Prefixes.parse(['192.168.1.0/24']);
    const names = Names.parse(overrides);
    assert.ok(lan.ok && names.ok);
    this.store = store;
    this.catalog = new Catalog({ store, clock: this.clock, log: silentLog });
    this.accounts = new Accounts(store);
    this.outbox = new Outbox(store);
    this.settings = new Settings({ store, log: silentLog, configured: SETTINGS, locked: ['store.quotaMiB'] });
    this.#fanouts = new Fanouts({
      store,
      clock,
      log: silentLog,
      book: new AddressBook(store),
      capacity: { free: () => 0 },
      reactions: { onFetched: () => () => {}, onSession: () => () => {} },
      appearances: { onAppeared: () => () => {}, presenceOf: () => 'untold' },
      sessionIdOf: () => undefined,
      defaults: { repeat: 4, interval: 2, lifetime: 86_400, rate: 0 },
      send: () => Promise.resolve(success()),
      onFault: (thrown) => {
        throw thrown;
      },
    });
    const deliveries = new Deliveries({ store, catalog: this.catalog, clock, log: silentLog });
    const inventory = new DeviceInventory({ store, clock, log: silentLog, lan: lan.value });
    this.tree = new Tree(
      store,
      [
        devInfo(names.value, DEVICE_FACTS),
        devDetail(names.value, DEVICE_FACTS),
        dmAccounts(names.value, this.accounts, (_, url) => url.startsWith('http://dm.lab.example/')),
        imageInventory(names.value, {
          catalog: this.catalog,
          deliveries,
          uploads: this.#uploads(),
          outbox: this.outbox,
          localUri: (image) => (image.blob === null ? '' : `http://192.168.1.1:8180/scomo/${image.imageId}`),
        }),
        deviceInventory(names.value, inventory),
        fanout(names.value, this.#fanouts, this.outbox),
        storage(names.value, () => ({ total: 1000, free: 600, reserved: 0, quota: 0 }), ['dmserver']),
        config(names.value, this.settings, ['dmserver']),
      ],
      clock,
    );
    this.accounts.configure([
      account('dmserver', (find('client') ?? 'none') as AuthScheme, (find('server') ?? 'none') as AuthScheme, encoding),
      account('other', 'none', 'none', encoding),
    ]);
    for (const [key, value] of settings) this.#prepare(key, value);
  }

  /** Images that come as Data: in files, as in the gateway. */
  #uploads(): Uploads {
    for (const name of ['blobs', 'partial']) mkdirSync(join(this.#folder, name));
    const blobs = new BlobStore({ folder: this.#folder, disk: systemDisk, clock: this.clock, log: silentLog });
    const { store, catalog, clock } = this;
    return new Uploads({ store, catalog, blobs, clock, pins: { needs: () => false } });
  }

  /** Holds the session. @returns how it ended, as the last section of a conversation says it */
  async hold(peer: Peer): Promise<string> {
    let sent = 0;
    const carrier: Carrier = {
      post: (url, body, mediaType, { hmac }) => {
        const { encoding } = wireOf(mediaType);
        this.onMessage('client', body, encoding);
        const reply = peer({ url, body, encoding, ...(hmac !== undefined && { hmac }) }, sent);
        sent += 1;
        if (!reply) return Promise.resolve(failure('bad-url', 'the conversation has ended'));
        switch (reply.kind) {
          case 'broken':
            return Promise.resolve(failure('broken', 'the connection broke'));
          case 'http': {
            const { location } = reply;
            const error = { text: reply.text, status: Number(reply.text), ...(location !== undefined && { location }) };
            const code = location === undefined ? 'http-status' : 'redirect';
            return Promise.resolve({ ok: false, error: { ...error, code } as const });
          }
          case 'raw':
            return Promise.resolve(
              success({ status: 200, contentType: MIME_XML, body: Buffer.from(reply.text) } as const),
            );
          case 'message': {
            const wire = WIRES[reply.encoding ?? encoding];
            const octets = messageOctets(reply.text, wire.encoding);
            this.onMessage('server', octets, wire.encoding);
            const signed = reply.mac && { hmac: hmacOf(reply.mac, octets) };
            return Promise.resolve(
              success({ status: 200, contentType: wire.mediaType, body: octets, ...signed } as const),
            );
          }
        }
      },
      close: () => {},
    };
    return this.run(carrier);
  }

  /**
   * Holds a session over any carrier.
   * @param maxMsgSize that the gateway announces
   * @returns how it ended, as `hold`
   */
  async run(carrier: Carrier, maxMsgSize = MAX_MSG_SIZE): Promise<string> {
    const run = createSessionRunner({
      accounts: this.accounts,
      tree: this.tree,
      store: this.store,
      outbox: this.outbox,
      clock: { ...unhurried(this.clock), sleep: () => Promise.resolve() },
      log: this.#log(),
      deviceId: DEVICE_ID,
      maxMsgSize,
      maxObjSize: MAX_OBJ_SIZE,
      randomBytes: (count) => this.#random(count),
      connect: () => carrier,
      mayMoveTo: (_, hostname) => hostname === this.#allowedHost,
    });
    const { end } = await run('dmserver', this.#trigger, new AbortController().signal);
    return end === 'completed' ? end : `${end} ${this.#failure}`;
  }

  /** Follows the file: each message of the gateway must be the one that it tells. */
  async follow(conversation: Conversation): Promise<void> {
    const { turns, facts } = conversation;
    const sessionId = this.sessionId;
    const heard = { client: 0, server: 0 };
    let last = '';
    let messages = 0;
    let maxMsgSize = Infinity;
    let spoken = this.encoding;
    const end = await this.hold(({ url, body, encoding, hmac }, index) => {
      const turn = turns[index];
      messages = index + 1;
      const actual = readable(body, encoding);
      assert.ok(body.byteLength <= maxMsgSize, `${body.byteLength} octets, ${maxMsgSize} are allowed`);
      assert.ok(turn, `message ${index + 1} was not expected:\n${actual}`);
      if (turn.client === 'again') {
        assert.equal(actual, last, 'the identical message');
      } else {
        heard.client += 1;
        assert.equal(actual, pretty(expandMessage(turn.client, 'client', heard.client, sessionId)));
      }
      last = actual;
      const { name, secret } = CLIENT;
      assert.equal(hmac, turn.mac && formatHmac({ name, mac: macOf(name, secret, turn.mac, body) }), 'x-syncml-hmac');
      assert.equal(encoding, spoken, 'the encoding');
      if (turn.server.kind === 'http' && turn.server.text === '415') spoken = spoken === 'xml' ? 'wbxml' : 'xml';
      spoken = turn.server.encoding ?? spoken;
      assert.equal(url, turn.url ?? SERVER_URL);
      maxMsgSize = Number(/<MaxMsgSize>(\d+)</.exec(turn.server.text)?.[1] ?? maxMsgSize);
      return this.reply(turn, sessionId, heard);
    });
    assert.equal(end, conversation.end);
    assert.equal(messages, turns.length, 'messages of the gateway');
    for (const fact of facts) this.check(fact);
  }

  /** The answer of a turn with its message complete. */
  reply({ server }: Turn, sessionId: string, heard: { server: number }): Reply {
    if (server.kind !== 'message') return server;
    heard.server += 1;
    return { ...server, text: pretty(expandMessage(server.text, 'server', heard.server, sessionId)) };
  }

  get sessionId(): string {
    return this.#trigger.kind === 'notification' ? this.#trigger.sessionId : '1234';
  }

  check(fact: string): void {
    const [words, value = ''] = fact.split(' = ');
    const account = this.accounts.byServerId('dmserver');
    assert.ok(account && words !== undefined);
    switch (words) {
      case 'client nonce':
        return assert.deepEqual(account.client.nonce, NONCES[value], fact);
      case 'server nonce':
        return assert.deepEqual(account.server.nonce, NONCES[value], fact);
      case 'encoding':
        return assert.equal(account.encoding === this.encoding ? 'same' : 'other', value, fact);
      case 'client secret':
        return assert.equal(account.client.secret, value, fact);
      case 'alerts':
        return assert.equal(this.outbox.count('dmserver'), Number(value), fact);
      case 'alerts unsent':
        return assert.equal(String(this.outbox.hasUnsent('dmserver')), value, fact);
      default: {
        const found = this.tree.get('local', words);
        const is = found.ok ? (typeof found.value.data === 'string' ? found.value.data : 'octets') : found.error.code;
        assert.equal(is, value === '(empty)' ? '' : value, fact);
      }
    }
  }

  async close(): Promise<void> {
    this.store.sql('PRAGMA query_only = OFF').run();
    await this.#fanouts.close();
    await this.store.close();
    rmSync(this.#folder, { recursive: true });
  }

  #prepare(key: string, value: string): void {
    if (key === 'session') {
      const [sessionId = '', how] = value.split(' ');
      this.#trigger = { kind: 'notification', sessionId, defaultNonce: how === 'default-nonce' };
    } else if (key === 'alert') {
      const [data = '', correlator] = value.split(' ');
      this.outbox.put({
        serverId: 'dmserver',
        source: './GwMO/ImageInventory/a',
        type: 'org.dmgw.imageinventory.retrieved',
        format: 'int',
        mark: 'informational',
        data,
        ...(correlator !== undefined && { correlator }),
      });
    } else if (key === 'event') {
      const [type = '', data = ''] = value.split(' ');
      this.outbox.putEvent({ serverId: 'dmserver', type, data });
    } else if (key === 'allows') {
      this.#allowedHost = value;
    } else if (key === 'disk') {
      const turn = DISKS[value];
      assert.ok(turn, `'${value}' is no disk`);
      turn(this.store);
    } else if (key === 'given') {
      const [, serverId = '', verb, uri = '', data] = /^(\w+) (adds|replaces) (\S+)(?: = (.*))?$/.exec(value) ?? [];
      assert.ok(verb, `'${value}' is not understood`);
      const incoming = { format: undefined, type: undefined, data };
      const done = this.store.transaction(() =>
        verb === 'adds' ? this.tree.add({ serverId }, uri, incoming) : this.tree.replace({ serverId }, uri, incoming),
      );
      assert.ok(done.ok, `${value}: ${done.ok ? '' : done.error.text}`);
    } else {
      assert.ok(key === 'client' || key === 'server', `'${key}' is no setting`);
    }
  }

  /** Two octets are a SessionID, sixteen a nonce: r1, r2, ... */
  #random(count: number): Uint8Array {
    if (count === 2) return Uint8Array.of(0x12, 0x34);
    this.#nonces += 1;
    return NONCES[`r${this.#nonces}`] ?? new Uint8Array(count).fill(this.#nonces);
  }

  #log(): Logger {
    return {
      ...silentLog,
      warn: (text, fields) => {
        this.onWarning(text);
        if (text === 'session failed' || text === 'session broken off') this.#failure = String(fields?.['code']);
      },
    };
  }
}

function hmacOf({ secret, nonce }: NonNullable<Reply['mac']>, body: Uint8Array): string {
  const { name } = SERVER;
  return formatHmac({ name, mac: macOf(name, secret, nonce, body) });
}

/** Has SQLite meet a disk that is full, or one that takes no writes, from now on. */
const DISKS: Readonly<Record<string, (store: Store) => unknown>> = {
  // SQLite keeps what there is: no page more.
  full: (store) => store.sql('PRAGMA max_page_count = 1').get(),
  'read-only': (store) => store.sql('PRAGMA query_only = ON').run(),
};

/** A message as its octets say it, in the form of the files: octets as base64, TNDS documents as XML. */
export function readable(body: Uint8Array, encoding: Encoding = 'xml'): string {
  const parsed = (encoding === 'xml' ? parseXml : parseWbxml)(body, LIMITS);
  assert.ok(parsed.ok, 'the message is not well-formed');
  return pretty(withoutOctets(parsed.value));
}

const LIMITS = { maxBytes: 10_000_000, maxDepth: 64, maxElements: 500_000 };

function withoutOctets(node: Element): Element {
  const document = holdsTnds(node) ? dataOf(node) : undefined;
  if (document instanceof Uint8Array) {
    const parsed = parseWbxml(document, LIMITS);
    assert.ok(parsed.ok, 'the TNDS document is not well-formed');
    return withoutOctets(withData(node, writeXmlFragment(parsed.value)));
  }
  const text = typeof node.text === 'string' ? node.text : Buffer.from(node.text).toString('base64');
  return { ...node, text, children: node.children.map(withoutOctets) };
}

/** Whether an Item carries a TNDS document of WBXML. */
function holdsTnds(item: Element): boolean {
  const meta = item.name === 'Item' ? child(item, 'Meta') : undefined;
  const type = meta && child(meta, 'Type');
  return type !== undefined && textOf(type).endsWith('dmtnds+wbxml');
}

function dataOf(item: Element): string | Uint8Array | undefined {
  return child(item, 'Data')?.text;
}

function withData(item: Element, text: string | Uint8Array): Element {
  return { ...item, children: item.children.map((part) => (part.name === 'Data' ? { ...part, text } : part)) };
}

/** A message of a file as octets; in WBXML, Data of Format `bin` is an opaque, a TNDS document one of WBXML. */
function messageOctets(text: string, encoding: Encoding): Uint8Array {
  const parsed = parseXml(Buffer.from(text), LIMITS);
  assert.ok(parsed.ok);
  const message = withNamespaces(withoutLayout(parsed.value));
  return encoding === 'xml' ? writeXml(message) : writeWbxml(withOpaques(message));
}

function withoutLayout(node: Element): Element {
  return node.children.length === 0 ? node : { ...node, text: '', children: node.children.map(withoutLayout) };
}

function withOpaques(node: Element): Element {
  const document = holdsTnds(node) ? dataOf(node) : undefined;
  if (typeof document === 'string') {
    const parsed = parseXml(Buffer.from(document), LIMITS);
    return withData(node, parsed.ok ? writeWbxml(parsed.value) : Buffer.from(document));
  }
  const meta = node.name === 'Item' ? child(node, 'Meta') : undefined;
  const format = meta && child(meta, 'Format');
  const isBinary = format !== undefined && textOf(format) === 'bin';
  const children = node.children.map((inner) =>
    isBinary && inner.name === 'Data' ? { ...inner, text: Buffer.from(textOf(inner), 'base64') } : withOpaques(inner),
  );
  return { ...node, children };
}

function unhurried(clock: ManualClock): Omit<ConstructorParameters<typeof Deliveries>[0]['clock'], 'sleep'> {
  return {
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs(),
    plausible: () => clock.plausible(),
    after: (delayMs, task) => clock.after(delayMs, task),
  };
}

function account(serverId: string, client: AuthScheme, server: AuthScheme, encoding: Encoding): AccountSettings {
  return {
    serverId,
    name: serverId,
    url: SERVER_URL,
    encoding,
    client: { scheme: client, ...CLIENT, nonce: NONCES['c0'] ?? new Uint8Array() },
    server: { scheme: server, ...SERVER, nonce: NONCES['s0'] ?? new Uint8Array() },
  };
}

const DEVICE_FACTS = {
  deviceId: DEVICE_ID,
  manufacturer: DEVICE_INFO['Man'] ?? '',
  model: DEVICE_INFO['Mod'] ?? '',
  dmVersion: DEVICE_INFO['DmV'] ?? '',
  language: DEVICE_INFO['Lang'] ?? '',
  deviceType: 'gateway',
  oem: 'Acme',
  firmwareVersion: '1.0',
  softwareVersion: '0.1.0',
  hardwareVersion: 'A',
  largeObjects: true,
};
