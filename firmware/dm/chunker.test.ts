import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Chunker, isDivisible, transportedSize, type Divisible } from './chunker.js';
import { MessageDraft } from './message-draft.js';
import type { Item, ItemData, Message, Part } from './message.js';
import { HEADER } from './header.fixture.js';
import { wbxmlWire, xmlWire, type Wire } from './wire.js';

function results(data: ItemData, format = 'chr'): Divisible {
  return { kind: 'Results', cmdRef: '1', items: [{ source: { uri: './A' }, meta: { format }, data }] };
}

interface Piece {
  readonly message: Message;
  readonly bytes: number;
  readonly item: Item;
}

/** The pieces of a value, each alone in a message of at most `limit` octets. */
function cut(value: Divisible, wire: Wire, limit: number): Piece[] {
  const chunker = new Chunker(value, wire);
  const pieces: Piece[] = [];
  for (let state = 'more'; state === 'more';) {
    const draft = new MessageDraft(HEADER, wire, limit);
    state = chunker.addTo(draft, true);
    assert.notEqual(state, 'none');
    const message = draft.build(false);
    // As it is read at the other end: what was told must still stand there.
    const read = wire.decode(wire.encode(message), { maxBytes: 1e6, maxDepth: 32, maxElements: 1000 });
    assert.ok(read.ok);
    const [command] = read.value.body;
    assert.ok(command?.kind === 'Results');
    const [item = {}] = command.items;
    pieces.push({ message, bytes: wire.encode({ ...message, final: true }).byteLength, item });
  }
  return pieces;
}

function bytesOf(data: ItemData | undefined): Buffer {
  return typeof data === 'string' ? Buffer.from(data) : Buffer.from(data ?? []);
}

/** The value that all pieces make. */
function joined(pieces: readonly Piece[], encoded: boolean): Buffer {
  const all = Buffer.concat(pieces.map(({ item }) => bytesOf(item.data)));
  return encoded ? Buffer.from(all.toString('latin1'), 'base64') : all;
}

const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 200 });
const octets = fc.uint8Array({ minLength: 1, maxLength: 200 });

for (const wire of [xmlWire, wbxmlWire]) {
  describe(`a value in pieces (${wire.encoding})`, () => {
    it('arrives whole, within the limit to the octet, with its Size in the first piece', () => {
      fc.assert(
        fc.property(fc.oneof(text, octets), fc.integer({ min: 20, max: 150 }), (value, more) => {
          const part = results(value, typeof value === 'string' ? 'chr' : 'bin');
          const limit = wire.envelope(HEADER).bytes + wire.sizeOf(results('', 'chr'), '1') + 90 + more;
          const pieces = cut(part, wire, limit);
          const size = transportedSize(part, wire);
          const encoded = pieces[0]?.item.meta?.format === 'b64';
          assert.deepEqual(joined(pieces, encoded), bytesOf(typeof value === 'string' ? toWellFormed(value) : value));
          const transported = pieces.reduce((sum, { item }) => sum + bytesOf(item.data).byteLength, 0);
          assert.equal(transported, size);
          for (const [index, { bytes, item }] of pieces.entries()) {
            assert.ok(bytes <= limit, `${bytes} > ${limit}`);
            assert.equal(item.moreData, index < pieces.length - 1 ? true : undefined);
            assert.equal(item.meta?.size, index === 0 ? size : undefined);
            assert.ok(item.data !== undefined && item.data.length > 0);
          }
        }),
        { numRuns: 150 },
      );
    });
    it('fills each message: one character more would be too much', () => {
      const pieces = cut(results('x'.repeat(2000)), wire, 700);
      assert.ok(pieces.length > 2);
      for (const { bytes } of pieces.slice(0, -1)) assert.equal(bytes, 700);
    });
  });
}

/** As an encoder writes it: a lone surrogate is no character. */
function toWellFormed(value: string): string {
  return Buffer.from(value, 'utf8').toString('utf8');
}

describe('a cut', () => {
  it('never goes through a character', () => {
    for (let limit = 460; limit < 480; limit += 1) {
      for (const { item } of cut(results('\u{1F600}'.repeat(100)), wbxmlWire, limit)) {
        assert.equal(toWellFormed(String(item.data)), item.data);
      }
    }
  });
  it('of base64 goes between groups of four', () => {
    for (let limit = 700; limit < 708; limit += 1) {
      for (const { item } of cut(results(new Uint8Array(500), 'bin'), xmlWire, limit)) {
        assert.equal(String(item.data).length % 4, 0);
        assert.equal(item.meta?.format, 'b64');
      }
    }
  });
  it('is not made in a message that has begun, for less than a sensible piece', () => {
    const chunker = new Chunker(results('x'.repeat(1000)), xmlWire);
    const overhead = xmlWire.envelope(HEADER).bytes + xmlWire.sizeOf(results(''), '1') + 110;
    for (const [room, outcome] of [
      [60, 'none'],
      [200, 'more'],
    ] as const) {
      const draft = new MessageDraft(HEADER, xmlWire, overhead + room);
      assert.equal(chunker.addTo(draft, false), outcome);
      assert.equal(draft.body.length, outcome === 'none' ? 0 : 1);
    }
  });
});

describe('what may be cut', () => {
  const cases: readonly (readonly [what: string, part: Part, may: boolean])[] = [
    ['Results with a value', results('x'), true],
    ['an Alert with Data in its Item', { kind: 'Alert', data: '1226', items: [{ data: 'x' }] }, true],
    ['Results with several Items', { ...results('x'), items: [{ data: 'x' }, { data: 'y' }] }, false],
    ['Results without a value', { ...results('x'), items: [{}] }, false],
    ['an Alert without Item', { kind: 'Alert', data: '1222', items: [] }, false],
  ];
  for (const [what, part, may] of cases)
    it(`${what}: ${may ? 'yes' : 'no'}`, () => assert.equal(isDivisible(part), may));
});
