import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import fc from 'fast-check';
import { WIRES, type Encoding, type Item, type Wire } from '../../../firmware/dm/index.js';
import type { ItemCommand } from './commands.js';
import { OutgoingObject, transportedBytes } from './outgoing-object.js';
import { fileValue, octetsValue, textValue, Unsendable, type Value } from './values.js';

const folder = mkdtempSync(join(tmpdir(), 'values-'));
after(() => rmSync(folder, { recursive: true }));

const truth = { absent: false, by: 0 };

function objectOf(value: Value, format: string, fault = truth): OutgoingObject {
  const command: ItemCommand = { kind: 'Replace', cmdId: '', items: [{ target: { uri: './A' }, meta: { format } }] };
  return new OutgoingObject({ id: 'x', command, value, inner: [] }, command, value, fault);
}

/** All chunks, each as it stands in a message and is read from it again. */
function chunksOf(object: OutgoingObject, room: number, wire: Wire): Item[] {
  const items: Item[] = [];
  while (!object.isComplete) {
    const command = object.chunk(String(items.length + 1), room, wire);
    assert.ok(command, 'there is room for another chunk');
    assert.ok(wire.sizeOf(command, command.cmdId) <= room, `${wire.sizeOf(command, command.cmdId)} octets in ${room}`);
    items.push(asReceived(command, wire));
  }
  return items;
}

const HEADER = {
  verDtd: '1.2',
  verProto: 'DM/1.2',
  sessionId: '1',
  msgId: '1',
  target: { uri: 'd' },
  source: { uri: 's' },
};

function asReceived(command: ItemCommand, wire: Wire): Item {
  const octets = wire.encode({ header: HEADER, body: [command], final: true });
  const read = wire.decode(octets, { maxBytes: 1_000_000, maxDepth: 64, maxElements: 1000 });
  assert.ok(read.ok);
  const [received] = read.value.body;
  const items = received?.kind === 'Replace' ? received.items : [];
  return items[0] ?? assert.fail('the chunk was read as something else');
}

/** What a receiver makes of the chunks. */
function joined(items: readonly Item[]): Buffer {
  const pieces = items.map(({ data = '' }) => Buffer.from(typeof data === 'string' ? data : Buffer.from(data)));
  const whole = Buffer.concat(pieces);
  return items[0]?.meta?.format === 'b64' ? Buffer.from(whole.toString('latin1'), 'base64') : whole;
}

describe('an object in chunks', () => {
  for (const encoding of ['xml', 'wbxml'] as const satisfies readonly Encoding[]) {
    const wire = WIRES[encoding];

    it(`of any text, in ${encoding}: whole characters, never more than there is room for`, () => {
      const text = fc.string({
        unit: fc.constantFrom('a', '<', '&', ' ', '\n', 'ä', '€', '😀'),
        minLength: 1,
        maxLength: 3000,
      });
      fc.assert(
        fc.property(text, fc.integer({ min: 300, max: 2000 }), (whole, room) => {
          const items = chunksOf(objectOf(textValue(whole), 'chr'), room, wire);
          assert.equal(joined(items).toString('utf8'), whole);
          assert.equal(items[0]?.meta?.size, Buffer.byteLength(whole));
          for (const [index, { moreData, meta }] of items.entries()) {
            assert.equal(moreData === true, index < items.length - 1);
            if (index > 0) assert.equal(meta?.size, undefined);
          }
        }),
        { numRuns: 150 },
      );
    });

    it(`of any octets, in ${encoding}: base64 is cut where it can be`, () => {
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: 1, maxLength: 4000 }),
          fc.integer({ min: 300, max: 2000 }),
          (whole, room) => {
            const value = octetsValue(whole);
            const items = chunksOf(objectOf(value, 'bin'), room, wire);
            assert.deepEqual(joined(items), Buffer.from(whole));
            const sum = items.reduce((bytes, { data = '' }) => bytes + data.length, 0);
            assert.equal(items[0]?.meta?.size, sum, 'Size counts what stands in the messages');
            assert.equal(transportedBytes(value, wire), sum);
            for (const { meta } of items) assert.equal(meta?.format, encoding === 'xml' ? 'b64' : 'bin');
          },
        ),
        { numRuns: 150 },
      );
    });

    it(`leaves little room unused, in ${encoding}`, () => {
      for (const value of [octetsValue(Buffer.alloc(100_000, 7)), textValue('<ä>'.repeat(20_000))]) {
        const object = objectOf(value, value.kind === 'octets' ? 'bin' : 'chr');
        while (!object.isComplete) {
          const command = object.chunk('1', 16_000, wire) ?? assert.fail('there is room');
          const size = wire.sizeOf(command, command.cmdId);
          assert.ok(size > 15_900 || object.isComplete, `${size} of 16000`);
        }
      }
    });

    it(`stays whole where there is just room for it, in ${encoding}`, () => {
      const chunk = (room: number): ItemCommand =>
        objectOf(textValue('v'.repeat(500)), 'chr').chunk('1', room, wire) ?? assert.fail('there is room');
      const size = wire.sizeOf(chunk(5000), '1');
      assert.equal(chunk(size).items[0]?.moreData, undefined);
      const less = chunk(size - 1);
      assert.ok(less.items[0]?.moreData);
      assert.ok(wire.sizeOf(less, '1') < size);
    });

    it(`has no chunk where there is no room for one, in ${encoding}`, () => {
      for (const room of [0, -5, 20])
        assert.equal(objectOf(octetsValue(Buffer.alloc(9)), 'bin').chunk('1', room, wire), undefined);
    });
  }

  it('announces a wrong Size, or none, when asked to', () => {
    const sizeWith = (fault: typeof truth): number | undefined =>
      objectOf(textValue('abc'), 'chr', fault).chunk('1', 500, WIRES.xml)?.items[0]?.meta?.size;
    assert.equal(sizeWith({ absent: false, by: 2 }), 5);
    assert.equal(sizeWith({ absent: true, by: 0 }), undefined);
  });

  it('keeps base64 text in groups of four', () => {
    const text = Buffer.alloc(1000, 1).toString('base64');
    const items = chunksOf(objectOf(textValue(text), 'b64'), 400, WIRES.wbxml);
    for (const { data } of items) assert.equal(String(data).length % 4, 0);
  });
});

describe('a value from a file', () => {
  const file = join(folder, 'value');

  it('is read piece by piece', () => {
    writeFileSync(file, Buffer.from('0123456789'));
    const value = fileValue(file, 'octets');
    assert.equal(value.bytes, 10);
    assert.equal(value.read(4, 3).toString(), '456');
    assert.equal(value.read(8, 100).toString(), '89');
  });

  it('cannot be sent when it is not there, is a folder, has become shorter, or is not the text that it should be', () => {
    assert.throws(() => fileValue(join(folder, 'none'), 'octets'), Unsendable);
    assert.throws(() => fileValue(folder, 'octets'), Unsendable);
    writeFileSync(file, Buffer.from([0xc3, 0x28, 0x41]));
    assert.throws(() => objectOf(fileValue(file, 'text'), 'chr').chunk('1', 1000, WIRES.xml), /not text/);
    const value = fileValue(file, 'octets');
    truncateSync(file, 1);
    assert.throws(() => value.read(0, 3), /has become shorter/);
  });
});
