import assert from 'node:assert/strict';
import { child, element, parseXml, textOf, type Element } from '../codec/index.js';
import { challengeMeta, DEFAULT_NONCE, makeCred, type CredScheme, type Encoding } from '../dm/index.js';

/** A conversation as its file tells it; firmware/dm/conversations/README.md describes the form. */
export interface Conversation {
  readonly title: string;
  /** What was so before, in the order of the file: `client: md5`, `given: ...`. */
  readonly settings: readonly (readonly [key: string, value: string])[];
  readonly turns: readonly Turn[];
  /** `completed`, or `failed` with the code of the failure. */
  readonly end: string;
  /** What is so afterwards: one fact a line. */
  readonly facts: readonly string[];
}

export interface Turn {
  /** What the gateway must send. `again`: the identical octets once more. */
  readonly client: string;
  /** Where it must send it; undefined: the URL of the account. */
  readonly url: string | undefined;
  /** The nonce of its `x-syncml-hmac`; undefined: it must send none. */
  readonly mac: Uint8Array | undefined;
  readonly server: Reply;
}

/** `broken`: the connection breaks. `raw`: the text goes out as it stands, as XML. `http`: a status, in `text`. */
export interface Reply {
  readonly kind: 'message' | 'raw' | 'broken' | 'http';
  readonly text: string;
  /** Of a message that does not come in the encoding of the request. */
  readonly encoding?: Encoding;
  /** How its `x-syncml-hmac` is made. */
  readonly mac?: { readonly secret: string; readonly nonce: Uint8Array };
  /** Of an HTTP status: the header Location. */
  readonly location?: string;
}

export const DEVICE_ID = 'urn:uuid:6f1c-gw001';
export const SERVER_URL = 'http://dm.lab.example/dm';
export const MAX_MSG_SIZE = 16384;
export const MAX_OBJ_SIZE = 1_000_000;
export const CLIENT = { name: 'gw001', secret: 'gwSecret1' };
export const SERVER = { name: 'dmserver', secret: 'srvSecret1' };

const octets = (first: number, step: number): Uint8Array => Uint8Array.from({ length: 16 }, (_, n) => first + n * step);

/** The nonces that the files name. */
export const NONCES: Readonly<Record<string, Uint8Array>> = {
  /** The client's and the server's as provisioned. */
  c0: octets(0x00, 1),
  s0: octets(0x10, 1),
  /** What the server challenges with. */
  n1: octets(0x10, 1),
  n2: octets(0x20, 1),
  n3: octets(0x30, 1),
  /** What the gateway's random source gives, in order. */
  r1: octets(0xa1, 0),
  r2: octets(0xa2, 0),
  r3: octets(0xa3, 0),
  default: DEFAULT_NONCE,
};

export const DEVICE_INFO: Readonly<Record<string, string>> = {
  DevId: DEVICE_ID,
  Man: 'Acme',
  Mod: 'GW-1',
  DmV: '0.1.0',
  Lang: 'en',
};

/** @param encoding in which it is replayed: the gateway begins so, and the server answers so */
export function parseConversation(text: string, encoding: Encoding = 'xml'): Conversation {
  const lines = forEncoding(text, encoding).split('\n');
  const title = lines.shift() ?? '';
  const settings: [string, string][] = [];
  const turns: Turn[] = [];
  let end = '';
  let section = '';
  let client: Omit<Turn, 'server'> | undefined;
  let content: string[] = [];
  const close = (): void => {
    const body = content.join('\n').trim();
    content = [];
    const [mark, who = '', ...words] = section.split(' ');
    if (mark === '>>>') client = { client: body, ...clientWords(words) };
    if (mark !== '<<<') return;
    assert.ok(client, `${section}: the client speaks first`);
    const kind = REPLY_KINDS.get(who);
    assert.ok(kind, `'${section}' is no section`);
    turns.push({ ...client, server: { kind, text: body, ...serverWords(kind, words, encoding) } });
    client = undefined;
  };
  for (const line of lines) {
    if (/^(>>>|<<<) /.test(line)) {
      close();
      section = line;
    } else if (line.startsWith('=== ')) {
      close();
      section = '===';
      end = line.slice(4);
    } else if (section === '') {
      const [, key, value] = /^(\w+): (.*)$/.exec(line) ?? [];
      if (key !== undefined && value !== undefined) settings.push([key, expandPlaceholders(value)]);
    } else {
      content.push(line);
    }
  }
  assert.equal(client, undefined, 'the last message has no answer');
  return { title, settings, turns, end, facts: content.map((line) => line.trim()).filter((line) => line !== '') };
}

/** Words behind `<<<`. */
const REPLY_KINDS: ReadonlyMap<string, Reply['kind']> = new Map([
  ['server', 'message'],
  ['raw', 'raw'],
  ['broken', 'broken'],
  ['http', 'http'],
]);

/** What stands behind `>>> client`: `mac:c0`, and a URL. */
function clientWords(words: readonly string[]): Pick<Turn, 'url' | 'mac'> {
  const mac = words.find((word) => word.startsWith('mac:'));
  return { url: words.find((word) => word !== mac), mac: mac === undefined ? undefined : nonceOf(mac.slice(4)) };
}

/** What stands behind `<<< server` (`other`, `mac:s0`, `wrong-mac:s0`) and `<<< http` (status, Location). */
function serverWords(kind: Reply['kind'], words: readonly string[], encoding: Encoding): Partial<Reply> {
  if (kind === 'http') {
    const [status = '', location] = words;
    return { text: status, ...(location !== undefined && { location }) };
  }
  const [wrong, nonce] = /^(wrong-)?mac:(\w+)$/.exec(words.find((word) => word.includes('mac:')) ?? '')?.slice(1) ?? [];
  const secret = wrong === undefined ? SERVER.secret : 'not the secret';
  return {
    ...(words.includes('other') && { encoding: encoding === 'xml' ? 'wbxml' : 'xml' }),
    ...(nonce !== undefined && { mac: { secret, nonce: nonceOf(nonce) } }),
  };
}

/** `{bytes 1600 1100}` and the like: what differs between XML and WBXML. */
function forEncoding(text: string, encoding: Encoding): string {
  const xml = encoding === 'xml';
  return text
    .replace(/\{bytes (\d+) (\d+)\}/g, (_, inXml: string, inWbxml: string) => (xml ? inXml : inWbxml))
    .replaceAll('{bin}', xml ? 'b64' : 'bin')
    .replaceAll('{tnds}', `application/vnd.syncml.dmtnds+${encoding}`)
    .replaceAll('{unknown}', xml ? 'Frob' : 'Record');
}

/** The whole message that a section stands for. @param msgId of the sender */
export function expandMessage(text: string, sender: 'client' | 'server', msgId: number, sessionId: string): Element {
  const parsed = parseXml(Buffer.from(`<SyncML>${expandPlaceholders(text)}</SyncML>`), LIMITS);
  assert.ok(parsed.ok, parsed.ok ? '' : `${parsed.error.text}\n${text}`);
  const [given, ...body] = parsed.value.children;
  assert.equal(given?.name, 'SyncHdr', 'a message begins with its SyncHdr');
  const usual = usualHeader(sender, msgId, sessionId);
  const parts = HEADER_PARTS.flatMap((name) => child(given, name) ?? usual.find((part) => part.name === name) ?? []);
  return syncml('SyncML', [syncml('SyncHdr', parts), syncml('SyncBody', body)]);
}

/** One element as readable text: on one line where it is short. White space around text of parents does not count. */
export function pretty(node: Element, indent = ''): string {
  const text = textOf(node);
  const { name, children } = node;
  if (children.length === 0) return text === '' ? `${indent}<${name}/>` : `${indent}<${name}>${escape(text)}</${name}>`;
  const line = `${indent}<${name}>${children.map((inner) => pretty(inner)).join('')}</${name}>`;
  if (line.length <= 118 && !line.includes('\n')) return line;
  return [`${indent}<${name}>`, ...children.map((inner) => pretty(inner, `${indent}  `)), `${indent}</${name}>`].join(
    '\n',
  );
}

/** Elements as they go onto the wire: what stands in Meta belongs to another namespace. */
export function withNamespaces(node: Element, within: Element['namespace'] = 'syncml'): Element {
  const inner = node.name === 'Meta' ? 'metinf' : 'syncml';
  return { ...node, namespace: within, children: node.children.map((one) => withNamespaces(one, inner)) };
}

const LIMITS = { maxBytes: 1_000_000, maxDepth: 64, maxElements: 50_000 };

const HEADER_PARTS = [
  'VerDTD',
  'VerProto',
  'SessionID',
  'MsgID',
  'Target',
  'Source',
  'RespURI',
  'NoResp',
  'Cred',
  'Meta',
] as const;

function usualHeader(sender: 'client' | 'server', msgId: number, sessionId: string): Element[] {
  const client = sender === 'client';
  const location = (name: 'Target' | 'Source', uri: string): Element => syncml(name, [syncml('LocURI', uri)]);
  const name = syncml('LocName', CLIENT.name);
  const source = location('Source', client ? DEVICE_ID : SERVER_URL);
  return [
    syncml('VerDTD', '1.2'),
    syncml('VerProto', 'DM/1.2'),
    syncml('SessionID', sessionId),
    syncml('MsgID', String(msgId)),
    location('Target', client ? SERVER_URL : DEVICE_ID),
    client ? { ...source, children: [...source.children, name] } : source,
    ...(client
      ? [syncml('Meta', [syncml('MaxMsgSize', String(MAX_MSG_SIZE)), syncml('MaxObjSize', String(MAX_OBJ_SIZE))])]
      : []),
  ];
}

/** Replaces `{...}`; which there are, README.md says. */
function expandPlaceholders(text: string): string {
  return text.replace(/\{(\w[^{}]*)\}/g, (_, words: string) => {
    const [name = '', ...rest] = words.split(' ');
    const expand = PLACEHOLDERS[name];
    assert.ok(expand, `'{${words}}' is no placeholder`);
    return expand(...rest);
  });
}

const PLACEHOLDERS: Readonly<Record<string, (...words: string[]) => string>> = {
  device: () => DEVICE_ID,
  server: () => SERVER_URL,
  DevInfo: () =>
    Object.entries(DEVICE_INFO)
      .map(
        ([leaf, value]) =>
          `<Item><Source><LocURI>./DevInfo/${leaf}</LocURI></Source>` +
          `<Meta><Format>chr</Format><Type>text/plain</Type></Meta><Data>${value}</Data></Item>`,
      )
      .join(''),
  cred: (who = '', scheme = '', nonce = '') => {
    const { name, secret } = who === 'client' ? CLIENT : SERVER;
    const { meta, data } = makeCred(
      asScheme(scheme),
      name,
      who === 'wrong' ? 'not the secret' : secret,
      nonceOf(nonce),
    );
    return `<Cred>${metaXml(meta)}<Data>${data}</Data></Cred>`;
  },
  chal: (scheme = '', nonce = '') =>
    `<Chal>${metaXml(challengeMeta(asChallenge(scheme), nonceOf(scheme === 'basic' ? 'c0' : nonce)))}</Chal>`,
  base64: (...words) => Buffer.from(words.join(' ')).toString('base64'),
  letters: (count = '') => 'x'.repeat(Number(count)),
  times: (count = '', ...words) =>
    Array.from({ length: Number(count) }, (_, n) => words.join(' ').replaceAll('#', String(n + 1))).join(''),
};

function metaXml(meta: { readonly format?: string; readonly type?: string; readonly nextNonce?: string }): string {
  const nonce = meta.nextNonce === undefined ? '' : `<NextNonce>${meta.nextNonce}</NextNonce>`;
  return `<Meta><Format>${meta.format ?? ''}</Format><Type>${meta.type ?? ''}</Type>${nonce}</Meta>`;
}

function asScheme(word: string): CredScheme {
  assert.ok(word === 'basic' || word === 'md5', `'${word}' is no scheme`);
  return word;
}

function asChallenge(word: string): CredScheme | 'mac' {
  return word === 'mac' ? word : asScheme(word);
}

function nonceOf(name: string): Uint8Array {
  const nonce = NONCES[name === '' ? 'c0' : name];
  assert.ok(nonce, `'${name}' is no nonce`);
  return nonce;
}

function syncml(name: string, content: string | readonly Element[]): Element {
  return element('syncml', name, content);
}

function escape(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
