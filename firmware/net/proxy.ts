import type { LookupFunction, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions } from 'node:tls';
import { lateHttp, lateTls } from '../late/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { basic } from './credentials.js';
import type { HostFilter } from './destinations.js';
import { ipFamily } from './family.js';
import { canonicalHost } from './hosts.js';

/**
 * An HTTP proxy (RFC 9110 §3.7) that requests go through. It finds the addresses of names, so nobody here can say where
 * a name leads; what stands in the URL itself is still checked.
 */
export interface Proxy {
  /** Where it listens: the owner's choice, hence not filtered. */
  readonly url: URL;
  /** Value of Proxy-Authorization. */
  readonly authorization?: string;
  /** Hosts that are reached directly. */
  readonly except: HostFilter;
}

/** Value of Proxy-Authorization; the only scheme that proxies of a site share is basic. */
export const proxyAuthorization = basic;

/** The proxy for a URL; undefined: directly. */
export function proxyFor(url: URL, proxy: Proxy | undefined): Proxy | undefined {
  return proxy && !proxy.except(url.hostname) ? proxy : undefined;
}

/** True for names that are this host by definition (RFC 6761 §6.3): to a proxy they are the proxy's host. */
export function isLoopbackName(hostname: string): boolean {
  return /^(?:.*\.)?localhost$/.test(canonicalHost(hostname));
}

/** How the target stands in a request to a proxy: absolute-form (RFC 9112 §3.2.2), without user and fragment. */
export function absoluteForm(url: URL): string {
  return `${url.origin}${url.pathname}${url.search}`;
}

export interface TunnelOptions {
  readonly proxy: Proxy;
  readonly lookup: LookupFunction;
  readonly idleTimeoutMs: number;
  readonly signal?: AbortSignal;
  readonly userAgent: string | undefined;
}

/**
 * Asks the proxy for a tunnel to the host of an https URL (RFC 9110 §9.3.6).
 * @returns the connection, nothing of it read; a refusal by the proxy with its status
 * @throws the system's error, or one that says what did not come in time
 */
export function openTunnel(
  url: URL,
  { proxy, lookup, idleTimeoutMs, signal, userAgent }: TunnelOptions,
): Promise<Outcome<Duplex, CodedError<'proxy' | 'proxy-auth'>>> {
  const authority = `${url.hostname}:${url.port === '' ? 443 : url.port}`;
  return new Promise((resolve, reject) => {
    const asking = lateHttp().request({
      method: 'CONNECT',
      ...proxyAddress(proxy),
      path: authority,
      headers: {
        Host: authority,
        ...(userAgent !== undefined && { 'User-Agent': userAgent }),
        ...(proxy.authorization !== undefined && { 'Proxy-Authorization': proxy.authorization }),
      },
      lookup,
      maxHeaderSize: MAX_HEADER_BYTES,
      agent: false,
      ...(signal && { signal }),
    });
    asking.setTimeout(idleTimeoutMs, () => {
      asking.destroy(Object.assign(new Error(`no data for ${idleTimeoutMs} ms`), { code: 'ETIMEDOUT' }));
    });
    asking.on('error', reject);
    // A proxy that does not know CONNECT may answer as to any other request.
    asking.on('response', (reply) => {
      reply.destroy();
      resolve(refusalOf(reply.statusCode ?? 0, authority));
    });
    asking.on('connect', (reply, socket: Socket, first: Buffer) => {
      const status = reply.statusCode ?? 0;
      // In TLS the client speaks first: what came is not the server's.
      if (status >= 200 && status < 300 && first.length === 0) {
        socket.setTimeout(0);
        return resolve(success(socket));
      }
      socket.destroy();
      resolve(refusalOf(status, authority));
    });
    asking.end();
  });
}

/** TLS with the server at the other end of a tunnel; errors come as events of the connection. */
export function secureTunnel(tunnel: Duplex, url: URL, context: SecureContextOptions): Duplex {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return lateTls().connect({ ...context, socket: tunnel, host, ...(ipFamily(host) === 0 && { servername: host }) });
}

/** As the options of a request name it. */
export function proxyAddress({ url }: Proxy): { host: string; port: number } {
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? 80 : Number(url.port) };
}

/** Its answer to CONNECT is a line and a few headers. */
const MAX_HEADER_BYTES = 16 * 1024;

export const PROXY_AUTHENTICATION_REQUIRED = 407;

/** What a status means that the proxy answered in its own name. */
export function refusalOf(status: number, target: string): Outcome<never, CodedError<'proxy' | 'proxy-auth'>> {
  const text = `the proxy answers ${status} for ${target}`;
  return failure(status === PROXY_AUTHENTICATION_REQUIRED ? 'proxy-auth' : 'proxy', text);
}
