import type { Agent } from 'node:http';
import type { Clock } from '../clock/index.js';
import { openHttp, redactUrl, type AddressFilter, type HttpReply } from '../net/index.js';
import { fault, requestFault, statusFault, type Fault } from './fault.js';
import type { Have } from './resume.js';

export interface RequestOptions {
  readonly clock: Clock;
  readonly allowAddress: AddressFilter;
  /** Silence on the connection longer than this, in ms, is a stall. */
  readonly idleTimeoutMs: number;
  /** Follow a redirect from https to http. */
  readonly allowDowngrade: boolean;
  readonly userAgent: string;
  /** PEM of certificate authorities that replace the built-in ones. */
  readonly ca?: string;
  readonly agent?: Agent;
}

export type RequestEnd =
  | { readonly kind: 'reply'; readonly reply: HttpReply }
  | { readonly kind: 'fault'; readonly fault: Fault }
  | { readonly kind: 'aborted' };

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const CONTENT = new Set([200, 206, 416]);

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
    const sent = await openHttp({
      method: 'GET',
      url,
      headers: headersFor(have, options.userAgent),
      signal,
      idleTimeoutMs: options.idleTimeoutMs,
      allowAddress: options.allowAddress,
      ...(options.ca !== undefined && { ca: options.ca }),
      ...(options.agent && { agent: options.agent }),
    });
    if (!sent.ok) {
      const found = requestFault(sent.error);
      return found ? { kind: 'fault', fault: found } : { kind: 'aborted' };
    }
    const reply = sent.value;
    if (CONTENT.has(reply.status)) return { kind: 'reply', reply };
    discard(reply);
    if (!REDIRECTS.has(reply.status)) {
      return { kind: 'fault', fault: statusFault(reply.status, reply.headers, options.clock.wallMs()) };
    }
    const { location } = reply.headers;
    if (location === undefined || !URL.canParse(location, url.href)) {
      return { kind: 'fault', fault: fault('bad-url', 'fail', 'a redirect without a usable Location') };
    }
    const next = new URL(location, url);
    if (url.protocol === 'https:' && next.protocol === 'http:' && !options.allowDowngrade) {
      return { kind: 'fault', fault: fault('bad-url', 'fail', `a redirect from https to ${redactUrl(next.href)}`) };
    }
    url = next;
  }
  return { kind: 'fault', fault: fault('bad-url', 'fail', `more than ${MAX_REDIRECTS} redirects`) };
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

/** A body that nobody reads must not hold the connection, and its late errors are nobody's business. */
export function discard(reply: HttpReply): void {
  reply.body.on('error', () => {});
  reply.body.destroy();
}
