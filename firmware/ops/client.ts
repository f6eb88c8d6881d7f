import { request } from 'node:http';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import type { EventReport, EventRequest } from './event.js';
import type { MeteredReport, MeteredSetting } from './metered.js';
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
  return ask<StatusReport>(socket, '/status');
}

export function askHealth(socket: string): Promise<Outcome<HealthReport, AskError>> {
  return ask<HealthReport>(socket, '/health');
}

export function askSettings(socket: string): Promise<Outcome<SettingsReport, AskError>> {
  return ask<SettingsReport>(socket, '/settings');
}

/** @param set what counts from now on; undefined: it is only asked for */
export function askMetered(socket: string, set?: MeteredSetting): Promise<Outcome<MeteredReport, AskError>> {
  return ask<MeteredReport>(socket, '/metered', set && JSON.stringify({ set }));
}

/** Has the daemon tell the DM Servers of something. */
export function sendEvent(socket: string, event: EventRequest): Promise<Outcome<EventReport, AskError>> {
  return ask<EventReport>(socket, '/event', JSON.stringify(event));
}

async function ask<Report extends { readonly format: number }>(
  socket: string,
  name: string,
  body?: string,
): Promise<Outcome<Report, AskError>> {
  const answer = await fetchText(socket, name, body);
  if (!answer.ok) return answer;
  let report: Report;
  try {
    // The other side is this program; its format number says whether it is this version of it.
    report = JSON.parse(answer.value) as Report;
  } catch (thrown) {
    return failure('broken', `the daemon at ${socket} does not answer in JSON`, thrown);
  }
  if (report.format === REPORT_FORMAT) return success(report);
  return failure('other-version', `the daemon at ${socket} is of another version: restart it`);
}

/** @param body of a POST; absent: a GET */
function fetchText(socket: string, name: string, body: string | undefined): Promise<Outcome<string, AskError>> {
  return new Promise((resolve) => {
    const method = body === undefined ? 'GET' : 'POST';
    const options = { socketPath: socket, path: name, method, timeout: TIMEOUT_MS, agent: false };
    const outgoing = request(options, (reply) => {
      const chunks: Buffer[] = [];
      let length = 0;
      reply.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > MAX_ANSWER_BYTES) outgoing.destroy(new Error('the answer is too long'));
      });
      reply.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        if (reply.statusCode === 200) resolve(success(text));
        else if (reply.statusCode === 400) resolve(failure('refused', reasonIn(text)));
        else resolve(failure('broken', `the daemon at ${socket} answers ${reply.statusCode ?? 0}: see its log`));
      });
      reply.on('error', (thrown) => resolve(explain(socket, thrown)));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)));
    outgoing.on('error', (thrown) => resolve(explain(socket, thrown)));
    outgoing.end(body);
  });
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

function explain(socket: string, thrown: Error): Outcome<never, AskError> {
  const code = systemErrorCode(thrown);
  if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'ENOTDIR') {
    return failure('not-running', `the daemon is not running (nobody answers at ${socket})`, thrown);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return failure('denied', `the socket ${socket} belongs to another user: use sudo, or be that user`, thrown);
  }
  return failure('broken', `the daemon at ${socket} does not answer (${describeThrown(thrown)})`, thrown);
}
