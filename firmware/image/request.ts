import type { Clock } from '../clock/index.js';
import { lateHttp } from '../late/index.js';
import { openHttp, redactUrl, type HttpAccess, type HttpError, type HttpReply } from '../net/index.js';
import { describeThrown, type Outcome } from '../outcome/index.js';
import { fault, requestFault, statusFault, type Fault } from './fault.js';
import type { Have } from './resume.js';

export interface RequestOptions {
  readonly clock: Clock;
  /** Where the URL of an image, and each redirect, may lead, and what goes along. */
  readonly access: HttpAccess;
  /** Silence on the connection longer than this, in ms, is a stall. */
  readonly idleTimeoutMs: number;
  /** Follow a redirect from https to http. */
  readonly allowDowngrade: boolean;
  readonly userAgent: string;
}

export type RequestEnd =
  | { readonly kind: 'reply'; readonly reply: HttpReply; /** Behind the redirects. */ readonly url: URL }
  | Fault
  | { readonly kind: 'aborted' };

const MAX_REDIRECTS = 5;
/** The headers of a reply must be complete within so many idle timeouts. */
const HEAD_WINDOWS = 2;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const CONTENT = new Set([200, 206, 416]);

const CLOCK_FAULT = fault('clock', 'network', 'the clock is not set: certificates cannot be checked yet');

/**
 * Asks for the image from `have.bytes` on, following redirects; each hop is filtered. A reply is handed out when its
 * status is one that `meaningOf` decides on; its body is then the caller's.
 */
export async function requestImage(
  source: string,
  have: Have,
  signal: AbortSignal,
  options: RequestOptions,
): Promise<RequestEnd> {
  let url = new URL(source);
  for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
    // Certificates are good for a time only.
    if (url.protocol === 'https:' && !options.clock.plausible()) return CLOCK_FAULT;
    const sent = await headOf(url, have, signal, options);
    if (!sent.ok) {
      if (signal.aborted) return { kind: 'aborted' };
      return requestFault(sent.error);
    }
    const reply = sent.value;
    if (CONTENT.has(reply.status)) return { kind: 'reply', reply, url };
    discard(reply);
    if (!REDIRECTS.has(reply.status)) {
      return statusFault(reply.status, reply.headers, options.clock.wallMs());
    }
    const { location } = reply.headers;
    if (location === undefined || !URL.canParse(location, url.href)) {
      return fault('bad-url', 'fail', 'a redirect without a usable Location');
    }
    const next = new URL(location, url);
    if (url.protocol === 'https:' && next.protocol === 'http:' && !options.allowDowngrade) {
      return fault('bad-url', 'fail', `a redirect from https to ${redactUrl(next.href)}`);
    }
    url = next;
  }
  return fault('bad-url', 'fail', `more than ${MAX_REDIRECTS} redirects`);
}

/**
 * One request, until its reply's headers are there. They have a deadline of their own: a header that drips, or interim
 * replies without end (RFC 9110 §15.2), are never silent. Afterwards nobody's timer runs: whoever reads the body knows
 * when it was the reader who paused.
 */
async function headOf(
  url: URL,
  have: Have,
  signal: AbortSignal,
  options: RequestOptions,
): Promise<Outcome<HttpReply, HttpError>> {
  const giveUp = new AbortController();
  const abort = (): void => giveUp.abort();
  const deadline = options.clock.after(options.idleTimeoutMs * HEAD_WINDOWS, abort);
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  const sent = await openHttp({
    ...options.access,
    method: 'GET',
    url,
    headers: headersFor(have, options.userAgent),
    signal: giveUp.signal,
    large: true,
    idleTimeoutMs: options.idleTimeoutMs,
  });
  deadline.cancel();
  signal.removeEventListener('abort', abort);
  if (sent.ok && sent.value.body instanceof lateHttp().IncomingMessage) sent.value.body.setTimeout(0);
  return sent;
}

/** Built afresh for every request: a header left over from the last one would corrupt the image. */
function headersFor(have: Have, userAgent: string): Record<string, string> {
  return {
    'User-Agent': userAgent,
    Accept: '*/*',
    // Ranges count bytes of the representation: it must be the file itself.
    'Accept-Encoding': 'identity',
    ...(have.bytes > 0 && { Range: `bytes=${have.bytes}-` }),
    ...(have.bytes > 0 && have.validator !== undefined && { 'If-Range': have.validator }),
  };
}

/**
 * Reads a small body whole, within the time that headers may take.
 * @returns a fault when it is encoded, longer than `maxBytes`, or breaks off
 */
export async function readDocument(
  { headers, body }: HttpReply,
  maxBytes: number,
  signal: AbortSignal,
  { clock, idleTimeoutMs }: RequestOptions,
): Promise<Uint8Array | Fault | 'aborted'> {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    body.destroy();
    return fault('bad-reply', 'fail', 'the document is encoded, which was not asked for');
  }
  const chunks: Buffer[] = [];
  let size = 0;
  const giveUp = (): void => void body.destroy(new Error('no complete document in time'));
  const deadline = clock.after(idleTimeoutMs * HEAD_WINDOWS, giveUp);
  signal.addEventListener('abort', giveUp);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      // Leaving the loop destroys the body and its connection.
      if (size > maxBytes) return fault('descriptor-invalid', 'fail', `the document is longer than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (thrown) {
    return signal.aborted ? 'aborted' : fault('broken', 'again', `the document broke off: ${describeThrown(thrown)}`);
  } finally {
    deadline.cancel();
    signal.removeEventListener('abort', giveUp);
  }
}

/** A body that nobody reads must not hold the connection, and its late errors are nobody's business. */
export function discard(reply: HttpReply): void {
  reply.body.on('error', () => {});
  reply.body.destroy();
}
