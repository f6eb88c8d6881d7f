import type { Agent } from 'node:http';
import type { Clock, TimerHandle } from '../clock/index.js';
import { lateHttp, lateHttps } from '../late/index.js';
import {
  openHttp,
  redactUrl,
  type AddressFilter,
  type HttpErrorCode,
  type HttpReply,
  type TlsIdentity,
} from '../net/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { HMAC_HEADER } from './auth.js';
import { MIME_WBXML, MIME_XML } from './codes.js';
import type { MediaType } from './wire.js';

export type TransportErrorCode =
  | HttpErrorCode // no reply, or it broke off
  | 'redirect' // the server points elsewhere; not followed
  | 'http-status' // another status than 200
  | 'content-type' // 200, but not a DM message: a captive portal, or a wrong URL
  | 'reply-too-large'; // more octets than maxReplyBytes

export interface TransportError extends CodedError<TransportErrorCode> {
  /** HTTP status, where there was a reply. */
  readonly status?: number;
  /** What the server asked for in Retry-After, at most a day. */
  readonly retryAfterSeconds?: number;
  /** Target of a redirect as the server wrote it. */
  readonly location?: string;
}

export interface TransportOptions {
  readonly allowAddress: AddressFilter;
  /** Product token of the DM client. */
  readonly userAgent: string;
  /** Silence longer than this is a time-out. */
  readonly idleTimeoutMs: number;
  /** The whole exchange of one message may take so long, however slowly the server drips. */
  readonly exchangeTimeoutMs: number;
  readonly clock: Clock;
  /** PEM of certificate authorities that replace the built-in ones. */
  readonly ca?: string;
  /** Shown to a server that asks for a client certificate. */
  readonly identity?: TlsIdentity;
}

export interface PostOptions {
  /** Octets of the largest message that the session accepts. */
  readonly maxReplyBytes: number;
  readonly signal?: AbortSignal;
  /** Content of `x-syncml-hmac` for this message (5.5). */
  readonly hmac?: string;
}

export interface TransportReply {
  readonly status: 200;
  /** The types of Data Sync, which some peers use, are reported as those of DM (1.3). */
  readonly contentType: MediaType;
  /** Exactly as received: `x-syncml-hmac` covers these octets. */
  readonly body: Uint8Array;
  readonly hmac?: string;
}

const MAX_RETRY_AFTER_SECONDS = 24 * 60 * 60;

const REPLY_TYPES: ReadonlyMap<string, MediaType> = new Map([
  [MIME_XML, MIME_XML],
  [MIME_WBXML, MIME_WBXML],
  ['application/vnd.syncml+xml', MIME_XML],
  ['application/vnd.syncml+wbxml', MIME_WBXML],
]);

/**
 * Carries the messages of one DM session over HTTP (1.4): one connection as long as the server keeps it, and the cookies
 * that it sets. Sends each message once; whether it is repeated is the session's decision.
 */
export class DmTransport {
  readonly #cookies = new CookieJar();
  /** By the scheme of a URL, see `#agentFor`. */
  readonly #agents = new Map<string, Agent>();
  /** One for all exchanges, until it is used: a signal for each message would outlive young garbage. */
  #controller = new AbortController();

  constructor(private readonly o: TransportOptions) {}

  /** Posts a message. @param contentType its encoding, in which the server should answer; both are understood */
  async post(
    url: string,
    body: Uint8Array,
    contentType: MediaType,
    options: PostOptions,
  ): Promise<Outcome<TransportReply, TransportError>> {
    const target = parseUrl(url);
    if (!target) return failure('bad-url', `'${redactUrl(url)}' is not an http or https URL`);
    if (this.#controller.signal.aborted) this.#controller = new AbortController();
    const deadline = new Deadline(this.o, this.#controller, options.signal);
    try {
      const cookie = this.#cookies.header(target.origin);
      const reply = await openHttp({
        method: 'POST',
        url: target,
        headers: {
          'Content-Type': contentType,
          Accept: contentType === MIME_XML ? `${MIME_XML}, ${MIME_WBXML}` : `${MIME_WBXML}, ${MIME_XML}`,
          'Accept-Charset': 'utf-8',
          'Cache-Control': 'no-store',
          'User-Agent': this.o.userAgent,
          ...(cookie !== undefined && { Cookie: cookie }),
          ...(options.hmac !== undefined && { [HMAC_HEADER]: options.hmac }),
        },
        body,
        signal: deadline.signal,
        idleTimeoutMs: this.o.idleTimeoutMs,
        allowAddress: this.o.allowAddress,
        agent: this.#agentFor(target.protocol),
        ...(this.o.ca !== undefined && { ca: this.o.ca }),
        ...(this.o.identity && { identity: this.o.identity }),
      });
      if (!reply.ok) return deadline.passed ? deadline.failure() : reply;
      this.#cookies.take(target.origin, reply.value.headers['set-cookie'] ?? []);
      const refusal = this.#refusalOf(reply.value);
      if (refusal) {
        reply.value.body.destroy();
        return { ok: false, error: refusal };
      }
      const received = await readBody(reply.value, options);
      return !received.ok && deadline.passed ? deadline.failure() : received;
    } finally {
      deadline.cancel();
    }
  }

  /** Closes the connections; the session is over. May be called again. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy();
  }

  #agentFor(protocol: string): Agent {
    const known = this.#agents.get(protocol);
    if (known) return known;
    const options = { keepAlive: true, maxSockets: 1 };
    const agent = protocol === 'https:' ? new (lateHttps().Agent)(options) : new (lateHttp().Agent)(options);
    this.#agents.set(protocol, agent);
    return agent;
  }

  #refusalOf({ status, headers }: HttpReply): TransportError | undefined {
    if (status === 200) return contentTypeRefusal(headers['content-type'], headers['content-encoding']);
    if (status >= 300 && status < 400 && headers.location !== undefined) {
      const text = `HTTP ${status} to ${redactUrl(headers.location)}`;
      return { code: 'redirect', text, status, location: headers.location };
    }
    const retryAfterSeconds = readRetryAfter(headers['retry-after'], this.o.clock);
    const wait = retryAfterSeconds !== undefined && { retryAfterSeconds };
    return { code: 'http-status', text: `HTTP status ${status}`, status, ...wait };
  }
}

function parseUrl(text: string): URL | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url && (url.protocol === 'http:' || url.protocol === 'https:') ? url : undefined;
}

function replyType(contentType: string | undefined): MediaType | undefined {
  const [media = ''] = (contentType ?? '').split(';');
  return REPLY_TYPES.get(media.trim().toLowerCase());
}

function contentTypeRefusal(contentType: string | undefined, coding: string | undefined): TransportError | undefined {
  const refused = (text: string): TransportError => ({ code: 'content-type', text, status: 200 });
  if (coding !== undefined && coding !== 'identity') return refused(`content coding '${coding}' was not asked for`);
  return replyType(contentType) ? undefined : refused(`'${contentType ?? 'no type'}' is not a DM message`);
}

async function readBody(reply: HttpReply, options: PostOptions): Promise<Outcome<TransportReply, TransportError>> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of reply.body as AsyncIterable<Buffer>) {
      size += chunk.byteLength;
      // Leaving the loop destroys the stream and its connection.
      if (size > options.maxReplyBytes) return failure('reply-too-large', `more than ${options.maxReplyBytes} octets`);
      chunks.push(chunk);
    }
  } catch (thrown) {
    const code = options.signal?.aborted ? 'aborted' : 'broken';
    return failure(code, `the reply broke off: ${describeThrown(thrown)}`, thrown);
  }
  const hmac = reply.headers[HMAC_HEADER];
  return success({
    status: 200,
    contentType: replyType(reply.headers['content-type']) ?? MIME_XML,
    body: Buffer.concat(chunks),
    ...(typeof hmac === 'string' && { hmac }),
  });
}

/** Seconds or a date (RFC 9110 §10.2.3); a date counts only when our clock can be trusted. */
function readRetryAfter(header: string | undefined, clock: Clock): number | undefined {
  const text = header?.trim() ?? '';
  const fromNow = clock.plausible() ? (Date.parse(text) - clock.wallMs()) / 1000 : Number.NaN;
  const seconds = /^[0-9]+$/.test(text) ? Number(text) : fromNow;
  return Number.isNaN(seconds) ? undefined : Math.ceil(Math.min(Math.max(0, seconds), MAX_RETRY_AFTER_SECONDS));
}

/** The time that one exchange may take, joined with the caller's signal. */
class Deadline {
  passed = false;
  readonly #timer: TimerHandle;
  readonly #abort = (): void => this.controller.abort();

  constructor(
    private readonly o: TransportOptions,
    private readonly controller: AbortController,
    private readonly outer: AbortSignal | undefined,
  ) {
    this.#timer = o.clock.after(o.exchangeTimeoutMs, () => {
      this.passed = true;
      this.#abort();
    });
    if (outer?.aborted) this.#abort();
    else outer?.addEventListener('abort', this.#abort, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  failure(): Outcome<never, TransportError> {
    return failure('timeout', `the exchange took longer than ${this.o.exchangeTimeoutMs} ms`);
  }

  cancel(): void {
    this.#timer.cancel();
    this.outer?.removeEventListener('abort', this.#abort);
  }
}

/** Cookies in a session: servers keep its state by them. They go back to the origin that set them, and no other. */
const MAX_COOKIES = 16;
const MAX_COOKIE_LENGTH = 1024;

class CookieJar {
  #origin = '';
  readonly #cookies = new Map<string, string>();

  header(origin: string): string | undefined {
    if (origin !== this.#origin || this.#cookies.size === 0) return undefined;
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  /** Name and value only; what does not fit is dropped, and with another origin the jar begins anew. */
  take(origin: string, setCookies: readonly string[]): void {
    if (setCookies.length > 0 && origin !== this.#origin) {
      this.#origin = origin;
      this.#cookies.clear();
    }
    for (const text of setCookies) {
      const [, name, value] = /^\s*([^=;\s]+)\s*=\s*([^;]*?)\s*(?:;|$)/.exec(text.slice(0, MAX_COOKIE_LENGTH)) ?? [];
      if (name === undefined || value === undefined || text.length > MAX_COOKIE_LENGTH) continue;
      if (value === '') this.#cookies.delete(name);
      else if (this.#cookies.has(name) || this.#cookies.size < MAX_COOKIES) this.#cookies.set(name, value);
    }
  }
}
