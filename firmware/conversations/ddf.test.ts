import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { child, childrenNamed, parseXml, textOf, type Element } from '../codec/index.js';
import { managementObjects, Names } from '../mo/index.js';
import { ddfDocument, treeDefinition, type NodeDefinition } from '../tree/index.js';
import { Bench } from './bench.js';

/** Something of every kind in every object. */
const GIVEN = [
  './GwMO/ImageInventory/a/ImageURI = http://images.example/a',
  './GwMO/ImageInventory/a/Priority = 1',
  './GwMO/ImageInventory/a/Pinned = true',
  './GwMO/DeviceInventory/d/DeviceID = urn:uuid:1',
  './GwMO/DeviceInventory/d/Groups = g',
  './GwMO/Fanout/f/Notification = AQID',
  './GwMO/Fanout/f/Repeat = 3',
  './GwMO/Fanout/f/Target/t/DeviceID = urn:uuid:1',
  './GwMO/Fanout/f/Target/t/Notification = AQID',
].map((what) => ['given', `dmserver adds ${what}`] as const);

const RENAMED = {
  ImageInventory: './Vendor/Images',
  'ImageInventory/ImageURI': 'Url',
  'ImageInventory/Operations': 'Do',
  'ImageInventory:type': 'com.example/1.0/Images',
  Fanout: './Vendor/Calls',
  'Fanout/Target': 'To',
};

const LIMITS = { maxBytes: 1_000_000, maxDepth: 64, maxElements: 50_000 };

describe('the description of the device', () => {
  for (const [what, overrides, settings] of [
    ['under the standard names', {}, GIVEN],
    ['under other names', RENAMED, []],
  ] as const) {
    it(`describes every node of the tree, as it is, ${what}`, async () => {
      const names = Names.parse(overrides);
      assert.ok(names.ok);
      const text = ddfDocument(treeDefinition(managementObjects(names.value)), {});
      const parsed = parseXml(Buffer.from(text), LIMITS);
      assert.ok(parsed.ok);
      const bench = new Bench(settings, overrides);
      try {
        const listing = bench.tree.list('local', '.?list=Struct', 1_000_000);
        assert.ok(listing.ok && listing.value.kind === 'nodes');
        const seen = new Set<Element>();
        for (const { uri, format, type } of listing.value.nodes) {
          if (uri === '.') continue;
          const described = find(parsed.value, uri.split('/').slice(1).map(decodeURIComponent));
          assert.ok(described, `${uri} is not described`);
          seen.add(described);
          assert.equal(property(described, 'DFFormat').children[0]?.name, format, uri);
          assert.equal(textOf(property(described, 'DFType').children[0] ?? described), type, uri);
          const readable = child(property(described, 'AccessType'), 'Get') !== undefined;
          assert.equal(bench.tree.get('local', uri).ok, readable, `Get ${uri}`);
        }
        if (settings.length > 0) assert.ok(seen.size > 80, `${seen.size} descriptions were held against nodes`);
      } finally {
        await bench.close();
      }
    });
  }
  it('says of each node what the table says that the tree runs on, and has no other', async () => {
    const names = Names.parse(RENAMED);
    assert.ok(names.ok);
    const bench = new Bench([], RENAMED);
    const { definition } = bench.tree;
    await bench.close();
    const described = treeDefinition(managementObjects(names.value));
    assert.deepEqual(described, definition);
    const parsed = parseXml(Buffer.from(ddfDocument(described, {})), LIMITS);
    assert.ok(parsed.ok);
    assert.deepEqual(said(parsed.value).children, definition.children?.map(meant));
  });
});

/** A description as the table has it. */
interface Said {
  readonly name: string;
  readonly properties: Readonly<Record<string, readonly string[]>>;
  readonly children: readonly Said[];
}

function said(node: Element): Said {
  const properties = child(node, 'DFProperties')?.children ?? [];
  return {
    name: textOf(child(node, 'NodeName') ?? node),
    properties: Object.fromEntries(
      properties.map((one) => [
        one.name,
        one.children.length > 0 ? one.children.map(({ name }) => name) : [textOf(one)],
      ]),
    ),
    children: childrenNamed(node, 'Node').map(said),
  };
}

function meant({ name, key, access, occurrence, scope, format, description, ...more }: NodeDefinition): Said {
  const { defaultValue, children } = more;
  return {
    name: name ?? '',
    properties: {
      AccessType: [...access].sort(),
      ...(defaultValue !== undefined && { DefaultValue: [defaultValue] }),
      Description: [description],
      DFFormat: [format],
      Occurrence: [occurrence],
      Scope: [scope],
      ...(name !== undefined && { DFTitle: [key] }),
      DFType: [children ? 'DDFName' : 'MIME'],
    },
    children: (children ?? []).map(meant),
  };
}

/** The description of a node: the one of its name, or else the one for names given at run time. */
function find(parent: Element, names: readonly string[]): Element | undefined {
  const [head, ...rest] = names;
  if (head === undefined) return parent;
  const nodes = childrenNamed(parent, 'Node');
  const named = (name: string): Element | undefined =>
    nodes.find((node) => textOf(child(node, 'NodeName') ?? node) === name);
  const next = named(head) ?? named('');
  return next && find(next, rest);
}

function property(node: Element, name: string): Element {
  const properties = child(node, 'DFProperties');
  const found = properties && child(properties, name);
  assert.ok(found, `${name} is missing`);
  return found;
}
