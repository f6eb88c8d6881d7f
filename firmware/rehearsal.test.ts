/** `dmgw compile`, where the gateway that it runs for it does not get far. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, it } from 'node:test';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-rehearsal-'));
after(() => rmSync(folder, { recursive: true }));

const installed = join(folder, 'installed');
const temporary = join(folder, 'tmp');
before(() => {
  for (const one of [installed, temporary]) mkdirSync(one);
  for (const name of ['dmgw.cjs', 'dmgw-main.cjs']) copyFileSync(resolve('build', name), join(installed, name));
  symlinkSync(resolve('node_modules'), join(installed, 'node_modules'));
});

function compile(...flags: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [...flags, join(installed, 'dmgw.cjs'), 'compile'], {
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: temporary },
  });
}

describe('what a program is compiled with', () => {
  it('is refused like any other start where an addon does not load, and leaves nothing behind', () => {
    const { status, stdout, stderr } = compile();
    assert.deepEqual([status, stdout], [2, ''], stderr);
    assert.match(stderr, /^dmgw: dmgw-native does not load on Node\.js [^\n]*\n$/);
    assert.deepEqual(readdirSync(temporary), []);
  });

  it('leaves nothing behind when a defect ends it', () => {
    copyFileSync(resolve('build/dmgw-native.node'), join(installed, 'dmgw-native.node'));
    const hook = join(folder, 'hook.cjs');
    writeFileSync(hook, `process.kill = () => { throw new Error('a defect'); };`);
    const { status, stderr } = compile('--require', hook);
    assert.equal(status, 70, stderr);
    assert.match(stderr, /cannot go on.*a defect/);
    assert.deepEqual(readdirSync(temporary), []);
    assert.equal(existsSync(join(installed, 'dmgw-main.cjs.compiled')), false);
  });
});
