import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { child, element, parseWbxml, writeWbxml, type DocumentLimits, type Element } from '../codec/index.js';

/** The two tools of libwbxml (Debian: libwbxml2-utils), an implementation of WBXML and SyncML that is not ours. */
export type Tool = 'wbxml2xml' | 'xml2wbxml';

/** Where libwbxml 0.11 gives something else than what stands in the document. */
export interface Difference {
  readonly tool: Tool;
  readonly what: string;
  readonly reason: string;
  /** Makes of an element what the tool makes of it. @param inside names of the elements around this one */
  readonly imitate: (one: Element, inside: readonly string[]) => Element;
}

const TNDS = 'application/vnd.syncml.dmtnds';

/** All of them; whatever else differs is a fault. */
export const KNOWN_DIFFERENCES: readonly Difference[] = [
  {
    tool: 'xml2wbxml',
    what: 'packs TNDS elements in Data into a document of their own, as an opaque',
    reason: 'that is the form that TNDS has in WBXML (facts 11.3); we write what we are given',
    imitate: (one) => {
      const tree = one.name === 'Data' ? child(one, 'MgmtTree') : undefined;
      return tree ? element('syncml', 'Data', new Uint8Array(writeWbxml(tree))) : one;
    },
  },
  {
    tool: 'xml2wbxml',
    what: 'calls TNDS by its WBXML type, even where it leaves it as text',
    reason: 'it replaces the type wherever it stands in Meta, without a look at the Data',
    imitate: (one) => (one.name === 'Type' && one.text === `${TNDS}+xml` ? { ...one, text: `${TNDS}+wbxml` } : one),
  },
  {
    tool: 'xml2wbxml',
    what: 'writes text in the Data of Add and Replace as an opaque, line feeds as CR LF, unless its type is TNDS',
    reason: 'Data Synchronization carries vCard and the like there, whose lines end so; a reader of DM takes both',
    imitate: (one, inside) => {
      const type = child(child(one, 'Meta') ?? one, 'Type')?.text;
      const affected = one.name === 'Item' && inside.some((name) => name === 'Add' || name === 'Replace');
      return affected && type !== `${TNDS}+wbxml` ? { ...one, children: one.children.map(textAsOctets) } : one;
    },
  },
  {
    tool: 'wbxml2xml',
    what: 'unpacks a TNDS document in Data into elements',
    reason: 'the counterpart of packing it',
    imitate: unpacked,
  },
  {
    tool: 'wbxml2xml',
    what: 'calls TNDS by its XML type',
    reason: 'the counterpart of calling it by its WBXML type (facts 16)',
    imitate: (one) => (one.name === 'Type' && one.text === `${TNDS}+wbxml` ? { ...one, text: `${TNDS}+xml` } : one),
  },
  {
    tool: 'wbxml2xml',
    what: 'does not know page 2 inside a message',
    reason: 'its table of SyncML has the pages 0 and 1 only; TNDS is another document to it',
    imitate: (one, inside) =>
      one.namespace === 'dmddf' && inside.includes('SyncML') ? { ...one, namespace: 'syncml', name: 'unknown' } : one,
  },
  {
    tool: 'wbxml2xml',
    what: 'writes octets into XML as they are, which is no XML any more where they are not text',
    reason: 'a value of format bin has no other form there; letters stand in for them in this test',
    imitate: (one) =>
      one.name === 'Data' && typeof one.text !== 'string'
        ? { ...one, text: Buffer.from(one.text).toString('utf8') }
        : one,
  },
];

/** What the tool makes of a document, as far as we know. */
export function imitation(
  tool: Tool,
  root: Element,
  inside: readonly string[] = [],
  known: readonly Difference[] = KNOWN_DIFFERENCES,
): Element {
  const children = root.children.map((one) => imitation(tool, one, [...inside, root.name], known));
  const differences = known.filter((difference) => difference.tool === tool);
  return differences.reduce<Element>((one, { imitate }) => imitate(one, inside), { ...root, children });
}

/** With the elements of TNDS documents in their place: such a document has a version and a string table of its own. */
export function allUnpacked(root: Element): Element {
  return unpacked({ ...root, children: root.children.map(allUnpacked) });
}

/** With letters for octets that are no text. */
export function withLetters(root: Element): Element {
  if (typeof root.text === 'string' || isTndsDocument(root.text)) {
    return { ...root, children: root.children.map(withLetters) };
  }
  return { ...root, text: root.text.map((octet) => 0x41 + (octet % 26)) };
}

/** Names of the tools that are not installed. */
export function missingTools(): Tool[] {
  return (['wbxml2xml', 'xml2wbxml'] as const).filter((tool) => spawnSync(tool, ['-h']).error);
}

/** Runs a tool over all documents, in one shell. @returns what it made of each, in order */
export function convert(documents: readonly Uint8Array[], command: string): Uint8Array[] {
  const folder = mkdtempSync(join(tmpdir(), 'libwbxml-'));
  try {
    for (const [index, octets] of documents.entries()) writeFileSync(join(folder, String(index)), octets);
    const script = `for file in *; do ${command} -o $file.out $file || exit 1; done`;
    const { status, stderr } = spawnSync('sh', ['-c', script], { cwd: folder, encoding: 'utf8', timeout: 120_000 });
    assert.equal(status, 0, stderr);
    return documents.map((_, index) => readFileSync(join(folder, `${index}.out`)));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const LIMITS: DocumentLimits = { maxBytes: 1_000_000, maxDepth: 64, maxElements: 50_000 };

function isTndsDocument(octets: Uint8Array): boolean {
  return parseWbxml(octets, LIMITS).ok;
}

function textAsOctets(one: Element): Element {
  if (one.name !== 'Data' || typeof one.text !== 'string' || one.text === '') return one;
  return { ...one, text: new Uint8Array(Buffer.from(one.text.replaceAll('\n', '\r\n'))) };
}

function unpacked(one: Element): Element {
  const tree = one.name === 'Data' && typeof one.text !== 'string' ? parseWbxml(one.text, LIMITS) : undefined;
  return tree?.ok ? element('syncml', 'Data', [tree.value]) : one;
}
