import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { readArguments } from './arguments.js';
import { OPTIONS } from './options.js';

function byNode(words: string[]): unknown {
  try {
    const { values, positionals } = parseArgs({ args: words, options: OPTIONS, allowPositionals: true });
    return { given: { ...values }, operands: positionals };
  } catch {
    return 'refused';
  }
}

function byUs(words: string[]): unknown {
  const read = readArguments(words);
  return read.ok ? read.value : 'refused';
}

describe('the arguments', () => {
  const WORDS = [
    ...[
      '-',
      '--',
      '',
      '=',
      '-=',
      '--=',
      '---',
      '--=x',
      'run',
      'a b',
      '__proto__',
      '--__proto__',
      '--constructor=x',
      '-5',
    ],
    ...['--config', '--config=', '--config=/etc/x', '--config=a=b', '--json', '--json=', '--json=1', '--help', '--fly'],
    ...['-f', '-n', '-n5', '-n=5', '-fn', '-fn7', '-fh', '-hf', '-fx', '-h', '-V', '-Vf', '-n-', '--no-json'],
    ...['-fé', '-𝄞', '--wait', '--config-', '-\u0000', '-fhV', '-hn', '--lines', '--lines=-5', '/etc/dmgw.json'],
  ];

  it('are read as Node.js reads them, and refused where it does', () => {
    // A - among short options begins something else for Node.js; here it is an option that there is not.
    const other = fc.string({ maxLength: 6 }).filter((text) => !/^-[^-n]+-/.test(text));
    const word = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...WORDS) }, other);
    fc.assert(
      fc.property(fc.array(word, { maxLength: 6 }), (words) => assert.deepEqual(byUs(words), byNode(words))),
      { numRuns: 5000 },
    );
    for (const first of WORDS)
      for (const second of WORDS) assert.deepEqual(byUs([first, second]), byNode([first, second]));
  });

  const REFUSED: [string[], string][] = [
    [['--fly=1'], "unknown option '--fly'"],
    [['-fx'], "unknown option '-x'"],
    [['-𝄞'], "unknown option '-𝄞'"],
    [['-f-'], "'-f' takes no value"],
    [['--json=1'], "'--json' takes no value"],
    [['--config'], "'--config' needs a value"],
    [['-n', '-5'], "'-n' needs a value; one that begins with - is written --lines=-5"],
  ];
  for (const [words, error] of REFUSED) {
    it(`says what is wrong with ${words.join(' ')}`, () => {
      assert.deepEqual(readArguments(words), { ok: false, error });
    });
  }
});
