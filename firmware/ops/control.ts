import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Logger } from '../log/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { readEvent, type EventReport, type EventRequest } from './event.js';
import { checkMetered, type MeteredReport, type MeteredSetting } from './metered.js';
import type { HealthReport, SettingsReport, StatusReport } from './reports.js';
import { readJson } from './request-body.js';

/** What the control socket shows and takes; the composition root does it. */
export interface ControlPorts {
  status(): StatusReport | Promise<StatusReport>;
  health(): HealthReport | Promise<HealthReport>;
  /** Tells the DM Servers of something; resolves when that survives a power cut. */
  event(event: EventRequest): Promise<Outcome<EventReport, CodedError>>;
  metered(): MeteredReport | Promise<MeteredReport>;
  /** What is told counts from now on until the gateway ends. */
  setMetered(setting: MeteredSetting): MeteredReport | Promise<MeteredReport>;
  settings(): SettingsReport | Promise<SettingsReport>;
}

export type ControlErrorCode =
  | 'in-use' // another daemon answers there
  | 'not-a-socket' // something that is not ours to remove
  | 'unusable'; // the folder is missing or may not be written

export interface ControlServer {
  /** Path of the Unix socket. */
  readonly path: string;
  /** Ends open connections and removes the socket. Idempotent. */
  close(): Promise<void>;
}

/** Commands at the same time; more wait in the kernel's queue or are refused. */
const MAX_CONNECTIONS = 16;
const MAX_HEADER_BYTES = 4096;
const REQUEST_TIMEOUT_MS = 5000;

/**
 * Answers `GET /status`, `GET /health`, `GET /settings`, `POST /event`, `GET` and `POST /metered` in JSON on a Unix socket
 * that only its owner can open. A socket that a killed daemon left behind is replaced, one that answers is not.
 */
export async function openControl(
  path: string,
  ports: ControlPorts,
  log: Logger,
): Promise<Outcome<ControlServer, CodedError<ControlErrorCode>>> {
  const cleared = await clearStale(path);
  if (!cleared.ok) return cleared;
  const server = createServer(
    { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: REQUEST_TIMEOUT_MS },
    answer(ports, log),
  );
  server.maxConnections = MAX_CONNECTIONS;
  server.headersTimeout = REQUEST_TIMEOUT_MS;
  try {
    await listenPrivately(server, path);
  } catch (thrown) {
    return failure('unusable', `control socket ${path} cannot be opened (${describeThrown(thrown)})`, thrown);
  }
  let closing: Promise<void> | undefined;
  return success({
    path,
    close: () =>
      (closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      })),
  });
}

/**
 * The socket is made within `listen`, under a mask that leaves it to its owner from its first moment; a folder that
 * another thread makes meanwhile stays usable.
 */
function listenPrivately(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const mask = process.umask(0o077);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        chmodSync(path, 0o600);
        resolve();
      });
    } finally {
      process.umask(mask);
    }
  });
}

async function clearStale(path: string): Promise<Outcome<undefined, CodedError<ControlErrorCode>>> {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (!stats) return success();
  if (!stats.isSocket())
    return failure('not-a-socket', `control socket ${path}: a file that is no socket has this name`);
  if (await answers(path)) return failure('in-use', `control socket ${path}: another dmgw answers there`);
  try {
    unlinkSync(path);
    return success();
  } catch (thrown) {
    return failure('unusable', `control socket ${path} cannot be replaced (${describeThrown(thrown)})`, thrown);
  }
}

/** Only "nobody listens" makes a socket stale: one that is too busy, or not ours to open, is in use. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (thrown) => resolve(!['ECONNREFUSED', 'ENOENT'].includes(systemErrorCode(thrown) ?? '')));
  });
}

/** What a request for a name is answered with: an object, or why not. */
type Answering = (request: IncomingMessage) => Promise<Outcome<object, CodedError>>;

function answer(ports: ControlPorts, log: Logger): RequestListener {
  const shown =
    (report: () => object | Promise<object>): Answering =>
    async () =>
      success(await report());
  const table: Readonly<Record<string, { readonly GET?: Answering; readonly POST?: Answering }>> = {
    '/status': { GET: shown(() => ports.status()) },
    '/health': { GET: shown(() => ports.health()) },
    '/settings': { GET: shown(() => ports.settings()) },
    '/event': { POST: (request) => takeEvent(ports, request) },
    '/metered': { GET: shown(() => ports.metered()), POST: (request) => takeMetered(ports, request) },
  };
  return (request, response) => {
    const name = request.url ?? '';
    const methods = Object.hasOwn(table, name) ? table[name] : undefined;
    if (!methods) return send(response, 404, { error: 'not found' });
    const answering = request.method === 'GET' || request.method === 'POST' ? methods[request.method] : undefined;
    if (!answering) return send(response, 405, { error: `only ${Object.keys(methods).join(', ')}` });
    answering(request)
      .then((told) => (told.ok ? send(response, 200, told.value) : send(response, 400, { error: told.error.text })))
      .catch((thrown: unknown) => {
        log.error('report failed', { report: name, reason: describeThrown(thrown) });
        send(response, 500, { error: 'the report failed, see the log' });
      });
  };
}

async function takeEvent(ports: ControlPorts, request: IncomingMessage): Promise<Outcome<EventReport, CodedError>> {
  const event = await readEvent(request);
  return event.ok ? ports.event(event.value) : event;
}

async function takeMetered(ports: ControlPorts, request: IncomingMessage): Promise<Outcome<MeteredReport, CodedError>> {
  const setting = checkMetered(await readJson(request));
  return setting.ok ? success(await ports.setMetered(setting.value)) : setting;
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}
