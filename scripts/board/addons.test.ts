import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { PROJECT_ROOT } from '../flow/project.js';
import { addonFile, buildNative, compileAddon, filesBelow, NATIVE_FILE, stageAddon, type AddonName } from './addons.js';
import { readElf } from './elf.js';
import { crossProfile } from './profile.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-addons-'));
after(() => rmSync(folder, { recursive: true }));

const program = (name: string, ...lines: string[]): void =>
  writeFileSync(join(folder, name), ['#!/bin/sh', ...lines, ''].join('\n'), { mode: 0o755 });

/** The compiler of this machine under another name, which notes what it is told. */
const told = join(folder, 'told');
program('board-gcc', `echo "$STAGING_DIR: $*" >"${told}"`, 'exec cc "$@"');
program('board-strip', 'exec strip "$@"');
mkdirSync(join(folder, 'node/include/node'), { recursive: true });
writeFileSync(join(folder, 'node/include/node/node_version.h'), '#define NODE_MODULE_VERSION 127\n');
const toolchain = { prefix: join(folder, 'board-'), nodeFolder: join(folder, 'node'), stagingDir: '/staging' };

const { build } = crossProfile('openwrt-aarch64');
const ofThisMachine: typeof build = {
  ...build,
  arch: process.arch as 'arm64',
  libc: 'glibc',
  cpuFlags: ['-mtune=generic'],
};

function built(name: string, board: typeof build): Buffer {
  const [tree, app] = [join(folder, name, 'tree'), join(folder, name, 'app')];
  for (const one of [tree, app]) mkdirSync(one, { recursive: true });
  buildNative(board, toolchain, tree, app);
  return readFileSync(join(app, NATIVE_FILE));
}

describe('the part in C for a board', () => {
  afterEach(() => ['OPENWRT_CFLAGS', 'OPENWRT_LDFLAGS'].forEach((name) => Reflect.deleteProperty(process.env, name)));

  it('is stripped, and the same in whatever folder it is built', () => {
    const one = built('one', ofThisMachine);
    assert.ok(built('another-with-a-longer-name', ofThisMachine).equals(one));
    assert.ok(!one.includes('held_in_memory') && !one.includes(folder));
    assert.equal(readElf(one).arch, process.arch);
  });

  it("is compiled with the flags of the processor, and with those of OpenWrt's build", () => {
    process.env.OPENWRT_CFLAGS = '-O2 -fstack-protector-strong';
    process.env.OPENWRT_LDFLAGS = '-Wl,-z,now';
    built('flags', ofThisMachine);
    const words = readFileSync(told, 'utf8');
    assert.match(words, /^\/staging: .* -O2 -fstack-protector-strong -mtune=generic .*-Wl,-z,now /);
  });

  it('is refused where the compiler has made it for another machine', () => {
    const arch = process.arch === 'arm64' ? 'arm' : 'arm64';
    assert.throws(() => built('foreign', { ...ofThisMachine, arch }), {
      message: /^dmgw-native\.node is for \w+; the board/,
    });
    assert.throws(() => built('glibc', { ...ofThisMachine, libc: 'musl' }), {
      message: /^dmgw-native\.node is linked against glibc \(libc\.so\.6\); the board has musl/,
    });
  });
});

describe('an addon compiled for a board', () => {
  // In the place of a board's compiler: that of this machine, quickly, as it finds little in each source. It links as always.
  const ran = join(folder, 'ran');
  const little = join(folder, 'little.c');
  const quick = { ...toolchain, prefix: join(folder, 'quick-') };
  const compile = (board: typeof build): string => {
    const tree = join(folder, 'quick');
    mkdirSync(tree, { recursive: true });
    rmSync(ran, { force: true });
    return compileAddon('better-sqlite3', board, quick, tree);
  };
  before(() => {
    writeFileSync(little, '#include <stdlib.h>\n__attribute__((used)) static void *held(void) { return malloc(1); }\n');
    // What is read of the headers of Node.js before a compiler.
    for (const name of ['common', 'config']) writeFileSync(join(folder, `node/include/node/${name}.gypi`), '{}\n');
    const sources = `case $word in *.c | *.cc | *.cpp) word=${little} ;; esac`;
    const rest = ['for word; do', 'shift', sources, 'set -- "$@" "$word"', 'done', 'exec cc "$@"'];
    for (const name of ['gcc', 'g++']) {
      program(`quick-${name}`, '[ "$1" = --version ] && exec cc --version', `echo "$@" >>"${ran}"`, ...rest);
    }
    program('quick-ar', 'exec ar "$@"');
  });

  it('is refused where it is not for the board, also the next time, and compiled once where it is', () => {
    const message =
      /^better-sqlite3 is linked against glibc \(.*libc\.so\.6.*\); the board has musl, where it does not load$/;
    for (let n = 0; n < 2; n += 1) assert.throws(() => compile({ ...ofThisMachine, libc: 'musl' }), { message });

    const file = compile(ofThisMachine);
    assert.match(readFileSync(ran, 'utf8'), / -mtune=generic /);
    assert.equal(readElf(readFileSync(file)).libc, 'glibc');
    assert.equal(compile(ofThisMachine), file);
    assert.equal(existsSync(ran), false, 'nothing was compiled again');
    compile({ ...ofThisMachine, cpuFlags: ['-mtune=native'] });
    assert.match(readFileSync(ran, 'utf8'), / -mtune=native /);
  });
});

describe('an addon beside the bundle', () => {
  const app = join(folder, 'staged');
  const sources = (name: AddonName): string => join(PROJECT_ROOT, 'node_modules', addonFile(name));
  const staged = (name: AddonName): string[] => {
    stageAddon(name, sources(name), toolchain, app);
    return filesBelow(join(app, 'node_modules', name));
  };

  it('comes with what tells its version, and with no JavaScript: the gateway loads it by its file', () => {
    assert.deepEqual(staged('better-sqlite3'), ['build/Release/better_sqlite3.node', 'package.json']);
    assert.deepEqual(staged('libxmljs2'), ['build/Release/xmljs.node', 'package.json']);
  });

  it('is stripped', () => {
    const symbols = (file: string): boolean => readFileSync(file).includes('\0.symtab\0');
    for (const name of ['better-sqlite3', 'libxmljs2'] as const) {
      staged(name);
      const places = [sources(name), join(app, 'node_modules', addonFile(name))];
      assert.deepEqual(places.map(symbols), [true, false], name);
    }
  });

  const none = existsSync(sources('mdns')) ? false : 'the package mdns is not installed';
  it('comes with the JavaScript that loads it where it is that of mDNS', { skip: none }, () => {
    const files = staged('mdns').map((file) => (file.startsWith('lib/') ? 'lib' : file));
    assert.deepEqual([...new Set(files)], ['build/Release/dns_sd_bindings.node', 'lib', 'package.json']);
    const { status, stderr } = spawnSync(process.execPath, ['-e', `require('${app}/node_modules/mdns')`], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });
});
