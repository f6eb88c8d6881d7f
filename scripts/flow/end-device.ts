import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.js';
import type { SharedAccount } from './credentials.js';
import { readJsonLines } from './json-lines.js';
import { PROGRAMS } from './project.js';
import { eventually, type WaitOptions } from './wait.js';

/** A line of an End Device's own log. Which fields there are follows from `kind`. */
export interface DeviceLogEntry {
  readonly time: string;
  readonly kind: 'notification' | 'dropped' | 'session' | 'download' | 'reported';
  /** Of a notification: Package#0 without its wrapping, base64. */
  readonly bytes?: string | number;
  readonly digestOk?: boolean;
  readonly sessionId?: string | null;
  readonly url?: string;
  readonly sha256?: string | null;
  /** Of a download: `ok`, or why it failed. */
  readonly result?: string;
}

/** What a device does beside the usual: see the lab's End Device. */
export interface EndDeviceTraits {
  readonly announce?: boolean;
  readonly sleepMs?: number;
  readonly dropPercent?: number;
}

/** An End Device in a process of its own, at its own address. */
export class EndDevice {
  private constructor(
    readonly deviceId: string,
    readonly child: Child,
    private readonly logFile: string,
  ) {}

  /** @param folder for its files, made here */
  static async start(
    shared: SharedAccount,
    server: { readonly serverId: string; readonly url: string },
    bind: { readonly address: string; readonly udpPort: number },
    folder: string,
    encoding: 'xml' | 'wbxml' = 'xml',
    options: EndDeviceTraits = {},
  ): Promise<EndDevice> {
    const logFile = join(folder, 'device.events.log');
    const config = {
      deviceId: shared.deviceId,
      bindAddress: bind.address,
      udpPort: bind.udpPort,
      stateDir: join(folder, 'state'),
      imageDir: join(folder, 'images'),
      logFile,
      server: { serverId: server.serverId, url: server.url, encoding, client: shared.client, server: shared.server },
      options,
    };
    mkdirSync(config.stateDir, { recursive: true });
    mkdirSync(config.imageDir, { recursive: true });
    writeFileSync(join(folder, 'device.json'), JSON.stringify(config), { mode: 0o600 });
    const child = new Child({
      name: `End Device ${shared.deviceId}`,
      command: [process.execPath, PROGRAMS.endDevice, '--config', join(folder, 'device.json')],
      logFile: join(folder, 'device.log'),
    });
    await child.ready();
    return new EndDevice(shared.deviceId, child, logFile);
  }

  log(): DeviceLogEntry[] {
    return readJsonLines<DeviceLogEntry>(this.logFile);
  }

  /** The first line of its log of this kind. */
  waitFor(kind: DeviceLogEntry['kind'], options?: WaitOptions): Promise<DeviceLogEntry> {
    const what = `'${kind}' in the log of ${this.deviceId}`;
    return eventually(what, () => this.log().find((entry) => entry.kind === kind), options);
  }
}
