/**
 * The three parties of the nine steps, each a process of its own on loopback: DM Servers and a download server in the
 * WAN, the gateway, End Devices in the LAN. Leaves to the tests and to the demo what they do with one another.
 */
import { createSocket } from 'node:dgram';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PUSH_PORT } from '../../firmware/dm/index.js';
import { AddressBlock } from './addresses.js';
import type { Child } from './child.js';
import { shareSecrets, type Schemes } from './credentials.js';
import { DmServer, type Answer, type Command } from './dm-server.js';
import { DownloadServer, type Offer } from './download-server.js';
import { EndDevice, type EndDevicePlan, type EndDeviceTraits } from './end-device.js';
import { GatewayProcess, type GatewaySettings } from './gateway.js';
import type { LabNetwork } from './network.js';
import { requirePrograms } from './project.js';

export interface LabOptions {
  /** For everything that the lab writes; emptied first. */
  readonly folder: string;
  readonly devices: number;
  /** Devices that the gateway and the server know, but that are not there. Default none. */
  readonly absentDevices?: number;
  /** Devices that share a process. Default 1. */
  readonly devicesPerProcess?: number;
  /** The gateway is told of no device: it finds those that announce themselves by mDNS. What each does beside that. */
  readonly discovery?: (index: number) => LabTraits;
  /** The first one also manages the End Devices. Default one with default options. */
  readonly dmServers?: readonly DmServerOptions[];
  readonly offers: readonly Offer[];
  /** Default: on loopback, all in one. */
  readonly network?: LabNetwork;
  /** Of the WAN; 0, the default: unlimited. */
  readonly rateBytesPerSecond?: number | undefined;
  readonly gateway?: {
    readonly settings?: GatewaySettings;
    readonly nodeFlags?: readonly string[];
    readonly cgroup?: string;
  };
}

/** What a device that is found by mDNS does beside the usual. */
export interface LabTraits extends Omit<EndDeviceTraits, 'announce' | 'moveTo'> {
  /** It goes to another address when its first notification comes. */
  readonly moves?: boolean;
}

export interface DmServerOptions {
  /** How the gateway, or an End Device, and this server prove themselves to each other. Default md5. */
  readonly schemes?: Schemes;
  /** What its devices begin to speak. Default xml. */
  readonly encoding?: 'xml' | 'wbxml';
  /** More of its own configuration. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** More of the gateway's account for it. */
  readonly account?: GatewaySettings;
}

/** A device as all parties know it, whether it is there or not. */
interface Placed {
  readonly deviceId: string;
  readonly address: string;
  readonly udpPort: number;
}

const GATEWAY_ID = 'MAC:0200000000FF';
const SERVE_PORT = 8180;

/** Processes that start at the same time. */
const STARTS_AT_ONCE = 8;

/** A running lab. Whoever started it closes it. */
export class Lab {
  private constructor(
    readonly gateway: GatewayProcess,
    readonly dmServers: readonly [DmServer, ...DmServer[]],
    readonly downloads: DownloadServer,
    readonly devices: readonly EndDevice[],
    /** DeviceIDs of those that are not there. */
    readonly absent: readonly string[],
    private readonly notify: { readonly host: string; readonly port: number; readonly wsp: boolean },
    private readonly closeAll: () => Promise<void>,
  ) {
    for (const server of dmServers) server.whileWaiting = () => this.requireAlive();
  }

  /** Starts all parties; the gateway last. @throws when one does not start; the others are ended then */
  static async start(options: LabOptions): Promise<Lab> {
    requirePrograms();
    const { folder } = options;
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const closings: (() => unknown)[] = [];
    const closeAll = async (): Promise<void> => {
      for (let close = closings.pop(); close; close = closings.pop()) await close();
    };
    try {
      return await Lab.#startAll(options, closings, closeAll);
    } catch (thrown) {
      await closeAll();
      throw thrown;
    }
  }

  static async #startAll(
    options: LabOptions,
    closings: (() => unknown)[],
    closeAll: () => Promise<void>,
  ): Promise<Lab> {
    const { folder, offers, rateBytesPerSecond = 0 } = options;
    const block = options.network ?? (await AddressBlock.claim());
    closings.push(() => block.release());
    const placed = placeDevices(block, options.devices + (options.absentDevices ?? 0));

    const downloads = await DownloadServer.start(block.downloadServer, offers, rateBytesPerSecond, folder);
    closings.push(() => downloads.child.stop());

    const { dmServers: ordered = [{}] } = options;
    const serverIds = ordered.map((_, index) => `dm${index + 1}.lab`);
    const gatewayShares = ordered.map(({ schemes }, index) =>
      shareSecrets(GATEWAY_ID, serverIds[index] ?? '', schemes),
    );
    const deviceShares = placed.map(({ deviceId }) => shareSecrets(deviceId, serverIds[0] ?? '', ordered[0]?.schemes));
    const dmServers: DmServer[] = [];
    for (const [index, serverId] of serverIds.entries()) {
      const accounts = [...gatewayShares.slice(index, index + 1), ...(index === 0 ? deviceShares : [])];
      const { settings } = ordered[index] ?? {};
      const server = await DmServer.start(serverId, block.dmServer(index), accounts, folder, settings);
      closings.push(() => server.child.stop());
      dmServers.push(server);
    }
    const [first, ...others] = dmServers;
    if (!first) throw new Error('a lab has at least one DM Server');

    const { devicesPerProcess = 1 } = options;
    const plans = placed.slice(0, options.devices).map(({ address, udpPort }, index): EndDevicePlan => {
      const shared = deviceShares[index];
      if (!shared) throw new Error('every device has its secrets');
      const { moves = false, ...traits } = options.discovery?.(index) ?? {};
      return {
        shared,
        address,
        udpPort,
        enter: block.enter({ device: index }),
        folder: join(folder, `device-${String(index + 1).padStart(2, '0')}`),
        traits: {
          ...traits,
          ...(options.discovery && { announce: true }),
          // Behind the addresses of all devices.
          ...(moves && { moveTo: block.device(placed.length + index) }),
        },
      };
    });
    const groups = await inGroups(STARTS_AT_ONCE, chunks(plans, devicesPerProcess), async (group) => {
      const started = await EndDevice.startAll(group, first, ordered[0]?.encoding);
      closings.push(() => started[0]?.child.stop());
      return started;
    });
    const devices = groups.flat();

    const notificationPort = await block.freePort(block.gatewayInWan, PUSH_PORT);
    const gatewayFolder = join(folder, 'gateway');
    mkdirSync(gatewayFolder);
    const gateway = new GatewayProcess({
      deviceId: GATEWAY_ID,
      accounts: gatewayShares.map((shared, index) => ({
        serverId: serverIds[index] ?? '',
        url: dmServers[index]?.url ?? '',
        shared,
        settings: { encoding: ordered[index]?.encoding ?? 'xml', ...ordered[index]?.account },
      })),
      lanAddress: block.gateway,
      lanPrefix: block.lanPrefix,
      wanAddress: block.gatewayInWan,
      wanPrefix: block.wanPrefix,
      servePort: await block.freePort(block.gateway, SERVE_PORT),
      notificationPort,
      devices: options.discovery
        ? []
        : placed.map(({ deviceId, address, udpPort }) => ({ deviceId, address: `udp://${address}:${udpPort}` })),
      folder: gatewayFolder,
      enter: block.enter('gateway'),
      ...options.gateway,
      settings: {
        ...options.gateway?.settings,
        discovery: {
          backend: options.discovery ? 'builtin' : 'off',
          ...(options.gateway?.settings?.discovery as object | undefined),
        },
      },
    });
    closings.push(() => gateway.close());
    await gateway.start();

    const notify = { host: block.gatewayInWan, port: notificationPort, wsp: true };
    const absent = placed.slice(options.devices).map(({ deviceId }) => deviceId);
    return new Lab(gateway, [first, ...others], downloads, devices, absent, notify, closeAll);
  }

  /** The first DM Server. */
  get dm(): DmServer {
    return this.dmServers[0];
  }

  /** DevId of the gateway. */
  get gatewayId(): string {
    return GATEWAY_ID;
  }

  /** Every process of the lab. */
  get children(): Child[] {
    const servers = this.dmServers.map(({ child }) => child);
    return [this.gateway.child, this.downloads.child, ...servers, ...this.deviceProcesses];
  }

  /** Those that play the End Devices. */
  get deviceProcesses(): Child[] {
    return [...new Set(this.devices.map(({ child }) => child))];
  }

  /** Wakes the devices that sleep. */
  wakeDevices(): void {
    for (const child of this.deviceProcesses) child.signal('SIGUSR2');
  }

  /** @throws when a process has ended that nobody asked to */
  requireAlive(): void {
    const dead = this.children.find((child) => child.hasDied);
    if (dead) throw new Error(dead.describe('died'));
  }

  /**
   * Has a DM Server ask the gateway for a session, by Package#0.
   * @param defaultNonce by one that asks for new nonces
   */
  async wake(server: DmServer = this.dm, defaultNonce = false): Promise<void> {
    await server.notification(GATEWAY_ID, this.notify, defaultNonce);
  }

  /** Sends the gateway a Package#0 whose digest is wrong by one bit. */
  async wakeForged(): Promise<void> {
    const { package0 } = await this.dm.notification(GATEWAY_ID);
    const forged = Buffer.from(package0, 'base64');
    forged[0] = (forged[0] ?? 0) ^ 1;
    const socket = createSocket('udp4');
    await new Promise((resolve) => socket.send(forged, this.notify.port, this.notify.host, resolve));
    socket.close();
  }

  /** A session in which the gateway gets these commands. @returns their answers, in order */
  async manage(commands: readonly Command[], server: DmServer = this.dm): Promise<Answer[]> {
    const ids = await server.queue(GATEWAY_ID, commands);
    await this.wake(server);
    return server.answers(GATEWAY_ID, ids, commands);
  }

  /** Reads one node of the gateway; undefined when its Status is not 200. */
  async read(target: string, server: DmServer = this.dm): Promise<string | undefined> {
    const [answer] = await this.manage([{ cmd: 'Get', target }], server);
    return answer?.status === 200 ? answer.value : undefined;
  }

  /** Ends every process. */
  close(): Promise<void> {
    return this.closeAll();
  }
}

function placeDevices(block: LabNetwork, count: number): Placed[] {
  return Array.from({ length: count }, (_, index) => ({
    deviceId: `MAC:02000000${(index + 1).toString(16).toUpperCase().padStart(4, '0')}`,
    address: block.device(index),
    udpPort: PUSH_PORT,
  }));
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, at) => items.slice(at * size, (at + 1) * size));
}

/** Does so many at a time; the results in the order of the items. */
async function inGroups<T, R>(size: number, items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (const group of chunks(items, size)) results.push(...(await Promise.all(group.map(work))));
  return results;
}
