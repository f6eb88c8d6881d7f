import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import type { IncomingMessage, RequestListener, Server as HttpServer, ServerResponse } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { lateHttp } from '../late/index.js';
import type { Logger } from '../log/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { readEvent, type EventReport, type EventRequest } from './event.js';
import { checkMetered, type MeteredReport, type MeteredSetting } from './metered.js';
import {
  REQUESTS,
  type AnsweredName,
  type Answers,
  type ImageDetail,
  type RequestName,
  type RequestOf,
  type StreamedName,
  type Streams,
} from './operations.js';
import { REPORT_FORMAT, type HealthReport, type SettingsReport, type StatusReport } from './reports.js';
import { checkRequest, readJson, readJsonLine } from './request-body.js';

/** What an operation answers, or why it is refused. */
export type Answer<T> = Outcome<T, CodedError> | Promise<Outcome<T, CodedError>>;

/** The operations, each done by the composition root. */
export type OperationPorts = {
  readonly [Name in AnsweredName]: (request: RequestOf<Name>) => Answer<Answers[Name]>;
};

/** What is answered piece by piece: for as long as somebody reads it, or until `signal` is aborted. */
export type StreamPorts = {
  readonly [Name in StreamedName]: (
    request: RequestOf<Name>,
    signal: AbortSignal,
  ) => Answer<AsyncIterable<Streams[Name]>>;
};

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
  readonly operations: OperationPorts;
  readonly streams: StreamPorts;
  /** Takes an image that somebody hands over, octet by octet. */
  addContent(request: RequestOf<'images/content'>, octets: AsyncIterable<Uint8Array>): Answer<ImageDetail>;
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

/** Whoever may use the socket: its owner, or the group of it too. */
export type ControlMode = 'owner' | 'group';

/** Commands at the same time; more wait in the kernel's queue or are refused. */
const MAX_CONNECTIONS = 24;
/** Of them, those that last: followed logs, images that come in. Others always find a place. */
const MAX_LASTING = 8;
const MAX_HEADER_BYTES = 4096;
const HEADERS_TIMEOUT_MS = 5000;
/** A reader that takes nothing for so long is dropped. */
const SLOW_READER_MS = 10_000;

/**
 * Answers `GET /status`, `GET /health`, `GET /settings`, `POST /event`, `GET` and `POST /metered`, and the operations
 * (`REQUESTS`) as `POST`, in JSON on a Unix socket that only its owner, or also its group, can open. A socket that a
 * killed daemon left behind is replaced, one that answers is not.
 */
export async function openControl(
  path: string,
  ports: ControlPorts,
  log: Logger,
  mode: ControlMode = 'owner',
): Promise<Outcome<ControlServer, CodedError<ControlErrorCode>>> {
  const cleared = await clearStale(path);
  if (!cleared.ok) return cleared;
  let reader: HttpServer | undefined;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    reader ??= makeReader(answer(ports, log));
    reader.emit('connection', socket);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await listenPrivately(server, path, mode);
  } catch (thrown) {
    return failure('unusable', `control socket ${path} cannot be opened (${describeThrown(thrown)})`, thrown);
  }
  let closing: Promise<void> | undefined;
  return success({
    path,
    close: () =>
      (closing ??= new Promise((resolve) => {
        server.close(() => resolve());
        // It does not listen: what ends is its timer.
        reader?.close();
        reader?.closeAllConnections();
      })),
  });
}

/** What speaks HTTP with whoever has connected. It does not listen: Node.js takes 3 ms of a start to load it, and nobody asks as early. */
function makeReader(listener: RequestListener): HttpServer {
  const reader = lateHttp().createServer(
    // Each body has its own time: that of an image takes as long as it is.
    { maxHeaderSize: MAX_HEADER_BYTES, requestTimeout: 0, headersTimeout: HEADERS_TIMEOUT_MS },
    listener,
  );
  // From then on it keeps an eye on its connections.
  reader.emit('listening');
  return reader;
}

/**
 * The socket is made within `listen`, under a mask that leaves it to its owner from its first moment; a folder that
 * another thread makes meanwhile stays usable.
 */
function listenPrivately(server: Server, path: string, mode: ControlMode): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const mask = process.umask(0o077);
    try {
      server.listen(path, () => {
        server.off('error', reject);
        chmodSync(path, mode === 'group' ? 0o660 : 0o600);
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

/** What a request for a name is answered with: an object, lines of JSON, or why not. */
type Answering = (
  request: IncomingMessage,
  signal: AbortSignal,
) => Promise<Outcome<object | AsyncIterable<object>, CodedError>>;

interface Entry {
  readonly GET?: Answering;
  readonly POST?: Answering;
  /** It may take long: only some of these at a time. */
  readonly lasts?: boolean;
}

function answer(ports: ControlPorts, log: Logger): RequestListener {
  const table = new Map<string, Entry>([...reportEntries(ports), ...operationEntries(ports)]);
  let lasting = 0;
  return (request, response) => {
    const name = request.url ?? '';
    const entry = table.get(name);
    if (!entry) return send(response, 404, { error: 'not found' });
    const answering = request.method === 'GET' || request.method === 'POST' ? entry[request.method] : undefined;
    if (!answering) {
      const methods = (['GET', 'POST'] as const).filter((method) => entry[method]);
      return send(response, 405, { error: `only ${methods.join(', ')}` });
    }
    if (entry.lasts === true) {
      if (lasting >= MAX_LASTING)
        return send(response, 400, { error: `${MAX_LASTING} such commands are running already` });
      lasting += 1;
      response.once('close', () => (lasting -= 1));
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    answering(request, gone.signal)
      .then((told) => {
        if (!told.ok) return send(response, 400, { error: told.error.text, code: told.error.code });
        return isStream(told.value) ? pour(response, told.value) : send(response, 200, told.value);
      })
      .catch((thrown: unknown) => {
        if (gone.signal.aborted) return; // whoever asked has left
        log.error('report failed', { report: name, reason: describeThrown(thrown) });
        if (response.headersSent) response.destroy();
        else send(response, 500, { error: 'the report failed, see the log' });
      });
  };
}

function reportEntries(ports: ControlPorts): [string, Entry][] {
  const shown =
    (report: () => object | Promise<object>): Answering =>
    async () =>
      success(await report());
  return [
    ['/status', { GET: shown(() => ports.status()) }],
    ['/health', { GET: shown(() => ports.health()) }],
    ['/settings', { GET: shown(() => ports.settings()) }],
    ['/event', { POST: (request) => takeEvent(ports, request) }],
    ['/metered', { GET: shown(() => ports.metered()), POST: (request) => takeMetered(ports, request) }],
  ];
}

function operationEntries(ports: ControlPorts): [string, Entry][] {
  return (Object.keys(REQUESTS) as RequestName[]).map((name): [string, Entry] => {
    if (name === 'images/content') return [`/${name}`, { POST: (request) => takeContent(ports, request), lasts: true }];
    if (isStreamed(name)) return [`/${name}`, { POST: (...asked) => startStream(ports, name, ...asked), lasts: true }];
    return [`/${name}`, { POST: (request) => operate(ports, name, request) }];
  });
}

function isStreamed(name: Exclude<RequestName, 'images/content'>): name is StreamedName {
  return name === 'logs' || name === 'images/verify';
}

async function operate(
  { operations }: ControlPorts,
  name: AnsweredName,
  request: IncomingMessage,
): Promise<Outcome<object, CodedError>> {
  const asked = checkRequest(name, await readJson(request));
  if (!asked.ok) return asked;
  // It was checked by the schema of the same name.
  const answered = await (operations[name] as (asked: unknown) => Answer<object>)(asked.value);
  return answered.ok ? success({ ...answered.value, format: REPORT_FORMAT }) : answered;
}

async function startStream(
  { streams }: ControlPorts,
  name: StreamedName,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Outcome<AsyncIterable<object>, CodedError>> {
  const asked = checkRequest(name, await readJson(request));
  const stream = streams[name] as (asked: unknown, signal: AbortSignal) => Answer<AsyncIterable<object>>;
  return asked.ok ? stream(asked.value, signal) : asked;
}

async function takeContent(ports: ControlPorts, request: IncomingMessage): Promise<Outcome<object, CodedError>> {
  const { value, octets } = await readJsonLine(request);
  const asked = checkRequest('images/content', value);
  if (!asked.ok) return asked;
  const added = await ports.addContent(asked.value, octets);
  return added.ok ? success({ ...added.value, format: REPORT_FORMAT }) : added;
}

async function takeEvent(ports: ControlPorts, request: IncomingMessage): Promise<Outcome<EventReport, CodedError>> {
  const event = await readEvent(request);
  return event.ok ? ports.event(event.value) : event;
}

async function takeMetered(ports: ControlPorts, request: IncomingMessage): Promise<Outcome<MeteredReport, CodedError>> {
  const setting = checkMetered(await readJson(request));
  return setting.ok ? success(await ports.setMetered(setting.value)) : setting;
}

function isStream(value: object | AsyncIterable<object>): value is AsyncIterable<object> {
  return Symbol.asyncIterator in value;
}

/** One object a line. Nothing is taken from the source while the reader has not taken what came before. */
async function pour(response: ServerResponse, items: AsyncIterable<object>): Promise<void> {
  response.writeHead(200, {
    'Content-Type': 'application/x-ndjson',
    Connection: 'close',
    'Dmgw-Format': REPORT_FORMAT,
  });
  response.flushHeaders();
  for await (const item of items) {
    if (response.destroyed) return;
    if (!response.write(`${JSON.stringify(item)}\n`)) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(slow);
      response.off('drain', over);
      response.off('close', over);
      resolve();
    };
    const slow = setTimeout(() => response.destroy(), SLOW_READER_MS);
    response.once('drain', over);
    response.once('close', over);
  });
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'Content-Type': 'application/json', Connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}
