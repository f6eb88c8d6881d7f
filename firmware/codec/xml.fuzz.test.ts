import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { element, isXmlText, parseXml, writeXml, type DocumentLimits, type Element } from './index.js';
import { scanXml } from './scan.js';
import { faultOf } from './xml.js';

const LIMITS: DocumentLimits = { maxBytes: 20_000, maxDepth: 20, maxElements: 1000 };

const name = fc.constantFrom('a', 'SyncML', 'Meta', 'Data', 'x-1', '_', 'é');
const namespace = fc.constantFrom('syncml', 'metinf', 'dmddf');
const text = fc
  .array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('&', '<', ']]>', '\r', '\n', '\0', '\ud800', '&#65;')))
  .map((parts) => parts.join(''));
const { tree } = fc.letrec<{ tree: Element }>((tie) => ({
  tree: fc
    .tuple(
      namespace,
      name,
      fc.oneof({ depthSize: 'small' }, text, fc.array(tie('tree'), { minLength: 1, maxLength: 4 })),
    )
    .map(([uri, local, content]) => element(uri, local, content)),
}));

/** Pieces of which documents that nearly are XML can be made. */
const piece = fc.oneof(
  fc.constantFrom(
    '<a>',
    '</a>',
    '<b c="d">',
    '</b>',
    '<a/>',
    '<x:a xmlns:x="urn:x">',
    '</x:a>',
    '<a',
    '>',
    '/>',
    '<',
    '&',
  ),
  fc.constantFrom(
    '<![CDATA[',
    ']]>',
    '<!--',
    '-->',
    '--',
    '<?p',
    '?>',
    '<!DOCTYPE a>',
    '<!DOCTYPE a [',
    ']>',
    '"',
    "'",
  ),
  fc.constantFrom(
    '&lt;',
    '&#10;',
    '&#xD;',
    '&#0;',
    '&x;',
    ' xmlns="SYNCML:SYNCML1.2"',
    " b='\"'",
    '\r\n',
    ' ',
    '\ufeff',
  ),
  fc.constantFrom(
    '<?xml version="1.0"?>',
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!ENTITY x "y">',
    'text',
    '\u00a0',
  ),
  fc.string({ unit: 'binary', maxLength: 3 }),
);

/** Of these, many documents are well-formed. */
const plainPiece = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.constantFrom('<a>x</a>', '<b/>', '<a><b></b></a >', 'text', ' ', '\n', '<é/>', '<1/>', '<-/>'),
  },
  fc.constantFrom('<a xmlns="syncml:metinf"/>', "<b xmlns='SYNCML:SYNCML1.2' >", '</b>', '<a xmlns=""/>', '<a b=""/>'),
  piece,
);

function whatRemains(wanted: Element): Element {
  const kept = typeof wanted.text === 'string' ? wanted.text.replace(NOT_XML, '\ufffd') : wanted.text;
  return { ...wanted, text: kept, children: wanted.children.map(whatRemains) };
}
const NOT_XML = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]/gu;

describe('XML codec on any input', () => {
  it('reads what it wrote, but for the characters that XML cannot hold', () => {
    fc.assert(
      fc.property(tree, (wanted) => {
        const read = parseXml(writeXml(wanted), LIMITS);
        if (read.ok) assert.deepEqual(read.value, whatRemains(wanted));
        else assert.match(read.error.code, /^too-/);
      }),
      { numRuns: 1500 },
    );
  });

  it('knows which texts XML can hold', () => {
    fc.assert(
      fc.property(text, (any) => {
        const read = parseXml(writeXml(element('other', 'a', any)), LIMITS);
        assert.equal(read.ok && read.value.text === any, isXmlText(any));
      }),
      { numRuns: 1000 },
    );
  });

  it('answers any pieces of XML, and what it reads can be written and read again', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, enclosed) => {
        const document = enclosed ? `<r>${pieces.join('')}</r>` : pieces.join('');
        const read = parseXml(Buffer.from(document), LIMITS);
        if (!read.ok) return;
        accepted += 1;
        assert.ok(parseXml(writeXml(read.value), LIMITS).ok);
      }),
      { numRuns: 6000 },
    );
    assert.ok(accepted > 50, `only ${accepted} documents were well-formed`);
  });

  it('is certain of nothing that libxml2 refuses', () => {
    let certain = 0;
    fc.assert(
      fc.property(fc.array(plainPiece, { maxLength: 12 }), fc.boolean(), (pieces, enclosed) => {
        const octets = Buffer.from(enclosed ? `<r>${pieces.join('')}</r>` : pieces.join(''));
        const document = octets.toString('utf8');
        const scanned = scanXml(document, LIMITS);
        if (!parseXml(octets, LIMITS).ok || !scanned.ok || !scanned.value.certain) return;
        certain += 1;
        assert.equal(faultOf(document.slice(scanned.value.rootStart)), undefined);
      }),
      { numRuns: 6000 },
    );
    assert.ok(certain > 500, `it was certain of ${certain} documents`);
  });

  it('answers any octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (octets) => {
        assert.ok(!parseXml(octets, LIMITS).ok);
      }),
      { numRuns: 1000 },
    );
  });
});
