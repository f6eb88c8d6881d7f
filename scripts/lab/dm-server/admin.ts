import type { IncomingMessage, ServerResponse } from 'node:http';
import * as v from 'valibot';
import { commandsSchema, planCommand, type PlannedCommand } from './commands.js';
import type { Device, Devices } from './devices.js';
import { faultsSchema, type Faults } from './faults.js';
import { readBody } from './http-body.js';
import { notificationSchema, notify } from './notification.js';
import type { Sessions } from './sessions.js';
import { Unsendable } from './values.js';

export interface AdminOptions {
  readonly serverId: string;
  readonly devices: Devices;
  readonly sessions: Sessions;
  readonly faults: Faults;
  /** Called after the answer to `POST /stop` has gone. */
  readonly stop: () => void;
}

/** Longest request body; a command may carry a value of some size. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;
const MAX_WAIT_MS = 60_000;

/** An answer that is not the one hoped for. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    text: string,
  ) {
    super(text);
  }
}

/** Body of `POST /devices/<deviceId>/nonces`: what the server takes for the last ones, base64. */
const noncesSchema = v.strictObject({
  client: v.optional(v.pipe(v.string(), v.base64())),
  server: v.optional(v.pipe(v.string(), v.base64())),
});

/** The JSON API by which a test or a person drives the server. */
export function createAdmin(
  options: AdminOptions,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  let made = 0;
  const newId = (): string => `c${(made += 1)}`;

  const deviceAction = async (device: Device, action: string, call: Call): Promise<unknown> => {
    switch (`${call.method} ${action}`) {
      case 'POST commands': {
        const { commands } = await call.body(commandsSchema);
        const planned = commands.map((command) => plan(command, newId));
        device.queue.add(planned);
        return { ids: planned.map(({ id }) => id) };
      }
      case 'GET events': {
        const after = numberParameter(call.url, 'after');
        const waitMs = Math.min(numberParameter(call.url, 'wait'), MAX_WAIT_MS);
        return { events: await device.events.wait(after, waitMs) };
      }
      case 'POST nonces': {
        const { client, server } = await call.body(noncesSchema);
        if (client !== undefined) device.clientNonce = Buffer.from(client, 'base64');
        if (server !== undefined) device.serverNonce = Buffer.from(server, 'base64');
        await options.devices.save();
        return {};
      }
      case 'POST notification':
        return notify(options.serverId, device, await call.body(notificationSchema));
      default:
        throw new Refusal(404, 'no such resource');
    }
  };

  const serverAction = async (action: string, call: Call): Promise<unknown> => {
    switch (`${call.method} ${action}`) {
      case 'GET state':
        return state(options);
      case 'GET faults':
        return { faults: options.faults.left };
      case 'POST faults': {
        const { faults, clear } = await call.body(faultsSchema);
        options.faults.add(faults, clear);
        return { faults: options.faults.left };
      }
      case 'POST stop':
        call.response.on('finish', options.stop);
        return { stopping: true };
      default:
        throw new Refusal(404, 'no such resource');
    }
  };

  return async (request, response) => {
    const call = new Call(request, response);
    try {
      const [first = '', second, third, ...rest] = call.path;
      if (first !== 'devices') {
        call.reply(200, await serverAction(call.path.join('/'), call));
        return;
      }
      const device = options.devices.get(second ?? '');
      if (!device) throw new Refusal(404, 'no such device');
      if (third === undefined || rest.length > 0) throw new Refusal(404, 'no such resource');
      call.reply(200, await deviceAction(device, third, call));
    } catch (thrown) {
      if (thrown instanceof Refusal) call.reply(thrown.status, { error: thrown.message });
      else call.reply(500, { error: String(thrown) });
    }
  };
}

/** One request of the API. */
class Call {
  readonly url: URL;
  readonly path: readonly string[];

  constructor(
    private readonly request: IncomingMessage,
    readonly response: ServerResponse,
  ) {
    this.url = new URL(request.url ?? '/', 'http://localhost');
    this.path = this.url.pathname.split('/').slice(1).map(decodeSegment);
  }

  get method(): string {
    return this.request.method ?? '';
  }

  async body<T>(schema: v.GenericSchema<unknown, T>): Promise<T> {
    const bytes = await readBody(this.request, MAX_BODY_BYTES);
    if (typeof bytes === 'string') throw new Refusal(413, 'the body is too large, or it broke off');
    let value: unknown;
    try {
      value = JSON.parse(bytes.toString('utf8') || '{}');
    } catch {
      throw new Refusal(400, 'the body is not JSON');
    }
    const parsed = v.safeParse(schema, value);
    if (parsed.success) return parsed.output;
    const [issue] = parsed.issues;
    throw new Refusal(400, `${v.getDotPath(issue) ?? 'body'}: ${issue.message}`);
  }

  reply(status: number, value: unknown): void {
    this.response.writeHead(status, { 'Content-Type': 'application/json' }).end(`${JSON.stringify(value)}\n`);
  }
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function plan(...command: Parameters<typeof planCommand>): PlannedCommand {
  try {
    return planCommand(...command);
  } catch (thrown) {
    if (thrown instanceof Unsendable) throw new Refusal(400, thrown.message);
    throw thrown;
  }
}

function numberParameter(url: URL, name: string): number {
  const value = Number(url.searchParams.get(name) ?? '0');
  if (!Number.isFinite(value) || value < 0) throw new Refusal(400, `${name} is not a number`);
  return value;
}

function state({ serverId, devices, sessions, faults }: AdminOptions): unknown {
  return {
    serverId,
    accounts: devices.list().map((device) => ({
      deviceId: device.id,
      clientScheme: device.client.scheme,
      serverScheme: device.server.scheme,
      queued: device.queue.length,
      devInfo: device.devInfo,
    })),
    sessions: sessions.running(),
    faults: faults.left,
  };
}
