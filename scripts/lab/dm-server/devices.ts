import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import type { Credentials, DeviceAccount } from './config.js';
import { CommandQueue } from './queue.js';
import { EventLog, type DeviceEvent } from './events.js';

/** A SessionID is 16 bits in a notification, and not 0. */
export const MAX_SESSION_ID = 0xffff;

export type Scheme = Credentials['scheme'];

/** The credentials of one direction as they are used: nothing left to default. */
export interface Side {
  readonly scheme: Scheme;
  readonly user: string;
  readonly password: string;
}

/** A device that this server manages. */
export interface Device {
  readonly id: string;
  readonly client: Side;
  readonly server: Side;
  readonly proofPerMessage: boolean;
  /** Of the device's next digest. */
  clientNonce: Uint8Array;
  /** Of the server's next digest, in a message or a notification. */
  serverNonce: Uint8Array;
  /**
   * SessionID of the last notification. Each is the one before plus one: a client drops one that it has had lately (10.2),
   * which random ones of 16 bits are now and then.
   */
  notified: number;
  /** SessionIDs, as numbers, of notifications made with the default nonce: it counts in these sessions (5.8). */
  readonly resynchronising: Set<number>;
  /** Leaves of DevInfo as the device has sent them last, by name. */
  devInfo: Readonly<Record<string, string>>;
  readonly queue: CommandQueue;
  readonly events: EventLog;
}

interface State {
  readonly nonces: Readonly<Record<string, { readonly client: string; readonly server: string } | undefined>>;
}

/** The devices of the configuration, with their nonces in the state file. */
export class Devices {
  readonly #devices = new Map<string, Device>();
  #saving: Promise<void> | undefined;
  #queued: Promise<void> | undefined;

  constructor(
    serverId: string,
    accounts: readonly DeviceAccount[],
    private readonly stateFile: string | undefined,
    onEvent: (deviceId: string, event: DeviceEvent) => void,
  ) {
    const state = stateFile === undefined ? { nonces: {} } : readState(stateFile);
    for (const { deviceId, client, server, proofPerMessage } of accounts) {
      const kept = state.nonces[deviceId];
      this.#devices.set(deviceId, {
        id: deviceId,
        client: sideOf(client, deviceId),
        server: sideOf(server, serverId),
        proofPerMessage,
        clientNonce: Buffer.from(kept?.client ?? client.nonce, 'base64'),
        serverNonce: Buffer.from(kept?.server ?? server.nonce, 'base64'),
        notified: randomInt(MAX_SESSION_ID),
        resynchronising: new Set(),
        devInfo: {},
        queue: new CommandQueue(),
        events: new EventLog((event) => onEvent(deviceId, event)),
      });
    }
  }

  get(deviceId: string): Device | undefined {
    return this.#devices.get(deviceId);
  }

  list(): Device[] {
    return [...this.#devices.values()];
  }

  /** Resolves when the nonces of now are in the state file; calls that come while it is written share the next writing. */
  save(): Promise<void> {
    if (this.stateFile === undefined) return Promise.resolve();
    const file = this.stateFile;
    this.#queued ??= (this.#saving ?? Promise.resolve()).then(() => {
      this.#queued = undefined;
      this.#saving = this.#write(file);
      return this.#saving;
    });
    return this.#queued;
  }

  async #write(file: string): Promise<void> {
    const encode = (nonce: Uint8Array): string => Buffer.from(nonce).toString('base64');
    const state: State = {
      nonces: Object.fromEntries(
        this.list().map(({ id, clientNonce, serverNonce }) => [
          id,
          { client: encode(clientNonce), server: encode(serverNonce) },
        ]),
      ),
    };
    const handle = await open(`${file}.new`, 'w', 0o600);
    try {
      await handle.writeFile(JSON.stringify(state));
    } finally {
      await handle.close();
    }
    await rename(`${file}.new`, file);
  }
}

function sideOf({ scheme, name, secret }: Credentials, defaultName: string): Side {
  return { scheme, user: name ?? defaultName, password: secret };
}

function readState(file: string): State {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as State;
  } catch (thrown) {
    if (thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT') return { nonces: {} };
    throw thrown;
  }
}
