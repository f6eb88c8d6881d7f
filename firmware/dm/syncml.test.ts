import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { element, parseXml, type DocumentLimits, type Element } from '../codec/index.js';
import type { Outcome } from '../outcome/index.js';
import type { BodyCommand, Header, Message } from './message.js';
import { decodeMessage, effectiveMeta } from './syncml.js';
import { xmlWire } from './wire.js';

const TESTDATA = new URL('testdata/', import.meta.url);
const LIMITS: DocumentLimits = { maxBytes: 100_000, maxDepth: 64, maxElements: 5000 };

function decode(bytes: Uint8Array): Outcome<Message, { readonly code: string }> {
  const root = parseXml(bytes, LIMITS);
  return root.ok ? decodeMessage(root.value) : root;
}

function decoded(bytes: Uint8Array): Message {
  const message = decode(bytes);
  assert.ok(message.ok, message.ok ? '' : message.error.code);
  return message.value;
}

const file = (name: string): Buffer => readFileSync(new URL(name, TESTDATA));
const HEADER: Header = {
  verDtd: '1.2',
  verProto: 'DM/1.2',
  sessionId: '1',
  msgId: '1',
  target: { uri: 'd' },
  source: { uri: 's' },
};

/** A message without commands. */
const EMPTY = elementsOf(xmlWire.encode({ header: HEADER, body: [], final: true }));

function elementsOf(octets: Uint8Array): Element {
  const root = parseXml(octets, LIMITS);
  assert.ok(root.ok);
  return root.value;
}

/** What a body command is about, for tables. */
function summary(command: BodyCommand): string {
  if (command.kind === 'Unusable') return `${command.name}:${command.reason}:${command.cmdId}`;
  if (command.kind !== 'Atomic' && command.kind !== 'Sequence') return `${command.kind}:${command.cmdId}`;
  return `${command.kind}:${command.cmdId}(${command.commands.map(summary).join(' ')})`;
}

describe('decodeMessage', () => {
  it('reads package 1 of the facts, section 3.8', () => {
    const item = (uri: string, data: string) => ({ source: { uri }, data });
    assert.deepEqual(decoded(file('package1.xml')), {
      header: {
        ...HEADER,
        sessionId: '1234',
        target: { uri: 'http://dm.lab.example/dm' },
        source: { uri: 'urn:uuid:6f1c-gw001', name: 'gw001' },
        cred: { meta: { format: 'b64', type: 'syncml:auth-md5' }, data: '3B9MdA+Ta1j0G6NZ+a0+Uw==' },
        meta: { maxMsgSize: 16384 },
      },
      body: [
        { kind: 'Alert', cmdId: '1', data: '1200', items: [] },
        {
          kind: 'Replace',
          cmdId: '2',
          items: [item('./DevInfo/DevId', 'urn:uuid:6f1c-gw001'), item('./DevInfo/Man', 'Acme')],
        },
      ],
      final: true,
    } satisfies Message);
  });

  it('reads package 2 of the facts, section 3.8', () => {
    const { header, body, final } = decoded(file('package2.xml'));
    assert.equal(header.respUri, 'http://dm.lab.example/dm?s=77');
    assert.equal(final, true);
    assert.deepEqual(body[0], {
      kind: 'Status',
      cmdId: '1',
      msgRef: '1',
      cmdRef: '0',
      cmd: 'SyncHdr',
      targetRefs: ['http://dm.lab.example/dm'],
      sourceRefs: ['urn:uuid:6f1c-gw001'],
      chal: { format: 'b64', type: 'syncml:auth-md5', nextNonce: 'EBESExQVFhcYGRobHB0eHw==' },
      data: '212',
      items: [],
    });
    assert.deepEqual(body[3], { kind: 'Get', cmdId: '4', items: [{ target: { uri: './DevDetail/SwV' } }] });
  });

  it('reads any order, prefixes, a MetInf wrapper, metinf without its namespace, and TNDS as elements', () => {
    const { header, body, final } = decoded(file('foreign-habits.xml'));
    assert.deepEqual(header, {
      ...HEADER,
      sessionId: 'A',
      msgId: '2',
      source: { uri: 'http://s' },
      meta: { maxMsgSize: 4096 },
    });
    assert.equal(final, true);
    assert.deepEqual(body.map(summary), ['Status:1', 'Replace:2', 'Add:3', 'Alert:4']);
    const [, replace, add, alert] = body;
    assert.ok(replace?.kind === 'Replace' && add?.kind === 'Add' && alert?.kind === 'Alert');
    assert.deepEqual(replace.meta, { format: 'chr', type: 'text/x' });
    assert.deepEqual(replace.items, [{ target: { uri: './A' }, meta: { type: 'text/y' }, data: ' kept as it is\n' }]);
    assert.equal(
      add.items[0]?.data,
      '<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD><Node><NodeName>A</NodeName>' +
        '<Value>1 &lt; 2</Value></Node></MgmtTree>',
    );
    assert.deepEqual([alert.data, alert.correlator], ['1226', ' c ']);
  });

  it('keeps what is no usable command in its place', () => {
    assert.deepEqual(decoded(file('unusable-commands.xml')).body.map(summary), [
      'Put:unused:1',
      'Frobnicate:unknown:2',
      'Get:malformed:',
      'Get:malformed:0',
      'Status:malformed:5',
      'Results:malformed:6',
      'Atomic:7(Replace:8 Sync:unused:9 Status:malformed:)',
      'Sequence:10(Atomic:11(Get:malformed:))',
      'Atomic:malformed:',
    ]);
  });

  it('reads every command and element that DM uses', () => {
    const { body, final } = decoded(file('all-commands.xml'));
    assert.equal(final, false);
    assert.deepEqual(body.map(summary), [
      'Status:1',
      'Results:2',
      'Sequence:3(Add:4 Copy:5 Delete:6 Exec:7 Atomic:8(Replace:9) Alert:10 Get:11)',
    ]);
  });

  it('takes numbers that are none as absent', () => {
    for (const size of ['-1', '1e3', '', '9'.repeat(16), '1 000']) {
      const meta = element('syncml', 'Meta', [element('metinf', 'MaxMsgSize', size)]);
      const [syncHdr, syncBody] = EMPTY.children;
      const header = element('syncml', 'SyncHdr', [...syncHdr!.children, meta]);
      const message = decodeMessage(element('syncml', 'SyncML', [header, syncBody!]));
      assert.deepEqual(message.ok && message.value.header.meta, {}, size);
    }
  });

  it('reads control text and Data that came as octets', () => {
    const [, syncBody] = EMPTY.children;
    const octets = Uint8Array.of(0xde, 0xad);
    const get = element('syncml', 'Replace', [
      element('syncml', 'CmdID', Buffer.from('7')),
      element('syncml', 'Item', [element('syncml', 'Data', octets)]),
    ]);
    const body = element('syncml', 'SyncBody', [get, ...syncBody!.children]);
    const message = decodeMessage(element('syncml', 'SyncML', [EMPTY.children[0]!, body]));
    assert.deepEqual(message.ok && message.value.body, [{ kind: 'Replace', cmdId: '7', items: [{ data: octets }] }]);
  });

  describe('refuses', () => {
    for (const name of readdirSync(new URL('bad/', TESTDATA))) {
      it(name, () => {
        const message = decode(file(`bad/${name}`));
        assert.equal(message.ok ? 'accepted' : message.error.code, name.split('.')[0]);
      });
    }
  });
});

describe('a message that is written', () => {
  const good = readdirSync(TESTDATA).filter((name) => name.endsWith('.xml'));
  for (const name of good) {
    it(`writes ${name} so that it is read as the same message`, () => {
      const message = decoded(file(name));
      assert.deepEqual(decoded(xmlWire.encode(message)), message);
    });
  }

  it('writes elements in the order of the standard', () => {
    const cred = { meta: { type: 't', format: 'b64' }, data: 'x' };
    const message: Message = {
      header: { ...HEADER, respUri: 'r', cred, meta: { maxObjSize: 2, maxMsgSize: 1 } },
      body: [
        {
          kind: 'Alert',
          items: [
            {
              data: 'd',
              moreData: true,
              meta: { mark: 'm', type: 't', format: 'f', size: 3 },
              source: { uri: 'b' },
              target: { uri: 'a' },
            },
          ],
          correlator: 'c',
          data: '1226',
          cmdId: '1',
        },
      ],
      final: true,
    };
    assert.equal(
      Buffer.from(xmlWire.encode(message)).toString('utf8'),
      '<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><SyncHdr><VerDTD>1.2</VerDTD>' +
        '<VerProto>DM/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID><Target><LocURI>d</LocURI></Target>' +
        '<Source><LocURI>s</LocURI></Source><RespURI>r</RespURI><Cred><Meta><Format xmlns="syncml:metinf">b64</Format>' +
        '<Type xmlns="syncml:metinf">t</Type></Meta><Data>x</Data></Cred><Meta>' +
        '<MaxMsgSize xmlns="syncml:metinf">1</MaxMsgSize><MaxObjSize xmlns="syncml:metinf">2</MaxObjSize></Meta></SyncHdr>' +
        '<SyncBody><Alert><CmdID>1</CmdID><Data>1226</Data><Correlator>c</Correlator><Item><Target><LocURI>a</LocURI></Target>' +
        '<Source><LocURI>b</LocURI></Source><Meta><Format xmlns="syncml:metinf">f</Format><Type xmlns="syncml:metinf">t</Type>' +
        '<Mark xmlns="syncml:metinf">m</Mark><Size xmlns="syncml:metinf">3</Size></Meta><Data>d</Data><MoreData/></Item></Alert>' +
        '<Final/></SyncBody></SyncML>',
    );
  });
});

describe('effectiveMeta', () => {
  it('lets the Item override the command field by field', () => {
    const command = { meta: { format: 'chr', type: 'a/b' } };
    assert.deepEqual(effectiveMeta(command, { meta: { type: 'c/d' } }), { format: 'chr', type: 'c/d' });
    assert.deepEqual(effectiveMeta(command, {}), command.meta);
    assert.deepEqual(effectiveMeta({}, { meta: { size: 1 } }), { size: 1 });
    assert.deepEqual(effectiveMeta({}, {}), {});
  });
});
