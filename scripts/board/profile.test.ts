import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parseConfiguration } from '../../firmware/config/index.js';
import { boardNames, crossProfile, parseProfile, readProfile } from './profile.js';
import { installedProfile, uciDefaults } from './uci.js';

const valueAt = (value: unknown, key: string): unknown =>
  key.split('.').reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], value);

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

  for (const [name, ...promised] of [
    ['openwrt-armv7', 'openwrt', 'arm', 'musl', 22, 128, 256, ['cortex-a7', 'neon-vfpv4', 'hard']],
    ['openwrt-aarch64', 'openwrt', 'arm64', 'musl', 22, 512, 4096, ['cortex-a53']],
    ['debian-arm64', 'debian', 'arm64', 'glibc', 22, 512, 4096, []],
    ['debian-armhf', 'debian', 'arm', 'glibc', 20, 128, 256, ['armv7-a+vfpv3-d16', 'hard']],
  ] as const) {
    it(`${name} is for the processor, the C library, the Node.js and the memory that it is promised for`, () => {
      const { system, arch, libc, node, memoryMiB, flashMiB, cpuFlags, nodeFlags } = crossProfile(name).build;
      const flags = cpuFlags.map((flag) => flag.split('=')[1]);
      assert.deepEqual([system, arch, libc, Number.parseInt(node.version), memoryMiB, flashMiB, flags], promised);
      // None of V8: with any of them a start takes half as long again.
      assert.deepEqual(nodeFlags, ['--v8-pool-size=1']);
    });
  }

  /** What a profile for a router says itself; the rest has a default. */
  const SAID = [
    'stateDir',
    'storeDir',
    'device.devIdInterface',
    'device.manufacturer',
    'device.model',
    'notification.port',
    'lan.prefixes',
    'retrieve.fsyncVolumeMiB',
    'store.quotaMiB',
    'store.databaseCacheKiB',
    'serve.interfaces',
    'serve.maxConnections',
    'discovery.interfaces',
    'build.arch',
    'build.libc',
    'build.packageArch',
    'build.node.version',
    'build.node.program',
    'build.memoryMiB',
    'build.flashMiB',
    'build.nodeFlags',
  ];
  for (const name of boardNames().filter((one) => one !== 'dev')) {
    it(`${name} says what the router has, and has a default for ports and names`, () => {
      const { build, configuration, file } = readProfile(name);
      const onRouter = build.system === 'openwrt' ? [...SAID, 'requireMount'] : SAID;
      const missing = onRouter.filter((key) =>
        [undefined, ''].includes(valueAt({ ...configuration, build }, key) as undefined),
      );
      assert.deepEqual(missing, []);
      const loaded = parseConfiguration([{ file, value: configuration }]);
      assert.ok(loaded.ok);
      assert.deepEqual([loaded.value.configuration.serve.port, loaded.value.configuration.names], [8180, {}]);
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
    [
      'more room for images than the board has',
      { store: { quotaMiB: 4096, freeFloorMiB: 1 } },
      /^f: store\.quotaMiB: 4096 and store\.freeFloorMiB 1 are more than the board has; expected build\.flashMiB, 4096$/,
    ],
    ['the name of another board', { board: { name: 'dev' } }, /^f: board\.name: is 'dev'; expected 'debian-arm64'/],
  ] as const) {
    it(`refuses ${what} in one line`, () => {
      assert.throws(() => parseProfile('debian-arm64', 'f', { ...value(), ...change }), { message: expected });
    });
  }

  it('are described to editors, as the README is generated, by what the sources say', () => {
    const words = [join(import.meta.dirname, '../docs.js'), '--check'];
    const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
  });

  it('have the source of the DevId in /etc/config/dmgw alone, where the owner can put another in its place', () => {
    const { configuration } = crossProfile('openwrt-armv7');
    const partition = { name: 'factory', offset: 4 };
    for (const [source, options] of [
      [{ devIdInterface: 'wan' }, ["option dev_id_interface 'wan'"]],
      [{ devIdPartition: partition }, ["option dev_id_partition_name 'factory'", "option dev_id_partition_offset '4'"]],
    ] as const) {
      const profile = { ...configuration, device: { ...source, model: 'R1' } };
      assert.deepEqual(installedProfile(profile).device, { model: 'R1' });
      const lines = uciDefaults('b', profile).split('\n');
      for (const option of options) assert.ok(lines.includes(`\t${option}`), option);
    }
  });

  it('have there alone what the firewall is opened by, as far as they name it', () => {
    const { configuration } = crossProfile('openwrt-armv7');
    const [serve, notification] = [
      { port: 9000, maxConnections: 4 },
      { enabled: true, port: 2949 },
    ];
    const profile = { ...configuration, serve, notification };
    const installed = installedProfile(profile);
    assert.deepEqual([installed.serve, installed.notification], [{ maxConnections: 4 }, {}]);
    const lines = uciDefaults('b', profile).split('\n');
    for (const option of ["port '9000'", "enabled '1'", "port '2949'"]) {
      assert.ok(lines.includes(`\toption ${option}`), option);
    }
    assert.doesNotMatch(uciDefaults('b', { ...profile, serve: { maxConnections: 4 } }), /9000|8180/);
  });

  it('names the boards that there are', () => {
    assert.throws(() => readProfile('../dev'), { message: /^no board "\.\.\/dev"; there are: debian-arm64, / });
    assert.throws(() => crossProfile('dev'), { message: /make build/ });
  });
});
