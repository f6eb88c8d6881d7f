import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import {
  child,
  element,
  parseWbxml,
  parseXml,
  writeWbxml,
  writeXml,
  type DocumentLimits,
  type Element,
} from './index.js';
import { realMessages, VECTORS, type Message } from './wbxml.samples.js';

const LIMITS: DocumentLimits = { maxBytes: 1_000_000, maxDepth: 64, maxElements: 50_000 };

/** Where libwbxml 0.11 gives something else than what stands in the document; `imitate` makes the same of an element. */
interface Difference {
  readonly tool: 'wbxml2xml' | 'xml2wbxml';
  readonly what: string;
  /** @param inside names of the elements around this one */
  readonly imitate: (one: Element, inside: readonly string[]) => Element;
}

const KNOWN_DIFFERENCES: readonly Difference[] = [
  {
    tool: 'xml2wbxml',
    what: 'packs TNDS elements in Data into a document of their own, as an opaque',
    imitate: (one) => {
      const tree = one.name === 'Data' ? child(one, 'MgmtTree') : undefined;
      return tree ? element('syncml', 'Data', new Uint8Array(writeWbxml(tree))) : one;
    },
  },
  {
    tool: 'xml2wbxml',
    what: 'calls TNDS by its WBXML type, even where it leaves it as text',
    imitate: (one) => (one.name === 'Type' && one.text === `${TNDS}+xml` ? { ...one, text: `${TNDS}+wbxml` } : one),
  },
  {
    tool: 'xml2wbxml',
    what: 'writes text in the Data of Add and Replace as an opaque, line feeds as CR LF, unless its type is TNDS',
    imitate: (one, inside) => {
      const type = child(child(one, 'Meta') ?? one, 'Type')?.text;
      const affected = one.name === 'Item' && inside.some((name) => name === 'Add' || name === 'Replace');
      return affected && type !== `${TNDS}+wbxml` ? { ...one, children: one.children.map(textAsOctets) } : one;
    },
  },
  {
    tool: 'wbxml2xml',
    what: 'unpacks a TNDS document in Data into elements',
    imitate: unpacked,
  },
  {
    tool: 'wbxml2xml',
    what: 'calls TNDS by its XML type',
    imitate: (one) => (one.name === 'Type' && one.text === `${TNDS}+wbxml` ? { ...one, text: `${TNDS}+xml` } : one),
  },
  {
    tool: 'wbxml2xml',
    what: 'does not know page 2 inside a message',
    imitate: (one, inside) =>
      one.namespace === 'dmddf' && inside.includes('SyncML') ? { ...one, namespace: 'syncml', name: 'unknown' } : one,
  },
];
const TNDS = 'application/vnd.syncml.dmtnds';

function textAsOctets(one: Element): Element {
  if (one.name !== 'Data' || typeof one.text !== 'string' || one.text === '') return one;
  return { ...one, text: new Uint8Array(Buffer.from(one.text.replaceAll('\n', '\r\n'))) };
}

function unpacked(one: Element): Element {
  const tree = one.name === 'Data' && typeof one.text !== 'string' ? parseWbxml(one.text, LIMITS) : undefined;
  return tree?.ok ? element('syncml', 'Data', [tree.value]) : one;
}

/** With the elements of TNDS documents in their place: such a document has a version and a string table of its own. */
function allUnpacked(root: Element): Element {
  return unpacked({ ...root, children: root.children.map(allUnpacked) });
}

/** wbxml2xml writes octets into XML as they are, which is no XML any more; there is nothing to compare. */
const HAS_OTHER_OCTETS = 'W3';

function imitation(tool: Difference['tool'], root: Element, inside: readonly string[] = []): Element {
  const children = root.children.map((one) => imitation(tool, one, [...inside, root.name]));
  const differences = KNOWN_DIFFERENCES.filter((difference) => difference.tool === tool);
  return differences.reduce<Element>((one, { imitate }) => imitate(one, inside), { ...root, children });
}

function vectorDocuments(): Message[] {
  return VECTORS.filter(({ name }) => name !== HAS_OTHER_OCTETS).map(({ name, hex }) => {
    const parsed = parseWbxml(Buffer.from(hex, 'hex'), LIMITS);
    assert.ok(parsed.ok);
    return { name, root: parsed.value };
  });
}

function hasOctets({ text, children }: Element): boolean {
  return typeof text !== 'string' || children.some(hasOctets);
}

/** Runs a tool over all files, in one shell. */
function convert(files: Readonly<Record<string, Uint8Array>>, command: string): (name: string) => Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'libwbxml-'));
  try {
    for (const [name, octets] of Object.entries(files)) writeFileSync(join(folder, name), octets);
    const script = `for file in *; do ${command} -o $file.out $file || exit 1; done`;
    const { status, stderr } = spawnSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8', timeout: 60_000 });
    assert.equal(status, 0, stderr);
    const results = new Map(Object.keys(files).map((name) => [name, readFileSync(join(folder, `${name}.out`))]));
    return (name) => results.get(name) ?? assert.fail(name);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const missing = ['wbxml2xml', 'xml2wbxml'].filter((tool) => spawnSync(tool, ['-h']).error);
const skip = missing.length > 0 && `not installed: ${missing.join(', ')} (Debian: libwbxml2-utils)`;

describe('WBXML against libwbxml, on every real message', { skip }, () => {
  const distinct = new Map([...vectorDocuments(), ...realMessages()].map((one) => [octetsOf(one.root), one]));
  const documents = [...distinct.values()].map((one, index) => ({ ...one, file: String(index) }));
  const inXml = documents.filter(({ root }) => !hasOctets(root));
  const files = (chosen: typeof documents, write: (root: Element) => Uint8Array): Record<string, Uint8Array> =>
    Object.fromEntries(chosen.map(({ file, root }) => [file, write(root)]));

  it('there are many', () => {
    assert.ok(inXml.length > 100, `${inXml.length}`);
  });

  it('what we write, wbxml2xml reads', () => {
    const xmlOf = convert(files(documents, writeWbxml), 'wbxml2xml -k -m 0');
    for (const { name, file, root } of documents) {
      const read = parseXml(xmlOf(file), LIMITS);
      assert.ok(read.ok, name);
      assert.deepEqual(read.value, imitation('wbxml2xml', root), name);
    }
  });

  it('what xml2wbxml writes, we read, and would write octet by octet', () => {
    const wbxmlOf = convert(files(inXml, writeXml), 'xml2wbxml -k -n');
    for (const { name, file, root } of inXml) {
      const wanted = imitation('xml2wbxml', root);
      const read = parseWbxml(wbxmlOf(file), LIMITS);
      assert.ok(read.ok, name);
      assert.deepEqual(read.value, wanted, name);
      assert.equal(Buffer.compare(writeWbxml(wanted), wbxmlOf(file)), 0, name);
    }
  });

  for (const version of ['1.1', '1.2']) {
    it(`what xml2wbxml writes in version ${version} with a string table, we read`, () => {
      const wbxmlOf = convert(files(inXml, writeXml), `xml2wbxml -k -v ${version}`);
      for (const { name, file, root } of inXml) {
        const read = parseWbxml(wbxmlOf(file), LIMITS);
        assert.ok(read.ok, name);
        assert.deepEqual(allUnpacked(read.value), allUnpacked(imitation('xml2wbxml', root)), name);
      }
      assert.ok(inXml.some(({ file }) => wbxmlOf(file)[STRING_TABLE_LENGTH] !== 0));
    });
  }
});

/** Where a message of SyncML 1.2 says the length of its string table. */
const STRING_TABLE_LENGTH = 4;

function octetsOf(root: Element): string {
  return Buffer.from(writeWbxml(root)).toString('latin1');
}
