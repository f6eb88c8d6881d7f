import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { askStatus, type ImageReport, type StatusReport } from '../../firmware/ops/index.js';
import { Child, type ChildEnd } from './child.js';
import type { SharedAccount } from './credentials.js';
import { GATEWAY_NODE, PROGRAMS } from './project.js';
import { eventually } from './wait.js';

/** A DM Server as the gateway's configuration names it. */
export interface GatewayAccount {
  readonly serverId: string;
  readonly url: string;
  readonly shared: SharedAccount;
  /** More of the account's settings. */
  readonly settings: GatewaySettings;
}

/** Sections of the configuration; what is given replaces the harness's own choice key by key. */
export type GatewaySettings = Readonly<
  Record<string, string | number | boolean | readonly unknown[] | Readonly<Record<string, unknown>>>
>;

export interface GatewayOptions {
  readonly deviceId: string;
  readonly accounts: readonly GatewayAccount[];
  readonly lanAddress: string;
  readonly lanPrefix: string;
  readonly wanAddress: string;
  readonly wanPrefix: string;
  readonly servePort: number;
  readonly notificationPort: number;
  readonly devices: readonly { readonly deviceId: string; readonly address: string }[];
  /** For its files, made by the caller. */
  readonly folder: string;
  readonly settings?: GatewaySettings | undefined;
  /** V8 flags and the like, in front of the program. */
  readonly nodeFlags?: readonly string[] | undefined;
  /** Words in front of its command: where it runs. */
  readonly enter?: readonly string[];
  /** Folder of a cgroup in which it runs. */
  readonly cgroup?: string | undefined;
}

/** From its start to an answer at its control socket, in ms. */
const START_WITHIN_MS = 15_000;

/** The gateway, the real bundle, in a process of its own; it can be killed and started again. */
export class GatewayProcess {
  readonly stateDir: string;
  readonly storeDir: string;
  readonly logFile: string;
  readonly #configFile: string;
  /** Short, because the path of a Unix socket is: see controlSocket in the configuration. */
  readonly #socketFolder: string;
  #child: Child | undefined;

  constructor(private readonly options: GatewayOptions) {
    const { folder, settings = {} } = options;
    const folderOf = (key: string): string => (typeof settings[key] === 'string' ? settings[key] : join(folder, key));
    this.stateDir = folderOf('stateDir');
    this.storeDir = folderOf('storeDir');
    this.logFile = join(folder, 'gateway.log');
    this.#configFile = join(folder, 'gateway.json');
    this.#socketFolder = mkdtempSync(join(tmpdir(), 'dmgw-'));
    mkdirSync(this.stateDir, { recursive: true });
    mkdirSync(this.storeDir, { recursive: true });
    this.configure(settings);
  }

  /** Writes the configuration; it counts from the next start on. @param account more of each account */
  configure(settings: GatewaySettings, account: GatewaySettings = {}): void {
    const configuration = mergeSections(this.#ownSettings(account), settings);
    // It holds secrets: the gateway refuses it when others can read it.
    writeFileSync(this.#configFile, JSON.stringify(configuration, undefined, 2), { mode: 0o600 });
  }

  get child(): Child {
    if (!this.#child) throw new Error('the gateway has not been started');
    return this.#child;
  }

  /** Starts it and waits until it answers. @throws with the end of its log when it does not */
  async start(): Promise<void> {
    await this.#startUntil(async () => (await askStatus(this.socket)).ok, 50);
  }

  /**
   * Starts it and waits until it is ready, to 1 ms: it opens its control socket last, when all others but those of mDNS are
   * open, the database is checked, and what it has written is durable.
   * @throws as `start`
   */
  async startListening(): Promise<void> {
    await this.#startUntil(async () => {
      const connection = connect(this.socket);
      const connected = await once(connection, 'connect').catch(() => undefined);
      connection.destroy();
      return connected !== undefined;
    }, 1);
  }

  async #startUntil(isReady: () => Promise<boolean>, everyMs: number): Promise<void> {
    const { enter = [], nodeFlags = [] } = this.options;
    const child = new Child({
      name: 'gateway',
      command: [...enter, GATEWAY_NODE, ...nodeFlags, PROGRAMS.gateway, 'run', '--config', this.#configFile],
      logFile: this.logFile,
      ...(this.options.cgroup !== undefined && { cgroup: this.options.cgroup }),
    });
    this.#child = child;
    const answering = await eventually(
      'the gateway to answer',
      async () => {
        if (!child.isRunning) return false;
        return (await isReady()) ? true : undefined;
      },
      { timeoutMs: START_WITHIN_MS, everyMs },
    ).catch(() => false);
    if (!answering) throw new Error(child.describe('does not start'));
  }

  /** SIGKILL: as a power cut, as far as the process is concerned. */
  async kill(): Promise<void> {
    await this.child.kill();
  }

  /** SIGTERM. */
  stop(): Promise<ChildEnd> {
    return this.child.stop();
  }

  /** Ends it, if it runs, and removes its socket. */
  async close(): Promise<void> {
    if (this.#child?.isRunning) await this.#child.stop();
    rmSync(this.#socketFolder, { recursive: true, force: true });
  }

  async status(): Promise<StatusReport> {
    const asked = await askStatus(this.socket);
    if (!asked.ok) throw new Error(this.child.describe(`gives no status: ${asked.error.text}`));
    return asked.value;
  }

  /** What the status says of an image; undefined when it does not know it. */
  async image(imageId: string): Promise<ImageReport | undefined> {
    return (await this.status()).images.find((image) => image.imageId === imageId);
  }

  /** Where the image server offers an image, once it does. */
  localUri(imageId: string): string {
    return `http://${this.options.lanAddress}:${this.options.servePort}/scomo/${imageId}`;
  }

  /** Runs the command line as a person would. @param words such as `status --json` */
  command(...words: string[]): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    const args = [PROGRAMS.gateway, ...words, '--config', this.#configFile];
    return new Promise((resolve) => {
      execFile(GATEWAY_NODE, args, { encoding: 'utf8' }, (error, stdout, stderr) => {
        resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
      });
    });
  }

  /** Path of its control socket. */
  get socket(): string {
    return join(this.#socketFolder, 'control.sock');
  }

  #ownSettings(account: GatewaySettings): GatewaySettings {
    const { accounts, deviceId, devices, lanAddress, lanPrefix, wanAddress, wanPrefix } = this.options;
    return {
      stateDir: this.stateDir,
      storeDir: this.storeDir,
      controlSocket: this.socket,
      // What is tested is the end of a process: the folders may lie wherever the project lies.
      volatile: true,
      device: { devId: deviceId, manufacturer: 'Lab', model: 'Gateway', firmwareVersion: '1.0' },
      accounts: accounts.map(({ serverId, url, shared: { client, server }, settings }) => ({
        serverId,
        url,
        allowInsecure: true,
        client,
        server,
        ...settings,
        ...account,
      })),
      session: {
        startDelaySeconds: 0,
        intervalSeconds: 0,
        jitterSeconds: 0,
        alertDelaySeconds: 0,
        retryFirstSeconds: 1,
        retryMaxSeconds: 2,
      },
      notification: { enabled: true, listen: [wanAddress], port: this.options.notificationPort },
      lan: { prefixes: [lanPrefix] },
      retrieve: { allowPrefixes: [wanPrefix], fsyncVolumeMiB: 1, retryFirstSeconds: 1, retryMaxSeconds: 1 },
      serve: { listen: [lanAddress], port: this.options.servePort },
      devices,
      log: { level: 'debug', timestamps: true },
    };
  }
}

function mergeSections(base: GatewaySettings, over: GatewaySettings): GatewaySettings {
  const merged: Record<string, GatewaySettings[string]> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const own = base[key];
    merged[key] = isSection(own) && isSection(value) ? { ...own, ...value } : value;
  }
  return merged;
}

function isSection(value: GatewaySettings[string] | undefined): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && !Array.isArray(value);
}
