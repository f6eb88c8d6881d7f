import type { ClientRequest, IncomingMessage } from 'node:http';
import type Readline from 'node:readline';
import { lateHttp } from '../late/index.js';
import { loadOutside } from '../native/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import type { EventReport, EventRequest } from './event.js';
import type { MeteredReport, MeteredSetting } from './metered.js';
import type { AnsweredName, Answers, Asked, ImageDetail, Page, StreamedName, Streams } from './operations.js';
import { REPORT_FORMAT, type HealthReport, type SettingsReport, type StatusReport } from './reports.js';

export type AskErrorCode =
  | 'not-running' // no socket, or nobody listens on it
  | 'denied' // the socket belongs to another user
  | 'broken' // no complete answer
  | 'refused' // the daemon does not take what it was told
  | 'other-version'; // the daemon's reports have another format

export type AskError = CodedError<AskErrorCode>;

/** A longer answer than this is not ours. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const TIMEOUT_MS = 10_000;

export function askStatus(socket: string): Promise<Outcome<StatusReport, AskError>> {
  return ask<StatusReport>(socket, 'status');
}

export function askHealth(socket: string): Promise<Outcome<HealthReport, AskError>> {
  return ask<HealthReport>(socket, 'health');
}

export function askSettings(socket: string): Promise<Outcome<SettingsReport, AskError>> {
  return ask<SettingsReport>(socket, 'settings');
}

/** @param set what counts from now on; undefined: it is only asked for */
export function askMetered(socket: string, set?: MeteredSetting): Promise<Outcome<MeteredReport, AskError>> {
  return ask<MeteredReport>(socket, 'metered', set && { set });
}

/** Has the daemon tell the DM Servers of something. */
export function sendEvent(socket: string, event: EventRequest): Promise<Outcome<EventReport, AskError>> {
  return ask<EventReport>(socket, 'event', event);
}

/** Has the daemon do something, and takes its answer. */
export async function operate<Name extends AnsweredName>(
  socket: string,
  name: Name,
  asked: Asked<Name>,
): Promise<Outcome<Answers[Name], AskError>> {
  return ask<Answers[Name] & { readonly format: number }>(socket, name, asked);
}

/** The names of what is answered in pages. */
export type PagedName = { [N in AnsweredName]: Answers[N] extends Page<unknown> ? N : never }[AnsweredName];
export type RowOf<Name extends PagedName> = Answers[Name] extends Page<infer Row> ? Row : never;

/** All rows of a list, page by page. Ends with the first page that cannot be had, and yields why. */
export async function* pagesOf<Name extends PagedName>(
  socket: string,
  name: Name,
  asked: Asked<Name>,
): AsyncGenerator<Outcome<readonly RowOf<Name>[], AskError>> {
  let after: string | null | undefined;
  do {
    const page = await operate(socket, name, after === undefined ? asked : { ...asked, after });
    if (!page.ok) {
      yield page;
      return;
    }
    const { rows, next } = page.value as Page<RowOf<Name>>;
    yield success(rows);
    after = next;
  } while (after !== null);
}

/**
 * Takes an answer that comes piece by piece. The next piece is read when `take` has resolved.
 * @returns when the daemon has ended it
 */
export function follow<Name extends StreamedName>(
  socket: string,
  name: Name,
  asked: Asked<Name>,
  take: (item: Streams[Name]) => Promise<void>,
): Promise<Outcome<undefined, AskError>> {
  return exchange(socket, name, (outgoing) => outgoing.end(JSON.stringify(asked)), {
    // It may be silent for long.
    timeoutMs: 0,
    read: async (reply) => {
      if (reply.headers['dmgw-format'] !== String(REPORT_FORMAT)) return otherVersion(socket);
      try {
        for await (const line of readline().createInterface({ input: reply }))
          await take(JSON.parse(line) as Streams[Name]);
      } catch (thrown) {
        return explain(socket, thrown);
      }
      if (!reply.complete) return gone(socket);
      return success();
    },
  });
}

/** Loaded when there is something to follow: the daemon has this file too, and follows nothing. */
const readline = (): typeof Readline => loadOutside('node:readline') as typeof Readline;

/** Hands an image over. @param octets as many as the request says; not read any further once the daemon refuses them */
export function sendContent(
  socket: string,
  asked: Asked<'images/content'>,
  octets: AsyncIterable<Uint8Array>,
): Promise<Outcome<ImageDetail, AskError>> {
  const hand = async (outgoing: ClientRequest): Promise<void> => {
    const over = new AbortController();
    outgoing.once('close', () => over.abort()).once('response', () => over.abort());
    outgoing.write(`${JSON.stringify(asked)}\n`);
    for await (const piece of octets) {
      if (over.signal.aborted) return;
      if (!outgoing.write(piece)) await settled(outgoing);
    }
    outgoing.end();
  };
  const read = (reply: IncomingMessage): Promise<Outcome<ImageDetail, AskError>> => readReport(socket, reply);
  return exchange(
    socket,
    'images/content',
    (outgoing) => void hand(outgoing).catch((thrown: unknown) => outgoing.destroy(thrown as Error)),
    { timeoutMs: 0, read },
  );
}

/** Resolves when more can be written, or never will be. */
function settled(outgoing: ClientRequest): Promise<void> {
  return new Promise((resolve) => {
    const events = ['drain', 'close', 'response'] as const;
    const over = (): void => {
      for (const event of events) outgoing.off(event, over);
      resolve();
    };
    for (const event of events) outgoing.once(event, over);
  });
}

/** @param body of a POST; absent: a GET */
function ask<Report extends { readonly format: number }>(
  socket: string,
  name: string,
  body?: object,
): Promise<Outcome<Report, AskError>> {
  const read = (reply: IncomingMessage): Promise<Outcome<Report, AskError>> => readReport(socket, reply);
  const method = body === undefined ? 'GET' : 'POST';
  const write = (outgoing: ClientRequest): unknown => outgoing.end(body && JSON.stringify(body));
  return exchange(socket, name, write, { method, timeoutMs: TIMEOUT_MS, read });
}

interface Exchange<T> {
  readonly method?: 'GET' | 'POST';
  /** Silence of the daemon; 0: it may last. */
  readonly timeoutMs: number;
  /** Reads what came with status 200. */
  readonly read: (reply: IncomingMessage) => Promise<Outcome<T, AskError>>;
}

function exchange<T>(
  socket: string,
  name: string,
  write: (outgoing: ClientRequest) => unknown,
  { method = 'POST', timeoutMs, read }: Exchange<T>,
): Promise<Outcome<T, AskError>> {
  return new Promise((resolve) => {
    const options = { socketPath: socket, path: `/${name}`, method, timeout: timeoutMs, agent: false };
    const outgoing = lateHttp().request(options, (reply) => {
      reply.on('error', (thrown) => resolve(explain(socket, thrown)));
      const read200 = reply.statusCode === 200 ? read(reply) : refusal(socket, reply);
      read200.then(resolve, (thrown: unknown) => resolve(explain(socket, thrown)));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)));
    outgoing.on('error', (thrown) => resolve(explain(socket, thrown)));
    write(outgoing);
  });
}

async function readReport<Report>(socket: string, reply: IncomingMessage): Promise<Outcome<Report, AskError>> {
  const text = await readText(reply);
  let report: { readonly format?: unknown };
  try {
    // The other side is this program; its format number says whether it is this version of it.
    report = JSON.parse(text) as typeof report;
  } catch (thrown) {
    return failure('broken', `the daemon at ${socket} does not answer in JSON`, thrown);
  }
  return report.format === REPORT_FORMAT ? success(report as Report) : otherVersion(socket);
}

async function refusal(socket: string, reply: IncomingMessage): Promise<Outcome<never, AskError>> {
  const text = await readText(reply);
  if (reply.statusCode === 400) return failure('refused', reasonIn(text));
  if (reply.statusCode === 404) return otherVersion(socket);
  return failure('broken', `the daemon at ${socket} answers ${reply.statusCode ?? 0}: see its log`);
}

async function readText(reply: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of reply as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_ANSWER_BYTES) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function otherVersion(socket: string): Outcome<never, AskError> {
  return failure('other-version', `the daemon at ${socket} is of another version: restart it`);
}

function reasonIn(text: string): string {
  try {
    const { error } = JSON.parse(text) as { readonly error?: unknown };
    if (typeof error === 'string') return error;
  } catch {
    // Not one of ours: the text says nothing that a person should read.
  }
  return 'the daemon does not take it';
}

/** It has closed the connection before the end of its answer: it was stopped, or has crashed. */
function gone(socket: string, thrown?: unknown): Outcome<never, AskError> {
  return failure('broken', `the daemon at ${socket} has ended`, thrown);
}

function explain(socket: string, thrown: unknown): Outcome<never, AskError> {
  const code = systemErrorCode(thrown);
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') {
    return failure('not-running', `the daemon is not running (nobody answers at ${socket})`, thrown);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return failure('denied', `the socket ${socket} belongs to another user: use sudo, or be that user`, thrown);
  }
  if (code === 'ECONNRESET') return gone(socket, thrown);
  return failure('broken', `the daemon at ${socket} does not answer (${describeThrown(thrown)})`, thrown);
}
