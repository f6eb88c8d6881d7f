/**
 * The whole gateway and a DM Server in one process, speaking over loopback. Only the gateway's files are in the folder
 * that it is given, so that the disk below them can fail while the server remembers what it was answered.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfiguration } from '../../firmware/config/index.js';
import { startGateway, type Gateway } from '../../firmware/gateway.js';
import { LogRing, silentLog } from '../../firmware/log/index.js';
import { failure } from '../../firmware/outcome/index.js';
import type { Command } from '../flow/dm-server.js';
import { startLabServer, type LabServer } from '../lab/dm-server/lab-server.js';
import { asRead, SERVER_ID, URIS, type State } from './command-model.js';

const DEVICE_ID = 'MAC:0200000000FF';
/** The shortest that a gateway may take: many messages, and large objects among the commands. */
const MAX_MESSAGE_BYTES = 4096;
const HOST = '127.0.0.1';
const WAIT_MS = 1000;

const md5 = (secret: string) => ({ scheme: 'md5', secret });

/** What became of a command. */
export type Told = (id: string, code: number | null) => void;

export class CommandLab {
  private constructor(
    private readonly gateway: Gateway,
    private readonly server: LabServer,
    private readonly control: string,
  ) {}

  /** @param onFatal the gateway's disk has failed */
  static async start(folder: string, onFatal: (thrown: unknown) => void): Promise<CommandLab> {
    const account = { deviceId: DEVICE_ID, client: md5('client'), server: md5('server') };
    const server = await startLabServer({ serverId: SERVER_ID, accounts: [account] });
    const control = mkdtempSync(join(tmpdir(), 'dmgw-'));
    const [stateDir, storeDir] = [join(folder, 'state'), join(folder, 'store')];
    mkdirSync(stateDir, { recursive: true });
    mkdirSync(storeDir, { recursive: true });
    const value = {
      stateDir,
      storeDir,
      controlSocket: join(control, 'control.sock'),
      volatile: true,
      device: { devId: DEVICE_ID, manufacturer: 'Lab', model: 'Gateway' },
      accounts: [
        { serverId: SERVER_ID, url: server.url, allowInsecure: true, client: md5('client'), server: md5('server') },
      ],
      session: { maxMessageBytes: MAX_MESSAGE_BYTES, startDelaySeconds: 3600, intervalSeconds: 0, jitterSeconds: 0 },
      notification: { enabled: true, listen: [HOST], port: 0 },
      discovery: { backend: 'off' },
      lan: { prefixes: ['127.0.0.0/8'] },
      serve: { listen: [HOST], port: 0 },
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
      collectGarbage: () => {},
      onFatal,
    });
    if (!gateway.ok) throw new Error(gateway.error.text);
    return new CommandLab(gateway.value, server, control);
  }

  /** Has the gateway execute commands, in one session, and tells what became of each as soon as the server knows. */
  async execute(commands: readonly (Command & { readonly id: string })[], told: Told): Promise<void> {
    const path = `/devices/${encodeURIComponent(DEVICE_ID)}`;
    let after = (await this.server.events(DEVICE_ID)).at(-1)?.n ?? 0;
    await this.server.queue(DEVICE_ID, ...commands);
    const [address = ''] = this.gateway.listening.notification;
    const send = { host: HOST, port: Number(address.split(':').at(-1)), wsp: true };
    // The server forgets its nonces with its process: they are agreed on anew.
    await this.server.admin('POST', `${path}/notification`, { defaultNonce: true, send });
    for (;;) {
      for (const event of await this.server.events(DEVICE_ID, after, WAIT_MS)) {
        after = event.n;
        if (event.kind === 'status') told(String(event.id), event.code as number | null);
        if (event.kind === 'session-end') return;
      }
    }
  }

  /** What the tree has of the nodes that the commands make. */
  async read(): Promise<State> {
    const before = (await this.server.events(DEVICE_ID)).at(-1)?.n ?? 0;
    const gets = URIS.map((uri) => ({ id: uri, cmd: 'Get', target: uri }) as const);
    await this.execute(gets, () => {});
    const state = new Map<string, string>();
    for (const { kind, id, value } of await this.server.events(DEVICE_ID, before)) {
      if (kind === 'results') state.set(String(id), asRead(String(id), String(value)));
    }
    return state;
  }

  async close(): Promise<void> {
    await this.gateway.close();
    await this.server.end();
    rmSync(this.control, { recursive: true, force: true });
  }
}
