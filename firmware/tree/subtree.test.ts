import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseXml, writeWbxml, writeXmlFragment, type Element } from '../codec/index.js';
import { A, B, code, read, records, value } from './fixture.js';
import type { IncomingValue, LeafValue } from './provider.js';
import type { Tree } from './tree.js';

const R = './Top/Records/r';
const XML = 'application/vnd.syncml.dmtnds+xml';
const WBXML = 'application/vnd.syncml.dmtnds+wbxml';

/** A node of a document in short. */
function n(name: string, content = '', properties = ''): string {
  const rt = properties === '' ? '' : `<RTProperties>${properties}</RTProperties>`;
  return `<Node><NodeName>${name}</NodeName>${rt}${content}</Node>`;
}
const leaf = (name: string, data: string, format = 'chr'): string =>
  n(name, `<Value>${data}</Value>`, `<Format><${format}/></Format><Type><MIME>text/plain</MIME></Type>`);
const tnds = (...nodes: readonly string[]): IncomingValue => ({ format: 'xml', type: XML, data: document(...nodes) });
const document = (...nodes: readonly string[]): string =>
  `<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD>${nodes.join('')}</MgmtTree>`;

function parsed(text: string): Element {
  const root = parseXml(Buffer.from(text), { maxBytes: 10_000, maxDepth: 20, maxElements: 100 });
  assert.ok(root.ok);
  return root.value;
}

/** All nodes of a record with their values. */
function state(provider: ReturnType<typeof records>['provider'], record = 'r'): Record<string, unknown> {
  const own = [...provider.nodes].filter(([key]) => key === record || key.startsWith(`${record}/`));
  return Object.fromEntries(own.map(([key, data]) => [key, typeof data === 'string' ? data : [...data]]));
}

const BROUGHT = { r: '', 'r/Sub': 'default', 'r/Do': 'default', 'r/Do/Drop': 'default', 'r/State': 'default' };

function uriOf(outcome: ReturnType<Tree['add']>): string | undefined {
  return outcome.ok ? undefined : outcome.error.uri;
}

describe('Add of a sub-tree', () => {
  const TEXT = document(
    n('r', [leaf('Name', 'n'), leaf('Octets', 'AP8=', 'bin'), n('Sub', n('a%20b', leaf('Leaf', 'l')))].join('')),
  );
  const whole = { format: 'xml', type: XML, data: TEXT };
  it('makes all its nodes', () => {
    const { tree, provider } = records();
    assert.equal(code(tree.add(A, R, whole)), 'ok');
    assert.deepEqual(state(provider), {
      ...BROUGHT,
      'r/Name': 'n',
      'r/Octets': [0, 255],
      'r/Sub/a b': '',
      'r/Sub/a b/Leaf': 'l',
    });
    assert.equal(read(tree, A, `${R}?prop=ACL`), 'Add=A&Delete=A&Exec=A&Get=A&Replace=A');
    assert.equal(read(tree, A, `${R}/Name?prop=VerNo`), '0');
  });

  const octets = writeWbxml(parsed(TEXT));
  for (const [what, type, data] of [
    ['WBXML in an opaque', WBXML, octets],
    ['WBXML as base64', WBXML, Buffer.from(octets).toString('base64')],
    ['XML in an opaque', XML, Buffer.from(TEXT)],
    [
      'XML with a declaration and a document type',
      XML,
      `<?xml version="1.0"?><!DOCTYPE MgmtTree PUBLIC "-//OMA//DTD-DM-DDF 1.2//EN" "http://x/y.dtd">\n${TEXT}`,
    ],
  ] as readonly (readonly [string, string, LeafValue])[]) {
    it(`is taken as ${what}`, () => {
      const { tree, provider } = records();
      assert.equal(code(tree.add(A, R, { format: 'xml', type, data })), 'ok');
      assert.equal(provider.nodes.get('r/Sub/a b/Leaf'), 'l');
    });
  }

  const places: readonly (readonly [what: string, target: string, doc: IncomingValue])[] = [
    ['without a name: the Target itself', R, tnds(n('', leaf('Name', 'n')))],
    ['below a Target that is there', './Top/Records', tnds(n('r', leaf('Name', 'n')))],
    [
      'at a Path below the Target',
      './Top',
      tnds(`<Node><NodeName>r</NodeName><Path>Records</Path>${leaf('Name', 'n')}</Node>`),
    ],
    ['at the Path .', './Top/Records', tnds(`<Node><NodeName>r</NodeName><Path>.</Path>${leaf('Name', 'n')}</Node>`)],
    ['at the Path ./', './Top/Records', tnds(`<Node><NodeName>r</NodeName><Path>./</Path>${leaf('Name', 'n')}</Node>`)],
    [
      'at a Path with ./',
      '.',
      tnds(`<Node><NodeName>r</NodeName><Path>./Top/Records</Path>${leaf('Name', 'n')}</Node>`),
    ],
    ['a leaf whose parents are missing', `${R}/Name`, tnds(leaf('Name', 'n'))],
    [
      'in two parts',
      './Top',
      tnds(
        `<Node><NodeName>r</NodeName><Path>Records</Path></Node>`,
        `<Node><NodeName>Name</NodeName><Path>Records/r</Path><Value>n</Value></Node>`,
      ),
    ],
  ];
  for (const [what, target, doc] of places) {
    it(`stands ${what}`, () => {
      const { tree, provider } = records();
      const added = tree.add(A, target, doc);
      assert.equal(code(added), 'ok');
      assert.equal(provider.nodes.get('r/Name'), 'n');
    });
  }

  it('sets titles and ACLs when everything is there, so that they cannot stand in the way', () => {
    const { tree } = records();
    const acl = n(
      'r',
      [leaf('Name', 'n'), n('Secret', '<Value>s</Value>', '<ACL>Get=B</ACL><Title>hidden</Title>')].join(''),
      '<ACL>Get=A</ACL><Title>T</Title>',
    );
    assert.equal(code(tree.add(A, R, tnds(acl))), 'ok');
    assert.equal(read(tree, A, `${R}?prop=ACL`), 'Get=A');
    assert.equal(read(tree, A, `${R}?prop=Title`), 'T');
    assert.equal(read(tree, 'local', `${R}/Secret?prop=ACL`), 'Get=B');
    assert.equal(read(tree, 'local', `${R}/Secret?prop=Title`), 'hidden');
  });
  it('may repeat what a node brings along, and ignores what it does not know', () => {
    const { tree } = records();
    const more =
      '<Format><chr/></Format><Name>State</Name><Size>7</Size><TStamp>20010711T163817Z</TStamp><VerNo>9</VerNo>';
    const doc = tnds(n('r', n('State', '<Value>default</Value>', more) + n('Do', n('Drop')) + '<Foo/>'));
    assert.equal(code(tree.add(A, R, doc)), 'ok');
  });
  it('what was listed can be added elsewhere, and is the same again', () => {
    const { tree } = records();
    tree.add(A, R, whole);
    tree.replace(A, `${R}?prop=Title`, value('T'));
    const list = (uri: string): string => {
      const listing = tree.list(A, uri, 100_000);
      assert.ok(listing.ok && listing.value.kind === 'tnds');
      return writeXmlFragment(listing.value.document);
    };
    const before = list(`${R}?list=TNDS-TStamp-VerNo`);
    const doc = { format: 'xml', type: XML, data: before.replace('<NodeName>r</NodeName>', '<NodeName>s</NodeName>') };
    assert.equal(code(tree.add(A, './Top/Records/s', doc)), 'ok');
    assert.equal(list('./Top/Records/s?list=TNDS-TStamp-VerNo'), doc.data);
  });

  const refusals: readonly (readonly [
    what: string,
    target: string,
    doc: IncomingValue,
    expected: string,
    at?: string,
  ])[] = [
    [
      'that is there',
      './Top/Records/theirs',
      tnds(n('theirs', leaf('Name', 'n'))),
      'already-exists',
      './Top/Records/theirs',
    ],
    ['whose second part is there', './Top/Records', tnds(n('r'), n('mine')), 'already-exists', './Top/Records/mine'],
    [
      'with a node that is not defined',
      R,
      tnds(n('r', leaf('Name', 'n') + leaf('Nonsense', 'x'))),
      'not-allowed',
      `${R}/Nonsense`,
    ],
    ['with another value for what comes along', R, tnds(n('r', leaf('State', 'x'))), 'not-allowed', `${R}/State`],
    ['with a value of another format', R, tnds(n('r', leaf('Count', '7', 'chr'))), 'bad-format', `${R}/Count`],
    ['with a value that is none', R, tnds(n('r', leaf('Count', 'x', 'int'))), 'bad-value', `${R}/Count`],
    ['with a leaf without a value', R, tnds(n('r', n('Name'))), 'incomplete', `${R}/Name`],
    ['with a leaf that has nodes', R, tnds(n('r', n('Name', leaf('x', 'y')))), 'incomplete', `${R}/Name`],
    ['with an interior node that has a value', R, tnds(n('r', '<Value>x</Value>')), 'bad-format', R],
    ['with an interior node called chr', R, tnds(n('r', '', '<Format><chr/></Format>')), 'bad-format', R],
    ['of another kind', R, tnds(n('r', '', '<Type><DDFName>org.example/1.0/Other</DDFName></Type>')), 'bad-format', R],
    ['with an ACL that is none', R, tnds(n('r', '', '<ACL>Get</ACL>')), 'bad-value', R],
    [
      'below what the server may not change',
      './Top/Records/theirs/Sub/x',
      tnds(n('x')),
      'permission-denied',
      './Top/Records/theirs/Sub/x',
    ],
    ['at a Path that is not one', R, tnds('<Node><NodeName>r</NodeName><Path>a//b</Path></Node>'), 'bad-value'],
    ['with a name that is none', R, tnds(n('r', n('..'))), 'bad-value'],
    ['with a name that is two, the first that of the Target', R, tnds(n('r/Name', '<Value>n</Value>')), 'bad-value'],
    ['with a node without a name', R, tnds(n('r', n(''))), 'bad-value'],
    [
      'with a Path inside',
      R,
      tnds(n('r', '<Node><NodeName>Name</NodeName><Path>x</Path><Value>n</Value></Node>')),
      'bad-value',
    ],
    ['with both value and nodes', R, tnds(n('r', `<Value>x</Value>${n('Sub')}`)), 'bad-value'],
    ['without a node', R, tnds(), 'bad-value'],
    [
      'of another version',
      R,
      { format: 'xml', type: XML, data: '<MgmtTree><VerDTD>2.0</VerDTD><Node/></MgmtTree>' },
      'bad-format',
    ],
    ['that is another document', R, { format: 'xml', type: XML, data: '<SyncML/>' }, 'bad-value'],
    ['that is not well-formed', R, { format: 'xml', type: XML, data: '<MgmtTree>' }, 'bad-value'],
    [
      'with entities',
      R,
      { format: 'xml', type: XML, data: '<!DOCTYPE MgmtTree [<!ENTITY a "b">]><MgmtTree>&a;</MgmtTree>' },
      'bad-value',
    ],
    ['that is not WBXML', R, { format: 'bin', type: WBXML, data: 'AAEC' }, 'bad-value'],
    ['that is not base64', R, { format: 'bin', type: WBXML, data: '<MgmtTree/>' }, 'bad-value'],
    ['that is too long', R, tnds(n('r', leaf('Name', 'x'.repeat(300_000)))), 'too-large'],
    [
      'that is too deep',
      R,
      tnds(
        n(
          'r',
          n('Sub')
            .repeat(1)
            .replace('</Node>', '<Node>'.repeat(70) + '</Node>'.repeat(71)),
        ),
      ),
      'bad-value',
    ],
    ['that is missing', R, { format: 'xml', type: XML, data: undefined }, 'incomplete'],
    ['to a property', `${R}?prop=Title`, tnds(n('r')), 'not-allowed'],
    ['to no URI', './Top//r', tnds(n('r')), 'bad-uri'],
    [
      'in a leaf of a sub-tree',
      R,
      tnds(n('r', n('Name', '<Value>x</Value>', `<Type><MIME>${XML}</MIME></Type>`))),
      'bad-format',
    ],
  ];
  for (const [what, target, doc, expected, at] of refusals) {
    it(`refuses one ${what}: ${expected}, and leaves nothing behind`, () => {
      const { tree, provider } = records();
      tree.add(A, './Top/Records/mine', value(undefined));
      tree.add(B, './Top/Records/theirs', value(undefined));
      const before = new Map(provider.nodes);
      const added = tree.add(A, target, doc);
      assert.equal(code(added), expected);
      assert.equal(uriOf(added), at);
      // The provider of the tests is in memory: what a savepoint would undo is undone here.
      if (at === undefined) assert.deepEqual(provider.nodes, before);
    });
  }
});

describe('Replace of a sub-tree', () => {
  const filled = (): ReturnType<typeof records> => {
    const made = records();
    made.tree.add(A, `${R}/Name`, value('n'));
    made.tree.add(A, `${R}/Count`, value('7'));
    made.tree.add(A, `${R}/Secret`, value('s'));
    made.tree.add(A, `${R}/Sub/a/Leaf`, value('a'));
    made.tree.add(A, `${R}/Sub/b/Leaf`, value('b'));
    made.tree.add(B, './Top/Records/theirs/Name', value('t'));
    return made;
  };
  it('makes it what the document says: what is missing goes, what is new comes, what always stays stays', () => {
    const { tree, provider } = filled();
    const doc = tnds(
      n(
        'r',
        leaf('Name', 'm') +
          leaf('Octets', 'AA==', 'bin') +
          n('Sub', n('b', leaf('Leaf', 'bb')) + n('c', leaf('Leaf', 'c'))),
      ),
    );
    assert.equal(code(tree.replace(A, R, doc)), 'ok');
    assert.deepEqual(state(provider), {
      ...BROUGHT,
      'r/Name': 'm',
      'r/Octets': [0],
      'r/Sub/b': '',
      'r/Sub/b/Leaf': 'bb',
      'r/Sub/c': '',
      'r/Sub/c/Leaf': 'c',
    });
    assert.equal(read(tree, A, `${R}?prop=ACL`), 'Add=A&Delete=A&Exec=A&Get=A&Replace=A', 'it is the same node');
    assert.equal(read(tree, A, `${R}/Name?prop=VerNo`), '1');
  });
  it('by what it is changes nothing, and counts nothing', () => {
    const { tree, provider } = filled();
    const listing = tree.list(A, `${R}?list=TNDS`, 100_000);
    assert.ok(listing.ok && listing.value.kind === 'tnds');
    const before = new Map(provider.nodes);
    const doc = { format: 'xml', type: XML, data: writeXmlFragment(listing.value.document) };
    assert.equal(code(tree.replace(A, R, doc)), 'ok');
    assert.deepEqual(provider.nodes, before);
    assert.equal(read(tree, A, `${R}/Name?prop=VerNo`), '0');
  });
  it('tells nobody whether a leaf that cannot be read has the value already', () => {
    const { tree } = filled();
    assert.equal(code(tree.replace(A, R, tnds(n('r', leaf('Secret', 's'))))), 'ok');
    assert.equal(read(tree, A, `${R}/Secret?prop=VerNo`), '1');
  });
  it('asks for no right where title and ACL stay as they are', () => {
    const { tree } = filled();
    tree.replace(A, `${R}/Name?prop=Title`, value('T'));
    tree.replace(A, `${R}/Name?prop=ACL`, value('Get=A'));
    const doc = (title: string): IncomingValue =>
      tnds(n('r', n('Name', '<Value>n</Value>', `<ACL>Get=A</ACL><Title>${title}</Title>`)));
    assert.equal(code(tree.replace(A, R, doc('T'))), 'ok');
    assert.equal(code(tree.replace(A, R, doc('U'))), 'permission-denied');
  });
  it('of a leaf is a new value', () => {
    const { tree, provider } = filled();
    assert.equal(code(tree.replace(A, `${R}/Name`, tnds(leaf('Name', 'm')))), 'ok');
    assert.equal(provider.nodes.get('r/Name'), 'm');
  });

  const refusals: readonly (readonly [
    what: string,
    target: string,
    doc: IncomingValue,
    expected: string,
    at?: string,
  ])[] = [
    ['that is not there', './Top/Records/x', tnds(n('x')), 'not-found'],
    ["of another server's node", './Top/Records/theirs', tnds(n('theirs')), 'permission-denied'],
    ['of a container', './Top/Records', tnds(n('Records')), 'permission-denied'],
    ['with a read-only leaf of another value', R, tnds(n('r', leaf('State', 'x'))), 'not-allowed', `${R}/State`],
    ['with a node that is not defined', R, tnds(n('r', leaf('Nonsense', 'x'))), 'not-allowed', `${R}/Nonsense`],
    ['that is malformed', R, { format: 'xml', type: XML, data: '<MgmtTree' }, 'bad-value'],
    ['of a property', `${R}?prop=Title`, tnds(n('r')), 'not-allowed'],
  ];
  for (const [what, target, doc, expected, at] of refusals) {
    it(`refuses one ${what}: ${expected}`, () => {
      const replaced = filled().tree.replace(A, target, doc);
      assert.equal(code(replaced), expected);
      assert.equal(uriOf(replaced), at);
    });
  }
  it('refuses to remove what the server may not delete', () => {
    const { tree } = filled();
    tree.replace(A, `${R}/Sub/a?prop=ACL`, value('Get=*&Replace=A'));
    const replaced = tree.replace(A, R, tnds(n('r', n('Sub'))));
    assert.deepEqual([code(replaced), uriOf(replaced)], ['permission-denied', `${R}/Sub/a`]);
  });
});

describe('a sub-tree in pieces', () => {
  const text = document(n('r', leaf('Name', 'é')));
  const utf8 = Buffer.from(text);
  const base64 = Buffer.from(writeWbxml(parsed(text))).toString('base64');
  const within = utf8.indexOf(0xc3) + 1;
  for (const [what, type, pieces] of [
    ['XML, cut within a character', XML, [utf8.subarray(0, within), utf8.subarray(within)]],
    ['WBXML as base64, cut within a group', WBXML, [base64.slice(0, 21), base64.slice(21)]],
  ] as const) {
    it(`is collected and added whole: ${what}`, async () => {
      const { tree } = records();
      const sink = tree.receive(A, 'Add', R, { format: 'xml', type, size: undefined });
      assert.ok(sink.ok);
      for (const piece of pieces) assert.ok((await sink.value.write(piece)).ok);
      const whole = await sink.value.end();
      assert.ok(whole.ok);
      const added = tree.add(A, R, { format: 'xml', type, data: whole.value });
      assert.equal(code(added), 'ok', added.ok ? '' : added.error.text);
      assert.equal(read(tree, A, `${R}/Name`), 'é');
    });
  }
  it('is refused when it is announced as too long, or becomes so', async () => {
    const { tree } = records();
    const announced = { format: 'xml', type: XML, size: undefined };
    assert.equal(code(tree.receive(A, 'Add', R, { ...announced, size: 300_000 })), 'too-large');
    const sink = tree.receive(A, 'Add', R, announced);
    assert.ok(sink.ok);
    assert.ok((await sink.value.write('x'.repeat(200_000))).ok);
    assert.equal(code(await sink.value.write('x'.repeat(200_000))), 'too-large');
    await sink.value.discard();
  });
});
