import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLog, silentLog, type LogFields, type LogLevel } from './index.js';

function written(level: LogLevel, write: (log: ReturnType<ReturnType<typeof createLog>>) => void): string[] {
  const lines: string[] = [];
  write(createLog({ level, write: (line) => lines.push(line) })('dm'));
  return lines;
}

const line = (fields: LogFields): string | undefined => written('info', (log) => log.info('text', fields))[0];

describe('createLog', () => {
  it('writes level, component, text and fields on one line', () => {
    assert.equal(
      line({ session_id: '1234', attempt: 2, wait: true }),
      'info dm "text" session_id=1234 attempt=2 wait=true',
    );
  });
  it('puts the time in front where it is asked to', () => {
    const lines: string[] = [];
    createLog({ level: 'info', write: (one) => lines.push(one), wallMs: () => 0 })('dm').warn('text');
    assert.deepEqual(lines, ['1970-01-01T00:00:00.000Z warn dm "text"']);
  });
  it('leaves out what is less severe than the level, and fields that are not there', () => {
    const all = (log: ReturnType<ReturnType<typeof createLog>>): void => {
      for (const level of ['error', 'warn', 'info', 'debug'] as const) log[level]('text', { absent: undefined });
    };
    assert.deepEqual(written('error', all), ['error dm "text"']);
    assert.deepEqual(written('info', all), ['error dm "text"', 'warn dm "text"', 'info dm "text"']);
    assert.equal(written('debug', all).length, 4);
  });

  const values: readonly (readonly [what: string, value: string, shown: string])[] = [
    ['a plain word', 'a.b/c:d@e+f,g-h_1', 'a.b/c:d@e+f,g-h_1'],
    ['nothing', '', '""'],
    ['a space', 'a b', '"a b"'],
    ['a quote', 'a"b', '"a\\"b"'],
    ['a backslash', 'a\\b', '"a\\\\b"'],
    ['a forged field', 'x level=error', '"x level=error"'],
    ['a forged line', 'x\nerror dm "stolen"', '"x\\nerror dm \\"stolen\\""'],
    ['a carriage return', 'x\ry', '"x\\ry"'],
    ['a line separator of Unicode', 'x\u2028y', '"x\\u2028y"'],
    ['a terminal sequence', '\u001b[31mred', '"\\u001b[31mred"'],
    ['a C1 control character', 'x\u009by', '"x\\u009by"'],
    ['a NUL', 'x\u0000y', '"x\\u0000y"'],
    ['text beyond ASCII', 'é\u{1F600}', '"\\u00e9\\ud83d\\ude00"'],
  ];
  for (const [what, value, shown] of values) {
    it(`${what} cannot be mistaken for anything else`, () =>
      assert.equal(line({ v: value }), `info dm "text" v=${shown}`));
  }
  it('cuts what a peer made too long', () => {
    const [, shown = ''] = line({ v: 'x'.repeat(10_000) })?.split(' v=') ?? [];
    assert.equal(shown, `${'x'.repeat(512)}...`);
  });
  it('silentLog writes nothing', () => silentLog.error('text'));
});
