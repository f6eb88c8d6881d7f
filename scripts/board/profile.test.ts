import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { boardNames, crossProfile, parseProfile, readProfile } from './profile.js';

describe('board profiles', () => {
  it('are there for every board that is promised', () => {
    assert.deepEqual(boardNames(), ['debian-arm64', 'debian-armhf', 'dev', 'openwrt-aarch64', 'openwrt-armv7']);
  });

  for (const name of boardNames()) {
    it(`${name} loads, and holds no secret and no account`, () => {
      const { build, configuration } = readProfile(name);
      assert.ok(build.memoryMiB >= 128);
      assert.equal(configuration.accounts, undefined);
    });
  }

  it('keep glibc away from OpenWrt, and the Node.js of the headers the one of the board', () => {
    for (const name of boardNames()) {
      const { build } = readProfile(name);
      if (build.system === 'host') continue;
      assert.equal(build.libc, build.system === 'openwrt' ? 'musl' : 'glibc');
      assert.ok(build.node.headers.endsWith(`@${build.node.version}`), build.node.headers);
    }
  });

  const value = (): Record<string, Record<string, unknown>> =>
    JSON.parse(readFileSync(readProfile('debian-arm64').file, 'utf8')) as Record<string, Record<string, unknown>>;

  for (const [what, change, expected] of [
    ['an unknown key of the daemon', { serve: { port: 8180, prot: 1 } }, /^f: serve\.prot: /],
    ['a value out of its range', { retrieve: { concurrent: 9 } }, /^f: retrieve\.concurrent: /],
    ['an unknown key of the build', { build: { ...value().build, cpu: 'x' } }, /^f: build\.cpu: /],
    ['another processor', { build: { ...value().build, arch: 'mips' } }, /^f: build\.arch: /],
    ['no build', { build: undefined }, /^f: build/],
    ['the name of another board', { board: { name: 'dev' } }, /^f: board\.name: is 'dev'; expected 'debian-arm64'/],
  ] as const) {
    it(`refuses ${what} in one line`, () => {
      assert.throws(() => parseProfile('debian-arm64', 'f', { ...value(), ...change }), { message: expected });
    });
  }

  it('names the boards that there are', () => {
    assert.throws(() => readProfile('../dev'), { message: /^no board "\.\.\/dev"; there are: debian-arm64, / });
    assert.throws(() => crossProfile('dev'), { message: /make build/ });
  });
});
