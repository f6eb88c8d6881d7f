import { join, resolve } from 'node:path';
import { nodeFlagsFrom, numberFrom, type Environment } from '../bench/environment.js';
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
  /** Memory of the cgroup that the gateway runs in, in MiB; undefined for none. */
  readonly cgroupMib: number | undefined;
  /** Flags of Node.js for the gateway. */
  readonly nodeFlags: readonly string[];
  /** File for the report. */
  readonly report: string;
}

/** Reads IMAGE, DEVICES, WAN_RATE, CUTS, MDNS, LOSS, CGROUP_MB, NODE_FLAGS and REPORT. @throws with one line that names the wrong one */
export function readOptions(environment: Environment): DemoOptions {
  const number = (name: string, least: number, most: number): number | undefined =>
    numberFrom(environment, name, least, most);
  const mdns = number('MDNS', 0, 1) === 1;
  const loss = number('LOSS', 0, 90) ?? 0;
  if (loss > 0 && !mdns) throw new Error(`LOSS=${loss}: only with MDNS=1`);
  return {
    image: environment.IMAGE === '' ? undefined : environment.IMAGE,
    devices: number('DEVICES', 1, 2000) ?? 5,
    wanRate: number('WAN_RATE', 1, 2 ** 40) ?? 0,
    cuts: number('CUTS', 0, 1000) ?? 0,
    mdns,
    loss,
    cgroupMib: number('CGROUP_MB', 16, 65_536),
    report: resolve(environment.REPORT || join(PROJECT_ROOT, 'build/demo-report.json')),
    nodeFlags: nodeFlagsFrom(environment),
  };
}
