import assert from 'node:assert/strict';
import {
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { failure, success, type Outcome } from '../outcome/index.js';
import { asOwnerOf, writeDurably, type OwnerError } from './index.js';

describe('a file that is written durably', () => {
  let folder = '';
  let file = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-files-'));
    file = join(folder, 'file');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is there as a whole, for its owner only, without a draft, an old one of a power cut included', () => {
    writeFileSync(`${file}.new`, 'half', { mode: 0o666 });
    writeDurably(file, 'one');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeDurably(file, Buffer.from('two'), 0o644);
    assert.equal(statSync(file).mode & 0o777, 0o644);
    assert.equal(readFileSync(file, 'utf8'), 'two');
    assert.deepEqual(readdirSync(folder), ['file']);
  });

  it('takes the place of a link, as its draft does', () => {
    const foreign = join(folder, 'foreign');
    writeFileSync(foreign, 'foreign');
    for (const name of [file, `${file}.new`]) symlinkSync(foreign, name);
    writeDurably(file, 'own');
    assert.ok(lstatSync(file).isFile());
    assert.deepEqual([readFileSync(file, 'utf8'), readFileSync(foreign, 'utf8')], ['own', 'foreign']);
  });

  it('stays as it was where that fails', () => {
    mkdirSync(file);
    assert.throws(() => writeDurably(file, 'text'), { code: 'EISDIR' });
    assert.deepEqual(readdirSync(folder), ['file']);
    assert.throws(() => writeDurably(join(folder, 'missing', 'file'), ''), { code: 'ENOENT' });
  });
});

const NO_ROOT = process.getuid?.() === 0 ? false : 'needs root';

describe('what root does as the owner of a folder', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-owner-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const rights = (): unknown => [process.geteuid?.(), process.getegid?.(), process.getgroups?.()];

  it('is done with the rights of that user alone, and root has its own again after it', { skip: NO_ROOT }, async () => {
    chownSync(folder, 12345, 23456);
    const before = rights();
    for (const place of [folder, join(folder, 'missing/place')]) {
      const done = await asOwnerOf(place, async () => {
        await sleep(1);
        return success(rights());
      });
      assert.deepEqual(done, success([12345, 23456, [23456]]));
      assert.deepEqual(rights(), before);
    }
    await assert.rejects(
      asOwnerOf(folder, () => Promise.reject(new Error('gone'))),
      /gone/,
    );
    assert.deepEqual(rights(), before);
  });

  it('is not done where nobody can tell whose the folder is', { skip: NO_ROOT }, async () => {
    symlinkSync('loop', join(folder, 'loop'));
    const done: Outcome<undefined, OwnerError> = await asOwnerOf(join(folder, 'loop/below'), () => success());
    assert.equal(done.ok ? '' : done.error.code, 'no-rights');
  });

  it('is done as ever in a folder of whoever does it', async () => {
    const before = rights();
    assert.deepEqual(await asOwnerOf(folder, () => success(rights())), success(before));
    assert.deepEqual(await asOwnerOf(folder, () => failure('no-room', 'full')), failure('no-room', 'full'));
  });
});
