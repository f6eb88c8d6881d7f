import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { AccessLog } from './access-log.js';
import { useUp, type Faults, type RequestFaults, type Stop } from './faults.js';
import type { Offers, OpenFile } from './offers.js';
import { select } from './ranges.js';
import type { Rate } from './rate.js';

export interface ReplyParts {
  readonly offers: Offers;
  readonly faults: Faults;
  readonly rate: Rate;
  readonly log: AccessLog;
}

/** Head of a reply and the bytes of the file that make its body: `start` inclusive, `end` exclusive. */
interface Plan {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly start: number;
  readonly end: number;
}

/** Answers one request and writes its line into the log. */
export async function reply(request: IncomingMessage, response: ServerResponse, parts: ReplyParts): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname;
  const method = request.method ?? '';
  const faults = parts.faults.take(path);
  parts.log.begin();
  const file = await parts.offers.open(path);
  let sent = { status: 500, from: 0, bytes: 0, complete: false };
  try {
    sent = await answer(request, response, faults, file, { ...parts, path });
  } finally {
    await file?.handle.close();
    parts.log.end({
      time: new Date().toISOString(),
      method,
      path,
      range: request.headers.range ?? null,
      ifRange: request.headers['if-range']?.toString() ?? null,
      ...sent,
      faults: faults.kinds,
    });
  }
}

interface Sent {
  readonly status: number;
  readonly from: number;
  readonly bytes: number;
  readonly complete: boolean;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  faults: RequestFaults,
  file: OpenFile | undefined,
  parts: ReplyParts & { readonly path: string },
): Promise<Sent> {
  const wrong = faults.find('status');
  if (wrong) return short(response, wrong.status, wrong.headers, wrong.body);
  if (request.method !== 'GET' && request.method !== 'HEAD') return short(response, 405, { allow: 'GET, HEAD' });
  if (!file) return short(response, 404);
  const plan = planOf(request, faults, file);
  response.writeHead(plan.status, plan.headers);
  if (request.method === 'HEAD' || plan.start === plan.end) {
    response.end();
    return { status: plan.status, from: plan.start, bytes: 0, complete: true };
  }
  const stop = faults.stop(plan.start, plan.end);
  const bytes = await sendBody(response, file, plan, stop, parts);
  return { status: plan.status, from: plan.start, bytes, complete: bytes === plan.end - plan.start };
}

/** A reply without an image. */
function short(response: ServerResponse, status: number, headers: OutgoingHttpHeaders = {}, body = ''): Sent {
  response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers });
  response.end(body);
  return { status, from: 0, bytes: 0, complete: true };
}

function planOf(request: IncomingMessage, faults: RequestFaults, file: OpenFile): Plan {
  const selection = faults.find('no-ranges') ? ({ kind: 'whole' } as const) : select(request.headers, file);
  const headers: OutgoingHttpHeaders = {
    'content-type': file.contentType,
    ...(!faults.find('no-ranges') && { 'accept-ranges': 'bytes' }),
    ...(!faults.find('no-validator') && {
      etag: faults.find('weak-etag') ? `W/${file.etag ?? '""'}` : file.etag,
      'last-modified': file.lastModified,
    }),
  };
  if (selection.kind === 'unsatisfiable') {
    const range = { 'content-range': `bytes */${file.size}`, 'content-length': 0 };
    return { status: 416, headers: { ...headers, ...range }, start: 0, end: 0 };
  }
  if (selection.kind === 'whole') {
    return { status: 200, headers: { ...headers, 'content-length': file.size }, start: 0, end: file.size };
  }
  const start = Math.min(selection.start + (faults.find('shift')?.bytes ?? 0), selection.end - 1);
  const wrong = faults.find('content-range');
  const contentRange = wrong ? wrong.value : `bytes ${start}-${selection.end - 1}/${file.size}`;
  headers['content-length'] = selection.end - start;
  if (contentRange !== null) headers['content-range'] = contentRange;
  return { status: 206, headers, start, end: selection.end };
}

/** Bytes that are read and written at once where no rate makes it less. */
const MAX_WRITE_BYTES = 256 * 1024;

/** @returns the bytes that the kernel took */
async function sendBody(
  response: ServerResponse,
  file: OpenFile,
  { start, end }: Plan,
  stop: Stop | undefined,
  { rate, log, offers, path }: ReplyParts & { readonly path: string },
): Promise<number> {
  const buffer = Buffer.allocUnsafe(rate.slice(MAX_WRITE_BYTES));
  let ahead = stop;
  let at = start;
  while (at < end && !response.destroyed) {
    if (ahead && at === ahead.at) {
      if (!(await survive(ahead, response, offers))) return at - start;
      ahead = undefined;
    }
    const wanted = Math.min(buffer.length, (ahead?.at ?? end) - at);
    const { bytesRead } = await file.handle.read(buffer, 0, wanted, at);
    if (bytesRead === 0) {
      response.destroy(); // the file has become shorter
      break;
    }
    await rate.carry(bytesRead);
    if (!(await write(response, buffer.subarray(0, bytesRead)))) break;
    log.sent(path, bytesRead);
    at += bytesRead;
  }
  if (at === end) response.end();
  return at - start;
}

/** @returns whether the body goes on behind this stop */
async function survive({ at, fault }: Stop, response: ServerResponse, offers: Offers): Promise<boolean> {
  if (fault.kind === 'stall') {
    await silence(response, fault.ms);
    return !response.destroyed;
  }
  if (fault.kind === 'cut-at') {
    useUp(fault, at);
    if (fault.thenOffer) offers.set(fault.thenOffer);
  }
  if (fault.kind === 'cut' && fault.reset) response.socket?.resetAndDestroy();
  else response.destroy();
  return false;
}

/** Waits for `ms`, or for the end of the connection, whichever comes first. */
function silence(response: ServerResponse, ms: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    const timer = ms === undefined ? undefined : setTimeout(resolve, ms);
    response.once('close', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** @returns false when the client has gone */
function write(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const gone = (): void => resolve(false);
    response.once('close', gone);
    response.write(bytes, (error) => {
      response.off('close', gone);
      resolve(!error);
    });
  });
}
