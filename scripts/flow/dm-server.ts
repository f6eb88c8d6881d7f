import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Child } from './child.js';
import type { SharedAccount } from './credentials.js';
import { callJson } from './http-json.js';
import { readJsonLines } from './json-lines.js';
import { PROGRAMS } from './project.js';

/** A DM command for the queue of a device. `bin` data is base64. */
export interface Command {
  readonly cmd: 'Add' | 'Replace' | 'Delete' | 'Get' | 'Exec' | 'Copy' | 'Atomic' | 'Sequence';
  readonly target?: string;
  readonly source?: string;
  readonly format?: 'chr' | 'int' | 'bool' | 'bin' | 'null' | 'node' | 'xml';
  readonly type?: string;
  readonly data?: string | number | boolean;
  /** Octets whatever the format, as base64. */
  readonly dataBase64?: string;
  /** A file with the value, which may be of any size. */
  readonly dataFile?: string;
  readonly correlator?: string;
  readonly commands?: readonly Command[];
}

/** Something that the DM Server saw of a device. Which fields there are follows from `kind`. */
export interface DeviceEvent {
  readonly n: number;
  readonly time: string;
  readonly kind: 'session-start' | 'session-end' | 'status' | 'results' | 'alert' | 'devinfo' | 'auth';
  /** Of the command, for status and results. */
  readonly id?: string;
  readonly cmd?: string;
  readonly target?: string;
  /** Status code; null when the command was given up. */
  readonly code?: number | null;
  readonly value?: string;
  readonly sessionId?: string;
  readonly source?: string | null;
  readonly type?: string | null;
  readonly mark?: string;
  readonly correlator?: string | null;
  readonly data?: string | null;
  readonly result?: string;
  readonly reason?: string;
}

/** What became of a command: its Status, and the value of a Get. */
export interface Answer {
  readonly command: Command;
  readonly status: number | null;
  readonly value: string | undefined;
}

export interface Notification {
  /** Package#0, base64. */
  readonly package0: string;
  /** 16 bits; stands in hexadecimal in the messages of the session. */
  readonly sessionId: number;
}

/** A message in a DM Server's log. */
export interface LoggedMessage {
  readonly kind: string;
  readonly direction: 'in' | 'out';
  readonly deviceId: string;
  readonly sessionId: string;
  readonly encoding: 'xml' | 'wbxml';
  readonly bytes: number;
  /** As XML, where the server's configuration has `logMessages`. */
  readonly message?: string;
}

/** The names in use at a device, against the standard ones. */
export interface Renaming {
  /** A URI as the device knows it. */
  used(standard: string): string;
  /** A URI or an alert type as the standard has it. */
  standard(used: string): string;
}

function rename(command: Command, renaming: Renaming | undefined): Command {
  const { target, commands } = command;
  return {
    ...command,
    ...(target !== undefined && renaming && { target: renaming.used(target) }),
    ...(commands && { commands: commands.map((inner) => rename(inner, renaming)) }),
  };
}

function standardNames({ source, type }: DeviceEvent, renaming: Renaming): Partial<DeviceEvent> {
  return {
    ...(typeof source === 'string' && { source: renaming.standard(source) }),
    ...(typeof type === 'string' && { type: renaming.standard(type) }),
  };
}

/** Longest wait for one answer of the event log, in ms. */
const POLL_MS = 2_000;

/** Longest wait for an event, in ms. */
const EVENT_TIMEOUT_MS = 30_000;

/** A DM Server in a process of its own, and its operator's calls. It can be killed and started again at its place. */
export class DmServer {
  /** How the devices call what the operator's commands and the tests call by its standard name. */
  renaming: Renaming | undefined;
  /** Called while something is waited for; throws when waiting has become pointless. */
  whileWaiting: () => void = () => {};
  #child: Child;

  private constructor(
    readonly serverId: string,
    child: Child,
    readonly url: string,
    /** One JSON line for each thing that happened. */
    readonly logFile: string,
    private readonly adminUrl: string,
    private readonly spawn: () => Child,
  ) {
    this.#child = child;
  }

  /**
   * @param folder for its files, made by the caller
   * @param settings more of its configuration
   */
  static async start(
    serverId: string,
    host: string,
    accounts: readonly SharedAccount[],
    folder: string,
    settings: Readonly<Record<string, unknown>> = {},
  ): Promise<DmServer> {
    const configFile = join(folder, `${serverId}.json`);
    const logFile = join(folder, `${serverId}.events.log`);
    const stateFile = join(folder, `${serverId}.state.json`);
    const config = { serverId, host, port: 0, adminPort: 0, logFile, stateFile, accounts, ...settings };
    const spawn = (ports: { readonly port: number; readonly adminPort: number }): Child => {
      writeFileSync(configFile, JSON.stringify({ ...config, ...ports }), { mode: 0o600 });
      return new Child({
        name: `DM Server ${serverId}`,
        command: [process.execPath, PROGRAMS.dmServer, '--config', configFile],
        logFile: join(folder, `${serverId}.log`),
      });
    };
    const child = spawn({ port: 0, adminPort: 0 });
    const ready = await child.ready();
    const [url, adminUrl] = [String(ready.url), String(ready.adminUrl)];
    const ports = { port: Number(new URL(url).port), adminPort: Number(new URL(adminUrl).port) };
    return new DmServer(serverId, child, url, logFile, adminUrl, () => spawn(ports));
  }

  get child(): Child {
    return this.#child;
  }

  /** Ends it at once. What it had queued is lost, its nonces are not. */
  async kill(): Promise<void> {
    await this.#child.kill();
  }

  /** Starts it again where it was. Its events count from 1 again. */
  async restart(): Promise<void> {
    this.#child = this.spawn();
    await this.#child.ready();
  }

  /** Queues commands for a device. They are sent in its next session. @returns their ids */
  async queue(deviceId: string, commands: readonly Command[]): Promise<string[]> {
    const named = this.renaming ? commands.map((command) => rename(command, this.renaming)) : commands;
    const { ids } = await callJson<{ ids: string[] }>('POST', this.#device(deviceId, 'commands'), { commands: named });
    return ids;
  }

  /**
   * Makes a Package#0 for a device, and sends it when told where to.
   * @param defaultNonce the session that follows agrees on new nonces
   */
  notification(
    deviceId: string,
    send?: { readonly host: string; readonly port: number; readonly wsp: boolean },
    defaultNonce = false,
  ): Promise<Notification> {
    return callJson('POST', this.#device(deviceId, 'notification'), { defaultNonce, ...(send && { send }) });
  }

  /** What the server has seen of a device after the n-th event. */
  async events(deviceId: string, after = 0, waitMs = 0): Promise<DeviceEvent[]> {
    const url = `${this.#device(deviceId, 'events')}?after=${after}&wait=${waitMs}`;
    const { events } = await callJson<{ events: DeviceEvent[] }>('GET', url);
    const { renaming } = this;
    return renaming ? events.map((event) => ({ ...event, ...standardNames(event, renaming) })) : events;
  }

  /** Number of the last event, to wait for what comes behind it. */
  async now(deviceId: string): Promise<number> {
    return (await this.events(deviceId)).at(-1)?.n ?? 0;
  }

  /** The first event after the n-th that fits. @throws after `timeoutMs` with the last events */
  async waitFor(
    what: string,
    deviceId: string,
    after: number,
    fits: (event: DeviceEvent) => boolean,
    timeoutMs = EVENT_TIMEOUT_MS,
  ): Promise<DeviceEvent> {
    const deadlineMs = performance.now() + timeoutMs;
    let last = after;
    const seen: DeviceEvent[] = [];
    for (;;) {
      this.whileWaiting();
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) {
        const lines = seen.slice(-12).map((event) => JSON.stringify(event));
        throw new Error(
          [`waited ${timeoutMs} ms in vain for ${what}; ${this.serverId} saw of ${deviceId}:`, ...lines].join('\n'),
        );
      }
      for (const event of await this.events(deviceId, last, Math.min(POLL_MS, leftMs))) {
        last = event.n;
        seen.push(event);
        if (fits(event)) return event;
      }
    }
  }

  /** Waits until each command has its Status, and each Get that succeeded its Results. */
  async answers(
    deviceId: string,
    ids: readonly string[],
    commands: readonly Command[],
    timeoutMs?: number,
  ): Promise<Answer[]> {
    const statuses = new Map<string, number | null>();
    const values = new Map<string, string>();
    const isOpen = (id: string, index: number): boolean => {
      const status = statuses.get(id);
      if (status === undefined) return true;
      return commands[index]?.cmd === 'Get' && status === 200 && !values.has(id);
    };
    const note = (event: DeviceEvent): boolean => {
      if (event.id !== undefined && event.kind === 'status') statuses.set(event.id, event.code ?? null);
      if (event.id !== undefined && event.kind === 'results') values.set(event.id, event.value ?? '');
      return !ids.some(isOpen);
    };
    await this.waitFor(`the answers to ${commands.length} commands`, deviceId, 0, note, timeoutMs);
    return commands.map((command, index) => {
      const id = ids[index] ?? '';
      return { command, status: statuses.get(id) ?? null, value: values.get(id) };
    });
  }

  /** Misbehaviour on request: see the DM Server's faults. `clear` ends those that are left. */
  async faults(
    faults: readonly Readonly<Record<string, unknown>>[],
    options: { readonly clear?: boolean } = {},
  ): Promise<void> {
    await callJson('POST', `${this.adminUrl}/faults`, { faults, ...options });
  }

  /** The messages of a device, in and out, as the log has them. */
  messages(deviceId: string): LoggedMessage[] {
    const lines = readJsonLines<LoggedMessage>(this.logFile);
    return lines.filter((line) => line.kind === 'message' && line.deviceId === deviceId);
  }

  /** Has the server take other nonces for the last ones, base64. */
  async setNonces(deviceId: string, nonces: { readonly client?: string; readonly server?: string }): Promise<void> {
    await callJson('POST', this.#device(deviceId, 'nonces'), nonces);
  }

  /** The large object that the server sends to a device at present; undefined when there is none. */
  async sending(deviceId: string): Promise<{ readonly sent: number; readonly bytes: number } | undefined> {
    const { sessions } = await callJson<{
      sessions: { readonly deviceId: string; readonly sending?: { readonly sent: number; readonly bytes: number } }[];
    }>('GET', `${this.adminUrl}/state`);
    return sessions.find((session) => session.deviceId === deviceId)?.sending;
  }

  #device(deviceId: string, what: string): string {
    return `${this.adminUrl}/devices/${encodeURIComponent(deviceId)}/${what}`;
  }
}
