import { lookup as dnsLookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import type { Agent, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { RequestOptions as HttpsOptions } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { lateHttp, lateHttps } from '../late/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { DirectConnection, StreamReader, type BodyReader, type ByteSink } from './body.js';
import type { Credentials } from './credentials.js';
import type { AddressFilter, HostFilter } from './destinations.js';
import { ipFamily } from './family.js';
import {
  absoluteForm,
  isLoopbackName,
  openTunnel,
  PROXY_AUTHENTICATION_REQUIRED,
  proxyAddress,
  proxyFor,
  refusalOf,
  secureTunnel,
  type Proxy,
} from './proxy.js';

export type HttpErrorCode =
  | 'bad-url' // not http or https
  | 'address-refused' // the host, or every address of it, is forbidden by a filter
  | 'unresolved' // the name has no address
  | 'unreachable' // no connection
  | 'tls' // the certificate or the handshake was refused
  | 'timeout' // silence for longer than idleTimeoutMs
  | 'proxy' // the proxy will not lead there
  | 'proxy-auth' // the proxy wants other credentials
  | 'broken' // the connection ended before the reply's headers were complete
  | 'aborted'; // by the caller's signal

export type HttpError = CodedError<HttpErrorCode>;

/** Finds the addresses of a name; `dns.lookup` is one. */
export type Resolver = (
  hostname: string,
  options: LookupAllOptions,
  done: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/** Where requests may lead, and what goes along: for all requests of one kind the same. */
export interface HttpAccess {
  readonly allowAddress: AddressFilter;
  /** Which hosts a URL may name. Default every host. */
  readonly allowHost?: HostFilter;
  /** What single origins are shown. Default nothing. */
  readonly credentials?: Credentials;
  /** What requests go through. It resolves names in our place: `allowAddress` then sees literal addresses only. */
  readonly proxy?: Proxy;
  /** Finds the addresses of a name. Default as the system does. */
  readonly resolve?: Resolver;
  /** PEM of certificate authorities that replace the built-in ones. */
  readonly ca?: string;
  /** Who we are to a TLS server that asks. Default nobody. */
  readonly identity?: TlsIdentity;
}

/** A certificate, with the chain below its authority, and its private key. PEM. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

export interface HttpRequest extends HttpAccess {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal;
  /** Silence on the socket longer than this, in ms, is a time-out; also while the body is read (the body then errors). 0: none. */
  readonly idleTimeoutMs: number;
  /** The body is long: `readInto` is to get it straight from the connection, where that can be. */
  readonly large?: boolean;
  /** Keep-alive pool of the caller; without it the connection is closed after the reply. */
  readonly agent?: Agent;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Header names and values as received, for those that must not be joined or dropped silently. */
  readonly rawHeaders: readonly string[];
  /** Must be read to its end or destroyed. It errors when the connection breaks before the announced length. */
  readonly body: Readable;
  /** Takes over the body, of which nothing has been read yet. The reader that this gives begins paused. */
  readInto(sink: ByteSink): BodyReader;
}

/** Headers larger than this are an error: they come from the internet. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Sends one request and resolves when the headers of the final reply are there. Redirects are not followed, content is
 * not decoded. The filters are applied to the host, to literal addresses and, unless a proxy does the resolving, to each
 * address of a name, before a packet is sent.
 */
export async function openHttp(request: HttpRequest): Promise<Outcome<HttpReply, HttpError>> {
  const { url } = request;
  const proxy = proxyFor(url, request.proxy);
  const refusal = refusalToAsk(request, proxy);
  if (refusal !== undefined) return failure(refusal.code, refusal.text);
  if (request.signal?.aborted) return failure('aborted', 'aborted by the caller');
  if (!proxy) return send(request, directly(request));
  if (url.protocol === 'http:') {
    const sent = await send(request, throughProxy(request, proxy));
    if (!sent.ok || sent.value.status !== PROXY_AUTHENTICATION_REQUIRED) return sent;
    sent.value.body.destroy();
    return refusalOf(PROXY_AUTHENTICATION_REQUIRED, url.host);
  }
  try {
    const tunnel = await openTunnel(url, {
      proxy,
      lookup: filteredLookup(EVERY_ADDRESS, request.resolve ?? dnsLookup),
      idleTimeoutMs: request.idleTimeoutMs,
      userAgent: request.headers['User-Agent'],
      ...(request.signal && { signal: request.signal }),
    });
    return tunnel.ok ? await send(request, throughTunnel(request, tunnel.value)) : tunnel;
  } catch (thrown) {
    return failure(classify(thrown, request.signal), `proxy: ${describeThrown(thrown)}`, thrown);
  }
}

/** What in the URL itself speaks against it. */
function refusalToAsk({ url, ...access }: HttpRequest, proxy: Proxy | undefined): HttpError | undefined {
  const refused = (text: string): HttpError => ({ code: 'address-refused', text });
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    return { code: 'bad-url', text: `scheme '${url.protocol}' is not http or https` };
  }
  if (access.allowHost?.(url.hostname) === false) return refused(`host ${url.hostname} is not allowed`);
  const literal = bareHost(url);
  if (ipFamily(literal) !== 0 && !access.allowAddress(literal)) return refused(`address ${literal} is not allowed`);
  if (proxy && isLoopbackName(literal) && !access.allowAddress(LOOPBACK)) {
    return refused(`host ${literal} is not allowed: to a proxy it is the proxy itself`);
  }
  return undefined;
}

/** The options of a request that say whom to connect to and what to ask for there. */
interface Way extends Pick<HttpsOptions, 'host' | 'port' | 'path' | 'lookup' | 'agent' | 'createConnection'> {
  /** We make the connection, and nobody else uses it. */
  readonly own?: true;
  readonly headers?: Readonly<Record<string, string>>;
}

function directly(request: HttpRequest): Way & SecureContextOptions {
  const { url } = request;
  const literal = bareHost(url);
  return {
    host: literal,
    ...(url.port && { port: Number(url.port) }),
    path: `${url.pathname}${url.search}`,
    lookup: filteredLookup(request.allowAddress, request.resolve ?? dnsLookup),
    agent: request.agent ?? false,
    ...(!request.agent && { own: true }),
    ...(url.protocol === 'https:' && {
      ...tlsContext(request),
      ...(ipFamily(literal) === 0 && { servername: literal }),
    }),
  };
}

function throughProxy(request: HttpRequest, proxy: Proxy): Way {
  return {
    ...proxyAddress(proxy),
    path: absoluteForm(request.url),
    lookup: filteredLookup(EVERY_ADDRESS, request.resolve ?? dnsLookup),
    agent: false,
    own: true,
    headers: proxy.authorization === undefined ? {} : { 'Proxy-Authorization': proxy.authorization },
  };
}

function throughTunnel(request: HttpRequest, tunnel: Duplex): Way {
  const { url } = request;
  return {
    path: `${url.pathname}${url.search}`,
    createConnection: () => secureTunnel(tunnel, url, tlsContext(request)),
  };
}

function tlsContext({ ca, identity }: HttpRequest): SecureContextOptions {
  return { minVersion: 'TLSv1.2', ...(ca !== undefined && { ca }), ...identity };
}

function send(request: HttpRequest, { own, ...way }: Way): Promise<Outcome<HttpReply, HttpError>> {
  const { url } = request;
  const direct = own && request.large ? new DirectConnection() : undefined;
  const authorization = request.credentials?.for(url);
  return new Promise((resolve) => {
    const ask = url.protocol === 'https:' ? lateHttps().request : lateHttp().request;
    const outgoing = ask({
      // Something else than a spread comes first: V8 makes a new hidden class each time for what begins with one.
      method: request.method,
      ...way,
      ...(direct && { onread: direct.onread }),
      headers: {
        Host: url.host,
        ...way.headers,
        ...(authorization !== undefined && { Authorization: authorization }),
        ...request.headers,
        ...(request.body && { 'Content-Length': String(request.body.byteLength) }),
      },
      maxHeaderSize: MAX_HEADER_BYTES,
    });
    // Not the request's own option: what Node.js ties to a signal there outlives young garbage, a few KiB each time.
    const { signal } = request;
    const abort = (): void => void outgoing.destroy(new Error('aborted by the caller'));
    signal?.addEventListener('abort', abort, { once: true });
    outgoing.on('close', () => signal?.removeEventListener('abort', abort));
    let timedOut = false;
    outgoing.setTimeout(request.idleTimeoutMs, () => {
      timedOut = true;
      outgoing.destroy(new Error(`no data for ${request.idleTimeoutMs} ms`));
    });
    if (direct) outgoing.on('socket', (socket) => direct.use(socket));
    outgoing.on('response', (incoming: IncomingMessage) => {
      resolve(
        success({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          rawHeaders: incoming.rawHeaders,
          body: incoming,
          readInto: (sink) => {
            const bytes = ownLength(incoming);
            return direct && bytes !== undefined
              ? direct.readInto(incoming, bytes, sink)
              : new StreamReader(incoming, sink);
          },
        }),
      );
    });
    outgoing.on('error', (thrown) => {
      if (timedOut) resolve(failure('timeout', thrown.message, thrown));
      else resolve(failure(classify(thrown, request.signal), describeThrown(thrown), thrown));
    });
    outgoing.end(request.body);
  });
}

/** Octets of a body that is as long as its Content-Length says (RFC 9112 §6.3). */
function ownLength({ headers, statusCode = 0 }: IncomingMessage): number | undefined {
  const length = headers['content-length'] ?? '';
  const hasBody = statusCode >= 200 && statusCode !== 204 && statusCode !== 304;
  return hasBody && headers['transfer-encoding'] === undefined && /^\d{1,15}$/.test(length)
    ? Number(length)
    : undefined;
}

function bareHost({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** A URL as it may stand in logs and texts: user information, query and fragment cut, because they carry secrets. */
export function redactUrl(text: string): string {
  const [withoutQuery = ''] = text.split(/[?#]/);
  const bare = withoutQuery.replace(/[/\\]{2}[^/\\]*@/, '//');
  return bare.length < text.length && /[?]/.test(text) ? `${bare}?...` : bare;
}

const EVERY_ADDRESS: AddressFilter = () => true;
const LOOPBACK = '127.0.0.1';

const ADDRESS_REFUSED = 'DMGW_ADDRESS_REFUSED';

function filteredLookup(allow: AddressFilter, resolve: Resolver): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error) return callback(error, '', 0);
      const allowed = found.filter(({ address }) => allow(address));
      const [first] = allowed;
      if (!first) {
        const refused = new Error(`no address of ${hostname} is allowed (${found.map((a) => a.address).join(', ')})`);
        return callback(Object.assign(refused, { code: ADDRESS_REFUSED }), '', 0);
      }
      if (options.all) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

const UNRESOLVED = new Set(['ENOTFOUND', 'ENODATA', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME']);
const UNREACHABLE = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENETDOWN', 'EADDRNOTAVAIL', 'ETIMEDOUT']);

function classify(thrown: unknown, signal: AbortSignal | undefined): HttpErrorCode {
  if (signal?.aborted) return 'aborted';
  const code = systemErrorCode(thrown) ?? '';
  if (code === ADDRESS_REFUSED) return 'address-refused';
  if (UNRESOLVED.has(code)) return 'unresolved';
  if (UNREACHABLE.has(code) || thrown instanceof AggregateError) return 'unreachable';
  if (/^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|EPROTO$)/.test(code)) return 'tls';
  return 'broken';
}
