import { join, resolve } from 'node:path';
import type { Profile } from '../board/profile.js';
import { nodeFlagsFrom, numberFrom, profileFrom, type Environment } from '../bench/environment.js';
import type { GatewaySettings } from '../flow/gateway.js';
import type { LabTraits } from '../flow/lab.js';
import { PROJECT_ROOT } from '../flow/project.js';

/** What the environment asks of the demo. */
export interface DemoOptions {
  /** File to distribute; undefined for the demo's own choice. */
  readonly image: string | undefined;
  readonly devices: number;
  /** Bytes per second from the download server; 0: unlimited. */
  readonly wanRate: number;
  /** How often the download server cuts the connection, spread over the image. */
  readonly cuts: number;
  /** The gateway is told of no device: they announce themselves by mDNS, and it finds them. */
  readonly mdns: boolean;
  /** Percentage of datagrams that do not reach a device found by mDNS. */
  readonly loss: number;
  /** Devices that are off when the fanout begins, and appear when the others have been notified. */
  readonly sleepers: number;
  /** Devices that have gone to another address when their first notification comes. */
  readonly moves: number;
  /** Each notification reaches its device twice, and each announcement is made twice. */
  readonly duplicates: boolean;
  /** Memory of the cgroup that the gateway runs in, in MiB; undefined for none. */
  readonly cgroupMib: number | undefined;
  /** Flags of Node.js for the gateway: NODE_FLAGS, or those of the board. */
  readonly nodeFlags: readonly string[];
  /** The board whose profile the gateway runs with; undefined for none. */
  readonly board: string | undefined;
  /** What of that profile can hold on this machine. */
  readonly settings: GatewaySettings;
  /** File for the report. */
  readonly report: string;
}

/** Keys of a board's profile that do not name its disks, interfaces and servers: they hold in the lab too. */
const OF_ANY_MACHINE = {
  retrieve: ['concurrent', 'fsyncVolumeMiB'],
  store: ['quotaMiB', 'freeFloorMiB', 'scrubKiBPerSecond', 'databaseCacheKiB'],
  retain: ['failedImages', 'finishedFanouts'],
  serve: ['maxConnections', 'maxConnectionsPerAddress'],
  discovery: ['maxDevices'],
} as const;

/** Without a board: what a router with some memory has. */
const WITHOUT_BOARD: GatewaySettings = { retrieve: { fsyncVolumeMiB: 8 } };

/** What a device does, by its place. */
export function traitsOf(options: DemoOptions, index: number): LabTraits {
  const { devices, duplicates, loss, moves, sleepers } = options;
  return { dropPercent: loss, moves: index < moves, asleep: index >= devices - sleepers, duplicates };
}

/**
 * Reads BOARD, IMAGE, DEVICES, WAN_RATE, CUTS, MDNS, LOSS, SLEEPERS, MOVES, DUPLICATES, CGROUP_MB, NODE_FLAGS and REPORT.
 * @throws with one line that names the wrong one
 */
export function readOptions(environment: Environment): DemoOptions {
  const number = (name: string, least: number, most: number): number | undefined =>
    numberFrom(environment, name, least, most);
  const mdns = number('MDNS', 0, 1) === 1;
  const onlyFound = (name: string, most: number): number => {
    const value = number(name, 0, most) ?? 0;
    if (value > 0 && !mdns) throw new Error(`${name}=${value}: only with MDNS=1`);
    return value;
  };
  const devices = number('DEVICES', 1, 2000) ?? 5;
  const sleepers = Math.ceil((onlyFound('SLEEPERS', 100) * devices) / 100);
  const board = environment.BOARD || undefined;
  return {
    image: environment.IMAGE === '' ? undefined : environment.IMAGE,
    devices,
    wanRate: number('WAN_RATE', 1, 2 ** 40) ?? 0,
    cuts: number('CUTS', 0, 1000) ?? 0,
    mdns,
    loss: onlyFound('LOSS', 50),
    sleepers,
    moves: onlyFound('MOVES', devices),
    duplicates: onlyFound('DUPLICATES', 1) === 1,
    cgroupMib: number('CGROUP_MB', 16, 65_536),
    report: resolve(environment.REPORT || join(PROJECT_ROOT, 'build/demo-report.json')),
    nodeFlags: nodeFlagsFrom(environment),
    board,
    settings: board === undefined ? WITHOUT_BOARD : settingsOf(profileFrom(environment).configuration),
  };
}

function settingsOf(configuration: Profile['configuration']): GatewaySettings {
  const sections = Object.entries(OF_ANY_MACHINE).map(([name, keys]) => {
    const section = Object.entries(configuration[name] ?? {});
    return [name, Object.fromEntries(section.filter(([key]) => (keys as readonly string[]).includes(key)))];
  });
  return Object.fromEntries(sections) as GatewaySettings;
}
