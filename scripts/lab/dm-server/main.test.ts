import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PROGRAMS, requirePrograms } from '../../flow/project.js';

const folder = mkdtempSync(join(tmpdir(), 'dm-server-main-'));
after(() => rmSync(folder, { recursive: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, [PROGRAMS.dmServer, ...args], { encoding: 'utf8', timeout: 30_000 });

describe('the command line of the DM server', () => {
  before(requirePrograms);

  it('explains itself', () => {
    const { status, stdout, stderr } = run('--help');
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^usage: dm-server --config FILE/);
  });

  const file = join(folder, 'config.json');
  for (const [what, args, content, expected] of [
    ['no configuration', [], '', /--config FILE is missing/],
    ['an unknown option', ['--port', '80'], '', /--port/],
    ['a file that is not there', ['--config', join(folder, 'none')], '', /none/],
    ['a file that is not JSON', ['--config', file], '{\n "a":\n x\n}', /config\.json: /],
    [
      'a wrong value',
      ['--config', file],
      '{"serverId":"s","logFile":"l","accounts":[{"deviceId":""}]}',
      /accounts\.0\./,
    ],
  ] as const) {
    it(`says in one line what is wrong: ${what}`, () => {
      writeFileSync(file, content);
      const { status, stdout, stderr } = run(...args);
      assert.deepEqual([status, stdout], [2, '']);
      assert.match(stderr, /^dm-server: [^\n]+\n$/);
      assert.match(stderr, expected);
    });
  }
});
