import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { keepCompiled, keptFile, readKept, runProgram } from './index.js';

const ran = globalThis as { ran?: unknown; compiled?: () => Buffer };
const TEXT = `(function(require, file, folder, compiled) { "use strict"; globalThis.compiled = compiled; globalThis.ran = [require('./beside.json').said, file, 1]; })`;

describe('a program that is kept compiled', () => {
  let folder = '';
  let file = '';
  const isUsed = (): boolean => readKept(file, readFileSync(file)) !== undefined;
  const runs = (): unknown => {
    delete ran.ran;
    runProgram(file, createRequire(file));
    return ran.ran;
  };
  const keep = (): number => {
    runs();
    return keepCompiled(file, ran.compiled?.() ?? Buffer.alloc(0));
  };

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-compiled-'));
    file = join(folder, 'program.cjs');
    writeFileSync(file, TEXT);
    writeFileSync(join(folder, 'beside.json'), '{"said":"beside"}');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('runs as it does without, with what lies beside it', () => {
    const expected = ['beside', file, 1];
    assert.equal(isUsed(), false);
    assert.deepEqual(runs(), expected);
    assert.equal(keep(), statSync(keptFile(file)).size);
    assert.equal(isUsed(), true);
    assert.deepEqual(runs(), expected);
  });

  it('is compiled anew where its text is another one, of the same length too', () => {
    keep();
    writeFileSync(file, TEXT.replace('1]', '2]'));
    assert.equal(isUsed(), false);
    assert.equal((runs() as unknown[])[2], 2);
    keep();
    assert.equal(isUsed(), true);
    assert.equal((runs() as unknown[])[2], 2);
  });

  it('is compiled anew where what was kept is cut off or has rotted at any place', () => {
    keep();
    const sound = readFileSync(keptFile(file));
    for (let at = 0; at < sound.length; at += Math.ceil(sound.length / 50)) {
      const rotten = Buffer.from(sound);
      rotten.writeUInt8(rotten.readUInt8(at) ^ 0x10, at);
      writeFileSync(keptFile(file), rotten);
      assert.equal(isUsed(), false, `octet ${at}`);
      writeFileSync(keptFile(file), sound.subarray(0, at));
      assert.equal(isUsed(), false, `${at} octets`);
    }
  });

  it('is kept as a whole or not at all, and written through no link', () => {
    const foreign = join(folder, 'foreign');
    writeFileSync(foreign, 'foreign');
    symlinkSync(foreign, `${keptFile(file)}.new`);
    keep();
    assert.equal(isUsed(), true);
    assert.equal(readFileSync(foreign, 'utf8'), 'foreign');

    // Room for a part of it only.
    rmSync(keptFile(file));
    const script = `import { keepCompiled } from ${JSON.stringify(new URL('./index.js', import.meta.url).href)};
      keepCompiled(${JSON.stringify(file)}, Buffer.alloc(4000));`;
    const limited = ['-c', 'ulimit -f 2 && exec "$0" "$@"', process.execPath, '--input-type=module', '-e', script];
    const { status, stderr } = spawnSync('sh', limited, { encoding: 'utf8' });
    assert.notEqual(status, 0);
    assert.match(stderr, /EFBIG/);
    assert.deepEqual(
      [keptFile(file), `${keptFile(file)}.new`].filter((path) => existsSync(path)),
      [],
    );

    mkdirSync(keptFile(file));
    assert.throws(() => keep(), { code: 'EISDIR' });
    assert.equal(existsSync(`${keptFile(file)}.new`), false);
  });

  it('has what has run, also where it was itself run from what was kept', () => {
    const later = `function later() { return [${'{ a: file },'.repeat(500)}]; }`;
    writeFileSync(file, TEXT.replace('{', `{ ${later}`));
    const first = keep();
    assert.equal((runs() as unknown[])[2], 1);
    writeFileSync(file, TEXT.replace('{', `{ ${later}`).replace('1]', 'later().length]'));
    const second = keep();
    assert.ok(second > first + 500, `${first} bytes without, ${second} with what has run`);
    const third = keep();
    assert.ok(Math.abs(third - second) < second / 20, `${second} bytes, then ${third}`);
  });

  it('is not waited for where it is a pipe', () => {
    keep();
    rmSync(keptFile(file));
    assert.equal(spawnSync('mkfifo', ['-m', '644', keptFile(file)]).status, 0);
    assert.equal(isUsed(), false);
  });

  it('is not believed where others may write', () => {
    keep();
    for (const mode of [0o664, 0o646]) {
      chmodSync(keptFile(file), mode);
      assert.equal(isUsed(), false);
    }
    chmodSync(keptFile(file), 0o644);
    assert.equal(isUsed(), true);
  });
});
