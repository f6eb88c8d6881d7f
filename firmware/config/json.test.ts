import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readJson } from './json.js';

const tell = (text: string): string => {
  const read = readJson(text);
  return read.ok ? JSON.stringify(read.value) : `${read.error.line}:${read.error.column} ${read.error.text}`;
};

describe('JSON that a person wrote', () => {
  it('reads what JSON.parse reads', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.boolean(), (json, pretty) => {
        const text = pretty ? JSON.stringify(JSON.parse(json), undefined, 2) : json;
        assert.deepEqual(readJson(text), { ok: true, value: JSON.parse(text) as unknown });
      }),
    );
  });

  it('refuses what JSON.parse refuses', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '1',
      '-',
      '.5',
      'true',
      ' ',
      '\n',
      '"',
      '\\',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (words) => {
        const text = words.join('');
        const read = readJson(text);
        let parses = true;
        try {
          JSON.parse(text);
        } catch {
          parses = false;
        }
        assert.ok(read.ok === parses || (!read.ok && read.error.text.includes('stands twice')), text);
      }),
      { numRuns: 2000 },
    );
  });

  const WRONG: [string, string, string][] = [
    [
      'an empty file',
      '',
      '1:1 the file ends here; expected a value (text in double quotes, number, true, false, [ or {)',
    ],
    ['a missing bracket', '{"a": [1, 2', '1:12 the file ends here; expected , or ]'],
    ['a comma too many', '{"a": [1, 2,]}', '1:12 no comma may stand before ]'],
    ['a missing comma', '{\n  "a": 1\n  "b": 2\n}', '3:3 expected , or }'],
    ['a missing colon', '{"a" 1}', '1:6 expected : after the key'],
    ['a key without quotes', '{a: 1}', '1:2 expected a key in double quotes'],
    ['single quotes', "{'a': 1}", '1:2 expected a key in double quotes'],
    ['a comment', '{\n  // hello\n}', '2:3 comments are not allowed; expected a key in double quotes'],
    ['a text without end', '{"a": "b\n}', '1:7 this text has no closing ", a line end or a wrong \\ in it'],
    ['a key twice', '{"a": 1,\n "a": 2}', '2:2 the key "a" stands twice in this object'],
    ['more than one value', '{} {}', '1:4 expected the end of the file'],
    ['too deep', '['.repeat(40), '1:34 nested more than 32 deep'],
  ];
  for (const [name, text, told] of WRONG) it(`tells ${name}`, () => assert.equal(tell(text), told));

  it('keeps a key that every object has as a key of its own', () => {
    const read = readJson('{"__proto__": 1}');
    assert.ok(read.ok);
    assert.ok(Object.hasOwn(read.value as object, '__proto__'));
  });
});
