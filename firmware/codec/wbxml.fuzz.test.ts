import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  element,
  parseWbxml,
  parseXml,
  pour,
  WbxmlWriter,
  writeWbxml,
  writeXml,
  type DocumentLimits,
  type Element,
} from './index.js';
import { VECTORS } from './wbxml.samples.js';

const LIMITS: DocumentLimits = { maxBytes: 100_000, maxDepth: 30, maxElements: 5000 };

function counted(one: Element): number {
  const writer = new WbxmlWriter();
  pour(one, writer);
  return writer.fragment().length;
}

const syncmlName = fc.constantFrom('Add', 'Item', 'Meta', 'Data', 'LocURI', 'Final', 'Correlator', 'VerDTD');
const metinfName = fc.constantFrom('Anchor', 'Format', 'Type', 'Size', 'NextNonce', 'FieldLevel');
const ddfName = fc.constantFrom('AccessType', 'MgmtTree', 'Node', 'Value', 'VerDTD', 'ZeroOrOne');
const tag = fc.oneof(
  fc.tuple(fc.constant('syncml' as const), syncmlName),
  fc.tuple(fc.constant('metinf' as const), metinfName),
  fc.tuple(fc.constant('dmddf' as const), ddfName),
);
const text = fc
  .array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\0', '\r\n', '\ud800', '\x7f\x80', '\ufffd', '&<')))
  .map((parts) => parts.join(''));
const xmlText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom(' ', '\r', 'a\nb', ']]>', '\x7f\x80', '\ufffd'),
);

/** Elements with this content in their leaves; octets only in Data. */
function trees(content: fc.Arbitrary<string | Uint8Array>): fc.Arbitrary<Element> {
  return fc.letrec<{ tree: Element }>((tie) => ({
    tree: fc
      .tuple(tag, fc.oneof({ depthSize: 'small' }, content, fc.array(tie('tree'), { minLength: 1, maxLength: 4 })))
      .map(([[namespace, name], inner]) =>
        inner instanceof Uint8Array ? element('syncml', 'Data', inner) : element(namespace, name, inner),
      ),
  })).tree;
}

/** What is read where this was written: octets only where they may stand, no half characters. */
function whatRemains(wanted: Element): Element {
  const octets = typeof wanted.text === 'string' ? Buffer.from(wanted.text, 'utf8') : wanted.text;
  const isOpaque = typeof wanted.text !== 'string' || octets.includes(0);
  const kept = isOpaque && octets.length > 0 && mayHoldOctets(wanted) ? new Uint8Array(octets) : textFrom(octets);
  return { ...wanted, text: kept, children: wanted.children.map(whatRemains) };
}
const mayHoldOctets = ({ namespace, name }: Element): boolean =>
  ['syncml Data', 'metinf NextNonce', 'dmddf Value'].includes(`${namespace} ${name}`);
const textFrom = (octets: Uint8Array): string => Buffer.from(octets).toString('utf8');

const hasOther = (one: Element): boolean => one.namespace === 'other' || one.children.some(hasOther);

const corpus = VECTORS.map(({ hex }) => Buffer.from(hex, 'hex'));

/** A message with some octets cut, doubled, replaced or put elsewhere. */
const mutated = fc
  .tuple(
    fc.constantFrom(...corpus),
    fc.array(fc.record({ at: fc.nat(), length: fc.nat(20), to: fc.nat(), how: fc.nat(3), octet: fc.nat(255) }), {
      minLength: 1,
      maxLength: 4,
    }),
  )
  .map(([original, changes]) =>
    changes.reduce<Buffer>((bytes, { at, length, to, how, octet }) => {
      const start = at % (bytes.length + 1);
      const part = bytes.subarray(start, start + length);
      const changed = Buffer.from(bytes);
      switch (how) {
        case 0:
          return Buffer.concat([bytes.subarray(0, start), bytes.subarray(start + length)]);
        case 1:
          if (start < changed.length) changed[start] = octet;
          return changed;
        case 2:
          return Buffer.concat([bytes.subarray(0, start), part, bytes.subarray(start)]);
        default:
          part.copy(changed, to % (bytes.length + 1));
          return changed;
      }
    }, original),
  );

/** Pieces of which documents that nearly are WBXML can be made. */
const piece = fc.oneof(
  fc.constantFrom('01', '01', '0000', '0001', '0002', '00ff', '6b', '54', '5a', '4f', '0f', '12', '47', '07', '3d'),
  fc.constantFrom('036100', '03c3a900', '03ff00', '0300', 'c300', 'c30161', 'c302ff00', 'c38fffffff7f', 'c3', '03'),
  fc.constantFrom('8300', '8302', '8305', '837f', '0241', '0200', '028160', '02fbff7f', '04', '40', '43', '8f', 'cf'),
  fc.uint8Array({ minLength: 1, maxLength: 2 }).map((octets) => Buffer.from(octets).toString('hex')),
);
const headers = fc.constantFrom('03a4016a00', '019f536a03616200', '03016a0661006200c3a9');

describe('WBXML codec on any input', () => {
  it('reads what it wrote', () => {
    fc.assert(
      fc.property(trees(fc.oneof(text, fc.uint8Array({ maxLength: 300 }))), (wanted) => {
        const octets = writeWbxml(wanted);
        const read = parseWbxml(octets, LIMITS);
        if (!read.ok) return assert.match(read.error.code, /^too-/);
        assert.deepEqual(read.value, whatRemains(wanted));
      }),
      { numRuns: 1500 },
    );
  });

  it('reads the same as the XML codec', () => {
    fc.assert(
      fc.property(trees(xmlText), (wanted) => {
        const xml = parseXml(writeXml(wanted), LIMITS);
        const wbxml = parseWbxml(writeWbxml(wanted), LIMITS);
        assert.equal(xml.ok, wbxml.ok);
        if (xml.ok && wbxml.ok) assert.deepEqual(wbxml.value, xml.value);
      }),
      { numRuns: 1000 },
    );
  });

  it('knows how long a message becomes', () => {
    fc.assert(
      fc.property(fc.array(trees(text), { maxLength: 6 }), (parts) => {
        const commands = parts.map((part) => element('syncml', 'Get', [part]));
        const octetsOf = (body: readonly Element[]): number =>
          writeWbxml(element('syncml', 'SyncML', [element('syncml', 'SyncBody', [...body, FINAL])])).byteLength;
        const sum = commands.reduce((octets, command) => octets + counted(command), 0);
        assert.equal(octetsOf(commands), octetsOf([]) + sum);
      }),
      { numRuns: 500 },
    );
  });

  it('answers any changed message, and what it reads can be written and read again', () => {
    let understood = 0;
    fc.assert(
      fc.property(mutated, (octets) => {
        const read = parseWbxml(octets, LIMITS);
        if (!read.ok || hasOther(read.value)) return;
        understood += 1;
        const again = parseWbxml(writeWbxml(read.value), LIMITS);
        assert.ok(again.ok);
        assert.deepEqual(again.value, whatRemains(read.value));
      }),
      { numRuns: 2000 },
    );
    assert.ok(understood > 200, `only ${understood} messages were understood`);
  });

  it('answers any pieces of WBXML', () => {
    let accepted = 0;
    fc.assert(
      fc.property(headers, fc.array(piece, { maxLength: 12 }), fc.boolean(), (header, pieces, enclosed) => {
        const body = enclosed ? `6b${pieces.join('')}01` : pieces.join('');
        const read = parseWbxml(Buffer.from(header + body, 'hex'), LIMITS);
        if (read.ok) accepted += 1;
      }),
      { numRuns: 6000 },
    );
    assert.ok(accepted > 100, `only ${accepted} documents were well-formed`);
  });

  it('answers any octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (octets) => {
        parseWbxml(octets, LIMITS);
      }),
      { numRuns: 2000 },
    );
  });
});

const FINAL = element('syncml', 'Final', '');
