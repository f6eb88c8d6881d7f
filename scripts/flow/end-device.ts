import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.js';
import type { SharedAccount } from './credentials.js';
import { readJsonLines } from './json-lines.js';
import { PROGRAMS } from './project.js';
import { eventually, type Patience } from './wait.js';

/** A line of an End Device's own log. Which fields there are follows from `kind`. */
export interface DeviceLogEntry {
  readonly time: string;
  readonly kind: 'notification' | 'dropped' | 'session' | 'download' | 'reported' | 'awake' | 'moved';
  /** Of a notification: Package#0 without its wrapping, base64. */
  readonly bytes?: string | number;
  readonly digestOk?: boolean;
  /** Of a notification: false for one that came before. */
  readonly opensSession?: boolean;
  /** Of what was dropped. */
  readonly reason?: 'asleep' | 'loss' | 'moved';
  readonly sessionId?: string | null;
  readonly url?: string;
  readonly sha256?: string | null;
  /** Of a download: `ok`, or why it failed. */
  readonly result?: string;
}

/** What a device does beside the usual: see the lab's End Device. */
export interface EndDeviceTraits {
  readonly announce?: boolean;
  readonly dropPercent?: number;
  /** Until `wake`. */
  readonly asleep?: boolean;
  /** Its address after its first notification, which is lost. */
  readonly moveTo?: string;
  readonly duplicates?: boolean;
}

/** One device, before it is started. */
export interface EndDevicePlan {
  readonly shared: SharedAccount;
  readonly address: string;
  readonly udpPort: number;
  /** Words in front of its command: where it runs. Those of one process run in one place. */
  readonly enter: readonly string[];
  /** For its files, made here. */
  readonly folder: string;
  readonly traits: EndDeviceTraits;
}

/** An End Device at its own address, in a process of its own or together with others. */
export class EndDevice {
  private constructor(
    readonly deviceId: string,
    readonly traits: EndDeviceTraits,
    readonly child: Child,
    private readonly logFile: string,
  ) {}

  /** Starts devices in one process. */
  static async startAll(
    plans: readonly EndDevicePlan[],
    server: { readonly serverId: string; readonly url: string },
    encoding: 'xml' | 'wbxml' = 'xml',
  ): Promise<EndDevice[]> {
    const [first] = plans;
    if (!first) return [];
    const files = plans.map(({ shared, address, udpPort, folder, traits }) => {
      const config = {
        deviceId: shared.deviceId,
        bindAddress: address,
        udpPort,
        stateDir: join(folder, 'state'),
        imageDir: join(folder, 'images'),
        logFile: eventsIn(folder),
        server: { serverId: server.serverId, url: server.url, encoding, client: shared.client, server: shared.server },
        options: traits,
      };
      mkdirSync(config.stateDir, { recursive: true });
      mkdirSync(config.imageDir, { recursive: true });
      const file = join(folder, 'device.json');
      writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
      return file;
    });
    const others = plans.length > 1 ? ` and ${plans.length - 1} more` : '';
    const child = new Child({
      name: `End Device ${first.shared.deviceId}${others}`,
      command: [...first.enter, process.execPath, PROGRAMS.endDevice, ...files.flatMap((file) => ['--config', file])],
      logFile: join(first.folder, 'device.log'),
    });
    await child.ready();
    return plans.map(({ shared, folder, traits }) => new EndDevice(shared.deviceId, traits, child, eventsIn(folder)));
  }

  log(): DeviceLogEntry[] {
    return readJsonLines<DeviceLogEntry>(this.logFile);
  }

  /** The first line of its log of this kind. */
  waitFor(kind: DeviceLogEntry['kind'], options?: Patience): Promise<DeviceLogEntry> {
    const what = `'${kind}' in the log of ${this.deviceId}`;
    return eventually(what, () => this.log().find((entry) => entry.kind === kind), options);
  }
}

function eventsIn(folder: string): string {
  return join(folder, 'device.events.log');
}
