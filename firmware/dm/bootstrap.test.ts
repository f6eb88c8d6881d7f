import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { element, writeWbxml, writeXml, type Element } from '../codec/index.js';
import { isBootstrap, readBootstrap } from './bootstrap.js';

type Nodes = readonly (readonly [name: string, content: string | Nodes])[];

const of = (name: string, content: string | readonly Element[]): Element => element('dmddf', name, content);

/** A node of a TNDS document with what is below it. */
function node(name: string, content: string | Nodes, format = 'chr'): Element {
  const properties = of('RTProperties', [
    of('Format', [of(typeof content === 'string' ? (name === 'AAuthData' ? 'bin' : format) : 'node', '')]),
    of('Type', [of('MIME', 'text/plain')]),
  ]);
  const inside =
    typeof content === 'string' ? [of('Value', content)] : content.map(([inner, value]) => node(inner, value));
  return of('Node', [of('NodeName', name), properties, ...inside]);
}

function auth(level: string, type: string, name: string, secret: string, data = ''): Nodes {
  return [
    ['AAuthLevel', level],
    ['AAuthType', type],
    ['AAuthName', name],
    ['AAuthSecret', secret],
    ...(data === '' ? [] : [['AAuthData', data] as const]),
  ];
}

function addressOf(addr: string, port: string): Nodes {
  return [
    [
      '1',
      [
        ['Addr', addr],
        ['AddrType', 'URI'],
        ['Port', [['1', [['PortNbr', port]]]]],
      ],
    ],
  ];
}

function account(change: Readonly<Record<string, string | Nodes>> = {}): Element {
  const nodes: Record<string, string | Nodes> = {
    AppID: 'w7',
    ServerID: 'dm.example.com',
    Name: 'Example',
    AppAddr: addressOf('https://dm.example.com/dm', '8443'),
    AAuthPref: 'DIGEST',
    AppAuth: [
      ['1', auth('CLCRED', 'HTTP-DIGEST', 'x', 'y')],
      ['2', auth('CLCRED', 'BASIC', 'gw', 'plain')],
      ['3', auth('CLCRED', 'DIGEST', 'gw', 'client secret', 'bm9uY2U=')],
      ['4', auth('SRVCRED', 'HMAC', 'server', 'server secret')],
    ],
    ...change,
  };
  return node('acc1', Object.entries(nodes));
}

const tree = (...accounts: Element[]): Element =>
  element('dmddf', 'MgmtTree', [of('VerDTD', '1.2'), of('Node', [of('NodeName', 'DMAcc'), ...accounts])]);

const EXPECTED = {
  serverId: 'dm.example.com',
  name: 'Example',
  url: 'https://dm.example.com:8443/dm',
  client: { scheme: 'md5', name: 'gw', secret: 'client secret', nonce: 'bm9uY2U=' },
  server: { scheme: 'mac', name: 'server', secret: 'server secret' },
};

const syncml = (name: string, content: string | Uint8Array | readonly Element[]): Element =>
  element('syncml', name, content);

/** A command that adds a document to ./Inbox. @param meta what it says of it */
function add(data: string | Uint8Array | readonly Element[], meta: Readonly<Record<string, string>>): Element {
  return syncml('Add', [
    syncml('CmdID', '1'),
    syncml('Item', [
      syncml('Target', [syncml('LocURI', './Inbox')]),
      syncml(
        'Meta',
        Object.entries(meta).map(([name, value]) => element('metinf', name, value)),
      ),
      syncml('Data', data),
    ]),
  ]);
}

const message = (...commands: Element[]): Element =>
  syncml('SyncML', [
    syncml('SyncHdr', [syncml('VerDTD', '1.2')]),
    syncml('SyncBody', [...commands, syncml('Final', '')]),
  ]);

const XML = { Type: 'application/vnd.syncml.dmtnds+xml' };
const WBXML = { Type: 'application/vnd.syncml.dmtnds+wbxml' };
const xml = (root: Element): Buffer => Buffer.from(writeXml(root));
const wbxml = (root: Element): Uint8Array => writeWbxml(root);
const text = (root: Element): string => xml(root).toString('utf8');
const base64 = (octets: Uint8Array): string => Buffer.from(octets).toString('base64');
const B64 = { Format: 'b64' };
const other = add('Example', { Type: 'text/plain', Format: 'chr' });

describe('a bootstrap document', () => {
  for (const [what, octets] of [
    ['a sub-tree in XML', xml(tree(account()))],
    ['a sub-tree in WBXML', wbxml(tree(account()))],
    ['a sub-tree behind a mark of its order of octets', Buffer.from(`\ufeff${text(tree(account()))}`)],
    ['a message in XML', xml(message(add(text(tree(account())), XML)))],
    ['a message in XML with its elements', xml(message(add([tree(account())], XML)))],
    ['a message in XML with WBXML in base64', xml(message(add(base64(wbxml(tree(account()))), { ...WBXML, ...B64 })))],
    ['a message in XML with XML in base64', xml(message(add(base64(xml(tree(account()))), { ...XML, ...B64 })))],
    ['a message in WBXML with a sub-tree in WBXML', wbxml(message(add(wbxml(tree(account())), WBXML)))],
    ['a message that does not say what it adds', xml(message(add(text(tree(account())), {}), add('Example', {})))],
    ['a message that adds other things, too', xml(message(other, add(text(tree(account())), XML)))],
    [
      'commands within commands',
      xml(message(syncml('Atomic', [other, syncml('Sequence', [add(text(tree(account())), XML)])]))),
    ],
    ['an account at the top', xml(element('dmddf', 'MgmtTree', [of('VerDTD', '1.2'), account()]))],
  ] as const) {
    it(`gives its account from ${what}`, () => {
      assert.equal(isBootstrap(octets), true);
      assert.deepEqual(readBootstrap(octets), { ok: true, value: [EXPECTED] });
    });
  }

  it('is neither JSON nor nothing', () => {
    for (const other of ['', ' {"accounts": []}', '\0']) assert.equal(isBootstrap(Buffer.from(other)), false, other);
  });

  for (const [addr, port, url] of [
    ['https://a/dm', '8443', 'https://a:8443/dm'],
    ['https://a/dm', '443', 'https://a/dm'],
    ['https://a:443/dm', '8443', 'https://a:443/dm'],
    ['http://a:80', '8080', 'http://a:80'],
    ['http://[::1]/dm', '8080', 'http://[::1]:8080/dm'],
    ['http://[::1]:80/dm', '8080', 'http://[::1]:80/dm'],
    ['https://a/dm:1?b:2', '8443', 'https://a:8443/dm:1?b:2'],
    ['https://a/dm', '', 'https://a/dm'],
  ] as const) {
    it(`with ${addr} and port ${port} says ${url}`, () => {
      const read = readBootstrap(xml(tree(account({ AppAddr: addressOf(addr, port) }))));
      assert.deepEqual(read, { ok: true, value: [{ ...EXPECTED, url }] });
    });
  }

  it('may have several accounts, and leave to the configuration what it does not say', () => {
    const { AppAddr, AppAuth, AAuthPref, Name } = { AppAddr: [], AppAuth: [], AAuthPref: '', Name: '' };
    const read = readBootstrap(xml(tree(account(), account({ ServerID: 'b', AppAddr, AppAuth, AAuthPref, Name }))));
    assert.deepEqual(read, { ok: true, value: [EXPECTED, { serverId: 'b' }] });
  });

  for (const [what, octets, expected] of [
    ['without an account', xml(tree()), 'bad-value: no DM account (DMAcc) in it'],
    ['without a ServerID', xml(tree(account({ ServerID: '' }))), 'bad-value: a DM account has no ServerID'],
    [
      'with authentication that is not spoken',
      xml(tree(account({ AppAuth: [['1', auth('CLCRED', 'SECURID', 'a', 'b')]] }))),
      'bad-value: AAuthType of CLCRED is SECURID; expected BASIC, DIGEST, HMAC, TRANSPORT',
    ],
    ...['0', '65536', '99999999999', '-1', '80a'].map(
      (port) =>
        [
          `with port ${port}`,
          xml(tree(account({ AppAddr: addressOf('https://a/dm', port) }))),
          `bad-value: PortNbr is ${port}; expected 1 to 65535`,
        ] as const,
    ),
    [
      'with a sub-tree that is none',
      xml(message(add(text(tree(account())), XML), add('<html></html>', XML))),
      'bad-value: the document is no MgmtTree',
    ],
    ['that adds something else', xml(message(other)), 'bad-value: no DM account (DMAcc) in it'],
    [
      'that adds something else and does not say what',
      xml(message(add('<html></html>', {}))),
      'bad-value: the document is no MgmtTree',
    ],
    ['of something else', Buffer.from('<html></html>'), 'bad-value: the document is no MgmtTree'],
    ['that is cut off', xml(tree(account())).subarray(0, 500), 'syntax'],
    ['that is cut off, in WBXML', wbxml(tree(account())).subarray(0, 100), 'syntax'],
  ] as const) {
    it(`is refused ${what}`, () => {
      const read = readBootstrap(octets);
      assert.ok(!read.ok);
      assert.ok(`${read.error.code}: ${read.error.text}`.startsWith(expected), read.error.text);
    });
  }
});
