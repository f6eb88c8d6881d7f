import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { before, describe, it } from 'node:test';
import {
  parseWbxml,
  parseXml,
  nameOf,
  writeWbxml,
  writeXml,
  type DocumentLimits,
  type Element,
} from '../codec/index.js';
import { allUnpacked, convert, imitation, KNOWN_DIFFERENCES, missingTools, withLetters } from './libwbxml.js';
import { recordConversations } from './messages.js';

const LIMITS: DocumentLimits = { maxBytes: 1_000_000, maxDepth: 64, maxElements: 50_000 };

/** A document as it goes over the wire. */
interface Sample {
  readonly name: string;
  readonly octets: Uint8Array;
  readonly root: Element;
}

const missing = missingTools();
const skip = missing.length > 0 && `not installed: ${missing.join(', ')} (Debian: libwbxml2-utils)`;

describe('WBXML against libwbxml, on every real message of both sides', { skip }, () => {
  let inWbxml: Sample[] = [];
  let inXml: Sample[] = [];
  before(async () => {
    const others = testdata();
    inWbxml = distinct([...vectors(), ...others.map(toWbxml), ...(await recorded('wbxml'))].map(readableByLibwbxml));
    inXml = distinct([...others, ...(await recorded('xml'))].filter(({ root }) => hasTokens(root)));
  });

  it('there are many', () => {
    assert.ok(inWbxml.length > 150, `${inWbxml.length} in WBXML`);
    assert.ok(inXml.length > 150, `${inXml.length} in XML`);
  });

  it('what we write in WBXML, wbxml2xml reads as the same message', () => {
    const made = convert(
      inWbxml.map(({ octets }) => octets),
      'wbxml2xml -k -m 0',
    );
    for (const [index, { name, root }] of inWbxml.entries()) {
      const read = parseXml(made[index]!, LIMITS);
      assert.ok(read.ok, name);
      assert.deepEqual(read.value, imitation('wbxml2xml', root), name);
    }
  });

  it('what xml2wbxml makes of our XML, we read as the same message, and would write octet by octet', () => {
    const made = convert(
      inXml.map(({ octets }) => octets),
      'xml2wbxml -k -n',
    );
    for (const [index, { name, root }] of inXml.entries()) {
      const wanted = imitation('xml2wbxml', root);
      const read = parseWbxml(made[index]!, LIMITS);
      assert.ok(read.ok, name);
      assert.deepEqual(read.value, wanted, name);
      assert.equal(Buffer.compare(writeWbxml(wanted), made[index]!), 0, name);
    }
  });

  for (const version of ['1.1', '1.2']) {
    it(`what xml2wbxml makes of it in version ${version} with a string table, we read as the same message`, () => {
      const made = convert(
        inXml.map(({ octets }) => octets),
        `xml2wbxml -k -v ${version}`,
      );
      for (const [index, { name, root }] of inXml.entries()) {
        const read = parseWbxml(made[index]!, LIMITS);
        assert.ok(read.ok, name);
        assert.deepEqual(allUnpacked(read.value), allUnpacked(imitation('xml2wbxml', root)), name);
      }
      assert.ok(made.some((octets) => octets[STRING_TABLE_LENGTH] !== 0));
    });
  }

  for (const { tool, what } of KNOWN_DIFFERENCES) {
    it(`${tool} ${what}: some message shows it`, () => {
      const others = KNOWN_DIFFERENCES.filter((one) => one.what !== what);
      const without = (root: Element): Element => imitation(tool, root, [], others);
      const samples = tool === 'wbxml2xml' ? inWbxml : inXml;
      assert.ok(samples.some(({ root }) => !same(imitation(tool, root), without(root))));
    });
  }
});

/** Where a message of SyncML 1.2 says the length of its string table. */
const STRING_TABLE_LENGTH = 4;

async function recorded(encoding: 'xml' | 'wbxml'): Promise<Sample[]> {
  const messages = await recordConversations(encoding);
  return messages
    .filter((message) => message.encoding === encoding)
    .map(({ conversation, sender, octets }) => {
      const read = encoding === 'xml' ? parseXml(octets, LIMITS) : parseWbxml(octets, LIMITS);
      assert.ok(read.ok, conversation);
      return { name: `${conversation}, ${sender}`, octets, root: read.value };
    });
}

function vectors(): Sample[] {
  const file = new URL('../codec/testdata/wbxml-vectors.json', import.meta.url);
  const all = JSON.parse(readFileSync(file, 'utf8')) as { readonly name: string; readonly hex: string }[];
  return all.map(({ name, hex }) => {
    const octets = Buffer.from(hex, 'hex');
    const read = parseWbxml(octets, LIMITS);
    assert.ok(read.ok, name);
    return { name, octets, root: read.value };
  });
}

/** Messages of other servers, with what WBXML has no token for left out. */
function testdata(): Sample[] {
  const folder = new URL('../dm/testdata/', import.meta.url);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.xml'))
    .flatMap((name) => {
      const read = parseXml(readFileSync(new URL(name, folder)), LIMITS);
      if (!read.ok || read.value.name !== 'SyncML') return [];
      const root = withTokens(read.value);
      return [{ name, octets: writeXml(root), root }];
    });
}

function toWbxml({ name, root }: Sample): Sample {
  return { name, octets: writeWbxml(root), root };
}

function readableByLibwbxml(sample: Sample): Sample {
  const root = withLetters(sample.root);
  return same(root, sample.root) ? sample : { ...sample, octets: writeWbxml(root), root };
}

function distinct(samples: readonly Sample[]): Sample[] {
  return [...new Map(samples.map((one) => [Buffer.from(one.octets).toString('latin1'), one])).values()];
}

/** A message with an element that WBXML has no token for cannot be compared. */
function hasTokens(root: Element): boolean {
  return same(withTokens(root), root);
}

function withTokens(root: Element): Element {
  return { ...root, children: root.children.filter(hasToken).map(withTokens) };
}

function hasToken({ namespace, name }: Element): boolean {
  return nameOf(namespace, name).tokens !== undefined;
}

function same(one: Element, other: Element): boolean {
  try {
    assert.deepEqual(one, other);
    return true;
  } catch {
    return false;
  }
}
