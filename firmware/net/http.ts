import { lookup as dnsLookup, type LookupAddress, type LookupAllOptions } from 'node:dns';
import { request as httpRequest, type Agent, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Readable } from 'node:stream';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import type { Credentials } from './credentials.js';
import type { AddressFilter, HostFilter } from './destinations.js';

export type HttpErrorCode =
  | 'bad-url' // not http or https
  | 'address-refused' // the host, or every address of it, is forbidden by a filter
  | 'unresolved' // the name has no address
  | 'unreachable' // no connection
  | 'tls' // the certificate or the handshake was refused
  | 'timeout' // silence for longer than idleTimeoutMs
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
  /** Finds the addresses of a name. Default as the system does. */
  readonly resolve?: Resolver;
  /** PEM of certificate authorities that replace the built-in ones. */
  readonly ca?: string;
}

export interface HttpRequest extends HttpAccess {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal?: AbortSignal;
  /** Silence on the socket longer than this, in ms, is a time-out; also while the body is read (the body then errors). */
  readonly idleTimeoutMs: number;
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
}

/** Headers larger than this are an error: they come from the internet. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Sends one request and resolves when the headers of the final reply are there. Redirects are not followed, content is
 * not decoded. The filters are applied to the host, to literal addresses and to each resolved one, before a packet is
 * sent.
 */
export function openHttp(request: HttpRequest): Promise<Outcome<HttpReply, HttpError>> {
  const { url } = request;
  const secure = url.protocol === 'https:';
  if (!secure && url.protocol !== 'http:') {
    return Promise.resolve(failure('bad-url', `scheme '${url.protocol}' is not http or https`));
  }
  if (request.allowHost?.(url.hostname) === false) {
    return Promise.resolve(failure('address-refused', `host ${url.hostname} is not allowed`));
  }
  const literal = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(literal) !== 0 && !request.allowAddress(literal)) {
    return Promise.resolve(failure('address-refused', `address ${literal} is not allowed`));
  }
  if (request.signal?.aborted) return Promise.resolve(failure('aborted', 'aborted by the caller'));

  const authorization = request.credentials?.for(url);
  return new Promise((resolve) => {
    const send = secure ? httpsRequest : httpRequest;
    const outgoing = send({
      method: request.method,
      host: literal,
      ...(url.port && { port: Number(url.port) }),
      path: `${url.pathname}${url.search}`,
      headers: {
        Host: url.host,
        ...(authorization !== undefined && { Authorization: authorization }),
        ...request.headers,
        ...(request.body && { 'Content-Length': String(request.body.byteLength) }),
      },
      lookup: filteredLookup(request.allowAddress, request.resolve ?? dnsLookup),
      maxHeaderSize: MAX_HEADER_BYTES,
      agent: request.agent ?? false,
      ...(request.signal && { signal: request.signal }),
      ...(secure && {
        minVersion: 'TLSv1.2' as const,
        ...(isIP(literal) === 0 && { servername: literal }),
        ...(request.ca !== undefined && { ca: request.ca }),
      }),
    });
    let timedOut = false;
    outgoing.setTimeout(request.idleTimeoutMs, () => {
      timedOut = true;
      outgoing.destroy(new Error(`no data for ${request.idleTimeoutMs} ms`));
    });
    outgoing.on('response', (incoming: IncomingMessage) => {
      resolve(
        success({
          status: incoming.statusCode ?? 0,
          headers: incoming.headers,
          rawHeaders: incoming.rawHeaders,
          body: incoming,
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

/** A URL as it may stand in logs and texts: user information, query and fragment cut, because they carry secrets. */
export function redactUrl(text: string): string {
  const [withoutQuery = ''] = text.split(/[?#]/);
  const bare = withoutQuery.replace(/[/\\]{2}[^/\\]*@/, '//');
  return bare.length < text.length && /[?]/.test(text) ? `${bare}?...` : bare;
}

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

function classify(thrown: Error, signal: AbortSignal | undefined): HttpErrorCode {
  if (signal?.aborted) return 'aborted';
  const code = systemErrorCode(thrown) ?? '';
  if (code === ADDRESS_REFUSED) return 'address-refused';
  if (UNRESOLVED.has(code)) return 'unresolved';
  if (UNREACHABLE.has(code) || thrown instanceof AggregateError) return 'unreachable';
  if (/^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|EPROTO$)/.test(code)) return 'tls';
  return 'broken';
}
