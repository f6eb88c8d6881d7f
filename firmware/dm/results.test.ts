import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { element } from '../codec/index.js';
import type { ListedNode } from '../tree/index.js';
import { resultsOfList, resultsOfValue, type ResultsAnswer } from './results.js';
import { wbxmlWire, xmlWire, type Wire } from './wire.js';

const GET = { msgRef: '1', cmdRef: '4', uri: './A?list=StructData' };

const nodes: ListedNode[] = Array.from({ length: 40 }, (_, n) => ({
  uri: `./A/${'x'.repeat(n)}`,
  format: n % 3 === 0 ? 'bin' : 'chr',
  type: n === 0 ? '' : 'text/plain',
  ...(n % 2 === 0 && { data: n % 3 === 0 ? Buffer.alloc(n) : '<&>'.repeat(n / 2) }),
}));

function list(wire: Wire, room: number): ResultsAnswer[] {
  return resultsOfList(GET, { kind: 'nodes', nodes }, wire, room, (answer) => sizeOf(wire, answer));
}

function sizeOf(wire: Wire, answer: ResultsAnswer): number {
  return wire.sizeOf(answer, '99999');
}

describe('the Results of a list', () => {
  it('is one, with an Item for each node', () => {
    const [only, ...more] = list(xmlWire, Infinity);
    assert.ok(only && more.length === 0);
    assert.deepEqual(
      only.items.map(({ source }) => source?.uri),
      nodes.map(({ uri }) => uri),
    );
    assert.deepEqual(only.items[0], { source: { uri: './A/' }, meta: { format: 'bin' }, data: Buffer.alloc(0) });
    assert.deepEqual(only.items[1], { source: { uri: './A/x' }, meta: { format: 'chr', type: 'text/plain' } });
  });
  for (const wire of [xmlWire, wbxmlWire]) {
    it(`are several where one does not fit into a message, each as full as it can be (${wire.encoding})`, () => {
      for (const room of [700, 1000, 1500, 5000]) {
        const answers = list(wire, room);
        assert.deepEqual(
          answers.flatMap(({ items }) => items.map(({ source }) => source?.uri)),
          nodes.map(({ uri }) => uri),
        );
        for (const [index, answer] of answers.entries()) {
          assert.ok(sizeOf(wire, answer) <= room, `${sizeOf(wire, answer)} > ${room}`);
          const next = answers[index + 1]?.items[0];
          if (next) assert.ok(sizeOf(wire, { ...answer, items: [...answer.items, next] }) > room, 'one more would fit');
        }
      }
    });
  }
  it('is one Item with the document, in the encoding of the message, for TNDS', () => {
    const document = element('dmddf', 'MgmtTree', [element('dmddf', 'VerDTD', '1.2')]);
    const listing = { kind: 'tnds', document } as const;
    const get = { ...GET, uri: './A?list=TNDS' };
    const item = (wire: Wire): unknown => resultsOfList(get, listing, wire, 9, () => 9)[0]?.items[0];
    const source = { uri: './A?list=TNDS' };
    assert.deepEqual(item(xmlWire), {
      source,
      meta: { format: 'xml', type: 'application/vnd.syncml.dmtnds+xml' },
      data: '<MgmtTree xmlns="syncml:dmddf1.2"><VerDTD>1.2</VerDTD></MgmtTree>',
    });
    const octets = '0300006a1b2d2f2f4f4d412f2f4454442d444d2d44444620312e322f2f454e000002607703312e32000101';
    assert.deepEqual(item(wbxmlWire), {
      source,
      meta: { format: 'xml', type: 'application/vnd.syncml.dmtnds+wbxml' },
      data: Buffer.from(octets, 'hex'),
    });
  });
});

describe('the Results of a value', () => {
  const value = { format: 'int', type: 'text/plain', data: '7' } as const;
  it('tell its format and type', () => {
    const [item] = resultsOfValue({ ...GET, uri: './A' }, value).items;
    assert.deepEqual(item, { source: { uri: './A' }, meta: { format: 'int', type: 'text/plain' }, data: '7' });
  });
  it('of a property are plain text without Meta', () => {
    const [item] = resultsOfValue({ ...GET, uri: './A?prop=Name' }, value).items;
    assert.deepEqual(item, { source: { uri: './A?prop=Name' }, data: '7' });
  });
});
