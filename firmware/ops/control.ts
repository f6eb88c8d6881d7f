import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { Logger } from '../log/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { readEvent, type EventReport, type EventRequest } from './event.js';
import type { HealthReport, SettingsReport, StatusReport } from './reports.js';

/** What the control socket shows and takes; the composition root does it. */
export interface ControlPorts {
  status(): StatusReport | Promise<StatusReport>;
  health(): HealthReport | Promise<HealthReport>;
  /** Tells the DM Servers of something; resolves when that survives a power cut. */
  event(event: EventRequest): Promise<Outcome<EventReport, CodedError>>;
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
 * Answers `GET /status`, `GET /health`, `GET /settings` and `POST /event` in JSON on a Unix socket that only its owner can open. A socket that a killed
 * daemon left behind is replaced, one that answers is not.
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

function answer(ports: ControlPorts, log: Logger): RequestListener {
  const reports: Readonly<Record<string, () => object | Promise<object>>> = {
    '/status': () => ports.status(),
    '/health': () => ports.health(),
    '/settings': () => ports.settings(),
  };
  return (request, response) => {
    const name = request.url ?? '';
    const failed = (thrown: unknown): void => {
      log.error('report failed', { report: name, reason: describeThrown(thrown) });
      send(response, 500, { error: 'the report failed, see the log' });
    };
    if (name === '/event') {
      if (request.method !== 'POST') return send(response, 405, { error: 'only POST' });
      takeEvent(ports, request, response).catch(failed);
      return;
    }
    const report = Object.hasOwn(reports, name) ? reports[name] : undefined;
    if (!report) return send(response, 404, { error: 'not found' });
    if (request.method !== 'GET') return send(response, 405, { error: 'only GET' });
    Promise.resolve()
      .then(report)
      .then((body) => send(response, 200, body))
      .catch(failed);
  };
}

async function takeEvent(ports: ControlPorts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const event = await readEvent(request);
  const told = event.ok ? await ports.event(event.value) : event;
  if (told.ok) send(response, 200, told.value);
  else send(response, 400, { error: told.error.text });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}
