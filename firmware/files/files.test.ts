import assert from 'node:assert/strict';
import {
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
import { writeDurably } from './index.js';

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
