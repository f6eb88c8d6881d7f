import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  element,
  parseWbxml,
  parseXml,
  pour,
  WbxmlWriter,
  writeWbxml,
  type DocumentLimits,
  type Element,
} from './index.js';
import { VECTORS, type Vector } from './wbxml.samples.js';

const LIMITS: DocumentLimits = { maxBytes: 10_000, maxDepth: 20, maxElements: 500 };

const octets = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function parsed(hex: string, limits = LIMITS): Element {
  const outcome = parseWbxml(octets(hex), limits);
  assert.ok(outcome.ok, outcome.ok ? '' : `${outcome.error.code}: ${outcome.error.text}`);
  return outcome.value;
}

function refusal(bytes: Uint8Array, limits = LIMITS): string {
  const outcome = parseWbxml(bytes, limits);
  return outcome.ok ? 'accepted' : outcome.error.code;
}

/** Octets that an element adds to a message. */
function counted(one: Element): number {
  const writer = new WbxmlWriter();
  pour(one, writer);
  return writer.fragment().length;
}

/** Elements as nested lists, for reading. */
function shape({ namespace, name, text, children }: Element): unknown {
  return [`${namespace}:${name}`, ...(text.length === 0 ? [] : [text]), ...children.map(shape)];
}

function elementsOf({ xml, octets: data }: Vector): Element {
  const outcome = parseXml(Buffer.from(xml), LIMITS);
  assert.ok(outcome.ok);
  const withOctets = (one: Element): Element => ({
    ...one,
    text: one.text === '{octets}' ? octets(data ?? '') : one.text,
    children: one.children.map(withOctets),
  });
  return withOctets(outcome.value);
}

/** A header without string table, and one with the text as string table. */
const HEADER = '03 a401 6a 00';
const withTable = (text: string): string =>
  `03 a401 6a ${Buffer.of(text.length).toString('hex')} ${Buffer.from(text).toString('hex')}`;

describe('the vectors', () => {
  for (const vector of VECTORS) {
    it(`${vector.name} is read as its XML`, () => {
      assert.deepEqual(parsed(vector.hex), elementsOf(vector));
    });
    it(`${vector.name} is written octet by octet`, () => {
      assert.equal(hexOf(writeWbxml(elementsOf(vector))), vector.hex);
    });
    it(`${vector.name} is refused wherever it is cut off, and with one octet more`, () => {
      const whole = octets(vector.hex);
      for (let length = 0; length < whole.length; length += 1) {
        assert.equal(refusal(whole.subarray(0, length)), 'malformed', `${length} octets`);
      }
      assert.equal(refusal(octets(`${vector.hex}01`)), 'malformed');
    });
  }
  it('T2 holds T1, which is a document of its own', () => {
    const data = (one: Element): readonly Element[] => (one.name === 'Data' ? [one] : one.children.flatMap(data));
    const [inner] = data(parsed(VECTORS[4]!.hex));
    assert.ok(inner && typeof inner.text !== 'string');
    assert.deepEqual(parsed(hexOf(inner.text)), elementsOf(VECTORS[3]!));
  });
});

describe('parseWbxml reads', () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    ['version 1.1', '01 a401 6a 00 12', ['syncml:Final']],
    ['version 1.2', '02 a401 6a 00 12', ['syncml:Final']],
    ['SyncML 1.1 and 1.0', '03 9f53 6a 00 12', ['syncml:Final']],
    ['SyncML 1.0', '03 9f51 6a 00 12', ['syncml:Final']],
    ['an unknown public identifier', '03 01 6a 00 12', ['syncml:Final']],
    [
      'a literal public identifier with its NUL',
      `03 00 00 6a 1e ${Buffer.from('-//SYNCML//DTD SyncML 1.2//EN\0').toString('hex')} 12`,
      ['syncml:Final'],
    ],
    [
      'a literal public identifier without it, behind another string',
      `03 00 02 6a 1f ${Buffer.from('x\0-//SYNCML//DTD SyncML 1.1//EN').toString('hex')} 12`,
      ['syncml:Final'],
    ],
    [
      'integers longer than they need to be',
      `03 80a401 806a 80808000 4f c3 8080808001 41 01`,
      ['syncml:Data', octets('41')],
    ],
    [
      'an element without content, in both forms',
      `${HEADER} 6b 12 52 01 01`,
      ['syncml:SyncBody', ['syncml:Final'], ['syncml:Final']],
    ],
    ['text inline', `${HEADER} 4f 03 4772c3bcc39f65 00 01`, ['syncml:Data', 'Grüße']],
    ['text of the string table', `${withTable('ab\0cd\0')} 4f 83 03 01`, ['syncml:Data', 'cd']],
    ['the end of a string of the table', `${withTable('ab\0cd\0')} 4f 83 01 01`, ['syncml:Data', 'b']],
    ['the last string of the table without NUL', `${withTable('ab\0cd')} 4f 83 03 01`, ['syncml:Data', 'cd']],
    ['an empty string of the table', `${withTable('ab\0cd')} 4f 83 02 01`, ['syncml:Data']],
    ['entities', `${HEADER} 4f 02 41 02 8160 02 87ec00 01`, ['syncml:Data', 'Aà\u{1f600}']],
    [
      'several pieces of text as one',
      `${withTable('b\0')} 4f 03 61 00 83 00 02 63 03 64 00 01`,
      ['syncml:Data', 'abcd'],
    ],
    ['U+FFFD, and a byte order mark', `${HEADER} 4f 03 efbfbd efbbbf 00 01`, ['syncml:Data', '\ufffd\ufeff']],
    ['an opaque in Data as octets', `${HEADER} 4f c3 02 6869 01`, ['syncml:Data', octets('6869')]],
    [
      'an opaque in Data with text around it as octets',
      `${HEADER} 4f 03 61 00 c3 01 ff 03 c3a9 00 c3 01 62 01`,
      ['syncml:Data', octets('61ffc3a962')],
    ],
    ['an empty opaque in Data as no text', `${HEADER} 4f c3 00 01`, ['syncml:Data']],
    ['an opaque in Value as octets', '03 01 6a 00 00 02 76 c3 01 ff 01', ['dmddf:Value', octets('ff')]],
    ['an opaque elsewhere as text', `${HEADER} 57 c3 04 2e2f c3a9 03 62 00 01`, ['syncml:LocURI', './éb']],
    ['a NUL in an opaque', `${HEADER} 57 c3 03 610062 01`, ['syncml:LocURI', 'a\0b']],
    ['no text of elements with children', `${HEADER} 4f 03 61 00 0f c3 01 ff 01`, ['syncml:Data', ['syncml:Data']]],
    [
      'a change of page before the END of Meta',
      `${HEADER} 54 5a 0001 07 0000 01 0f 01`,
      ['syncml:Item', ['syncml:Meta', ['metinf:Format']], ['syncml:Data']],
    ],
    [
      'a change of page after it',
      `${HEADER} 54 5a 0001 07 01 0000 0f 01`,
      ['syncml:Item', ['syncml:Meta', ['metinf:Format']], ['syncml:Data']],
    ],
    [
      'changes of page anywhere',
      `${HEADER} 0002 0000 0000 4f 0001 03 61 00 0000 03 62 00 0002 01 0000`,
      ['syncml:Data', 'ab'],
    ],
    [
      'a page that stays through END',
      `${HEADER} 5a 0001 47 03 61 00 01 07 01`,
      ['syncml:Meta', ['metinf:Format', 'a'], ['metinf:Format']],
    ],
    [
      'TNDS as elements inside Data',
      `${HEADER} 4f 0002 60 24 01 01`,
      ['syncml:Data', ['dmddf:MgmtTree', ['dmddf:Node']]],
    ],
    [
      'the last token of each page',
      `${HEADER} 6b 3c 0001 16 0002 3c 01`,
      ['syncml:SyncBody', ['syncml:Correlator'], ['metinf:FieldLevel'], ['dmddf:ZeroOrOne']],
    ],
    [
      'tokens that a page does not have, as unknown elements',
      `${HEADER} 6b 3d 30 0001 57 c3 01 ff 01 0002 3d 01`,
      [
        'syncml:SyncBody',
        ['other:unknown-0-3d'],
        ['other:unknown-0-30'],
        ['other:unknown-1-17', octets('ff')],
        ['other:unknown-2-3d'],
      ],
    ],
    [
      'pages that do not exist, as unknown elements',
      `${HEADER} 6b 0003 45 03 61 00 01 00ff 05 01`,
      ['syncml:SyncBody', ['other:unknown-3-5', 'a'], ['other:unknown-255-5']],
    ],
  ];
  for (const [condition, hex, wanted] of cases) {
    it(condition, () => assert.deepEqual(shape(parsed(hex)), wanted));
  }
  it('octets that are a part of a larger buffer, and keeps nothing of it', () => {
    const large = octets(`ffff ${HEADER} 6b 4f c3 02 6869 01 57 03 6162 00 01 01 ffff`);
    const outcome = parseWbxml(large.subarray(2, large.length - 2), LIMITS);
    large.fill(0);
    assert.ok(outcome.ok);
    assert.deepEqual(shape(outcome.value), [
      'syncml:SyncBody',
      ['syncml:Data', octets('6869')],
      ['syncml:LocURI', 'ab'],
    ]);
  });
  it('up to its limits', () => {
    const nested = `${HEADER} ${'6b'.repeat(19)} 12 ${'01'.repeat(19)}`;
    assert.equal(parsed(nested).name, 'SyncBody');
    assert.equal(parsed(`${HEADER} 6b ${'12'.repeat(499)} 01`).children.length, 499);
    assert.equal(parsed(`${HEADER} 4f ${'0241'.repeat(500)} 01`).text.length, 500);
    const longest = octets(`${HEADER} 4f c3 ce01 ${'41'.repeat(9985)} 01`);
    assert.equal(refusal(longest, { ...LIMITS, maxBytes: longest.length }), 'accepted');
    assert.equal(refusal(longest, { ...LIMITS, maxBytes: longest.length - 1 }), 'too-large');
  });
});

describe('parseWbxml refuses', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['nothing', '', 'malformed'],
    ['XML', Buffer.from('<SyncML/>').toString('hex'), 'version'],
    ['version 1.0', '00 a401 6a 00 12', 'version'],
    ['a version to come', '04 a401 6a 00 12', 'version'],
    ['a public identifier of another language', '03 04 6a 00 12', 'document-type'],
    ['MetInf and DevInf, which have other pages', '03 a402 6a 00 12', 'document-type'],
    [
      'a literal identifier of another language',
      `03 00 00 6a 04 ${Buffer.from('wml\0').toString('hex')} 12`,
      'document-type',
    ],
    ['a literal identifier behind the string table', `03 00 01 6a 01 00 12`, 'malformed'],
    ['a literal identifier and no string table', `03 00 00 6a 00 12`, 'malformed'],
    ['another charset', '03 a401 04 00 12', 'not-utf8'],
    ['no charset', '03 a401 00 00 12', 'not-utf8'],
    ['a string table longer than the document', '03 a401 6a 05 61 62 00', 'malformed'],
    ['a string table much longer than the document', '03 a401 6a 8fffffff7f 61', 'malformed'],
    ['an integer of more than 32 bits', '03 a401 6a 9080808000 12', 'malformed'],
    ['an integer of six octets', '03 a401 6a 808080808000 12', 'malformed'],
    ['a header and no element', HEADER, 'malformed'],
    ['an END before the root', `${HEADER} 01`, 'malformed'],
    ['text before the root', `${HEADER} 03 61 00 12`, 'malformed'],
    ['text behind the root', `${HEADER} 12 03 61 00`, 'malformed'],
    ['a second root', `${HEADER} 12 12`, 'malformed'],
    ['an END too many', `${HEADER} 52 01 01`, 'malformed'],
    ['an element that does not end', `${HEADER} 6b 12`, 'malformed'],
    ['a change of page without page', `${HEADER} 12 00`, 'malformed'],
    ['a string without NUL', `${HEADER} 4f 03 616263 01`, 'malformed'],
    ['a reference behind the string table', `${withTable('ab\0')} 4f 83 03 01`, 'malformed'],
    ['a reference far behind the string table', `${withTable('ab\0')} 4f 83 8fffffff7f 01`, 'malformed'],
    ['an opaque longer than the document', `${HEADER} 4f c3 03 61 01`, 'malformed'],
    ['an opaque much longer than the document', `${HEADER} 4f c3 8fffffff7f 61 01`, 'malformed'],
    ['an entity that is half a character', `${HEADER} 4f 02 83b000 01`, 'malformed'],
    ['an entity beyond Unicode', `${HEADER} 4f 02 c48000 01`, 'malformed'],
    ['text that is not UTF-8', `${HEADER} 4f 03 c3 00 01`, 'not-utf8'],
    ['text that is overlong UTF-8', `${HEADER} 4f 03 c0af 00 01`, 'not-utf8'],
    ['text that is half of a surrogate pair', `${HEADER} 4f 03 eda080 00 01`, 'not-utf8'],
    ['a string of the table that is not UTF-8', `03 a401 6a 01 ff 4f 83 00 01`, 'not-utf8'],
    ['an opaque that is not UTF-8 where text stands', `${HEADER} 57 c3 01 ff 01`, 'not-utf8'],
    ['attributes', `${HEADER} 8f 05 01`, 'unsupported'],
    ['attributes and content', `${HEADER} cf 05 01 01`, 'unsupported'],
    ...['04', '44', '84', 'c4'].map(
      (token) => [`the literal name ${token}`, `${withTable('x\0')} 6b ${token} 00 01`, 'unsupported'] as const,
    ),
    ...['40', '41', '42', '80', '81', '82', 'c0', 'c1', 'c2', '43'].map(
      (token) => [`the token ${token}`, `${HEADER} 4f ${token} 61 00 01`, 'unsupported'] as const,
    ),
    ['elements too deep', `${HEADER} ${'6b'.repeat(20)} 12`, 'too-deep'],
    ['too many elements', `${HEADER} 6b ${'12'.repeat(500)} 01`, 'too-many-elements'],
    ['too many pieces of text', `${HEADER} 4f ${'0241'.repeat(501)} 01`, 'too-many-elements'],
    ['too much text from the string table', `${withTable('x'.repeat(127))} 4f ${'8300'.repeat(350)} 01`, 'too-large'],
  ];
  for (const [condition, hex, code] of cases) {
    it(condition, () => assert.equal(refusal(octets(hex)), code));
  }
});

/** Documents of 300,000 octets, each a matter of some milliseconds; quadratic work would take half a minute. */
describe('parseWbxml takes time in proportion to the document, at most, with', () => {
  const limits: DocumentLimits = { maxBytes: 300_000, maxDepth: 300_000, maxElements: 300_000 };
  const filled = (start: string, unit: string): Uint8Array => {
    const head = octets(start);
    const bytes = Buffer.alloc(limits.maxBytes).fill(octets(unit), head.length);
    bytes.set(head);
    return bytes;
  };
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['references to a string that ends with the table', filled(`${withTable('abc')} 4f`, '83 01')],
    ['references to a long string', filled(`03 a401 6a 9000 ${'61'.repeat(2048)} 4f`, '83 00')],
    ['references to empty strings', filled(`${withTable('a\0')} 4f`, '83 01')],
    ['opaques of one octet', filled(`${HEADER} 4f`, 'c3 01 61')],
    ['opaques without octets', filled(`${HEADER} 4f`, 'c3 00')],
    ['opaques and strings by turns', filled(`${HEADER} 4f`, 'c3 01 61 03 61 00')],
    ['strings of one character', filled(`${HEADER} 4f`, '03 61 00')],
    ['strings beyond ASCII', filled(`${HEADER} 4f`, '03 c3a9 00')],
    ['entities', filled(`${HEADER} 4f`, '02 41')],
    ['changes of page', filled(HEADER, '00 00')],
    ['elements within elements', filled(HEADER, '6b')],
    ['elements beside elements', filled(`${HEADER} 6b`, '12')],
    ['unknown elements', filled(`${HEADER} 6b 00 07`, '12')],
    ['a string without end', filled(`${HEADER} 4f 03`, '61')],
  ];
  for (const [condition, bytes] of cases) {
    it(condition, () => {
      const start = performance.now();
      assert.notEqual(refusal(bytes, limits), 'accepted');
      assert.ok(performance.now() - start < 5000);
    });
  }
});

describe('writeWbxml', () => {
  const leaf = (content: string | Uint8Array): string => hexOf(writeWbxml(element('syncml', 'Data', content)));
  const header = HEADER.replaceAll(' ', '');
  const cases: readonly (readonly [string, string | Uint8Array, string])[] = [
    ['no text as a bare tag', '', '0f'],
    ['no octets as a bare tag', new Uint8Array(), '0f'],
    ['text in UTF-8', 'Grüße \u{1f600}', '4f034772c3bcc39f6520f09f98800001'],
    ['a lone surrogate as U+FFFD', 'a\ud800b', '4f0361efbfbd620001'],
    ['text with a NUL as an opaque', 'é\0b', '4fc304c3a9006201'],
    ['octets as an opaque', octets('00ff80'), '4fc30300ff8001'],
    ['the length of a long opaque', new Uint8Array(200), `4fc38148${'00'.repeat(200)}01`],
    ['the length of a longer opaque', new Uint8Array(16384), `4fc3818000${'00'.repeat(16384)}01`],
  ];
  for (const [condition, content, wanted] of cases) {
    it(`writes ${condition}`, () => assert.equal(leaf(content), header + wanted));
  }
  it('writes octets that are a part of a larger buffer', () => {
    assert.equal(leaf(octets('0011223344').subarray(1, 3)), `${header}4fc302112201`);
  });
  it('changes the page only where the next tag needs it', () => {
    const meta = element('syncml', 'Meta', [element('metinf', 'Format', ''), element('metinf', 'Type', '')]);
    assert.equal(
      hexOf(writeWbxml(element('syncml', 'Item', [meta, meta]))),
      `${header}545a0001071301` + '00005a0001071301' + '01',
    );
  });
  it('writes no element of another namespace, or that the page does not have', () => {
    for (const wrong of [element('other', 'Add', ''), element('syncml', 'Vendor', ''), element('metinf', '-', '')]) {
      assert.throws(() => writeWbxml(element('syncml', 'SyncBody', [wrong])), TypeError);
      assert.throws(() => counted(wrong), TypeError);
    }
  });
});

describe('a part of a message', () => {
  const meta = element('syncml', 'Meta', [element('metinf', 'Format', 'chr')]);
  const get = element('syncml', 'Get', [element('syncml', 'CmdID', '1'), element('syncml', 'Item', [meta])]);
  const add = element('syncml', 'Add', [element('syncml', 'CmdID', '1'), element('syncml', 'Item', [])]);
  const body = (...commands: Element[]): number => writeWbxml(element('syncml', 'SyncBody', commands)).byteLength;

  it('has the change back to page 0 where the element ends on another one', () => {
    assert.equal(counted(add), 8);
    assert.equal(counted(get), 22);
  });
  it('adds up to the octets of a message with Final, and is two more where a last Meta without Final is', () => {
    const final = element('syncml', 'Final', '');
    for (const commands of [[add], [get], [get, add], [add, get], [get, get]]) {
      const sum = commands.reduce((octetsSoFar, command) => octetsSoFar + counted(command), 0);
      assert.equal(body(...commands, final), body(final) + sum);
      assert.equal(body(...commands), body(final) + sum - 1 - (commands.at(-1) === get ? 2 : 0));
    }
  });
});
