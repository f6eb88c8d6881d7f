import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { PROJECT_ROOT } from '../flow/project.js';
import { NATIVE_FILE, requireFit } from './addons.js';
import { readElf } from './elf.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-elf-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** A library that needs another of this name, without any C library of this machine. */
function libraryThatNeeds(soname: string): Buffer {
  const compile = (...words: string[]): unknown =>
    execFileSync('cc', ['-shared', '-nostdlib', ...words], { cwd: folder });
  writeFileSync(join(folder, 'libc.c'), 'int answer(void) { return 42; }\n');
  writeFileSync(
    join(folder, 'addon.c'),
    'int answer(void);\nint node_register_module_v127(void) { return answer(); }\n',
  );
  compile(`-Wl,-soname,${soname}`, '-o', 'libanswer.so', 'libc.c');
  compile('-o', 'addon.node', 'addon.c', '-L.', '-lanswer', '-Wl,-s');
  return readFileSync(join(folder, 'addon.node'));
}

describe('what an ELF file says', () => {
  it('is glibc for the addons of this machine', () => {
    const addons = dirname(createRequire(import.meta.url).resolve('better-sqlite3/package.json'));
    const facts = readElf(readFileSync(join(addons, 'build/Release/better_sqlite3.node')));
    assert.equal(facts.arch, process.arch);
    assert.equal(facts.libc, 'glibc');
    assert.ok(facts.needed.includes('libc.so.6'));
    assert.match(facts.glibc ?? '', /^2\.\d+$/);
    assert.equal(String(facts.nodeAbi), process.versions.modules);
  });

  it('is that our own addon needs the C library and nothing else, and is tied to no version of Node.js', () => {
    const facts = readElf(readFileSync(join(PROJECT_ROOT, 'build', NATIVE_FILE)));
    assert.deepEqual([facts.arch, facts.libc, facts.nodeAbi], [process.arch, 'glibc', undefined]);
    assert.deepEqual(facts.needed, ['libc.so.6']);
  });

  for (const soname of ['libc.so', 'libc.musl-aarch64.so.1']) {
    it(`is musl for one that needs ${soname}, also when it is stripped`, () => {
      const facts = readElf(libraryThatNeeds(soname));
      const expected = { arch: process.arch, needed: [soname], libc: 'musl', glibc: undefined, nodeAbi: 127 };
      assert.deepEqual(facts, { ...expected, removesCleanupHook: false });
    });
  }

  it('is what makes it end the process on Node.js 24', () => {
    writeFileSync(
      join(folder, 'hook.c'),
      'void _ZN4node28RemoveEnvironmentCleanupHookEPN2v87IsolateEPFvPvES3_(void);\n' +
        'void collected(void) { _ZN4node28RemoveEnvironmentCleanupHookEPN2v87IsolateEPFvPvES3_(); }\n',
    );
    execFileSync('cc', ['-shared', '-nostdlib', '-fPIC', '-o', 'hook.node', 'hook.c'], { cwd: folder });
    const facts = readElf(readFileSync(join(folder, 'hook.node')));
    assert.equal(facts.removesCleanupHook, true);
    const board = { arch: process.arch as 'arm64', libc: facts.libc as 'glibc' };
    assert.throws(() => requireFit('hook', facts, board, 137), { message: /nodejs\/node#65446/ });
  });

  it('is refused for anything else', () => {
    assert.throws(() => readElf(Buffer.from('#!/bin/sh\n'.repeat(10))), { message: 'no ELF file' });
    assert.throws(() => readElf(Buffer.alloc(10)), { message: 'no ELF file' });
  });
});
