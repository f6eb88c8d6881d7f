import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { writtenBytes } from './memory.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-memory-'));
after(() => rmSync(folder, { recursive: true }));

describe('bytes written to the disk', () => {
  it('are those that the kernel counts for the disk, not those of all writes nor those it could cancel', () => {
    const file = join(folder, 'io');
    writeFileSync(
      file,
      'rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 5\nwrite_bytes: 67\ncancelled_write_bytes: 8\n',
    );
    assert.equal(writtenBytes(file), 67);
  });

  it('are unknown where the kernel does not count, or counts something else', () => {
    assert.equal(writtenBytes(join(folder, 'missing')), null);
    const file = join(folder, 'empty');
    writeFileSync(file, 'wchar: 2\ncancelled_write_bytes: 8\n');
    assert.equal(writtenBytes(file), null);
  });

  it('are those of this process', () => {
    const told = /^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${process.pid}/io`, 'utf8'))?.[1];
    assert.ok((writtenBytes() ?? -1) >= Number(told));
  });
});
