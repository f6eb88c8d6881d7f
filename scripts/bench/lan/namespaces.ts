/**
 * A WAN, a gateway and a LAN as network namespaces of Linux, joined by veth pairs:
 *
 *     WAN (servers) ===wan=== gateway ===lan=== switch --- End Device 1 .. n
 *
 * The gateway also routes, so that End Devices reach the servers in the WAN, as in a home. The two lines `===` have a
 * rate in each direction (tc-tbf(8)).
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { LabNetwork } from '../../flow/network.js';

export interface LineRates {
  /** In Mbit/s, each direction. */
  readonly wan: number;
  readonly lan: number;
}

/** Packets that wait longer for their line are dropped: about what a home router keeps. */
const QUEUE_MS = 100;
/** What a quiet line sends at once; at least one packet of 64 KiB, as the kernel makes them for itself. */
const BURST_BYTES = 128 * 1024;

const PREFIX = 'dmgw';
const MASK = 17;

/** Names of the namespaces of one run, and the addresses in them. */
export class Namespaces implements LabNetwork {
  readonly lanPrefix = '10.98.0.0/17';
  readonly wanPrefix = '10.98.128.0/17';
  readonly gateway = '10.98.0.1';
  readonly gatewayInWan = '10.98.128.1';
  readonly downloadServer = '10.98.128.2';

  /** @param run process id of the one who makes and removes them */
  constructor(
    readonly run: number,
    readonly devices: number,
  ) {}

  get wan(): string {
    return `${PREFIX}${this.run}-wan`;
  }

  dmServer(index: number): string {
    return `10.98.128.${3 + index}`;
  }

  device(index: number): string {
    return `10.98.1.${1 + index}`;
  }

  /** Nobody else is in there. */
  freePort(_address: string, preferred: number): Promise<number> {
    return Promise.resolve(preferred);
  }

  enter(party: 'gateway' | { readonly device: number }): readonly string[] {
    return ['ip', 'netns', 'exec', party === 'gateway' ? this.#gateway : this.#deviceAt(party.device)];
  }

  /** Whoever made them removes them. */
  release(): void {}

  /** @throws where this kernel or this user may not */
  make(): void {
    for (const name of this.#all) {
      ip('netns', 'add', name);
      ip('-n', name, 'link', 'set', 'lo', 'up');
    }
    this.#join([this.wan, 'wan'], [this.#gateway, 'wan']);
    this.#address(this.wan, 'wan', this.downloadServer, this.gatewayInWan);
    ip('-n', this.wan, 'addr', 'add', `${this.dmServer(0)}/${MASK}`, 'dev', 'wan');
    this.#address(this.#gateway, 'wan', this.gatewayInWan);
    ip('netns', 'exec', this.#gateway, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward');

    ip('-n', this.#switch, 'link', 'add', 'name', 'switch', 'type', 'bridge');
    ip('-n', this.#switch, 'link', 'set', 'dev', 'switch', 'up');
    const plug = (namespace: string, device: string, port: string): void => {
      this.#join([namespace, device], [this.#switch, port]);
      ip('-n', this.#switch, 'link', 'set', 'dev', port, 'master', 'switch');
    };
    plug(this.#gateway, 'lan', 'gateway');
    this.#address(this.#gateway, 'lan', this.gateway);
    for (let index = 0; index < this.devices; index += 1) {
      plug(this.#deviceAt(index), 'lan', `device${index + 1}`);
      this.#address(this.#deviceAt(index), 'lan', this.device(index), this.gateway);
    }
  }

  /** @returns why the lines have no rate, where this kernel has no tbf */
  shape(rates: LineRates): string | undefined {
    const lines = [
      [this.wan, 'wan', rates.wan],
      [this.#gateway, 'wan', rates.wan],
      [this.#gateway, 'lan', rates.lan],
      [this.#switch, 'gateway', rates.lan],
    ] as const;
    try {
      for (const [namespace, device, mbit] of lines) {
        const tbf = ['rate', `${mbit}mbit`, 'burst', `${BURST_BYTES}`, 'latency', `${QUEUE_MS}ms`];
        command('tc', '-n', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', ...tbf);
      }
      return undefined;
    } catch (thrown) {
      return firstLine(thrown);
    }
  }

  /** Ends what still runs in them, and removes them. */
  remove(): void {
    const there = namespaces();
    for (const name of this.#all.filter((one) => there.includes(one))) {
      for (const pid of command('ip', 'netns', 'pids', name).split('\n')) {
        if (pid !== '') kill(Number(pid));
      }
      ip('netns', 'del', name);
    }
  }

  get #all(): string[] {
    const devices = Array.from({ length: this.devices }, (_, index) => this.#deviceAt(index));
    return [this.wan, this.#gateway, this.#switch, ...devices];
  }

  get #gateway(): string {
    return `${PREFIX}${this.run}-gw`;
  }

  get #switch(): string {
    return `${PREFIX}${this.run}-switch`;
  }

  #deviceAt(index: number): string {
    return `${PREFIX}${this.run}-d${index + 1}`;
  }

  #join([one, device]: readonly [string, string], [other, peer]: readonly [string, string]): void {
    ip('link', 'add', 'name', device, 'netns', one, 'type', 'veth', 'peer', 'name', peer, 'netns', other);
    ip('-n', one, 'link', 'set', 'dev', device, 'up');
    ip('-n', other, 'link', 'set', 'dev', peer, 'up');
  }

  #address(namespace: string, device: string, address: string, via?: string): void {
    ip('-n', namespace, 'addr', 'add', `${address}/${MASK}`, 'dev', device);
    if (via !== undefined) ip('-n', namespace, 'route', 'add', 'default', 'via', via);
  }
}

/** Removes what runs that were killed have left. */
export function removeAbandoned(): void {
  const runs = new Map<number, number>();
  for (const name of namespaces()) {
    const [, run, device = '0'] = new RegExp(`^${PREFIX}(\\d+)-(?:wan|gw|switch|d(\\d+))$`).exec(name) ?? [];
    if (run === undefined || existsSync(`/proc/${run}`)) continue;
    runs.set(Number(run), Math.max(runs.get(Number(run)) ?? 0, Number(device)));
  }
  for (const [run, devices] of runs) new Namespaces(run, devices).remove();
}

function namespaces(): string[] {
  return command('ip', 'netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0] ?? '');
}

function ip(...words: readonly string[]): void {
  command('ip', ...words);
}

function command(program: string, ...words: readonly string[]): string {
  return execFileSync(program, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has gone by itself.
  }
}

/** What a command said when it failed. */
export function firstLine(thrown: unknown): string {
  const said =
    typeof thrown === 'object' && thrown !== null && 'stderr' in thrown ? String(thrown.stderr) : String(thrown);
  return said.trim().split('\n')[0] ?? '';
}
