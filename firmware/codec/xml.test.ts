import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { element, parseXml, textOf, writeXml, type DocumentLimits, type Element } from './index.js';

const LIMITS: DocumentLimits = { maxBytes: 10_000, maxDepth: 20, maxElements: 500 };

function parsed(document: string | Uint8Array, limits = LIMITS): Element {
  const outcome = parseXml(typeof document === 'string' ? Buffer.from(document) : document, limits);
  assert.ok(outcome.ok, outcome.ok ? '' : `${outcome.error.code}: ${outcome.error.text}`);
  return outcome.value;
}

function refusal(document: string | Uint8Array, limits = LIMITS): string {
  const outcome = parseXml(typeof document === 'string' ? Buffer.from(document) : document, limits);
  return outcome.ok ? 'accepted' : outcome.error.code;
}

/** Elements as nested lists, for reading. */
function shape({ namespace, name, text, children }: Element): unknown {
  return [`${namespace}:${name}`, ...(text === '' ? [] : [text]), ...children.map(shape)];
}

describe('parseXml reads', () => {
  it('namespaces by their URI, whatever their version or prefix', () => {
    const document =
      '<s:SyncML xmlns:s="SYNCML:SYNCML1.1"><Meta xmlns="SYNCML:SYNCML1.2"><Type xmlns=\'syncml:metinf\'>a</Type>' +
      '<m:Size xmlns:m="syncml:metinf">1</m:Size><EMI/></Meta><MgmtTree xmlns="syncml:dmddf1.2"><Node/></MgmtTree>' +
      '<x xmlns="urn:x"/></s:SyncML>';
    assert.deepEqual(shape(parsed(document)), [
      'syncml:SyncML',
      ['syncml:Meta', ['metinf:Type', 'a'], ['metinf:Size', '1'], ['syncml:EMI']],
      ['dmddf:MgmtTree', ['dmddf:Node']],
      ['other:x'],
    ]);
  });
  it('text and CDATA in document order, as one text', () => {
    assert.equal(parsed('<a>1&lt;2<![CDATA[ <&>&amp; ]]>3<!-- no -->4<?pi no?>5</a>').text, '1<2 <&>&amp; 345');
  });
  it('references to characters, and no text of elements with children', () => {
    assert.equal(parsed('<a>&#65;&#x42;&#x1F600;&amp;&lt;&gt;&quot;&apos;&#13;</a>').text, 'AB\u{1F600}&<>"\'\r');
    assert.deepEqual(shape(parsed('<a> x <b>y</b> z </a>')), ['other:a', ['other:b', 'y']]);
  });
  it('line ends as line feeds, white space unchanged', () => {
    assert.equal(parsed('<a> 1\r\n2\r3\n\t<![CDATA[\r\n]]></a>').text, ' 1\n2\n3\n\t\n');
  });
  it('a document type with only an external identifier, which it cuts off', () => {
    for (const id of ['', ' SYSTEM "a.dtd"', ' PUBLIC "-//SYNCML//DTD SyncML 1.2//EN" \'http://x/y.dtd\' ']) {
      assert.equal(parsed(`<?xml version="1.0"?>\n<!-- c --><!DOCTYPE a${id}>\n<a/>`).name, 'a', id);
    }
  });
  it('a byte order mark, an UTF-8 declaration in any letters, an epilogue', () => {
    assert.equal(
      parsed('\ufeff<?xml version="1.0" encoding="utf-8" standalone=\'yes\' ?><a/>\n<!-- c --><?p?>').name,
      'a',
    );
  });
  it('attributes without meaning, tags over lines, end tags with space', () => {
    assert.equal(parsed('<a\n b = "x>y"\tc=\'"\' xml:space="preserve"\r\n>t</a\n >').text, 't');
  });
  it('text beyond ASCII', () => {
    assert.equal(parsed('<a>Grüße \u{1F600}</a>').text, 'Grüße \u{1F600}');
    assert.equal(parsed('<é>x</é>').name, 'é');
  });
  it('octets that are a part of a larger buffer', () => {
    const large = Buffer.from('xxxx<a>1</a>yyyy');
    assert.equal(parsed(large.subarray(4, 12)).text, '1');
  });
});

describe('parseXml refuses', () => {
  const nested = (depth: number): string => '<a>'.repeat(depth) + '</a>'.repeat(depth);
  const cases: readonly (readonly [string, string | Uint8Array, string])[] = [
    ['nothing', '', 'malformed'],
    ['white space', ' \n', 'malformed'],
    ['more octets than allowed', `<a>${'x'.repeat(9_994)}</a>`, 'too-large'],
    ['octets that are not UTF-8', Buffer.from([0x3c, 0x61, 0x3e, 0xff, 0x3c, 0x2f, 0x61, 0x3e]), 'not-utf8'],
    ['UTF-16', Buffer.from('\ufeff<a/>', 'utf16le'), 'not-utf8'],
    ['UTF-16 without mark', Buffer.from('<a/>', 'utf16le'), 'bad-character'],
    ['another declared encoding', '<?xml version="1.0" encoding="UTF-7"?><a/>', 'not-utf8'],
    ['another declared encoding, Latin 1', '<?xml version="1.0" encoding=\'ISO-8859-1\'?><a/>', 'not-utf8'],
    ['a NUL', '<a>\0</a>', 'bad-character'],
    ['a control character', '<a>\x1b</a>', 'bad-character'],
    ['a reference to a control character', '<a>&#1;</a>', 'entity'],
    ['a reference to a NUL', '<a>&#x0;</a>', 'entity'],
    ['a reference to half a surrogate pair', '<a>&#xD800;</a>', 'entity'],
    ['a reference beyond Unicode', '<a>&#x110000;</a>', 'entity'],
    ['an entity of HTML', '<a>&nbsp;</a>', 'entity'],
    ['an entity in an attribute', '<a b="&x;"/>', 'entity'],
    ['a bare ampersand', '<a>1 & 2</a>', 'entity'],
    ['an internal subset', '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', 'doctype'],
    ['an empty internal subset', '<!DOCTYPE a SYSTEM "x" []><a/>', 'doctype'],
    ['a document type hidden behind quotes', '<!DOCTYPE a SYSTEM "x>" [<!ENTITY x "y">]><a/>', 'doctype'],
    ['a second document type', '<!DOCTYPE a><!DOCTYPE a [<!ENTITY x "y">]><a/>', 'malformed'],
    ['a document type inside', '<a><!DOCTYPE a [<!ENTITY x "y">]></a>', 'malformed'],
    ['a document type behind', '<a/><!DOCTYPE a>', 'malformed'],
    ['an entity declaration', '<!ENTITY x "y"><a/>', 'malformed'],
    ['a second declaration', '<a><?xml version="1.0"?></a>', 'malformed'],
    ['a declaration of a later version', '<?xml version="2.0"?><a/>', 'malformed'],
    ['a declaration behind white space', ' <?xml version="1.0"?><a/>', 'malformed'],
    ['nesting deeper than allowed', nested(21), 'too-deep'],
    ['more elements than allowed', `<a>${'<b/>'.repeat(500)}</a>`, 'too-many-elements'],
    ['more elements, hidden from a search for tags', `<a>${'<b c=">"/>'.repeat(500)}</a>`, 'too-many-elements'],
    ['two roots', '<a/><b/>', 'malformed'],
    ['text before the root', 'x<a/>', 'malformed'],
    ['text behind the root', '<a/>x', 'malformed'],
    ['an element that does not end', '<a><b></b>', 'malformed'],
    ['tags that cross', '<a><b></a></b>', 'malformed'],
    ['an end tag that begins alike', '<ab></a>', 'malformed'],
    ['an end tag with an attribute', '<a></a b="c">', 'malformed'],
    ['an end tag as an empty element', '<a></a/>', 'malformed'],
    ['a tag that does not end', '<a', 'malformed'],
    ['an attribute without quotes', '<a b=c/>', 'malformed'],
    ['an attribute without space before it', '<a b="1"c="2"/>', 'malformed'],
    ['an attribute twice', '<a b="1" b="2"/>', 'malformed'],
    ['an attribute with <', '<a b="<"/>', 'malformed'],
    [
      'more attributes than any peer writes',
      `<a ${Array.from({ length: 17 }, (_, n) => `b${n}=""`).join(' ')}/>`,
      'malformed',
    ],
    ['an endless name', `<${'a'.repeat(200)}/>`, 'malformed'],
    ['a name that begins with a digit', '<1a/>', 'malformed'],
    ['a name with a sign that no name has', '<a×/>', 'malformed'],
    ['a digit behind a prefix', '<x:1 xmlns:x="urn:x"/>', 'malformed'],
    ['nothing behind a prefix', '<x: xmlns:x="urn:x"/>', 'malformed'],
    ['a sign that begins no name behind a prefix', '<x:×a xmlns:x="urn:x"/>', 'malformed'],
    ['an undeclared prefix', '<x:a/>', 'malformed'],
    ['a prefix outside its element', '<a><b xmlns:x="urn:x"/><x:c/></a>', 'malformed'],
    ['two colons', '<x:y:a xmlns:x="urn:x"/>', 'malformed'],
    ['a comment that does not end', '<a><!-- </a>', 'malformed'],
    ['a comment with two hyphens', '<a><!-- -- --></a>', 'malformed'],
    ['CDATA that does not end', '<a><![CDATA[x]]</a>', 'malformed'],
    ['CDATA outside the root', '<![CDATA[x]]><a/>', 'malformed'],
    ['the end of CDATA in text', '<a>]]></a>', 'malformed'],
    ['an instruction that does not end', '<a><?p </a>', 'malformed'],
    ['an instruction without name', '<a><? p?></a>', 'malformed'],
    ['no-break space as white space', '<a\u00a0b="c"/>', 'malformed'],
  ];
  for (const [name, document, code] of cases) it(name, () => assert.equal(refusal(document), code));

  it('nothing at the very limits', () => {
    assert.equal(refusal(nested(20)), 'accepted');
    assert.equal(refusal(`<a>${'<b/>'.repeat(499)}</a>`), 'accepted');
    assert.equal(refusal(`<a>${'x'.repeat(9993)}</a>`), 'accepted');
  });

  it('what takes libxml2 beyond its own bounds, where ours are wider: XML_PARSE_HUGE is off', () => {
    const wide = { maxBytes: 20_000_000, maxDepth: 10_000, maxElements: 50_000 };
    assert.equal(refusal(nested(200), wide), 'accepted');
    assert.equal(refusal(nested(3000), wide), 'malformed');
    assert.equal(refusal(`<a>${'x'.repeat(10_500_000)}</a>`, wide), 'malformed');
  });
  it('to ask the network or the disk for what a document type names', async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url ?? '');
      response.end('<!ELEMENT a ANY>');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const dtd = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.dtd`;
    const include = '<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="/etc/hostname" parse="text"/>';
    assert.deepEqual(shape(parsed(`<!DOCTYPE a SYSTEM "${dtd}"><a>1</a>`)), ['other:a', '1']);
    assert.deepEqual(shape(parsed(`<!DOCTYPE a PUBLIC "p" "${dtd}"><a>${include}</a>`)), [
      'other:a',
      ['other:include'],
    ]);
    assert.equal(refusal(`<!DOCTYPE a [<!ENTITY % x SYSTEM "${dtd}"> %x;]><a/>`), 'doctype');
    assert.equal(
      refusal(`<!DOCTYPE a SYSTEM "${dtd}" [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>`),
      'doctype',
    );
    // Somebody who asks would be heard by now.
    assert.equal(await (await fetch(dtd.replace('a.dtd', 'b'))).text(), '<!ELEMENT a ANY>');
    server.close();
    server.closeAllConnections();
    assert.deepEqual(asked, ['/b']);
  });

  const hostile: readonly (readonly [string, string])[] = [
    ['open tags', '<a>'.repeat(300_000)],
    ['spaces in a tag', `<a${' '.repeat(900_000)}`],
    ['attributes', `<a${' b=""'.repeat(180_000)}/>`],
    ['spaces in the declaration', `<?xml version="1.0"${' '.repeat(900_000)}`],
    ['quotes in a document type', `<!DOCTYPE a SYSTEM "${"'".repeat(900_000)}`],
    ['comments', `<a>${'<!---->'.repeat(120_000)}`],
    ['ampersands', `<a>${'&'.repeat(900_000)}</a>`],
    ['CDATA openings', `<a>${'<![CDATA['.repeat(100_000)}`],
    ['prefixes', `<a${' xmlns:b="c"'.repeat(10)}>${'<b xmlns:x="y">'.repeat(50_000)}`],
  ];
  for (const [name, document] of hostile) {
    it(`a megabyte of ${name} in less than a second`, () => {
      const before = performance.now();
      assert.notEqual(refusal(document, { maxBytes: 1_000_000, maxDepth: 64, maxElements: 50_000 }), 'accepted');
      assert.ok(performance.now() - before < 1000);
    });
  }
});

describe('writeXml', () => {
  const written = (root: Element): string => Buffer.from(writeXml(root)).toString('utf8');

  it('declares a namespace where it changes', () => {
    const meta = element('syncml', 'Meta', [element('metinf', 'Format', 'xml'), element('metinf', 'Type', 'a/b')]);
    const tree = element('dmddf', 'MgmtTree', [element('dmddf', 'VerDTD', '1.2')]);
    const root = element('syncml', 'SyncML', [meta, element('syncml', 'Data', [tree]), element('syncml', 'Final', '')]);
    assert.equal(
      written(root),
      '<?xml version="1.0" encoding="UTF-8"?><SyncML xmlns="SYNCML:SYNCML1.2"><Meta>' +
        '<Format xmlns="syncml:metinf">xml</Format><Type xmlns="syncml:metinf">a/b</Type></Meta>' +
        '<Data><MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD></MgmtTree></Data><Final/></SyncML>',
    );
  });
  it('escapes what would be read as something else', () => {
    const text = '<a href="x">&amp;</a> ]]> \r\n\t';
    const document = written(element('other', 'a', text));
    assert.match(document, /&lt;a href="x"&gt;&amp;amp;&lt;\/a&gt; \]\]&gt; &#13;\n\t/);
    assert.equal(parsed(document).text, text);
  });
  it('replaces characters that XML cannot hold', () => {
    assert.equal(parsed(written(element('other', 'a', 'x\0\x1b\ufffe\ud800y'))).text, 'x\ufffd\ufffd\ufffd\ufffdy');
  });
  it('throws for raw octets', () => {
    assert.throws(() => writeXml(element('other', 'a', Uint8Array.of(1))), TypeError);
  });
});

describe('textOf', () => {
  it('reads octets as UTF-8', () => assert.equal(textOf(element('syncml', 'Data', Buffer.from('é'))), 'é'));
});
