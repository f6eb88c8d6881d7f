import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_VALUE_BYTES, type Format, type NodeDefinition } from './definition.js';
import type { LeafValue } from './provider.js';
import { acceptAnnounced, acceptValue, isStored } from './values.js';

function leaf(format: Format, maxBytes?: number): NodeDefinition {
  const rest = { access: [], occurrence: 'One', scope: 'Dynamic', description: '' } as const;
  return { key: 'x', name: 'x', format, ...rest, ...(maxBytes !== undefined && { maxBytes }) };
}

function accept(format: Format, data: LeafValue | undefined, announced?: string, maxBytes?: number): unknown {
  const value = acceptValue(leaf(format, maxBytes), { format: announced, type: undefined, data });
  if (!value.ok) return value.error.code;
  assert.ok(!isStored(value.value));
  return typeof value.value === 'string' ? value.value : [...value.value];
}

describe('acceptValue', () => {
  const cases: readonly (readonly [
    what: string,
    format: Format,
    data: LeafValue | undefined,
    expected: unknown,
    announced?: string,
  ])[] = [
    ['text as it stands', 'chr', ' a\n', ' a\n'],
    ['text in an opaque', 'chr', Buffer.from('é'), 'é'],
    ['empty text', 'chr', '', ''],
    ['no text', 'chr', undefined, 'incomplete'],
    ['text called chr', 'chr', 'a', 'a', 'chr'],
    ['text called CHR', 'chr', 'a', 'a', 'CHR'],
    ['text called int', 'chr', '1', 'bad-format', 'int'],
    ['text called b64', 'chr', 'YQ==', 'bad-format', 'b64'],
    ['a number', 'int', ' 42\n', '42'],
    ['a signed number', 'int', '+007', '7'],
    ['the least number', 'int', '-2147483648', '-2147483648'],
    ['the greatest number', 'int', '2147483647', '2147483647'],
    ['a number beyond 32 bits', 'int', '2147483648', 'bad-value'],
    ['a number with a fraction', 'int', '1.5', 'bad-value'],
    ['a number in other notation', 'int', '0x10', 'bad-value'],
    ['an empty number', 'int', '', 'bad-value'],
    ['a truth', 'bool', 'true ', 'true'],
    ['a truth in capitals', 'bool', 'True', 'bad-value'],
    ['a truth as a number', 'bool', '1', 'bad-value'],
    ['octets as base64', 'bin', 'AAEC', [0, 1, 2], 'b64'],
    ['octets as base64 called bin', 'bin', 'AAEC', [0, 1, 2], 'bin'],
    ['octets as base64 called nothing', 'bin', 'AAEC', [0, 1, 2]],
    ['octets as base64 over lines', 'bin', ' AA\r\nEC ', [0, 1, 2]],
    ['octets with padding', 'bin', 'AA==', [0]],
    ['raw octets', 'bin', Uint8Array.of(255, 0), [255, 0], 'bin'],
    ['no octets', 'bin', '', []],
    ['base64 of a wrong length', 'bin', 'AAE', 'bad-value'],
    ['base64 with a stray sign', 'bin', 'AA-_', 'bad-value'],
    ['base64 with padding inside', 'bin', 'AA==AAEC', 'bad-value'],
    ['base64 in an opaque', 'bin', Buffer.from('AAEC'), [0, 1, 2], 'b64'],
    ['text that is not UTF-8', 'chr', Uint8Array.of(0xc3), 'bad-value'],
    ['octets called chr', 'bin', 'AAEC', 'bad-format', 'chr'],
    ['nothing for nothing', 'null', undefined, ''],
  ];
  for (const [what, format, data, expected, announced] of cases) {
    it(`${what}: ${String(expected)}`, () => assert.deepEqual(accept(format, data, announced), expected));
  }

  it('counts octets, not characters, and those of the value, not of its base64', () => {
    assert.equal(accept('chr', 'éé', undefined, 4), 'éé');
    assert.equal(accept('chr', 'ééé', undefined, 5), 'too-large');
    assert.deepEqual(accept('bin', 'AAEC', undefined, 3), [0, 1, 2]);
    assert.equal(accept('bin', 'AAECAw==', undefined, 3), 'too-large');
    assert.equal(accept('chr', 'x'.repeat(MAX_VALUE_BYTES + 1)), 'too-large');
    assert.equal(accept('chr', 'x'.repeat(MAX_VALUE_BYTES)), 'x'.repeat(MAX_VALUE_BYTES));
  });
  it('does not take a sub-tree for a text', () => {
    for (const type of ['application/vnd.syncml.dmtnds+xml', 'Application/vnd.syncml.dmtnds+wbxml']) {
      const value = acceptValue(leaf('chr'), { format: undefined, type, data: '<MgmtTree/>' });
      assert.equal(value.ok ? 'taken' : value.error.code, 'bad-format');
    }
  });
});

describe('acceptAnnounced', () => {
  const cases: readonly (readonly [
    what: string,
    format: Format,
    announced: string | undefined,
    size: number | undefined,
    expected: unknown,
  ])[] = [
    ['a text of the greatest length', 'chr', undefined, 30, 30],
    ['a longer text', 'chr', undefined, 31, 'too-large'],
    ['a text of another format', 'chr', 'int', 1, 'bad-format'],
    ['a text of unknown length', 'chr', undefined, undefined, undefined],
    ['base64 of the greatest length', 'bin', 'b64', 40, 30],
    ['base64 that may end in padding', 'bin', 'b64', 43, 33],
    ['longer base64', 'bin', 'b64', 44, 'too-large'],
    ['octets that may be base64', 'bin', undefined, 40, 40],
  ];
  for (const [what, format, announced, size, expected] of cases) {
    it(`${what}: ${String(expected)}`, () => {
      const said = acceptAnnounced(leaf(format, 30), { format: announced, type: undefined, size });
      assert.equal(said.ok ? said.value : said.error.code, expected);
    });
  }
});
