/**
 * The whole gateway and a DM Server in one process, speaking over loopback: for what needs no process of its own, and is
 * started in a tenth of the time. Only the gateway's files are in the folder that it is given.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfiguration } from '../../firmware/config/index.js';
import { startGateway, type Gateway } from '../../firmware/gateway/index.js';
import { LogRing, silentLog } from '../../firmware/log/index.js';
import { askStatus, type StatusReport } from '../../firmware/ops/index.js';
import { failure } from '../../firmware/outcome/index.js';
import { startLabServer, type LabServer } from '../lab/dm-server/lab-server.js';
import type { Command, DeviceEvent } from './dm-server.js';

export interface OneProcessOptions {
  /** For the gateway's files. */
  readonly folder: string;
  readonly serverId: string;
  /** Sections of the configuration, beside those that every gateway here has; `lan` and `serve` at least. */
  readonly settings: Readonly<Record<string, object>>;
  /** The gateway's disk has failed. */
  readonly onFatal: (thrown: unknown) => void;
  /** The gateway has its garbage collected. */
  readonly onGarbage?: (generation: 'young' | 'all') => void;
}

/** What became of a command. */
export type Told = (id: string, code: number | null) => void;

const DEVICE_ID = 'MAC:0200000000FF';
const HOST = '127.0.0.1';
const WAIT_MS = 1000;
const EXECUTE_WITHIN_MS = 60_000;

const md5 = (secret: string) => ({ scheme: 'md5', secret });

export class OneProcess {
  private constructor(
    readonly gateway: Gateway,
    private readonly server: LabServer,
    private readonly controlFolder: string,
  ) {}

  /** @throws when the configuration is wrong, or the gateway does not start */
  static async start(options: OneProcessOptions): Promise<OneProcess> {
    const account = { deviceId: DEVICE_ID, client: md5('client'), server: md5('server') };
    const server = await startLabServer({ serverId: options.serverId, accounts: [account] });
    // Short, because the path of a Unix socket is.
    const controlFolder = mkdtempSync(join(tmpdir(), 'dmgw-'));
    try {
      return new OneProcess(await startWith(options, server.url, controlFolder), server, controlFolder);
    } catch (thrown) {
      await server.end();
      rmSync(controlFolder, { recursive: true, force: true });
      throw thrown;
    }
  }

  /** What the server has seen of the gateway, behind an event. */
  async events(after = 0, waitMs = 0): Promise<DeviceEvent[]> {
    return await this.server.events(DEVICE_ID, after, waitMs);
  }

  /**
   * Has the gateway execute commands, in one session, and tells what became of each as soon as the server knows.
   * @throws when the session has not ended within 60 s
   */
  async execute(commands: readonly (Command & { readonly id: string })[], told: Told): Promise<void> {
    const deadlineMs = performance.now() + EXECUTE_WITHIN_MS;
    const open = new Map(commands.map(({ id, cmd, target = '' }) => [id, `${cmd} ${target}`]));
    let after = (await this.events()).at(-1)?.n ?? 0;
    await this.server.queue(DEVICE_ID, ...commands);
    await this.wake();
    while (performance.now() < deadlineMs) {
      for (const { n, kind, id = '', code = null } of await this.events(after, WAIT_MS)) {
        after = n;
        // One that ends before any of them is that of the start.
        if (kind === 'session-end' && (open.size < commands.length || open.size === 0)) return;
        if (kind !== 'status') continue;
        open.delete(id);
        told(id, code);
      }
    }
    const [first = 'the end of the session'] = open.values();
    throw new Error(`waited ${EXECUTE_WITHIN_MS} ms in vain for ${first}`);
  }

  /** Has the gateway execute commands, in as many sessions as that takes. @throws where one is not answered 2xx */
  async manage(...commands: readonly Command[]): Promise<void> {
    await this.#answered(commands);
  }

  /** Values of leaves, or the names of children. @throws where one cannot be read */
  async read(...uris: readonly string[]): Promise<string[]> {
    const ids = await this.#answered(uris.map((target) => ({ cmd: 'Get', target })));
    const values = new Map<string, string>();
    for (const { kind, id, value } of await this.events()) if (kind === 'results') values.set(String(id), value ?? '');
    return ids.map((id) => values.get(id) ?? '');
  }

  async status(): Promise<StatusReport> {
    const asked = await askStatus(socketIn(this.controlFolder));
    if (!asked.ok) throw new Error(asked.error.text);
    return asked.value;
  }

  /** Wakes the gateway by a Package#0. */
  async wake(): Promise<void> {
    const [address = ''] = this.gateway.listening.notification;
    const send = { host: HOST, port: Number(address.split(':').at(-1)), wsp: true };
    // The server forgets its nonces with its process: they are agreed on anew.
    const path = `/devices/${encodeURIComponent(DEVICE_ID)}/notification`;
    await this.server.admin('POST', path, { defaultNonce: true, send });
  }

  async close(): Promise<void> {
    await this.gateway.close();
    await this.server.end();
    rmSync(this.controlFolder, { recursive: true, force: true });
  }

  /** @returns the ids of the commands */
  async #answered(commands: readonly Command[]): Promise<string[]> {
    let after = (await this.events()).at(-1)?.n ?? 0;
    const ids = await this.server.queue(DEVICE_ID, ...commands);
    const open = new Set(ids);
    await this.wake();
    for (let isOver = false; open.size > 0 || !isOver;) {
      isOver = false;
      for (const { n, kind, id = '', code, target } of await this.events(after, WAIT_MS)) {
        after = n;
        if (kind === 'status' && open.delete(id) && Math.trunc((code ?? 0) / 100) !== 2) {
          throw new Error(`${target ?? ''} is answered ${String(code)}`);
        }
        isOver = kind === 'session-end';
      }
      // One that was under way may have ended without them.
      if (isOver && open.size > 0) await this.wake();
    }
    return ids;
  }
}

function socketIn(folder: string): string {
  return join(folder, 'control.sock');
}

async function startWith(
  { folder, serverId, settings, onFatal, onGarbage = () => {} }: OneProcessOptions,
  url: string,
  controlFolder: string,
): Promise<Gateway> {
  const [stateDir, storeDir] = [join(folder, 'state'), join(folder, 'store')];
  const value = {
    stateDir,
    storeDir,
    controlSocket: socketIn(controlFolder),
    volatile: true,
    device: { devId: DEVICE_ID, manufacturer: 'Lab', model: 'Gateway' },
    accounts: [{ serverId, url, allowInsecure: true, client: md5('client'), server: md5('server') }],
    notification: { enabled: true, listen: [HOST], port: 0 },
    discovery: { backend: 'off' },
    ...settings,
    serve: { port: 0, ...settings.serve },
  };
  const configuration = parseConfiguration([{ file: 'test', value }]);
  if (!configuration.ok) throw new Error(configuration.error.text);
  const gateway = await startGateway(configuration.value.configuration, {
    log: () => silentLog,
    lines: new LogRing(1024),
    onReload: () => failure('not-here', 'not here'),
    version: '0',
    buildTimeMs: 0,
    mdnsHelper: [],
    collectGarbage: onGarbage,
    onFatal,
  });
  if (!gateway.ok) throw new Error(gateway.error.text);
  return gateway.value;
}
