import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from './config.js';
import type { DeviceEvent } from './events.js';
import { startDmServer, type RunningDmServer } from './server.js';

/** A DM Server for tests, in a folder of its own, with its admin API at hand. */
export interface LabServer extends RunningDmServer {
  readonly folder: string;
  /** Calls the admin API. */
  admin(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Record<string, unknown>>;
  /** Queues commands for a device. @returns their ids. @throws when they are refused */
  queue(deviceId: string, ...commands: readonly object[]): Promise<string[]>;
  events(deviceId: string, after?: number, waitMs?: number): Promise<DeviceEvent[]>;
  /** The id and the code of every Status, in their order. */
  statuses(deviceId: string, after?: number): Promise<[id: unknown, code: unknown][]>;
  /** Waits for an event that fits. */
  event(deviceId: string, fits: (event: DeviceEvent) => boolean): Promise<DeviceEvent>;
  /** Stops the server; with `keep` its folder stays for another one. */
  end(keep?: boolean): Promise<void>;
}

const MAX_WAIT_MS = 5000;

/** @param overrides of the configuration; files go into `folder` */
export async function startLabServer(
  overrides: Readonly<Record<string, unknown>>,
  folder = mkdtempSync(join(tmpdir(), 'dm-server-')),
): Promise<LabServer> {
  const config = { serverId: 'srv', logFile: join(folder, 'log'), stateFile: join(folder, 'state'), ...overrides };
  const server = await startDmServer(parseConfig(config, 'test'));
  const admin: LabServer['admin'] = async (method, path, body) => {
    const reply = await fetch(server.adminUrl + path, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    return { httpStatus: reply.status, ...((await reply.json()) as object) };
  };
  const events: LabServer['events'] = async (deviceId, after = 0, waitMs = 0) => {
    const path = `/devices/${encodeURIComponent(deviceId)}/events?after=${after}&wait=${waitMs}`;
    return (await admin('GET', path)).events as DeviceEvent[];
  };
  return {
    ...server,
    folder,
    admin,
    events,
    queue: async (deviceId, ...commands) => {
      const reply = await admin('POST', `/devices/${encodeURIComponent(deviceId)}/commands`, { commands });
      if (reply.httpStatus !== 200) throw new Error(JSON.stringify(reply));
      return reply.ids as string[];
    },
    statuses: async (deviceId, after) =>
      (await events(deviceId, after)).filter(({ kind }) => kind === 'status').map(({ id, code }) => [id, code]),
    event: async (deviceId, fits) => {
      const deadline = performance.now() + MAX_WAIT_MS;
      let after = 0;
      while (performance.now() < deadline) {
        const fresh = await events(deviceId, after, 1000);
        const found = fresh.find(fits);
        if (found) return found;
        after = fresh.at(-1)?.n ?? after;
      }
      throw new Error('the event did not come');
    },
    end: async (keep = false) => {
      await server.close();
      if (!keep) rmSync(folder, { recursive: true });
    },
  };
}
