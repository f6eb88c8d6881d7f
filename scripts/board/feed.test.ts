/** The feed in board/openwrt, with stand-ins of what OpenWrt's build has for its packages: it makes what `make package` does. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PROJECT_ROOT, requirePrograms } from '../flow/project.js';
import { filesBelow } from './addons.js';
import { writeBoardFiles } from './firmware.js';
import { writePackages } from './package.js';
import { boardNames, crossProfile, readProfile } from './profile.js';

const STAND_INS = join(PROJECT_ROOT, 'scripts/board/stand-ins/openwrt');
const PACKAGES = ['dmgw', 'dmgw-mdns'];

const folder = mkdtempSync(join(tmpdir(), 'dmgw-feed-'));
const built = join(folder, 'built');
const board = crossProfile('openwrt-aarch64');

before(() => {
  requirePrograms();
  const addon = join(built, 'mdns/node_modules/mdns/lib');
  for (const path of [join(built, 'app'), addon]) mkdirSync(path, { recursive: true });
  for (const file of ['dmgw.cjs', 'dmgw-main.cjs']) {
    copyFileSync(join(PROJECT_ROOT, 'build', file), join(built, 'app', file));
  }
  writeFileSync(join(addon, 'mdns.js'), '');
  writeBoardFiles(built, board);
  writePackages({ folder: built, build: board.build, nodeAbi: 127, epochSeconds: 1_700_000_000 });
});
after(() => rmSync(folder, { recursive: true }));

/** What OpenWrt's build does with a package of the feed, for an architecture of its packages. */
function openwrt(name: string, words: readonly string[], arch = board.build.packageArch): string {
  const given = [`TOPDIR=${STAND_INS}`, `INCLUDE_DIR=${STAND_INS}`, `ARCH_PACKAGES=${arch}`, `DMGW_BUILT=${built}`];
  const { status, stdout, stderr } = spawnSync(
    'make',
    ['-s', '-C', join(PROJECT_ROOT, 'board/openwrt', name), ...given, ...words],
    { encoding: 'utf8', env: { ...process.env, MAKEFLAGS: '', MAKELEVEL: '' } },
  );
  return status === 0 ? stdout : `failed: ${stderr}`;
}

/** A file of the package that `make package` has made. */
function ofIpk(name: string, file: string): string {
  const { version } = JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')) as { version: string };
  const ipk = join(built, `${name}_${version}-r1_${board.build.packageArch}.ipk`);
  const script = 'tar -xzOf "$1" ./control.tar.gz | tar -xzO "$2"';
  return execFileSync('sh', ['-c', script, 'sh', ipk, `./${file}`], { encoding: 'utf8' });
}

for (const name of PACKAGES) {
  describe(`the package ${name} of the feed for OpenWrt`, () => {
    it('says of itself what that of `make package` says', () => {
      const told = openwrt(name, ['fields']).trimEnd().split('\n');
      const expected = ofIpk(name, 'control').split('\n');
      for (const field of ['Package', 'Version', 'License', 'Maintainer', 'Section', 'Description', 'Require-User']) {
        const line = expected.find((one) => one.startsWith(`${field}:`)) ?? `${field}: `;
        assert.ok(told.includes(line), `${line}, not ${told.join('; ')}`);
      }
    });

    it('has the same files, with the same rights', () => {
      const root = join(folder, `${name}-root`);
      assert.equal(openwrt(name, ['install', `DESTDIR=${root}`]), '');
      const listed = (of: string): string[] =>
        filesBelow(of).map((file) => {
          const path = join(of, file);
          return `${file} ${(statSync(path).mode & 0o777).toString(8)} ${readFileSync(path, 'base64')}`;
        });
      assert.deepEqual(listed(root), listed(join(built, name === 'dmgw' ? 'root' : 'mdns-root')));
    });
  });
}

describe('the daemon of the feed for OpenWrt', () => {
  it('needs a processor with an FPU, Node.js and its headers, and leaves the configuration to the owner', () => {
    const told = openwrt('dmgw', ['fields']);
    assert.match(told, /^Needs: @HAS_FPU @\(arm\|\|aarch64\) \+node \+libstdcpp \+libatomic$/m);
    assert.match(told, /^Built after: node node\/host PACKAGE_dmgw-mdns:avahi$/m);
    assert.equal(openwrt('dmgw', ['files-of-owner']).trim(), ofIpk('dmgw', 'conffiles').trim());
  });

  it('takes what it has compiled with it when it is removed', () => {
    const [removal] = /^rm .*$/m.exec(ofIpk('dmgw', 'prerm')) ?? [];
    assert.equal(openwrt('dmgw', ['before-removal']).trim(), `#!/bin/sh\n${removal ?? ''}`);
  });

  it("is built by `make firmware` with the toolchain and the flags of OpenWrt's build, for the board of the architecture", () => {
    // In the place of make: prints what it is given.
    const make = join(folder, 'make');
    const printing = `printf '%s|' "$OPENWRT_CFLAGS" "$OPENWRT_LDFLAGS" "$@"`;
    writeFileSync(make, `#!/bin/sh\n${printing}\n`, { mode: 0o755 });
    const given = ['TARGET_CFLAGS=-O2 -fstack-protector', 'TARGET_LDFLAGS=-Wl,-z,now', `MAKE=${make}`];
    for (const { build, name } of boardNames().map((one) => readProfile(one))) {
      if (build.system !== 'openwrt') continue;
      const [cflags, ldflags, , project = '', ...words] = openwrt('dmgw', ['compile', ...given], build.packageArch)
        .trim()
        .split('|');
      assert.deepEqual([cflags, ldflags, realpathSync(project)], ['-O2 -fstack-protector', '-Wl,-z,now', PROJECT_ROOT]);
      assert.deepEqual(words, ['firmware', `BOARD=${name}`, `OPENWRT_SDK=${STAND_INS}`, '']);
    }
  });

  it('is refused in one line for an architecture that has no board', () => {
    assert.match(openwrt('dmgw', ['compile'], 'mipsel_24kc'), /dmgw: no board profile for mipsel_24kc; add one below /);
  });
});
