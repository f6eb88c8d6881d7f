/**
 * Against a foreign implementation: Debian's Avahi behind a link between two network namespaces, both made here. Needs
 * root, ip (iproute2), avahi-daemon, avahi-utils and dbus-daemon; skipped where one of them is missing.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { accessSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const TOOLS = [
  ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip'],
  ['/usr/sbin/avahi-daemon'],
  ['/usr/bin/avahi-publish'],
  ['/usr/bin/avahi-browse'],
  ['/usr/bin/dbus-daemon'],
];
const TYPE = '_omadm-notify._udp';
const HERE = `dmgw-a${process.pid}`;
const THERE = `dmgw-b${process.pid}`;

interface Line {
  readonly kind: 'found' | 'heard' | 'gone';
  readonly instance: string;
  readonly addresses?: readonly string[];
  readonly port?: number;
  readonly txt?: Readonly<Record<string, string>>;
}

describe('discovery in the process and Avahi, over a link', { skip: whyNot() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-avahi-'));
  const children: ChildProcess[] = [];
  const lines: Line[] = [];
  let daemon: ChildProcess;

  const start = (namespace: string, command: readonly string[], shown = false): ChildProcess => {
    const child = spawn('ip', ['netns', 'exec', namespace, ...command], {
      stdio: ['ignore', 'pipe', shown ? 'inherit' : 'ignore'],
      env: { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${folder}/bus` },
    });
    children.push(child);
    return child;
  };
  const startDaemon = (): ChildProcess =>
    // A file system of its own for its process id and socket: another Avahi may run on this machine.
    start(THERE, [
      'sh',
      '-c',
      `mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon &&
       exec avahi-daemon -f ${folder}/avahi.conf --no-drop-root --no-chroot --no-rlimits`,
    ]);
  const publish = (name: string, ...txt: string[]): ChildProcess =>
    start(THERE, ['avahi-publish', '-s', name, TYPE, '2948', ...txt]);
  const until = async (what: string, fits: (line: Line) => boolean): Promise<Line> => {
    const deadline = performance.now() + 30_000;
    for (;;) {
      const found = lines.find(fits);
      if (found) return found;
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}; heard: ${JSON.stringify(lines)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };

  before(async () => {
    const ip = (...words: string[]): void => void execFileSync('ip', words);
    ip('netns', 'add', HERE);
    ip('netns', 'add', THERE);
    ip('link', 'add', 'lan0', 'netns', HERE, 'type', 'veth', 'peer', 'name', 'lan1', 'netns', THERE);
    ip('-n', HERE, 'addr', 'add', '10.77.0.1/24', 'dev', 'lan0');
    ip('-n', THERE, 'addr', 'add', '10.77.0.2/24', 'dev', 'lan1');
    for (const [namespace, device] of [
      [HERE, 'lan0'],
      [THERE, 'lan1'],
    ] as const) {
      ip('-n', namespace, 'link', 'set', 'lo', 'up');
      ip('-n', namespace, 'link', 'set', device, 'up');
    }
    writeFileSync(join(folder, 'bus.conf'), BUS_CONFIGURATION.replace('BUS', `${folder}/bus`));
    writeFileSync(join(folder, 'avahi.conf'), AVAHI_CONFIGURATION);
    start(THERE, ['dbus-daemon', `--config-file=${folder}/bus.conf`, '--nofork']);
    await new Promise((resolve) => setTimeout(resolve, 500));
    daemon = startDaemon();
    const fixture = fileURLToPath(import.meta.resolve('./builtin.fixture.js'));
    const ours = start(
      HERE,
      [process.execPath, ...process.execArgv, fixture, '10.77.0.0/24', TYPE, 'gateway-under-test'],
      true,
    );
    let rest = '';
    ours.stdout?.on('data', (chunk: Buffer) => {
      const parts = (rest + chunk.toString()).split('\n');
      rest = parts.pop() ?? '';
      for (const part of parts) lines.push(JSON.parse(part) as Line);
    });
    await until('its own service', ({ instance }) => instance === 'gateway-under-test');
  });

  after(() => {
    for (const namespace of [HERE, THERE]) {
      for (const pid of execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' }).split('\n')) {
        if (pid !== '') process.kill(Number(pid), 'SIGKILL');
      }
      execFileSync('ip', ['netns', 'del', namespace]);
    }
    rmSync(folder, { recursive: true, force: true });
  });

  it('finds what Avahi publishes, and hears of its end', async () => {
    const publisher = publish('Lamp 9', 'devid=MAC:020000000009', 'groups=hall');
    // Avahi may tell its link-local address first.
    const found = await until('Lamp 9', ({ instance, addresses }) => {
      return instance === 'Lamp 9' && addresses?.includes('10.77.0.2') === true;
    });
    assert.equal(found.port, 2948);
    assert.deepEqual(found.txt, { devid: 'MAC:020000000009', groups: 'hall' });
    publisher.kill();
    await until('its goodbye', ({ kind, instance }) => kind === 'gone' && instance === 'Lamp 9');
  });

  it('is found by Avahi, with port, address and TXT record', () => {
    const seen = execFileSync('ip', ['netns', 'exec', THERE, 'avahi-browse', '-rtp', TYPE], {
      encoding: 'utf8',
      env: { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${folder}/bus` },
      timeout: 20_000,
    });
    const line = seen.split('\n').find((one) => one.startsWith('=') && one.includes('gateway-under-test'));
    assert.match(line ?? seen, /;gateway-under-test\.local;10\.77\.0\.1;8180;"path=\/scomo\/"$/);
  });

  it('finds a device again after the death of its daemon', async () => {
    publish('Lamp 10', 'devid=MAC:020000000010');
    await until('Lamp 10', ({ kind, instance }) => kind === 'found' && instance === 'Lamp 10');
    daemon.kill('SIGKILL');
    await new Promise((resolve) => daemon.once('exit', resolve));
    lines.length = 0;
    daemon = startDaemon();
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    publish('Lamp 10', 'devid=MAC:020000000010');
    await until('Lamp 10 again', ({ instance }) => instance === 'Lamp 10');
  });
});

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces';
  for (const places of TOOLS) {
    if (!places.some(exists)) return `needs ${places[0] ?? ''}`;
  }
  return false;
}

function exists(file: string): boolean {
  try {
    accessSync(file);
    return true;
  } catch {
    return false;
  }
}

const BUS_CONFIGURATION = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=BUS</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
</busconfig>
`;

const AVAHI_CONFIGURATION = `[server]
allow-interfaces=lan1
use-ipv4=yes
use-ipv6=no
enable-dbus=yes
[publish]
publish-workstation=no
`;
