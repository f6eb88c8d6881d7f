import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { element, writeWbxml, writeXml, type Element } from '../codec/index.js';
import { readBootstrap } from './bootstrap.js';

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

function account(change: Readonly<Record<string, string | Nodes>> = {}): Element {
  const nodes: Record<string, string | Nodes> = {
    AppID: 'w7',
    ServerID: 'dm.example.com',
    Name: 'Example',
    AppAddr: [
      [
        '1',
        [
          ['Addr', 'https://dm.example.com/dm'],
          ['AddrType', 'URI'],
          ['Port', [['1', [['PortNbr', '8443']]]]],
        ],
      ],
    ],
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

/** A message that adds a document to ./Inbox. */
function message(data: string | Uint8Array, kind: 'xml' | 'wbxml'): Element {
  const syncml = (name: string, content: string | Uint8Array | readonly Element[]): Element =>
    element('syncml', name, content);
  return syncml('SyncML', [
    syncml('SyncHdr', [syncml('VerDTD', '1.2')]),
    syncml('SyncBody', [
      syncml('Add', [
        syncml('CmdID', '1'),
        syncml('Item', [
          syncml('Target', [syncml('LocURI', './Inbox')]),
          syncml('Meta', [element('metinf', 'Type', `application/vnd.syncml.dmtnds+${kind}`)]),
          syncml('Data', data),
        ]),
      ]),
      syncml('Final', ''),
    ]),
  ]);
}

const xml = (root: Element): Buffer => Buffer.from(writeXml(root));
const wbxml = (root: Element): Uint8Array => writeWbxml(root);

describe('a bootstrap document', () => {
  for (const [what, octets] of [
    ['a sub-tree in XML', xml(tree(account()))],
    ['a sub-tree in WBXML', wbxml(tree(account()))],
    ['a message in XML', xml(message(xml(tree(account())).toString('utf8'), 'xml'))],
    ['a message in WBXML with a sub-tree in WBXML', wbxml(message(wbxml(tree(account())), 'wbxml'))],
    ['an account at the top', xml(element('dmddf', 'MgmtTree', [of('VerDTD', '1.2'), account()]))],
  ] as const) {
    it(`gives its account from ${what}`, () => {
      assert.deepEqual(readBootstrap(octets), { ok: true, value: [EXPECTED] });
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
