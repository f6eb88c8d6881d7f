/** The package for OpenWrt: taken apart, installed into an empty root, its scripts run against stand-ins of OpenWrt's. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import {
  copyFileSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { PROJECT_ROOT, requirePrograms } from '../flow/project.js';
import { addonFile, filesBelow, NATIVE_FILE, REQUIRED_ADDONS } from './addons.js';
import { writeBoardFiles } from './firmware.js';
import { writePackages, type Built } from './package.js';
import { crossProfile } from './profile.js';

const STAND_INS = join(PROJECT_ROOT, 'scripts/board/stand-ins');
const EPOCH_SECONDS = 1_700_000_000;

/** Stands in for the user of the package, where files are really given to it. */
const OWNER = [2948, 2948] as const;
const NO_ROOT = process.getuid?.() === 0 ? false : 'needs root';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-openwrt-'));
const root = join(folder, 'root');
const profile = crossProfile('openwrt-armv7');
const built: Built = { folder: join(folder, 'built'), build: profile.build, nodeAbi: 127, epochSeconds: EPOCH_SECONDS };
let ipk = '';

/** As `make firmware` leaves it, but for the addons: they are not for this machine anyway. */
before(() => {
  requirePrograms();
  const app = join(built.folder, 'app');
  mkdirSync(app, { recursive: true });
  for (const file of ['dmgw.cjs', 'dmgw-main.cjs']) copyFileSync(join(PROJECT_ROOT, 'build', file), join(app, file));
  writeFileSync(join(app, 'package.json'), '{"type":"module"}\n');
  writeBoardFiles(built.folder, profile);
  [ipk = ''] = writePackages(built);
});
after(() => rmSync(folder, { recursive: true, force: true }));

function tar(...words: string[]): string {
  return execFileSync('tar', words, { encoding: 'utf8' });
}

function unpack(archive: string, to: string): string {
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  tar('-xzpf', archive, '-C', to);
  return to;
}

describe('the .ipk', () => {
  it('has the three members of a package, in their order, and nothing of the time or the user that built it', () => {
    assert.match(ipk, /\/dmgw_0\.\d+\.\d+-r1_arm_cortex-a7_neon-vfpv4\.ipk$/);
    assert.equal(tar('-tzf', ipk), './debian-binary\n./data.tar.gz\n./control.tar.gz\n');
    const outer = unpack(ipk, join(folder, 'outer'));
    assert.equal(readFileSync(join(outer, 'debian-binary'), 'utf8'), '2.0\n');
    for (const archive of [ipk, join(outer, 'data.tar.gz'), join(outer, 'control.tar.gz')]) {
      const listed = execFileSync('tar', ['--full-time', '--utc', '-tvzf', archive], {
        encoding: 'utf8',
        env: { ...process.env, TZ: 'UTC' },
      });
      for (const line of listed.trimEnd().split('\n'))
        assert.match(line, /^[-d]\S+ 0\/0 +\d+ 2023-11-14 22:13:20 \.\//);
    }
    const again = { ...built, folder: join(folder, 'built-again') };
    cpSync(built.folder, again.folder, { recursive: true });
    assert.ok(readFileSync(ipk).equals(readFileSync(writePackages(again)[0] ?? '')));
  });

  it("says what it needs, which user, which files are the owner's", () => {
    const control = unpack(join(unpack(ipk, join(folder, 'outer')), 'control.tar.gz'), join(folder, 'control'));
    assert.deepEqual(readdirSync(control).sort(), ['conffiles', 'control', 'postinst', 'prerm']);
    const fields = readFileSync(join(control, 'control'), 'utf8');
    assert.match(fields, /^Package: dmgw\nVersion: \d+\.\d+\.\d+-r1\nDepends: libc, node, libstdcpp6, libatomic1\n/);
    assert.match(fields, /^Architecture: arm_cortex-a7_neon-vfpv4$/m);
    assert.match(fields, /^Require-User: dmgw=2948:dmgw=2948$/m);
    assert.match(fields, /^License: Apache-2\.0 MIT blessing$/m);
    assert.match(fields, /^Maintainer: .+ <.+@.+>$/m);
    assert.match(fields, /^Description: {2}OMA DM Gateway: /m);
    const data = unpack(join(folder, 'outer/data.tar.gz'), join(folder, 'data'));
    const bytes = filesBelow(data).reduce((sum, file) => sum + statSync(join(data, file)).size, 0);
    assert.match(fields, new RegExp(`^Installed-Size: ${bytes}$`, 'm'));
    assert.equal(readFileSync(join(control, 'conffiles'), 'utf8'), '/etc/config/dmgw\n');
    for (const script of ['postinst', 'prerm']) assert.equal(statSync(join(control, script)).mode & 0o777, 0o755);
  });

  it('installs its files with the rights that they need', () => {
    install();
    const modes = Object.fromEntries(
      [
        'etc/config/dmgw',
        'etc/init.d/dmgw',
        'etc/uci-defaults/60-dmgw',
        'lib/upgrade/dmgw.sh',
        'usr/bin/dmgw',
        'usr/lib/dmgw/dmgw.cjs',
        'usr/lib/dmgw/dmgw-main.cjs',
        'usr/lib/dmgw/uci.sh',
        'usr/lib/dmgw/json.awk',
        'usr/lib/dmgw/uci-keys',
        'usr/share/dmgw/board.json',
        'usr/share/dmgw/node-flags',
      ].map((file) => [file, (statSync(join(root, file)).mode & 0o777).toString(8)]),
    );
    assert.deepEqual(modes, {
      'etc/config/dmgw': '600',
      'etc/init.d/dmgw': '755',
      'etc/uci-defaults/60-dmgw': '755',
      'lib/upgrade/dmgw.sh': '644',
      'usr/bin/dmgw': '755',
      'usr/lib/dmgw/dmgw.cjs': '755',
      'usr/lib/dmgw/dmgw-main.cjs': '644',
      'usr/lib/dmgw/uci.sh': '644',
      'usr/lib/dmgw/json.awk': '644',
      'usr/lib/dmgw/uci-keys': '644',
      'usr/share/dmgw/board.json': '644',
      'usr/share/dmgw/node-flags': '644',
    });
  });

  it('of the addon for mDNS leaves the files of dmgw where they are when it is removed, as an .apk too', () => {
    const withMdns = { ...built, folder: join(folder, 'built-mdns') };
    cpSync(built.folder, withMdns.folder, { recursive: true });
    const addon = join(withMdns.folder, 'mdns/node_modules/mdns');
    mkdirSync(addon, { recursive: true });
    writeFileSync(join(addon, 'package.json'), '{}\n');
    const bin = join(folder, 'apk-bin');
    mkdirSync(bin);
    // In the place of apk: keeps the scripts that it would run.
    const apk = `#!/bin/sh
for word; do
  case $word in
  name:*) name=\${word#name:} ;;
  pre-deinstall:* | post-install:*) cp "\${word#*:}" "${bin}/$name.\${word%%:*}" ;;
  esac
done
`;
    writeFileSync(join(bin, 'apk'), apk, { mode: 0o755 });
    const { PATH = '' } = process.env;
    process.env.PATH = `${bin}:${PATH}`;
    let packages: string[];
    try {
      packages = writePackages(withMdns);
    } finally {
      process.env.PATH = PATH;
    }
    const removals = packages
      .filter((file) => file.endsWith('.ipk'))
      .map((file) => {
        const control = join(unpack(file, join(folder, 'outer-mdns')), 'control.tar.gz');
        return readFileSync(join(unpack(control, join(folder, 'control-mdns')), 'prerm'), 'utf8');
      });
    const ofApk = ['dmgw', 'dmgw-mdns'].map((name) => readFileSync(join(bin, `${name}.pre-deinstall`), 'utf8'));
    for (const [ofDmgw = '', ofMdns = ''] of [removals, ofApk]) {
      assert.match(ofDmgw, /^rm -f "\$\{IPKG_INSTROOT\}\/usr\/lib\/dmgw\/dmgw-main\.cjs\.compiled"$/m);
      assert.match(ofMdns, /^default_prerm/m);
      assert.doesNotMatch(ofMdns, /\brm\b/);
    }
    const made = (name: string): boolean =>
      readFileSync(join(bin, `${name}.post-install`), 'utf8').includes('\nadd_group_and_user\ndefault_postinst\n');
    assert.deepEqual(['dmgw', 'dmgw-mdns'].map(made), [true, false], 'the user is made before the daemon is started');
  });

  it('never holds an addon of glibc for OpenWrt, whatever way it came in', () => {
    const addon = join(built.folder, 'app/node_modules/better-sqlite3/build/Release');
    mkdirSync(addon, { recursive: true });
    copyFileSync(
      join(PROJECT_ROOT, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'),
      join(addon, 'better_sqlite3.node'),
    );
    try {
      const here = { ...profile.build, arch: process.arch as 'arm64' };
      assert.throws(() => writePackages(built), {
        message: /better_sqlite3\.node is for (?!arm)\w+; the board is arm$/,
      });
      assert.throws(() => writePackages({ ...built, build: here }), {
        message:
          /better_sqlite3\.node is linked against glibc \(.*libc\.so\.6.*\); the board has musl, where it does not load$/,
      });
      assert.throws(() => writePackages({ ...built, build: { ...here, libc: 'glibc' }, nodeAbi: 1 }), {
        message: /is for Node\.js with ABI \d+; the board's has 1$/,
      });
    } finally {
      rmSync(join(built.folder, 'app/node_modules'), { recursive: true });
    }
    const own = join(built.folder, 'app', NATIVE_FILE);
    copyFileSync(join(PROJECT_ROOT, 'build', NATIVE_FILE), own);
    try {
      assert.throws(() => writePackages(built), {
        message: /^usr\/lib\/dmgw\/dmgw-native\.node is for (?!arm)\w+; the board is arm$/,
      });
      const here = { ...profile.build, arch: process.arch as 'arm64' };
      assert.throws(() => writePackages({ ...built, build: here }), {
        message:
          /dmgw-native\.node is linked against glibc \(libc\.so\.6\); the board has musl, where it does not load$/,
      });
    } finally {
      rmSync(own);
    }
  });
});

const calls = join(folder, 'calls');
const log = join(folder, 'log');
const procd = join(folder, 'procd');

/** The package in an empty root, beside what OpenWrt has there already. */
function install(): void {
  unpack(join(unpack(ipk, join(folder, 'outer')), 'data.tar.gz'), root);
  cpSync(join(STAND_INS, 'lib'), join(root, 'lib'), { recursive: true });
  symlinkSync(process.execPath, join(root, 'usr/bin/node'));
  // The addons of this machine, for the daemon to run on it.
  symlinkSync(join(PROJECT_ROOT, 'node_modules'), join(root, 'usr/lib/dmgw/node_modules'));
  copyFileSync(join(PROJECT_ROOT, 'build', NATIVE_FILE), join(root, 'usr/lib/dmgw', NATIVE_FILE));
  mkdirSync(join(root, 'proc/sys/net/ipv4'), { recursive: true });
  writeFileSync(join(root, 'proc/sys/net/ipv4/tcp_wmem'), '4096\t16384\t4194304\n');
  writeFileSync(join(root, 'proc/meminfo'), 'MemTotal:         124928 kB\n');
  writeFileSync(join(root, 'etc/init.d/firewall'), '#!/bin/sh\necho "firewall $*" >>"$STAND_IN_CALLS"\n', {
    mode: 0o755,
  });
}

/** OpenWrt's own shell where it is there. */
const SHELL = spawnSync('busybox', ['--help']).error === undefined ? ['busybox', 'ash'] : ['sh'];

function shell(script: readonly string[], env: Record<string, string> = {}): { code: number | null; out: string } {
  const [program = '', ...first] = SHELL;
  const done = spawnSync(program, [...first, ...script], {
    encoding: 'utf8',
    env: {
      PATH: `${join(STAND_INS, 'bin')}:${process.env.PATH ?? ''}`,
      IPKG_INSTROOT: root,
      STAND_IN_CALLS: calls,
      STAND_IN_LOG: log,
      STAND_IN_PROCD: procd,
      ...env,
    },
  });
  return { code: done.status, out: done.stdout + done.stderr };
}

function written(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8') : '';
}

const WANTED = String.raw`
config main 'main'
	option enabled '1'
	option state_dir '/srv/dmgw/state'

config device 'device'
	option dev_id 'urn:uuid:00000000-0000-4000-8000-000000000001'

config session 'session'
	option interval_seconds '3600'

config retrieve 'retrieve'
	option require_signature 'off'
	list windows 'mon-fri 22:00-06:00'
	list windows 'sat 00:00-24:00'

config account
	option server_id 'dm.example.com'
	option url 'https://dm.example.com/dm'
	option client_secret 'a "quoted" \back\ secret'
	option server_secret "it's"
	option administrator '1'

config account 'second'
	option server_id 'other'
	option url 'https://other.example.com/dm'
	option client_secret 'c'
	option server_secret 's'

config end_device
	option device_id 'MAC:001122AABBCC'
	option address 'udp://192.168.7.20:2948'
	list groups 'meters'
	list groups 'hall'
`;

/** With a state that lies where the daemon reads it: it is not in the root. */
const PROVISIONED = WANTED.replace('/srv/dmgw/state', join(folder, 'state'));
function provision(text: string): void {
  mkdirSync(join(folder, 'state'), { recursive: true });
  writeFileSync(join(folder, 'state/provisioned.json'), text, { mode: 0o600 });
}

/** What the scripts make of /etc/config/dmgw, with the networks, before anybody judges it. */
function toJson(): unknown {
  const sourced = ['lib/functions.sh', 'usr/lib/dmgw/uci.sh'].map((file) => `. "$IPKG_INSTROOT/${file}"`);
  const { code, out } = shell(['-c', [...sourced, 'config_load dmgw', 'dmgw_config'].join('\n')]);
  assert.equal(code, 0, out);
  return JSON.parse(out);
}

const rcCommon = (action: string, env: Record<string, string> = {}): { code: number | null; out: string } =>
  shell([join(STAND_INS, 'rc.common'), join(root, 'etc/init.d/dmgw'), action], env);
const configure = (text: string): void => writeFileSync(join(root, 'etc/config/dmgw'), text);
const generated = (): Record<string, never> =>
  JSON.parse(readFileSync(join(root, 'var/run/dmgw.json'), 'utf8')) as Record<string, never>;
const asked = (): string[][] =>
  written(procd)
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));

describe(`the scripts of the package, with ${SHELL.join(' ')}`, () => {
  beforeEach(() => {
    install();
    for (const file of [calls, log, procd]) rmSync(file, { force: true });
  });

  it('are handed to OpenWrt when the package is installed and removed', () => {
    const control = unpack(join(folder, 'outer/control.tar.gz'), join(folder, 'control'));
    for (const script of ['postinst', 'prerm']) assert.equal(shell([join(control, script)]).code, 0);
    assert.equal(written(calls), 'default_postinst postinst\ndefault_prerm prerm\n');
    rmSync(calls);
    assert.equal(shell([join(control, 'postinst')], { IPKG_NO_SCRIPT: '1' }).code, 0);
    assert.equal(written(calls), '', 'nothing is done where opkg wants no scripts');
  });

  it('compile the program for the Node.js that is there, until the package is removed', () => {
    const kept = join(root, 'usr/lib/dmgw/dmgw-main.cjs.compiled');
    assert.equal(shell([join(root, 'etc/uci-defaults/60-dmgw')]).code, 0);
    assert.ok(existsSync(kept));
    assert.equal(shell([join(folder, 'control/prerm')]).code, 0);
    assert.ok(!existsSync(kept));
  });

  it('start nothing as long as dmgw is not enabled, which it is not at first', () => {
    assert.deepEqual(rcCommon('start'), { code: 0, out: '' });
    assert.deepEqual(
      asked().map(([name]) => name),
      ['add_reload_trigger', 'add_reload_interface_trigger', 'add_restart_mount_trigger'],
    );
  });

  it('start nothing with a wrong configuration: one line in the log, and the triggers that may bring a right one', () => {
    configure(`${WANTED}\nconfig retrieve 'retrieve'\n\toption concurrent 'many'\n`);
    const { code, out } = rcCommon('start');
    assert.equal(code, 1);
    assert.match(out, /^\S+: retrieve\.concurrent: [^\n]*\n$/);
    assert.equal(written(log), `daemon.err /etc/config/dmgw: ${out}`);
    assert.deepEqual(
      asked().map((line) => line.join(' ')),
      ['add_reload_trigger dmgw', 'add_reload_interface_trigger lan', 'add_restart_mount_trigger /mnt/data'],
    );
  });

  it('make the configuration of /etc/config/dmgw and of the networks, and have procd run the daemon with it', () => {
    configure(WANTED);
    assert.deepEqual(rcCommon('start'), { code: 0, out: '' });
    assert.deepEqual(generated(), {
      stateDir: '/srv/dmgw/state',
      device: { devId: 'urn:uuid:00000000-0000-4000-8000-000000000001' },
      session: { intervalSeconds: 3600 },
      retrieve: { requireSignature: false, windows: ['mon-fri 22:00-06:00', 'sat 00:00-24:00'] },
      accounts: [
        {
          serverId: 'dm.example.com',
          url: 'https://dm.example.com/dm',
          administrator: true,
          client: { secret: 'a "quoted" \\back\\ secret' },
          server: { secret: "it's" },
        },
        { serverId: 'other', url: 'https://other.example.com/dm', client: { secret: 'c' }, server: { secret: 's' } },
      ],
      devices: [{ deviceId: 'MAC:001122AABBCC', address: 'udp://192.168.7.20:2948', groups: ['meters', 'hall'] }],
      lan: { prefixes: ['192.168.7.1/24', 'fd00:7::1/64'] },
      serve: { interfaces: ['br-lan'] },
      discovery: { interfaces: ['br-lan'] },
    });
    const config = join(root, 'var/run/dmgw.json');
    assert.deepEqual(
      [join(root, 'var/run/dmgw'), config].map((path) => statSync(path).mode & 0o777),
      [0o750, 0o600],
    );
    assert.match(written(calls), new RegExp(`^chown dmgw:dmgw ${root}/var/run/dmgw\\.json\\.new$`, 'm'));
    assert.deepEqual(readdirSync(join(root, 'var/run')).sort(), ['dmgw', 'dmgw.json', 'dmgw.root.json']);
    assert.equal(readFileSync(`${root}/var/run/dmgw.root.json`, 'utf8'), readFileSync(config, 'utf8'));
    const board = join(root, 'usr/share/dmgw/board.json');
    const settings = Object.fromEntries(
      asked()
        .filter(([name]) => name === 'set_param')
        .map(([, key = '', ...rest]) => [key, rest]),
    );
    assert.deepEqual(settings, {
      command: [
        join(root, 'usr/bin/node'),
        ...profile.build.nodeFlags,
        join(root, 'usr/lib/dmgw/dmgw.cjs'),
        'run',
        '--config',
        config,
        '--board',
        board,
      ],
      file: [config, board],
      user: ['dmgw'],
      group: ['dmgw'],
      no_new_privs: ['1'],
      stdout: ['1'],
      stderr: ['1'],
      respawn: ['3600', '15', '0'],
      limits: ['core=0', 'nofile=1024 1024', 'nproc=64 64'],
      term_timeout: ['7'],
    });
  });

  it('take every word that UCI has for yes and no, and no line break', () => {
    configure(`${WANTED}
config device 'device'
	option model 'one
line'
config retrieve 'retrieve'
	option allow_https_to_http 'enabled'
	option require_signature 'disabled'
config serve 'serve'
	option cut_through 'yes'
`);
    assert.deepEqual(rcCommon('start'), { code: 0, out: '' });
    const { device, retrieve, serve } = generated() as Record<string, Record<string, unknown>>;
    assert.deepEqual(
      [device?.model, retrieve?.allowHttpsToHttp, retrieve?.requireSignature, serve?.cutThrough],
      ['one line', true, false, true],
    );
  });

  it('have the daemon follow its configuration, the LAN and its disk, and the WAN where notifications are wanted', () => {
    const triggers = (): string[] =>
      asked()
        .map((line) => line.join(' '))
        .filter((line) => / ?trigger/.test(line));
    configure(
      `${WANTED}\nconfig main 'main'\n\toption require_mount '/mnt/usb'\nconfig lan 'lan'\n\tlist network 'lan'\n\tlist network 'guest'\n`,
    );
    assert.equal(rcCommon('service_triggers').code, 0);
    assert.deepEqual(triggers(), [
      'add_reload_trigger dmgw',
      'add_reload_interface_trigger lan',
      'add_reload_interface_trigger guest',
      'add_restart_mount_trigger /mnt/usb',
    ]);
    for (const [option, awaited] of [
      ["''", ['add_restart_mount_trigger /mnt/data']],
      ["'/'", []],
    ] as const) {
      rmSync(procd);
      configure(`${WANTED}\nconfig main 'main'\n\toption require_mount ${option}\n\toption store_dir '/srv/images'\n`);
      assert.equal(rcCommon('service_triggers').code, 0);
      assert.deepEqual(
        triggers().filter((line) => line.includes('mount')),
        awaited,
      );
    }
    assert.deepEqual(rcCommon('start'), { code: 0, out: '' });
    assert.ok(existsSync(join(root, 'srv/images')));
    rmSync(procd);
    configure(`${WANTED}\nconfig notification 'notification'\n\toption enabled '1'\n`);
    assert.equal(rcCommon('service_triggers').code, 0);
    assert.ok(triggers().includes('add_reload_interface_trigger wan'));
  });

  it('take the LAN of several networks, and let what is set go before what the network says', () => {
    configure(
      `${WANTED}\nconfig lan 'lan'\n\tlist network 'lan'\n\tlist network 'guest'\nconfig serve 'serve'\n\tlist listen '192.168.7.1'\n`,
    );
    assert.equal(rcCommon('start').code, 0);
    const { lan, serve, discovery } = generated();
    assert.deepEqual(lan, { prefixes: ['192.168.7.1/24', 'fd00:7::1/64', '10.7.0.1/16', '10.8.0.1/16'] });
    assert.deepEqual(serve, { listen: ['192.168.7.1'] });
    assert.deepEqual(discovery, { interfaces: ['br-lan', 'br-guest'] });

    configure(`${WANTED}
config lan 'lan'
	list prefixes '192.168.0.0/16'
config serve 'serve'
	list interfaces 'br-meters'
config discovery 'discovery'
	list interfaces 'br-lamps'
config notification 'notification'
	option enabled '1'
	list listen '203.0.113.10'
`);
    assert.deepEqual(rcCommon('start', { STAND_IN_WAN: '203.0.113.9' }), { code: 0, out: '' });
    const ofNetworks = ['lan', 'serve', 'discovery', 'notification'].map((name) => generated()[name]);
    assert.deepEqual(ofNetworks, [
      { prefixes: ['192.168.0.0/16'] },
      { interfaces: ['br-meters'] },
      { interfaces: ['br-lamps'] },
      { enabled: true, listen: ['203.0.113.10'] },
    ]);
  });

  it('take a right configuration at a reload, with the networks as they are then', () => {
    configure(WANTED);
    assert.equal(rcCommon('start').code, 0);
    rmSync(procd);
    configure(`${WANTED}
config lan 'lan'
	list network 'lan'
	list network 'guest'
config fanout 'fanout'
	option rate_per_second '-1'
`);
    assert.deepEqual(rcCommon('reload', { __NETWORK_CACHE: '192.168.6.1/24' }), { code: 0, out: '' });
    const { lan, fanout } = generated();
    assert.deepEqual(
      [lan, fanout],
      [{ prefixes: ['192.168.7.1/24', 'fd00:7::1/64', '10.7.0.1/16', '10.8.0.1/16'] }, { ratePerSecond: -1 }],
    );
    const config = join(root, 'var/run/dmgw.json');
    assert.equal(readFileSync(`${root}/var/run/dmgw.root.json`, 'utf8'), readFileSync(config, 'utf8'));
    // procd starts the daemon anew where the content of one of these has changed.
    const files = asked().filter(([name, key]) => name === 'set_param' && key === 'file');
    assert.deepEqual(files, [['set_param', 'file', config, join(root, 'usr/share/dmgw/board.json')]]);
  });

  it("have in /etc/config/dmgw, mostly as comments, what the board's profile says, in the form that they take", () => {
    const own = readFileSync(join(root, 'etc/config/dmgw'), 'utf8');
    configure(own.replaceAll('\n\t#', '\n\t'));
    const { board, ...said } = profile.configuration;
    assert.deepEqual(toJson(), said);
    assert.ok(board);
    // The account at its end is an example, and no secret.
    configure(own.replace(/^#(?=config|\t)/gm, ''));
    assert.equal(rcCommon('check').out, '/etc/config/dmgw: ok\n');
  });

  it('do with the commands of the page for routers what the page says', () => {
    const page = readFileSync(join(PROJECT_ROOT, 'board/README.md'), 'utf8');
    const own = readFileSync(join(root, 'etc/config/dmgw'), 'utf8');
    const commands = [
      ...page.matchAll(/^uci (?:set|add) dmgw(?:\.main\.| |\.@account\[-1\]\.)(\w+)(?:='?(.*?)'?)?$/gm),
    ];
    assert.deepEqual(
      commands.map(([, word]) => word),
      ['enabled', 'account', 'server_id', 'url', 'client_secret', 'server_secret'],
    );
    const [, , ...options] = commands.map(([, word = '', value = '']) => `\toption ${word} '${value}'\n`);
    configure(`${own.replace("enabled '0'", "enabled '1'")}\nconfig account\n${options.join('')}`);
    const [, prints = ''] = /\/etc\/init\.d\/dmgw check +# prints: (.*)/.exec(page) ?? [];
    assert.equal(rcCommon('check').out, `${prints}\n`);
    assert.deepEqual(rcCommon('start'), { code: 0, out: '' });
    assert.ok(asked().some(([name]) => name === 'open_instance'));
  });

  it('refuse a wrong configuration in one line, in the log too, and leave the one that runs as it was', () => {
    configure(WANTED);
    assert.equal(rcCommon('start').code, 0);
    const before = readFileSync(join(root, 'var/run/dmgw.json'), 'utf8');
    rmSync(procd);
    for (const [wrong, expected] of [
      [
        "config retrieve 'retrieve'\n\toption concurrent 'many'",
        /retrieve\.concurrent: .*expected a whole number from 1 to 8/,
      ],
      ["config store 'store'\n\toption quota_mib '-1'", /store\.quotaMiB: .*expected a whole number/],
      ["config account\n\toption server_id 'x'", /accounts\[2\]\.url/],
    ] as const) {
      rmSync(log, { force: true });
      configure(`${WANTED}\n${wrong}\n`);
      const { code, out } = rcCommon('reload');
      assert.equal(code, 1);
      assert.match(out, expected);
      assert.equal(out.trimEnd().split('\n').length, 1);
      assert.match(written(log), /^daemon\.err \/etc\/config\/dmgw: /);
      assert.match(written(log), expected);
    }
    assert.equal(readFileSync(join(root, 'var/run/dmgw.json'), 'utf8'), before);
    assert.equal(written(procd), '', 'procd is asked for nothing');
  });

  it('tell what Node.js itself says where it does not run the program', () => {
    configure(WANTED);
    const node = join(root, 'usr/bin/node');
    for (const [printed, said] of [
      ['/usr/bin/node: bad option: --no-such-flag', '/usr/bin/node: bad option: --no-such-flag'],
      [
        "node:internal/x:1\n  throw error;\n  ^\n\nError: no libatomic.so.1\n    at x (y:1:2) {\n  code: 'E'\n}\n\nNode.js v22.1.0",
        'Error: no libatomic.so.1',
      ],
    ] as const) {
      rmSync(node);
      rmSync(log, { force: true });
      writeFileSync(node, `#!/bin/sh\ncat >&2 <<'END'\n${printed}\nEND\nexit 9\n`, { mode: 0o755 });
      assert.deepEqual(rcCommon('start'), { code: 1, out: `${said}\n` });
      assert.equal(written(log), `daemon.err /etc/config/dmgw: ${said}\n`);
    }
  });

  it('start nothing where an addon does not load, and tell it once', () => {
    configure(WANTED);
    writeFileSync(join(root, 'usr/lib/dmgw', NATIVE_FILE), '');
    const { code, out } = rcCommon('start');
    assert.equal(code, 1);
    assert.match(out, /^dmgw-native does not load on Node\.js v[\d.]+ \([^\n]*file too short\)\n$/);
    assert.equal(written(log), `daemon.err /etc/config/dmgw: ${out}`);
    assert.doesNotMatch(written(procd), /instance/);
  });

  it('open the ports that are wanted: images for the LAN, and the WAN only for notifications', () => {
    assert.equal(shell([join(root, 'etc/uci-defaults/60-dmgw')]).code, 0);
    const rule = (name: string): string[] =>
      ['src', 'proto', 'dest_port', 'target', 'enabled'].map((option) =>
        written(join(root, `uci/firewall.${name}.${option}`)),
      );
    assert.deepEqual(rule('dmgw_images'), ['lan', 'tcp', '8180', 'ACCEPT', '0']);
    assert.deepEqual(rule('dmgw_mdns'), ['lan', 'udp', '5353', 'ACCEPT', '0']);
    assert.deepEqual(rule('dmgw_notification'), ['wan', 'udp', '2948', 'ACCEPT', '0']);

    rmSync(calls);
    configure(`${WANTED}\nconfig serve 'serve'\n\toption port '8181'\n`);
    assert.equal(rcCommon('start').code, 0);
    assert.deepEqual(rule('dmgw_images'), ['lan', 'tcp', '8181', 'ACCEPT', '1']);
    assert.deepEqual(rule('dmgw_notification'), ['wan', 'udp', '2948', 'ACCEPT', '0']);
    assert.match(written(calls), /^uci commit firewall\nfirewall reload$/m);

    rmSync(calls);
    configure(
      `${WANTED}\nconfig serve 'serve'\n\toption port '8181'\nconfig notification 'notification'\n\toption enabled '1'\n\toption port '2949'\n`,
    );
    assert.equal(rcCommon('start', { STAND_IN_WAN: '203.0.113.9' }).code, 0);
    assert.deepEqual(rule('dmgw_notification'), ['wan', 'udp', '2949', 'ACCEPT', '1']);
    assert.deepEqual(generated().notification, { enabled: true, port: 2949, listen: ['203.0.113.9'] });

    rmSync(calls);
    assert.equal(rcCommon('start', { STAND_IN_WAN: '203.0.113.9' }).code, 0);
    assert.doesNotMatch(written(calls), /uci|firewall/, 'what is right already is not written again');

    configure(
      WANTED.replace("enabled '1'", "enabled '0'") + "\nconfig notification 'notification'\n\toption enabled '1'\n",
    );
    assert.equal(rcCommon('start').code, 0);
    const names = ['dmgw_images', 'dmgw_mdns', 'dmgw_notification'];
    assert.deepEqual(
      names.map((name) => rule(name).at(-1)),
      ['0', '0', '0'],
    );
  });

  it("open the ports that the board's profile names, and listen for notifications where it wants that", () => {
    const configuration = {
      ...profile.configuration,
      serve: { port: 9000 },
      notification: { enabled: true, port: 2949 },
    };
    writeBoardFiles(folder, { ...profile, configuration });
    copyFileSync(join(folder, 'board.json'), join(root, 'usr/share/dmgw/board.json'));
    const own = readFileSync(join(folder, 'dmgw.config'), 'utf8').replace("dev_id_interface 'wan'", "dev_id 'urn:x'");
    configure(own.replace("enabled '0'", "enabled '1'"));
    assert.equal(shell([join(root, 'etc/uci-defaults/60-dmgw')]).code, 0);
    const started = rcCommon('start', { STAND_IN_WAN: '203.0.113.9' });
    assert.deepEqual(started, { code: 0, out: '' });
    const rules = ['images', 'notification'].map((name) =>
      ['dest_port', 'enabled'].map((option) => written(join(root, `uci/firewall.dmgw_${name}.${option}`))),
    );
    assert.deepEqual(rules, [
      ['9000', '1'],
      ['2949', '1'],
    ]);
    const { out } = shell([join(root, 'usr/bin/dmgw'), 'config', 'show']);
    assert.match(out, /^serve\.port +9000 /m);
    assert.match(out, /^notification\.port +2949 /m);
    assert.match(out, /^notification\.listen +\["203\.0\.113\.9"\] /m);
    assert.ok(asked().some((line) => line.join(' ') === 'add_reload_interface_trigger wan'));
  });

  it("leave the owner's firewall rules as they are, and make none again that is removed", () => {
    const defaults = (): void => assert.equal(shell([join(root, 'etc/uci-defaults/60-dmgw')]).code, 0);
    defaults();
    const option = (name: string): string => join(root, 'uci', `firewall.${name}`);
    writeFileSync(option('dmgw_images.src'), 'guest');
    for (const name of readdirSync(join(root, 'uci')).filter((one) => one.startsWith('firewall.dmgw_mdns')))
      rmSync(join(root, 'uci', name));
    configure(WANTED);
    assert.equal(rcCommon('start').code, 0);
    assert.equal(existsSync(option('dmgw_mdns.enabled')), false);
    defaults();
    assert.equal(written(option('dmgw_images.src')), 'guest');
  });

  it("keep over a sysupgrade what lies where the board's profile says", () => {
    const state = join(root, 'etc/dmgw/state');
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, 'dmgw.db'), 'the database');
    mkdirSync(join(root, 'var/run'), { recursive: true });
    rmSync(join(root, 'uci'), { recursive: true, force: true });
    const list = join(folder, 'conffiles');
    writeFileSync(list, '');
    assert.equal(shell(['-c', `. "${join(root, 'lib/upgrade/dmgw.sh')}"; dmgw_kept "${list}"`]).code, 0);
    assert.equal(written(list), '/etc/dmgw/kept/dmgw.db\n/etc/config/dmgw\n');
    rmSync(join(root, 'etc/dmgw'), { recursive: true });
    rmSync(join(root, 'var/run'), { recursive: true, force: true });
  });

  it('keep what was provisioned and a snapshot of the database over a sysupgrade, and put it back', () => {
    configure(WANTED);
    assert.equal(rcCommon('start').code, 0);
    const database = join(root, 'srv/dmgw/state/dmgw.db');
    const certificate = join(root, 'srv/dmgw/state/provisioned/a.pem');
    const provisioned = join(root, 'srv/dmgw/state/provisioned.json');
    mkdirSync(dirname(certificate));
    writeFileSync(database, 'the database', { mode: 0o600 });
    writeFileSync(provisioned, '{"device":{"devId":"urn:uuid:00000000-0000-4000-8000-000000000007"}}', { mode: 0o600 });
    writeFileSync(certificate, 'a certificate', { mode: 0o600 });
    // It is the daemon's own folder, which must not make root read anything else for it.
    symlinkSync(join(root, 'etc/config/dmgw'), join(dirname(certificate), 'link.pem'));
    writeFileSync(join(root, 'uci/dmgw.main.state_dir'), '/srv/dmgw/state');
    const list = join(folder, 'conffiles');
    const shelf = join(root, 'etc/dmgw/kept');
    const daemon = join(root, 'var/run/stand-in-daemon');
    const kept = ['dmgw.db', 'provisioned.json', 'provisioned/a.pem'].map((name) => `/etc/dmgw/kept/${name}`);
    // As procd does, it does not wait for the end of the daemon, which writes its database last.
    const init = join(root, 'etc/init.d/dmgw');
    const script = `${init}.script`;
    renameSync(init, script);
    writeFileSync(
      init,
      `#!/bin/sh
echo "init $*" >>"$STAND_IN_CALLS"
case $1 in
running) [ -e '${daemon}' ] ;;
stop) (sleep 1 && echo 'the database' >'${database}' && rm '${daemon}') >/dev/null 2>&1 & ;;
*) exec ${SHELL.join(' ')} '${join(STAND_INS, 'rc.common')}' '${script}' "$@" ;;
esac
`,
      { mode: 0o755 },
    );
    const start = (): number | null => shell([init, 'start']).code;
    const keep = (env: Record<string, string> = {}): string[] => {
      writeFileSync(list, '/etc/config/dmgw\n');
      const hook = `. "${join(root, 'lib/upgrade/dmgw.sh')}"; for hook in $sysupgrade_init_conffiles; do "$hook" "${list}"; done`;
      assert.deepEqual(shell(['-c', hook], env), { code: 0, out: '' });
      return readFileSync(list, 'utf8').trim().split('\n').sort();
    };
    const reboot = (): void => rmSync(join(root, 'var/run'), { recursive: true });

    rmSync(calls);
    writeFileSync(daemon, '');
    assert.deepEqual(keep(), ['/etc/config/dmgw', ...kept]);
    assert.deepEqual(written(calls).match(/^init .*$/gm), ['init running', 'init stop', 'init start']);
    // It goes into the archive after the daemon has been started again.
    for (const file of kept) assert.ok(existsSync(join(root, file)), file);
    assert.equal(readFileSync(join(shelf, 'dmgw.db'), 'utf8'), 'the database\n');
    assert.equal(statSync(shelf).mode & 0o777, 0o700);

    const before = readFileSync(provisioned, 'utf8');
    rmSync(dirname(database), { recursive: true });
    reboot();
    // Of no database that is there.
    mkdirSync(dirname(database));
    writeFileSync(`${database}-wal`, 'a WAL');
    assert.equal(start(), 0);
    assert.deepEqual(
      [database, provisioned, certificate].map((path) => readFileSync(path, 'utf8')),
      ['the database\n', before, 'a certificate'],
    );
    for (const secret of [database, provisioned, certificate]) assert.equal(statSync(secret).mode & 0o777, 0o600);
    assert.deepEqual([shelf, `${database}-wal`].map(existsSync), [false, false]);

    // A daemon that was killed has left its WAL.
    writeFileSync(`${database}-wal`, 'the WAL');
    assert.deepEqual(keep(), ['/etc/config/dmgw', kept[0], '/etc/dmgw/kept/dmgw.db-wal', ...kept.slice(1)]);
    rmSync(dirname(database), { recursive: true });
    reboot();
    assert.equal(start(), 0);
    assert.equal(readFileSync(`${database}-wal`, 'utf8'), 'the WAL');
    assert.ok(existsSync(database));

    assert.ok(keep().includes('/etc/dmgw/kept/dmgw.db-wal'));
    // What is there already is newer.
    writeFileSync(database, 'a newer database');
    rmSync(provisioned);
    reboot();
    assert.equal(start(), 0);
    assert.equal(readFileSync(database, 'utf8'), 'a newer database');
    assert.deepEqual([shelf, provisioned].map(existsSync), [false, false]);

    // There is no room for all of it.
    const bin = join(folder, 'full-bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'cp'), '#!/bin/sh\nprintf "the da" >"${3%/}/${2##*/}"\nexit 1\n', { mode: 0o755 });
    rmSync(log);
    assert.deepEqual(keep({ PATH: `${bin}:${join(STAND_INS, 'bin')}:${process.env.PATH ?? ''}` }), [
      '/etc/config/dmgw',
    ]);
    assert.equal(existsSync(shelf), false);
    assert.match(written(log), /^daemon\.err sysupgrade does not keep/m);
  });

  it('put nothing back that a factory reset has removed, or is to remove', () => {
    configure(
      WANTED.replace(
        'option state_dir',
        "option require_mount '/'\n\toption store_dir '/mnt/disk'\n\toption state_dir",
      ),
    );
    const [state, store, shelf] = ['srv/dmgw/state', 'mnt/disk', 'etc/dmgw/kept'].map((path) => join(root, path));
    assert.ok(state !== undefined && store !== undefined && shelf !== undefined);
    const put = (): void => {
      mkdirSync(shelf, { recursive: true });
      writeFileSync(join(shelf, 'dmgw.db'), 'the database');
      writeFileSync(join(shelf, 'provisioned.json'), '{}');
    };
    assert.equal(rcCommon('start').code, 0);
    for (const mark of [join(state, 'factory-reset'), join(store, 'factory-reset')]) {
      put();
      writeFileSync(mark, '');
      assert.equal(rcCommon('start').code, 0);
      assert.equal(existsSync(shelf), false);
      // sysupgrade does not keep it.
      writeFileSync(join(root, 'uci/dmgw.main.state_dir'), '/srv/dmgw/state');
      writeFileSync(join(root, 'uci/dmgw.main.store_dir'), '/mnt/disk');
      writeFileSync(join(state, 'dmgw.db'), 'the database');
      const list = join(folder, 'conffiles');
      writeFileSync(list, '');
      assert.equal(shell(['-c', `. "${join(root, 'lib/upgrade/dmgw.sh')}"; dmgw_kept "${list}"`]).code, 0);
      assert.equal(written(list), '/etc/config/dmgw\n');
      for (const file of [mark, join(state, 'dmgw.db')]) rmSync(file);
    }
    put();
    assert.equal(shell([join(root, 'usr/bin/dmgw'), 'factory-reset', '--yes']).code, 0);
    assert.equal(existsSync(shelf), false);
    assert.equal(rcCommon('start').code, 0);
    assert.deepEqual(readdirSync(state), []);
  });

  it('put nothing back below a disk that is not there yet', () => {
    configure(
      WANTED.replace(/option state_dir '.*'/, "option require_mount '/mnt/late'\n\toption state_dir '/mnt/late/state'"),
    );
    const kept = join(root, 'etc/dmgw/kept/dmgw.db');
    mkdirSync(dirname(kept), { recursive: true });
    writeFileSync(kept, 'the database');
    assert.equal(rcCommon('start').code, 0);
    assert.deepEqual([kept, join(root, 'mnt/late')].map(existsSync), [true, false]);
    rmSync(dirname(kept), { recursive: true });
  });

  it("take over what a factory image has, and no more, as long as the folder is root's", { skip: NO_ROOT }, () => {
    const [state, store] = [join(root, 'srv/dmgw/state'), join(root, 'mnt/disk')];
    const ownerOf = (path: string): number => lstatSync(path).uid;
    const put = (...files: string[]): void => {
      for (const file of files) {
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, '');
      }
    };
    configure(
      WANTED.replace(
        'option state_dir',
        "option require_mount '/'\n\toption store_dir '/mnt/disk'\n\toption state_dir",
      ),
    );
    const [foreign, image] = [join(store, 'music/song'), join(store, 'blobs/image')];
    put(foreign, image, join(store, 'seeded'), join(state, 'provisioned/a.pem'), join(root, 'etc/passwd'));
    symlinkSync(join(root, 'etc'), join(store, 'partial'));
    // The folder of the state lies elsewhere.
    renameSync(state, join(root, 'elsewhere'));
    symlinkSync(join(root, 'elsewhere'), state);
    const start = (): void =>
      assert.deepEqual(rcCommon('start', { STAND_IN_OWNER: OWNER.join(':') }), { code: 0, out: '' });
    start();
    for (const own of [store, image, join(store, 'partial'), join(root, 'elsewhere/provisioned/a.pem')])
      assert.equal(ownerOf(own), OWNER[0], own);
    for (const others of [foreign, dirname(foreign), join(root, 'etc'), join(root, 'etc/passwd')])
      assert.equal(ownerOf(others), 0, others);
    assert.equal(statSync(state).uid, OWNER[0]);

    // From now on the daemon could have made it.
    symlinkSync(join(root, 'etc/passwd'), join(store, 'blobs/link'));
    put(join(store, 'blobs/late'));
    start();
    for (const others of [join(store, 'blobs/late'), join(root, 'etc/passwd')])
      assert.equal(ownerOf(others), 0, others);
  });

  it("take no folder and no right from the daemon's own folders", { skip: NO_ROOT }, () => {
    configure(WANTED);
    const start = (): ReturnType<typeof rcCommon> => rcCommon('start', { STAND_IN_OWNER: OWNER.join(':') });
    assert.equal(start().code, 0);
    const [etc, run] = [join(root, 'etc'), join(root, 'var/run/dmgw')];
    const before = readdirSync(etc);
    for (const name of ['dmgw.json', 'dmgw.json.new']) symlinkSync(etc, join(run, name));
    assert.equal(start().code, 0);
    assert.deepEqual(readdirSync(etc), before);

    provision('{"storeDir":"/etc","requireMount":"/"}');
    configure(PROVISIONED);
    const { code, out } = start();
    assert.equal(code, 1);
    assert.match(out, /provisioned\.json: 'storeDir' is not provisioned; expected accounts, device, retrieve\n$/);
    assert.deepEqual([statSync(etc).uid, statSync(etc).mode & 0o777], [0, 0o755]);
  });

  it("leave a folder within the daemon's own one to the daemon", { skip: NO_ROOT }, () => {
    configure(
      WANTED.replace(
        'option state_dir',
        "option require_mount '/'\n\toption store_dir '/srv/dmgw/state/images'\n\toption state_dir",
      ),
    );
    const images = join(root, 'srv/dmgw/state/images');
    const start = (): void => assert.equal(rcCommon('start', { STAND_IN_OWNER: OWNER.join(':') }).code, 0);
    start();
    assert.equal(existsSync(images), false);
    symlinkSync(join(root, 'etc'), images);
    start();
    assert.equal(statSync(join(root, 'etc')).uid, 0);
  });

  it('give the command line the configuration that the daemon has', () => {
    configure(WANTED);
    assert.equal(rcCommon('start').code, 0);
    const command = (...typed: string[]): { code: number | null; out: string } =>
      shell([join(root, 'usr/bin/dmgw'), ...typed]);
    const own = join(root, 'var/run/dmgw.json');
    const kept = readFileSync(own);
    // As the daemon could leave it: root's commands go by what root has made.
    writeFileSync(own, '{}');
    assert.match(command('config', 'check').out, /\/var\/run\/dmgw\.root\.json: ok\n$/);
    writeFileSync(own, kept);
    const other = join(root, 'other.json');
    copyFileSync(join(root, 'var/run/dmgw.json'), other);
    const board = join(root, 'usr/share/dmgw/board.json');
    assert.equal(command('config', 'check', '--config', other, '--board', board).out, `${other}: ok\n`);
    assert.match(command('version').out, /^dmgw \d/);
    const status = command('status');
    assert.equal(status.code, 3, status.out);
    assert.match(rcCommon('check').out, /^\/etc\/config\/dmgw: ok\n$/);
    // Users other than root, of the group that may ask, have the daemon's.
    rmSync(join(root, 'var/run/dmgw.root.json'));
    assert.match(command('config', 'check').out, /\/var\/run\/dmgw\.json: ok\n$/);
    // The description has the names and the maker that the configuration and the board's profile give.
    const named = {
      ...JSON.parse(readFileSync(board, 'utf8')),
      names: { 'ImageInventory/ImageURI': 'Url7' },
    } as unknown;
    writeFileSync(board, JSON.stringify(named));
    const foreign = join(root, 'foreign.json');
    writeFileSync(foreign, JSON.stringify({ names: { 'ImageInventory/ImageURI': 'Url8' } }));
    assert.match(command('ddf').out, /<Mod>Cortex-A7 router<[^]*<NodeName>Url7</);
    assert.match(command('ddf', '--board', foreign).out, /<NodeName>Url8</);
    rmSync(own);
    assert.match(command('ddf').out, /<NodeName>Url7</);
    // What takes no configuration is not given one: there may be none yet.
    for (const words of [['config', 'keys'], ['config', 'check', '-h'], ['ddf']]) {
      assert.equal(command(...words).code, 0, words.join(' '));
    }
    const socket = join(root, 'other.sock');
    assert.match(command('status', '--socket', socket).out, new RegExp(`${socket}[^\\n]*\n$`));
  });
});

describe('a start of the daemon', () => {
  before(() => {
    install();
    for (const file of [calls, log, procd]) rmSync(file, { force: true });
    const { publicKey } = generateKeyPairSync('ed25519');
    const key = publicKey.export({ type: 'spki', format: 'pem' });
    // The daemon is not in the root.
    const keys = ['a[1]', 'b', 'of two', '*'].map((name) => join(folder, `${name}.pem`));
    // The profile has a list of its own, beside the file with the leases.
    const ofBoard = ['c', 'd'].map((name) => join(folder, `${name}.pem`));
    const retrieve = Object.assign({}, profile.configuration.retrieve, { signatureKeys: ofBoard });
    writeBoardFiles(folder, { ...profile, configuration: { ...profile.configuration, retrieve } });
    copyFileSync(join(folder, 'board.json'), join(root, 'usr/share/dmgw/board.json'));
    for (const file of [...keys, ...ofBoard]) writeFileSync(file, key);
    const others = [
      ...['etc/hosts', 'etc/resolv.conf', 'etc/TZ', 'tmp/resolv.conf.d/resolv.conf.auto', 'etc/ssl/certs/ca.crt'],
      ...['var/run/dbus/system_bus_socket', 'etc/factory/devid', 'tmp/dhcp.leases'],
    ];
    for (const file of [...others, ...keys, ...ofBoard]) {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), key);
    }
    configure(
      `${WANTED.replace(/dev_id '.*'/, "dev_id_file '/etc/factory/devid'")}
config retrieve 'retrieve'
	option metered_file '/var/run/link/metered'
${keys.map((file) => `\tlist signature_keys '${file}'\n`).join('')}`,
    );
    mkdirSync(join(root, 'var/run/link'), { recursive: true });
    // As the package dmgw-mdns has it, beside the addons of this machine.
    const modules = join(root, 'usr/lib/dmgw/node_modules');
    rmSync(modules);
    mkdirSync(dirname(join(modules, addonFile('mdns'))), { recursive: true });
    writeFileSync(join(modules, addonFile('mdns')), '');
    for (const name of REQUIRED_ADDONS) symlinkSync(join(PROJECT_ROOT, 'node_modules', name), join(modules, name));
    assert.equal(rcCommon('start').code, 0);
  });

  it('lets the jail see what the daemon needs, and writes only where its data lies', () => {
    const of = (name: string): string[] =>
      asked()
        .filter(([call]) => call === name)
        .flatMap(([, ...rest]) => rest);
    assert.deepEqual(of('add_jail'), ['dmgw', 'log', 'procfs', 'sysfs']);
    assert.deepEqual(
      of('add_jail_mount_rw'),
      ['/var/run/dmgw', '/srv/dmgw/state', '/mnt/data/dmgw'].map((path) => root + path),
    );
    const needed = [
      ...['usr/lib/dmgw', 'usr/share/dmgw', 'var/run/dmgw.json', 'etc/hosts', 'etc/ssl/certs'],
      ...['etc/resolv.conf', 'tmp/resolv.conf.d', 'etc/TZ', 'var/run/dbus'],
      ...['etc/factory/devid', 'var/run/link', 'tmp/dhcp.leases'],
      ...['a[1]', 'b', 'of two', '*', 'c', 'd'].map((name) => join(folder, `${name}.pem`)),
    ];
    // Each addon besides its folder: ujail brings the libraries of files that it is told of.
    const addons = [NATIVE_FILE, `node_modules/${addonFile('mdns')}`].map((file) => `usr/lib/dmgw/${file}`);
    assert.deepEqual(of('add_jail_mount').sort(), [...needed, ...addons].map((path) => join(root, path)).sort());
  });

  it('lets the daemon read the partition that holds its DevId, and no other', () => {
    writeFileSync(
      join(root, 'proc/mtd'),
      `dev:    size   erasesize  name
mtd0: 00080000 00010000 "u-boot"
mtd3: 00010000 00010000 "factory"
mtd4: 00010000 00010000 "1e1"
mtd5: 00010000 00010000 "10"
`,
    );
    for (const name of ['dev/mtd4', 'dev/mtd5']) writeFileSync(join(root, name), '');
    mkdirSync(join(root, 'dev'), { recursive: true });
    const [other, device] = [join(root, 'dev/mtd0'), join(root, 'dev/mtd3')];
    for (const file of [other, device]) writeFileSync(file, '', { mode: 0o600 });
    const named = (name: string): string =>
      WANTED.replace(/dev_id '.*'/, `dev_id_partition_name '${name}'\n\toption dev_id_partition_offset '4'`);
    const shown = (text: string): string[] => {
      configure(text);
      rmSync(procd);
      assert.equal(rcCommon('start').code, 0);
      return asked().flatMap(([call, ...files]) =>
        call === 'add_jail_mount' ? files.filter((file) => dirname(file) === join(root, 'dev')) : [],
      );
    };
    const modes = (): number[] => [other, device].map((file) => statSync(file).mode & 0o777);
    assert.deepEqual(shown(named('factory')), [device]);
    assert.match(written(calls), new RegExp(`^chown root:dmgw ${device}$`, 'm'));
    assert.deepEqual(modes(), [0o600, 0o640]);
    assert.equal(rcCommon('stop_service').code, 0);
    assert.match(written(calls), new RegExp(`^chown root:root ${device}$`, 'm'));
    assert.deepEqual(modes(), [0o600, 0o600]);

    assert.deepEqual(shown(named('10')), [join(root, 'dev/mtd5')]);
    // Where the header of the list would be a device, and where the daemon has put a name.
    writeFileSync(join(root, 'dev/dev'), '');
    provision(JSON.stringify({ device: { devIdPartition: { name: 'u-boot', offset: 4 } } }));
    assert.deepEqual(shown(PROVISIONED.replace(/\toption dev_id .*\n/, '')), []);
    assert.deepEqual(modes(), [0o600, 0o600]);
    assert.equal(rcCommon('stop_service').code, 0);
  });

  it('makes the folder of the state for its user, but none below a disk that is not mounted', () => {
    assert.equal(statSync(join(root, 'srv/dmgw/state')).mode & 0o777, 0o700);
    assert.match(written(calls), new RegExp(`^chown dmgw:dmgw ${root}/srv/dmgw/state$`, 'm'));
    assert.equal(existsSync(join(root, 'mnt')), false);
  });

  it('advises a smaller tcp_wmem where slow clients could hold the memory, and only there', () => {
    assert.match(
      written(log),
      /^daemon\.notice net\.ipv4\.tcp_wmem lets 32 slow clients hold 128 MiB of 122 MiB: .*=4096 16384 262144'/,
    );
    rmSync(log);
    writeFileSync(join(root, 'proc/sys/net/ipv4/tcp_wmem'), '4096\t16384\t262144\n');
    assert.equal(rcCommon('start').code, 0);
    assert.equal(written(log), '');
  });
});

describe('the shell scripts of the project', () => {
  const found = spawnSync('shellcheck', ['--version']).error === undefined;
  it('have nothing that shellcheck would say', { skip: found ? false : 'shellcheck is not installed' }, () => {
    // With find and not with git: a copy of the sources is no repository.
    const files = execFileSync('find', ['board', 'scripts', '.ci', '-type', 'f', '!', '-name', 'Makefile'], {
      cwd: PROJECT_ROOT,
      encoding: 'utf8',
    });
    const scripts = files
      .trim()
      .split('\n')
      .filter((file) =>
        /^(#!(\/bin\/sh|\/usr\/bin\/env bash)|# shellcheck shell=)/m.test(
          readFileSync(join(PROJECT_ROOT, file), 'latin1'),
        ),
      );
    assert.ok(scripts.length > 0);
    const done = spawnSync('shellcheck', ['-x', ...scripts], {
      cwd: PROJECT_ROOT,
      encoding: 'utf8',
    });
    assert.equal(done.stdout, '');
    assert.equal(done.status, 0);
  });
});
