/**
 * All backends against a foreign implementation: Debian's Avahi behind a link between two network namespaces, both made
 * here. A second Avahi on this side is the daemon of the backend `daemon`. Needs root, ip (iproute2), avahi-daemon,
 * avahi-utils, dbus-daemon and the package mdns; skipped where one of them is missing.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { accessSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually } from '../clock/eventually.fixture.js';

const TOOLS = [
  ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip'],
  ['/usr/sbin/avahi-daemon'],
  ['/usr/bin/avahi-publish'],
  ['/usr/bin/avahi-browse'],
  ['/usr/bin/avahi-resolve'],
  ['/usr/bin/dbus-daemon'],
  ['/usr/bin/unshare'],
];
const PATIENT = { timeoutMs: 60_000 };
const TYPE = '_omadm-notify._udp';
const HERE = `dmgw-a${process.pid}`;
const THERE = `dmgw-b${process.pid}`;
const BACKENDS = ['builtin', 'daemon', 'auto'] as const;
type Backend = (typeof BACKENDS)[number];

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

/**
 * A name of its own for each side: two daemons that start at the same moment with the same host name, on two links, may both
 * lose and both take the next name, again and again, each second; until one falls behind nothing is announced.
 */
const AVAHI_CONFIGURATION = `[server]
host-name=HOST
allow-interfaces=DEVICES
use-ipv4=yes
use-ipv6=yes
enable-dbus=yes
[publish]
publish-workstation=no
`;

interface Line {
  readonly kind: 'found' | 'heard' | 'gone' | 'log';
  readonly instance?: string;
  /** Name of the interface. */
  readonly link?: string;
  readonly addresses?: readonly string[];
  readonly port?: number;
  readonly txt?: Readonly<Record<string, string>>;
  readonly line?: string;
}

/** One side of the two links, with a message bus and an Avahi of its own. */
class Side {
  readonly #children: ChildProcess[] = [];
  daemon!: ChildProcess;

  constructor(
    readonly namespace: string,
    readonly devices: readonly string[],
    private readonly folder: string,
  ) {
    writeFileSync(this.#file('bus.conf'), BUS_CONFIGURATION.replace('BUS', this.#file('bus')));
    writeFileSync(
      this.#file('avahi.conf'),
      AVAHI_CONFIGURATION.replace('HOST', namespace).replace('DEVICES', devices.join(',')),
    );
  }

  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, DBUS_SYSTEM_BUS_ADDRESS: `unix:path=${this.#file('bus')}` };
  }

  run(command: readonly string[], env = this.environment): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace, ...command], {
      stdio: ['ignore', 'pipe', command[0] === process.execPath ? 'inherit' : 'ignore'],
      env,
    });
    this.#children.push(child);
    return child;
  }

  /** What a command prints. */
  ask(...command: string[]): string {
    return execFileSync('ip', ['netns', 'exec', this.namespace, ...command], {
      encoding: 'utf8',
      env: this.environment,
      timeout: 20_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
  }

  async start(): Promise<void> {
    this.run(['dbus-daemon', `--config-file=${this.#file('bus.conf')}`, '--nofork']);
    await eventually('the message bus', () => exists(this.#file('bus')), PATIENT);
    await this.startDaemon();
  }

  async startDaemon(): Promise<void> {
    // A file system of its own for its process id and socket: another Avahi may run on this machine.
    this.daemon = this.run([
      'unshare',
      '-m',
      'sh',
      '-c',
      `mkdir -p /run/avahi-daemon && mount -t tmpfs tmpfs /run/avahi-daemon &&
       exec avahi-daemon -f ${this.#file('avahi.conf')} --no-drop-root --no-chroot --no-rlimits`,
    ]);
    await eventually(
      'Avahi',
      () => {
        try {
          return this.ask('avahi-browse', '-tp', '_none._udp') === '';
        } catch {
          return false;
        }
      },
      PATIENT,
    );
  }

  async killDaemon(): Promise<void> {
    this.daemon.kill('SIGKILL');
    await new Promise((resolve) => this.daemon.once('exit', resolve));
  }

  publish(name: string, ...txt: string[]): ChildProcess {
    return this.run(['avahi-publish', '-s', name, TYPE, '2948', ...txt]);
  }

  #file(name: string): string {
    return join(this.folder, `${this.namespace}-${name}`);
  }
}

describe('discovery and Avahi, over a link', { skip: whyNot() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-avahi-'));
  const here = new Side(HERE, ['lan0', 'lan2', 'lan4'], folder);
  const there = new Side(THERE, ['lan1', 'lan3', 'lan5'], folder);
  const lines: Record<Backend, Line[]> = { builtin: [], daemon: [], auto: [] };

  const until = (backend: Backend, what: string, fits: (line: Line) => boolean): Promise<Line> =>
    eventually(`${what} (${backend})`, () => lines[backend].find(fits), {
      ...PATIENT,
      tell: () => JSON.stringify(lines[backend]),
    });
  const logged = (backend: Backend, text: string): Promise<Line> =>
    until(backend, `'${text}'`, ({ line }) => line?.includes(text) === true);
  const ofAll = <T>(of: (backend: Backend) => Promise<T>): Promise<T[]> => Promise.all(BACKENDS.map(of));

  before(async () => {
    const ip = (...words: string[]): void => void execFileSync('ip', words);
    ip('netns', 'add', HERE);
    ip('netns', 'add', THERE);
    for (const [n, device] of here.devices.entries()) {
      const peer = there.devices[n] ?? '';
      ip('link', 'add', device, 'netns', HERE, 'type', 'veth', 'peer', 'name', peer, 'netns', THERE);
      // The third link has no IPv4.
      if (n === 2) continue;
      ip('-n', HERE, 'addr', 'add', `10.77.${n}.1/24`, 'dev', device);
      ip('-n', THERE, 'addr', 'add', `10.77.${n}.2/24`, 'dev', peer);
    }
    // Nobody else is there: an address need not be asked for before it is used.
    ip('-n', HERE, 'addr', 'add', 'fd77::1/64', 'dev', 'lan2', 'nodad');
    ip('-n', THERE, 'addr', 'add', 'fd77::2/64', 'dev', 'lan3', 'nodad');
    ip('-n', HERE, 'addr', 'add', 'fd77:0:0:1::1/64', 'dev', 'lan4', 'nodad');
    ip('-n', THERE, 'addr', 'add', 'fd77:0:0:1::2/64', 'dev', 'lan5', 'nodad');
    for (const side of [here, there]) {
      for (const device of side.devices) {
        side.ask('sh', '-c', `echo 0 >/proc/sys/net/ipv6/conf/${device}/accept_dad`);
        ip('-n', side.namespace, 'link', 'set', device, 'up');
      }
      ip('-n', side.namespace, 'link', 'set', 'lo', 'up');
    }
    await Promise.all([here.start(), there.start()]);
    const fixture = fileURLToPath(import.meta.resolve('./discovery.fixture.js'));
    for (const backend of BACKENDS) {
      const args = [fixture, backend, '10.77.0.0/16,fd77::/48', TYPE, `gateway-${backend}`];
      // For `auto` there is no daemon: nobody answers on its bus.
      const env =
        backend === 'auto' ? { ...here.environment, DBUS_SYSTEM_BUS_ADDRESS: 'unix:path=/none' } : here.environment;
      const ours = here.run([process.execPath, ...process.execArgv, ...args], env);
      createInterface({ input: ours.stdout! }).on('line', (line) => lines[backend].push(JSON.parse(line) as Line));
    }
    await ofAll((backend) => until(backend, 'its own service', ({ instance }) => instance === `gateway-${backend}`));
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

  it('says once which backend works', async () => {
    await logged('daemon', 'devices are found through the mDNS daemon');
    await logged('auto', 'devices are found without an mDNS daemon');
    assert.equal(lines.auto.filter(({ line }) => line?.includes('devices are found')).length, 1);
  });

  it('finds what Avahi publishes, and hears of its end', async () => {
    const publisher = there.publish('Lamp 9', 'devid=MAC:020000000009', 'groups=hall');
    await ofAll(async (backend) => {
      // Avahi may tell its link-local address first.
      const found = await until(backend, 'Lamp 9', ({ instance, addresses }) => {
        return instance === 'Lamp 9' && addresses?.includes('10.77.0.2') === true;
      });
      assert.equal(found.port, 2948);
      assert.deepEqual(found.txt, { devid: 'MAC:020000000009', groups: 'hall' });
    });
    // It is on the other link as well, by IPv4 and IPv6.
    await ofAll((backend) =>
      until(backend, 'Lamp 9 on lan2', ({ instance, link, addresses = [] }) => {
        return (
          instance === 'Lamp 9' && link === 'lan2' && ['10.77.1.2', 'fd77::2'].every((one) => addresses.includes(one))
        );
      }),
    );
    // On the third link it can be heard by IPv6 alone.
    await ofAll((backend) =>
      until(backend, 'Lamp 9 on lan4', ({ instance, link, addresses = [] }) => {
        return instance === 'Lamp 9' && link === 'lan4' && addresses.includes('fd77:0:0:1::2');
      }),
    );
    publisher.kill();
    await ofAll((backend) =>
      until(backend, 'its goodbye', ({ kind, instance }) => kind === 'gone' && instance === 'Lamp 9'),
    );
  });

  it('is found by Avahi, with port, address and TXT record', () => {
    const seen = there.ask('avahi-browse', '-rtp', TYPE).split('\n');
    for (const backend of BACKENDS) {
      const mine = seen.filter((one) => one.startsWith('=') && one.includes(`gateway-${backend}`)).join('\n');
      for (const [device, address] of [
        ['lan1', '10\\.77\\.0\\.1'],
        ['lan3', '10\\.77\\.1\\.1'],
      ] as const) {
        assert.match(mine, new RegExp(`^=;${device};.*;[\\w-]+\\.local;${address};8180;"path=/scomo/"$`, 'm'));
      }
      assert.match(mine, /^=;lan5;IPv6;/m);
    }
    assert.match(there.ask('avahi-resolve', '-6', '-n', 'gateway-builtin.local'), /\tfd77:(?:0:0:1)?:?:1$/m);
  });

  it('finds a device again after the death of the daemons on both sides', async () => {
    there.publish('Lamp 10', 'devid=MAC:020000000010');
    await ofAll((backend) => until(backend, 'Lamp 10', ({ instance }) => instance === 'Lamp 10'));
    await Promise.all([here.killDaemon(), there.killDaemon()]);
    await logged('daemon', 'the mDNS daemon does not work');
    for (const backend of BACKENDS) lines[backend].length = 0;
    await Promise.all([here.startDaemon(), there.startDaemon()]);
    there.publish('Lamp 10', 'devid=MAC:020000000010', 'sid=2');
    there.publish('Lamp 11', 'devid=MAC:020000000011');
    await ofAll((backend) =>
      until(backend, 'Lamp 10 again', ({ instance, txt }) => instance === 'Lamp 10' && txt?.sid === '2'),
    );
    await ofAll((backend) => until(backend, 'Lamp 11', ({ instance }) => instance === 'Lamp 11'));
    await logged('daemon', 'devices are found through the mDNS daemon');
    // The daemon asks whether the name is free before it announces it (RFC 6762 section 8.1).
    await eventually(
      'the announcement by the new daemon',
      () => there.ask('avahi-browse', '-tp', TYPE).includes(';gateway-daemon;'),
      PATIENT,
    );
  });

  it('notices a daemon that stands still, and joins it when it goes on', async () => {
    lines.daemon.length = 0;
    here.daemon.kill('SIGSTOP');
    await logged('daemon', 'the mDNS daemon does not work');
    there.publish('Lamp 12', 'devid=MAC:020000000012');
    here.daemon.kill('SIGCONT');
    await logged('daemon', 'devices are found through the mDNS daemon');
    await until('daemon', 'Lamp 12', ({ instance }) => instance === 'Lamp 12');
  });
});

function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces';
  for (const places of TOOLS) {
    if (!places.some(exists)) return `needs ${places[0] ?? ''}`;
  }
  try {
    // In a process of its own: on Node.js 24 it ends the one that loads it.
    execFileSync(
      process.execPath,
      ['--eval', `require(${JSON.stringify(fileURLToPath(import.meta.resolve('mdns')))})`],
      {
        stdio: 'ignore',
      },
    );
  } catch {
    return `needs the package mdns, as it works on this Node.js (not on ${process.version})`;
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
