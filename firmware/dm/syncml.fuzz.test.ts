import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseXml, writeXml, type DocumentLimits, type Element } from '../codec/index.js';
import type { Outcome } from '../outcome/index.js';
import type { BodyCommand, Cred, Header, Item, Location, Message, Meta, ServerCommand } from './message.js';
import { wbxmlWire, xmlWire } from './wire.js';

const LIMITS: DocumentLimits = { maxBytes: 200_000, maxDepth: 64, maxElements: 20_000 };

function decode(octets: Uint8Array): Outcome<Message, { readonly code: string }> {
  return xmlWire.decode(octets, LIMITS);
}

/** Text of Data: any that XML can hold. Control text is trimmed on reading. */
const data = fc.string({ unit: 'grapheme', maxLength: 30 });
const control = data.map((text) => text.trim());
const filled = control.filter((text) => text !== '');
const cmdId = fc.integer({ min: 1, max: 99_999 }).map(String);
const octetCount = fc.nat(1e9);

/** Records with the prototype of every object, so that they can be compared with what was read. */
function record<T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true });
}
/** A record that has each of the fields or not. */
function some<T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<Partial<T>> {
  return fc.record(fields, { requiredKeys: [], noNullPrototype: true }) as unknown as fc.Arbitrary<Partial<T>>;
}
function having<A extends object, B extends object>(must: fc.Arbitrary<A>, may: fc.Arbitrary<B>): fc.Arbitrary<A & B> {
  return fc.tuple(must, may).map(([required, extra]) => ({ ...required, ...extra }));
}

const meta: fc.Arbitrary<Meta> = some<Required<Meta>>({
  format: control,
  type: control,
  mark: control,
  size: octetCount,
  nextNonce: control,
  maxMsgSize: octetCount,
  maxObjSize: octetCount,
});
const location: fc.Arbitrary<Location> = having(record({ uri: filled }), some({ name: control }));
const cred: fc.Arbitrary<Cred> = record({ meta, data: control });
const item: fc.Arbitrary<Item> = some<Required<Item>>({
  target: location,
  source: location,
  meta,
  data,
  moreData: fc.constant(true),
});
const items = fc.array(item, { maxLength: 3 });
const common = some({ noResp: fc.constant(true), meta });
const correlator = some({ correlator: data });

const kinds = fc.constantFrom('Add', 'Replace', 'Copy', 'Delete', 'Get');
const plain = having(record({ kind: kinds, cmdId, items }), common);
const exec = having(having(record({ kind: fc.constant('Exec'), cmdId, items }), common), correlator);
const alertCode = some({ data: control });
const alert = having(
  having(record({ kind: fc.constant('Alert'), cmdId, items }), common),
  having(correlator, alertCode),
);
const unusable = fc.constantFrom<ServerCommand>(
  { kind: 'Unusable', cmdId: '1', name: 'Put', reason: 'unused' },
  { kind: 'Unusable', cmdId: '', name: 'Get', reason: 'malformed' },
  { kind: 'Unusable', cmdId: '2', noResp: true, name: 'Record', reason: 'unknown' },
);
const { server } = fc.letrec<{ server: ServerCommand }>((tie) => {
  const commands = fc.array(tie('server'), { maxLength: 3 });
  const container = having(record({ kind: fc.constantFrom('Atomic', 'Sequence'), cmdId, commands }), common);
  return {
    server: fc.oneof({ depthSize: 'small' }, plain, exec, alert, unusable, container),
  };
});
const refs = fc.array(control, { maxLength: 2 });
const status = having(
  record({
    kind: fc.constant('Status'),
    cmdId: control,
    msgRef: control,
    cmdRef: control,
    cmd: control,
    targetRefs: refs,
    sourceRefs: refs,
    data: control,
    items,
  }),
  some({ cred, chal: meta }),
);
const results = having(
  record({ kind: fc.constant('Results'), cmdId, cmdRef: control, items }),
  some({ msgRef: control, targetRef: control, sourceRef: control, meta }),
);
const header: fc.Arbitrary<Header> = having(
  record({
    verDtd: control,
    verProto: control,
    sessionId: filled,
    msgId: filled,
    target: location,
    source: location,
  }),
  some({ respUri: filled, noResp: fc.constant(true), cred, meta }),
);
const message: fc.Arbitrary<Message> = record({
  header,
  body: fc.array(fc.oneof(server, status, results) as fc.Arbitrary<BodyCommand>, { maxLength: 5 }),
  final: fc.boolean(),
});

const TESTDATA = new URL('testdata/', import.meta.url);
function messagesIn(folder: string): readonly Buffer[] {
  const names = readdirSync(new URL(folder, TESTDATA)).filter((name) => name.endsWith('.xml'));
  return names.map((name) => readFileSync(new URL(folder + name, TESTDATA)));
}
const good = messagesIn('./');
const anyMessage = fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...good) }, fc.constantFrom(...messagesIn('bad/')));

/** A real message with some octets cut, doubled, replaced or put elsewhere. */
const mutated = fc
  .tuple(
    anyMessage,
    fc.array(fc.record({ at: fc.nat(), length: fc.nat(40), to: fc.nat(), how: fc.nat(3), octet: fc.nat(255) }), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([original, changes]) =>
    changes.reduce<Buffer>((bytes, { at, length, to, how, octet }) => {
      const start = at % (bytes.length + 1);
      const part = bytes.subarray(start, start + length);
      const without = Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + length)]);
      const target = to % (without.length + 1);
      const put = [Buffer.alloc(0), Buffer.concat([part, part]), Buffer.of(octet), part][how] ?? part;
      const place = how === 3 ? target : Math.min(start, without.length);
      return Buffer.concat([without.subarray(0, place), put, without.subarray(place)]);
    }, original),
  );

/** A real message whose body's elements are dropped, doubled, reversed, renamed or emptied; seldom its header's too. */
const rearranged = fc
  .tuple(fc.constantFrom(...good), fc.array(fc.nat(99), { minLength: 1, maxLength: 40 }))
  .map(([original, choices]) => {
    const root = parseXml(original, LIMITS);
    let taken = 0;
    const rearrange = (wanted: Element): Element[] => {
      const children = wanted.children.flatMap(rearrange);
      switch (choices[taken++ % choices.length] ?? 99) {
        case 0:
          return [];
        case 1:
          return [wanted, { ...wanted, children }];
        case 2:
          return [{ ...wanted, children: children.reverse() }];
        case 3:
          return [{ ...wanted, name: NAMES[taken % NAMES.length] ?? '', children }];
        case 4:
          return [{ ...wanted, text: '', children: [] }];
        default:
          return [{ ...wanted, children }];
      }
    };
    if (!root.ok) return original;
    const untouched = (choices[0] ?? 0) > 20 ? 1 : 0;
    const children = root.value.children.flatMap((part, index) => (index < untouched ? [part] : rearrange(part)));
    return writeXml({ ...root.value, children });
  });
const NAMES = [
  'Status',
  'Results',
  'Get',
  'Atomic',
  'Item',
  'Meta',
  'Data',
  'CmdID',
  'Final',
  'Vendor',
  'LocURI',
  'Cred',
];

describe('SyncML codec on any input', () => {
  for (const wire of [xmlWire, wbxmlWire]) {
    it(`reads every message as it was written, and knows its size: ${wire.encoding}`, () => {
      fc.assert(
        fc.property(message, (wanted) => {
          const octets = wire.encode(wanted);
          const read = wire.decode(octets, LIMITS);
          assert.ok(read.ok, read.ok ? '' : read.error.code);
          assert.deepEqual(read.value, wanted);
          const commands = wanted.body.reduce((sum, command) => sum + wire.sizeOf(command, command.cmdId), 0);
          const size = wire.envelope(wanted.header).bytes + commands;
          if (wanted.final) assert.equal(size, octets.byteLength);
          else assert.ok(size > octets.byteLength);
        }),
        { numRuns: 1000 },
      );
    });
  }

  it('answers any changed message, and writes what it understood as the same message', () => {
    let understood = 0;
    fc.assert(
      fc.property(fc.oneof(mutated, rearranged), (octets) => {
        const read = decode(octets);
        if (!read.ok) return;
        understood += 1;
        const again = decode(xmlWire.encode(read.value));
        assert.ok(again.ok);
        assert.deepEqual(again.value, read.value);
      }),
      { numRuns: 4000 },
    );
    assert.ok(understood > 500, `only ${understood} messages were understood`);
  });
});
