import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { element, writeWbxml, type DocumentLimits, type Element } from '../codec/index.js';
import type { BodyCommand, Header, Item, Message } from './message.js';
import { LONG_CMD_ID, wbxmlWire, wireOf, xmlWire, type Wire } from './wire.js';

const LIMITS: DocumentLimits = { maxBytes: 100_000, maxDepth: 64, maxElements: 10_000 };
const HEADER: Header = {
  verDtd: '1.2',
  verProto: 'DM/1.2',
  sessionId: '1',
  msgId: '1',
  target: { uri: 'd' },
  source: { uri: 's' },
};

function messageOf(...body: BodyCommand[]): Message {
  return { header: HEADER, body, final: true };
}

function decoded(wire: Wire, octets: Uint8Array): Message {
  const message = wire.decode(octets, LIMITS);
  assert.ok(message.ok, message.ok ? '' : message.error.text);
  return message.value;
}

/** The Item of a Replace after its way over the wire. */
function sent(wire: Wire, item: Item): Item | undefined {
  const [command] = decoded(wire, wire.encode(messageOf({ kind: 'Replace', cmdId: '1', items: [item] }))).body;
  return command?.kind === 'Replace' ? command.items[0] : undefined;
}

const OCTETS = Uint8Array.of(0xde, 0xad, 0xbe, 0xef);

describe('a value on the wire', () => {
  it('octets: base64 with Meta Format b64 in XML, as they are in WBXML', () => {
    const item = { meta: { format: 'bin', type: 'a/b' }, data: OCTETS };
    assert.deepEqual(sent(xmlWire, item), { meta: { format: 'b64', type: 'a/b' }, data: '3q2+7w==' });
    assert.deepEqual(sent(wbxmlWire, item), item);
    assert.ok(
      Buffer.from(wbxmlWire.encode(messageOf({ kind: 'Replace', cmdId: '1', items: [item] }))).includes(
        Buffer.from(OCTETS),
      ),
    );
  });
  it('text that XML cannot hold: base64 in XML, text in WBXML', () => {
    const item = { meta: { format: 'chr' }, data: 'bell \u0007' };
    assert.deepEqual(sent(xmlWire, item), { meta: { format: 'b64' }, data: 'YmVsbCAH' });
    assert.deepEqual(sent(wbxmlWire, item), item);
  });
  it('a property, which has no Meta, gets the one that tells base64', () =>
    assert.deepEqual(sent(xmlWire, { data: OCTETS }), { meta: { format: 'b64' }, data: '3q2+7w==' }));
  it('inside a Sequence too', () => {
    const commands = [{ kind: 'Replace' as const, cmdId: '2', items: [{ data: OCTETS }] }];
    const [sequence] = decoded(xmlWire, xmlWire.encode(messageOf({ kind: 'Sequence', cmdId: '1', commands }))).body;
    assert.ok(sequence?.kind === 'Sequence');
    const [inner] = sequence.commands;
    assert.ok(inner?.kind === 'Replace');
    assert.equal(inner.items[0]?.data, '3q2+7w==');
  });
  it('is told with its Format before it is cut into chunks', () => {
    assert.deepEqual(xmlWire.transported('bin', OCTETS), { format: 'b64', data: '3q2+7w==' });
    assert.deepEqual(xmlWire.transported('chr', 'x'), { format: 'chr', data: 'x' });
    assert.deepEqual(wbxmlWire.transported('bin', OCTETS), { format: 'bin', data: OCTETS });
  });
});

describe('base64 that comes as an opaque of WBXML', () => {
  const opaque = Buffer.from('3q2+7w==');
  it('is text where Meta Format says b64, on the Item or on its command', () => {
    assert.equal(sent(wbxmlWire, { meta: { format: 'b64' }, data: opaque })?.data, '3q2+7w==');
    const command = { kind: 'Replace' as const, cmdId: '1', meta: { format: 'B64' }, items: [{ data: opaque }] };
    const [read] = decoded(wbxmlWire, wbxmlWire.encode(messageOf(command))).body;
    assert.ok(read?.kind === 'Replace');
    assert.equal(read.items[0]?.data, '3q2+7w==');
  });
  it('stays octets under any other Format', () =>
    assert.deepEqual(sent(wbxmlWire, { meta: { format: 'bin' }, data: opaque })?.data, Uint8Array.from(opaque)));
});

describe('a nonce that comes as an opaque of WBXML', () => {
  const nonce = Uint8Array.from({ length: 16 }, (_, n) => 0xf0 + n);
  for (const [name, text, read] of [
    ['is base64 where it is that', '8PHy8/T19vf4+fr7/P3+/w==', nonce],
    ['else the nonce itself, as libwbxml reads it', nonce, nonce],
  ] as const) {
    it(name, () => {
      const cred = element('syncml', 'Cred', [
        element('syncml', 'Meta', [element('metinf', 'NextNonce', Buffer.from(text))]),
      ]);
      const location = (part: string): Element => element('syncml', part, [element('syncml', 'LocURI', 'x')]);
      const header = element('syncml', 'SyncHdr', [
        element('syncml', 'SessionID', '1'),
        element('syncml', 'MsgID', '1'),
        location('Target'),
        location('Source'),
        cred,
      ]);
      const octets = writeWbxml(element('syncml', 'SyncML', [header, element('syncml', 'SyncBody', '')]));
      const nextNonce = decoded(wbxmlWire, octets).header.cred?.meta.nextNonce ?? '';
      assert.deepEqual(Uint8Array.from(Buffer.from(nextNonce, 'base64')), read);
    });
  }
});

describe('sizes', () => {
  for (const wire of [xmlWire, wbxmlWire]) {
    for (const name of ['package1.xml', 'package2.xml', 'all-commands.xml', 'foreign-habits.xml']) {
      it(`of the commands and the envelope of ${name} add up to its octets in ${wire.encoding}`, () => {
        const file = readFileSync(new URL(`testdata/${name}`, import.meta.url));
        const read = decoded(xmlWire, file);
        const body = read.body.filter((command) => command.kind !== 'Unusable');
        const message = { ...read, body, final: true };
        const commands = body.reduce((sum, command) => sum + wire.sizeOf(command, command.cmdId), 0);
        assert.equal(wire.envelope(message.header).bytes + commands, wire.encode(message).byteLength);
      });
      it(`${name} put together from its written parts is the same octets in ${wire.encoding}`, () => {
        const read = decoded(xmlWire, readFileSync(new URL(`testdata/${name}`, import.meta.url)));
        const body = read.body.filter((command) => command.kind !== 'Unusable');
        const { before, after } = wire.envelope(read.header);
        const parts = body.map((command) => {
          const written = wire.write(command);
          assert.equal(written.bytes, wire.sizeOf(command, LONG_CMD_ID));
          return written.before + command.cmdId + written.after;
        });
        const whole = wire.octetsOf(before + parts.join('') + wire.final + after);
        assert.deepEqual(whole, wire.encode({ ...read, body, final: true }));
      });
    }
  }
  it('count octets, not characters', () => {
    const size = (wire: Wire, data: string): number => wire.sizeOf({ kind: 'Alert', data, items: [] }, '1');
    assert.equal(size(xmlWire, 'é<\u{1F600}') - size(xmlWire, 'x'), 2 + 4 + 4 - 1);
    assert.equal(size(wbxmlWire, 'é<\u{1F600}') - size(wbxmlWire, 'x'), 2 + 1 + 4 - 1);
  });
});

it('a wire is found by its media type', () => {
  for (const wire of [xmlWire, wbxmlWire]) assert.equal(wireOf(wire.mediaType), wire);
});
