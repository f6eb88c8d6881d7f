import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseWbxml, parseXml, writeWbxml, writeXml, writeXmlFragment } from '../codec/index.js';
import { A, B, code, read, records, value } from './fixture.js';
import type { Actor } from './rights.js';
import type { Tree } from './tree.js';

const R = './Top/Records/r';
const ENOUGH = 1_000_000;

/** Two records of A, one of B; the first has every kind of leaf. */
function filled(): ReturnType<typeof records> {
  const made = records();
  const { tree } = made;
  tree.add(A, `${R}/Name`, value('n <&>'));
  tree.add(A, `${R}/Secret`, value('s'));
  tree.add(A, `${R}/Octets`, value('AP8='));
  tree.add(A, `${R}/Sub/a b/Leaf`, value('l'));
  tree.add(A, './Top/Records/s/Count', value('7'));
  tree.add(B, './Top/Records/theirs/Name', value('t'));
  return made;
}

function nodes(tree: Tree, actor: Actor, uri: string, maxBytes = ENOUGH): unknown[] | string {
  const listing = tree.list(actor, uri, maxBytes);
  if (!listing.ok) return listing.error.code;
  assert.ok(listing.value.kind === 'nodes');
  return listing.value.nodes.map((node): unknown[] => Object.values(node));
}

function document(tree: Tree, actor: Actor, uri: string, maxBytes = ENOUGH): string {
  const listing = tree.list(actor, uri, maxBytes);
  if (!listing.ok) return listing.error.code;
  assert.ok(listing.value.kind === 'tnds');
  return writeXmlFragment(listing.value.document);
}

describe('?list=Struct', () => {
  it('tells every node, each behind its parent, with format and type', () => {
    assert.deepEqual(nodes(filled().tree, A, `${R}?list=Struct`), [
      ['./Top/Records/r', 'node', ''],
      ['./Top/Records/r/Name', 'chr', 'text/plain'],
      ['./Top/Records/r/State', 'chr', 'text/plain'],
      ['./Top/Records/r/Secret', 'chr', 'text/plain'],
      ['./Top/Records/r/Octets', 'bin', 'text/plain'],
      ['./Top/Records/r/Sub', 'node', ''],
      ['./Top/Records/r/Sub/a%20b', 'node', ''],
      ['./Top/Records/r/Sub/a%20b/Leaf', 'chr', 'text/plain'],
      ['./Top/Records/r/Do', 'node', ''],
      ['./Top/Records/r/Do/Drop', 'null', 'text/plain'],
    ]);
  });
  it('tells a leaf alone, and the identifier of a management object', () => {
    const { tree } = filled();
    assert.deepEqual(nodes(tree, A, `${R}/Name?list=Struct`), [[`${R}/Name`, 'chr', 'text/plain']]);
    const [root] = nodes(tree, A, './Top/Records?list=Struct');
    assert.deepEqual(root, ['./Top/Records', 'node', 'org.example/1.0/R']);
  });
  it('leaves out what the server may not get, with everything below it', () => {
    const { tree } = filled();
    tree.replace(A, './Top/Records/s?prop=ACL', value('Get=A&Replace=A'));
    tree.replace(A, `${R}?prop=ACL`, value('Get=A+B&Replace=A'));
    tree.replace(A, `${R}/Sub?prop=ACL`, value('Get=A'));
    const seen = (actor: Actor): string => JSON.stringify(nodes(tree, actor, '.?list=Struct'));
    assert.ok(seen(A).includes('a%20b') && !seen(A).includes('theirs'));
    assert.ok(seen(B).includes('/r/Name') && seen(B).includes('theirs'));
    assert.ok(!seen(B).includes('/r/Sub') && !seen(B).includes('/Records/s"'));
    assert.ok(seen('local').includes('theirs') && seen('local').includes('a%20b'));
  });
});

describe('?list=StructData', () => {
  it('has the values of the leaves that can be read', () => {
    const listed = nodes(filled().tree, A, `${R}?list=StructData`);
    assert.deepEqual(Array.isArray(listed) && listed.slice(0, 5), [
      ['./Top/Records/r', 'node', ''],
      ['./Top/Records/r/Name', 'chr', 'text/plain', 'n <&>'],
      ['./Top/Records/r/State', 'chr', 'text/plain', 'default'],
      ['./Top/Records/r/Secret', 'chr', 'text/plain'],
      ['./Top/Records/r/Octets', 'bin', 'text/plain', Buffer.from([0, 255])],
    ]);
  });
});

describe('?list=TNDS', () => {
  const S = './Top/Records/s';
  const rights = 'Add=A&amp;Delete=A&amp;Exec=A&amp;Get=A&amp;Replace=A';
  const time = '<TStamp>20231114T221320Z</TStamp>';
  const plain = '<Type><MIME>text/plain</MIME></Type>';

  it('is a document of the whole sub-tree with what is supported', () => {
    assert.equal(
      document(filled().tree, A, `${S}?list=TNDS`),
      '<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD><Node><NodeName>s</NodeName>' +
        `<RTProperties><ACL>${rights}</ACL><Format><node/></Format>${time}<Type><DDFName/></Type><VerNo>0</VerNo></RTProperties>` +
        `<Node><NodeName>State</NodeName><RTProperties><Format><chr/></Format>${plain}</RTProperties><Value>default</Value></Node>` +
        `<Node><NodeName>Count</NodeName><RTProperties><Format><int/></Format>${time}${plain}<VerNo>0</VerNo></RTProperties><Value>7</Value></Node>` +
        '<Node><NodeName>Sub</NodeName><RTProperties><Format><node/></Format><Type><DDFName/></Type></RTProperties></Node>' +
        '<Node><NodeName>Do</NodeName><RTProperties><Format><node/></Format><Type><DDFName/></Type></RTProperties>' +
        `<Node><NodeName>Drop</NodeName><RTProperties><Format><null/></Format>${plain}</RTProperties></Node></Node></Node></MgmtTree>`,
    );
  });
  it('is XML and WBXML alike', () => {
    const listing = filled().tree.list(A, './Top?list=TNDS', ENOUGH);
    assert.ok(listing.ok && listing.value.kind === 'tnds');
    const limits = { maxBytes: ENOUGH, maxDepth: 64, maxElements: 10_000 };
    const { document: whole } = listing.value;
    assert.deepEqual(parseXml(writeXml(whole), limits), { ok: true, value: whole });
    assert.deepEqual(parseWbxml(writeWbxml(whole), limits), { ok: true, value: whole });
  });
  it('has octets as base64, text that XML cannot carry too, and nothing of a leaf that cannot be read', () => {
    const { tree, provider } = filled();
    provider.nodes.set('r/State', '\u0001');
    const whole = document(tree, A, `${R}?list=TNDS+Format+Value`);
    assert.match(
      whole,
      /<NodeName>Octets<\/NodeName><RTProperties><Format><bin\/><\/Format><\/RTProperties><Value>AP8=</,
    );
    assert.match(
      whole,
      /<NodeName>State<\/NodeName><RTProperties><Format><b64\/><\/Format><\/RTProperties><Value>AQ==</,
    );
    assert.match(whole, /<NodeName>Secret<\/NodeName><RTProperties><Format><chr\/><\/Format><\/RTProperties><\/Node>/);
    assert.match(whole, /<NodeName>a%20b<\/NodeName>/);
  });
  it('of the root has its children at the top', () => {
    const whole = document(filled().tree, A, '.?list=TNDS+Value');
    assert.match(
      whole,
      /^<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2<\/VerDTD><Node><NodeName>Top<\/NodeName><Node>/,
    );
  });

  const forms: readonly (readonly [list: string, expected: string])[] = [
    ['TNDS+Value', '<Value>7</Value>'],
    ['TNDS+Format', '<RTProperties><Format><int/></Format></RTProperties>'],
    ['TNDS+Size+Name+Value', '<RTProperties><Name>Count</Name><Size>1</Size></RTProperties><Value>7</Value>'],
    ['TNDS+ACL', ''],
    ['TNDS-Value', `<RTProperties><Format><int/></Format>${time}${plain}<VerNo>0</VerNo></RTProperties>`],
    ['TNDS-Format-ACL-TStamp-VerNo-Type', '<Value>7</Value>'],
  ];
  for (const [list, expected] of forms) {
    it(`${list} has just that`, () =>
      assert.equal(
        document(filled().tree, A, `${S}/Count?list=${list}`),
        `<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD><Node><NodeName>Count</NodeName>${expected}</Node></MgmtTree>`,
      ));
  }
});

describe('a list that cannot be had', () => {
  const rows: readonly (readonly [what: string, uri: string, expected: string])[] = [
    ['of an unknown form', `${R}?list=Nonsense`, 'not-supported'],
    ['of no form', `${R}?list=`, 'not-supported'],
    ['of an unknown part', `${R}?list=TNDS+Nonsense`, 'not-supported'],
    ['of parts with and without', `${R}?list=TNDS+Value-ACL`, 'not-supported'],
    ['of a part that is missing', `${R}?list=TNDS+`, 'not-supported'],
    ['with another query', `${R}?prop=Name`, 'bad-uri'],
    ['without a query', R, 'bad-uri'],
    ['of nothing', './Top/Records/x?list=Struct', 'not-found'],
    ["of another server's node", './Top/Records/theirs?list=Struct', 'permission-denied'],
  ];
  for (const [what, uri, expected] of rows) {
    it(`${what}: ${expected}`, () => assert.equal(code(filled().tree.list(A, uri, ENOUGH)), expected));
  }
  it('cannot be replaced or read as a value', () => {
    const { tree } = filled();
    assert.equal(code(tree.replace(A, `${R}?list=Struct`, value('x'))), 'not-supported');
    assert.equal(read(tree, A, `${R}?list=Struct`), 'not-supported');
  });
});

describe('a list that is longer than wanted', () => {
  it('is refused as soon as it is, without reading on', () => {
    const { tree, provider } = records();
    const names = Array.from({ length: 10_000 }, (_, n) => `n${String(n).padStart(5, '0')}`);
    for (const name of names) provider.nodes.set(name, '');
    const pages: number[] = [];
    const children = provider.children.bind(provider);
    provider.children = (path, after, limit) => {
      pages.push(limit);
      return children(path, after, limit);
    };
    for (const list of ['Struct', 'StructData', 'TNDS']) {
      pages.length = 0;
      assert.equal(code(tree.list('local', `./Top/Records?list=${list}`, 100_000)), 'too-large');
      assert.ok(pages.length <= 4, `${pages.length} pages were read`);
    }
    assert.ok(tree.list('local', './Top/Records?list=Struct', 10_000_000).ok);
  });
});
