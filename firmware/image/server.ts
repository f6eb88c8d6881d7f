import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Server as SecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { canonicalAddress, https, type TlsIdentity } from '../net/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { Accounting, type Reactions } from './accounting.js';
import { Answering, RETRY_AFTER_S } from './answering.js';
import type { Arrivals } from './arrivals.js';
import type { BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import { Connections, CONNECTIONS_TOLD, type Peer } from './connections.js';
import type { Deliveries } from './deliveries.js';
import { isAcknowledged, unacknowledged } from './direct.js';
import type { ImageRecord } from './image.js';
import { localUriOf, originOf, type PublicPlace } from './local-uri.js';
import { OutflowBuffers, PacedReads } from './outflow.js';
import type { Tokens } from './tokens.js';

export interface ServerLimits {
  /** Connections in all. Default 512. */
  readonly connections?: number;
  /** Connections of one address. Default 16. */
  readonly connectionsPerAddress?: number;
  /** Bytes of a request's headers. Default 8 KiB: 150 ranges of 64-bit offsets take 6 KiB. */
  readonly headerBytes?: number;
  /** Time for the headers of a request. Default 10 s. */
  readonly headerMs?: number;
  /** A connection on which nothing moves for so long is closed, whether its client or a download is waited for. Default 60 s. */
  readonly idleMs?: number;
  /** Time between two requests on a connection, and for a client to close behind its last answer. Default 5 s. */
  readonly keepAliveMs?: number;
  /** Requests on one connection; the answer to the last one closes it. Default 1000. */
  readonly requestsPerConnection?: number;
  /** A client that takes less, averaged over `minRateMs`, is dropped. Default 1 KiB/s over 60 s. */
  readonly minBytesPerSecond?: number;
  readonly minRateMs?: number;
}

export interface ServerOptions {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly deliveries: Deliveries;
  /** What is served while it comes in. Default nothing. */
  readonly arrivals?: Arrivals | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Addresses of the LAN to listen on; all must be there at the start. */
  readonly addresses: readonly string[];
  /** More of them, which may come and go: those that there are now. Asked again and again. */
  readonly movingAddresses?: () => readonly string[];
  /** 0 takes a free one, for tests. */
  readonly port: number;
  /** Host in LocalImageURI: a name or an address by which the devices reach us; empty: the first address of all. */
  readonly publicHost: string;
  /** Whether images are served to an address; default to every one. */
  readonly allowAddress?: (address: string) => boolean;
  /** LocalImageURI has a token that expires. Default none. */
  readonly tokens?: Tokens | undefined;
  /** Images are served by https (TLS 1.2 or later). Default by http. */
  readonly tls?: ServerTls | undefined;
  /**
   * Told at the start, and when it has changed, on what LocalImageURI depends: scheme, host, port and the expiry of its
   * token. Not told while there is none.
   */
  readonly onPlace?: (place: string) => void;
  readonly reactions?: Reactions;
  readonly limits?: ServerLimits;
  /** Has V8 collect its garbage: what a crowd of connections leaves is 4 MB that nobody else may need for hours. Default nothing. */
  readonly collectGarbage?: () => void;
}

/** The certificate that the server shows. */
export interface ServerTls {
  readonly identity: TlsIdentity;
  /** Another one that has come in its place since this was asked last, if any. */
  renewed(): TlsIdentity | undefined;
}

export interface ServerLoad {
  readonly connections: number;
  readonly free: number;
  readonly turnedAway: number;
  readonly buffers: number;
}

export type ListenError = CodedError<'address-in-use' | 'no-such-address' | 'not-permitted' | 'cannot-listen'>;

const LISTEN_ERRORS: Readonly<Record<string, ListenError['code']>> = {
  EADDRINUSE: 'address-in-use',
  EADDRNOTAVAIL: 'no-such-address',
  EACCES: 'not-permitted',
};

/** So often, in ms, it is looked whether addresses, the expiry of tokens or the certificate have changed: rare things. */
const LOOK_MS = 5_000;

/**
 * A connection beyond the limits, or whose request cannot be understood, has so long, in ms, to hear it: to end its TLS
 * handshake, and to take the answer, which a reset at once could take away from a client that is still sending.
 */
const TOLD_MS = 2_000;

/** So many connections that have ended are a crowd. Its garbage is collected when no more than the last few are left, */
const CROWD = 64;
const LAST_FEW = 8;
/** so often in ms at most: a collection takes tens of ms on a small router, and whoever connects could ask for it. */
const CROWD_GARBAGE_MS = 10_000;

/** Requests that may wait for their answers on one connection; the answer to the last of them closes it. */
const MAX_PIPELINED = 32;

/** What a request that cannot be understood is answered with (RFC 9110 §15.5); by the parser's code. */
const MISREAD: Readonly<Record<string, string>> = {
  HPE_INVALID_VERSION: '505 HTTP Version Not Supported',
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Content Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** Serves the available images at their LocalImageURI: HTTP/1.1 by RFC 9110, bounded for every client. */
export class ImageServer {
  readonly #o: ServerOptions;
  readonly #limits: Required<ServerLimits>;
  readonly #buffers: OutflowBuffers;
  /** By the address as it was asked for. */
  readonly #servers = new Map<string, { readonly server: Server | SecureServer; readonly bound: AddressInfo }>();
  /** Addresses on which nothing can listen, said once. */
  readonly #complained = new Set<string>();
  #following: Promise<void> = Promise.resolve();
  #timer: TimerHandle | undefined;
  /** Connections that have ended since garbage was collected last. */
  #gone = 0;
  #collecting: TimerHandle | undefined;
  readonly #connections: Connections;
  readonly #accounting: Accounting;
  readonly #answering: Answering;
  readonly #answers = new Set<Promise<void>>();
  #port: number;
  #identity: TlsIdentity | undefined;
  #place = '';
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#o = options;
    this.#port = options.port;
    this.#identity = options.tls?.identity;
    this.#limits = {
      connections: 512,
      connectionsPerAddress: 16,
      headerBytes: 8 * 1024,
      headerMs: 10_000,
      idleMs: 60_000,
      keepAliveMs: 5_000,
      requestsPerConnection: 1000,
      minBytesPerSecond: 1024,
      minRateMs: 60_000,
      ...options.limits,
    };
    this.#connections = new Connections(this.#limits);
    const { catalog, blobs, deliveries, arrivals, tokens, clock, log } = options;
    const reactions = options.reactions ?? { devicesAt: () => [], fetched: () => {} };
    this.#accounting = new Accounting({ deliveries, reactions, log });
    const monotonicMs = (): number => clock.monotonicMs();
    this.#buffers = new OutflowBuffers(monotonicMs);
    this.#answering = new Answering({
      catalog,
      blobs,
      accounting: this.#accounting,
      buffers: this.#buffers,
      reads: new PacedReads(monotonicMs),
      arrivals,
      tokens,
      maxWaitMs: this.#limits.idleMs,
      clock,
      log,
    });
  }

  /** Listens on every address, or on none. @returns the addresses with their ports */
  async start(): Promise<Outcome<readonly AddressInfo[], ListenError>> {
    for (const address of this.#o.addresses) {
      const opened = await this.#open(address, this.#o.port);
      if (!opened.ok) {
        for (const { server } of this.#servers.values()) server.close();
        this.#servers.clear();
        return opened;
      }
    }
    this.#port = this.listening[0]?.port ?? this.#o.port;
    const { movingAddresses, tokens, tls } = this.#o;
    await this.look();
    if (movingAddresses ?? tokens ?? tls) this.#lookLater();
    return success(this.listening);
  }

  /** Where it listens now. */
  get listening(): readonly AddressInfo[] {
    return [...this.#servers.values()].map(({ bound }) => bound);
  }

  /**
   * Listens on the addresses that have come, and no longer on those that have gone; whoever is connected there is cut off.
   * Shows a certificate that has been renewed, and tells of a LocalImageURI that has changed.
   */
  look(): Promise<void> {
    this.#following = this.#following.then(async () => {
      await this.#follow();
      this.#renew();
      this.#tellPlace();
    });
    return this.#following;
  }

  #renew(): void {
    const renewed = this.#o.tls?.renewed();
    if (!renewed || this.#closing) return;
    this.#identity = renewed;
    for (const { server } of this.#servers.values()) if ('setSecureContext' in server) server.setSecureContext(renewed);
    this.#o.log.info('the certificate of the image server is renewed');
  }

  #tellPlace(): void {
    const place = this.#publicPlace;
    const { tokens } = this.#o;
    const expiry = tokens?.expiry;
    if (!place || this.#closing || (tokens && expiry === undefined)) return;
    const now = originOf(place) + (expiry === undefined ? '' : ` until ${expiry}`);
    if (now === this.#place) return;
    this.#place = now;
    this.#o.onPlace?.(now);
  }

  async #follow(): Promise<void> {
    const { addresses, movingAddresses, log } = this.#o;
    if (this.#closing || !movingAddresses) return;
    const wanted = new Set([...addresses, ...movingAddresses()]);
    for (const [address, { server }] of this.#servers) {
      if (wanted.has(address)) continue;
      this.#servers.delete(address);
      server.close();
      server.closeAllConnections();
      log.info('no longer serving on an address', { address });
    }
    for (const address of wanted) {
      if (this.#servers.has(address)) continue;
      const opened = await this.#open(address, this.#port);
      if (opened.ok) {
        this.#complained.delete(address);
        if (this.#port === 0) this.#port = opened.value.port;
        log.info('serving on an address', { address });
      } else if (!this.#complained.has(address)) {
        // An IPv6 address that is new is not usable for a moment (RFC 4862 §5.4): tried again with the next look.
        this.#complained.add(address);
        log.warn('cannot serve on an address yet', { address, reason: opened.error.text });
      }
    }
    for (const address of this.#complained) if (!wanted.has(address)) this.#complained.delete(address);
  }

  #lookLater(): void {
    if (this.#closing) return;
    this.#timer = this.#o.clock.after(LOOK_MS, () => void this.look().then(() => this.#lookLater()));
  }

  async #open(address: string, port: number): Promise<Outcome<AddressInfo, ListenError>> {
    const server = this.#createServer();
    const listening = await listen(server, address, port);
    if (!listening.ok) return listening;
    this.#servers.set(address, { server, bound: listening.value });
    server.on('error', (thrown) => {
      this.#o.log.error('cannot accept a connection', { reason: describeThrown(thrown) });
    });
    return listening;
  }

  /** Undefined while there is no address at all. */
  get #publicPlace(): PublicPlace | undefined {
    const host = this.#o.publicHost === '' ? this.listening[0]?.address : this.#o.publicHost;
    return host === undefined ? undefined : { scheme: this.#identity ? 'https' : 'http', host, port: this.#port };
  }

  /** LocalImageURI of an image; empty unless it is available, or served while it comes in. */
  localUri(image: ImageRecord): string {
    const { catalog, tokens } = this.#o;
    const place = this.#publicPlace;
    const query = tokens?.queryFor(image.imageId);
    if (!place || (tokens && query === undefined) || !catalog.isServed(image)) return '';
    return localUriOf(image, place, query);
  }

  /** Bytes of image content sent into the LAN since the start. */
  get lanBytes(): number {
    return this.#accounting.lanBytes;
  }

  /** Connections that are served, how many more would be, those that hear that they are not, and the buffers lent. */
  get load(): ServerLoad {
    const { count, free, told } = this.#connections;
    return { connections: count, free, turnedAway: told, buffers: this.#buffers.lent };
  }

  /** Breaks off what is being sent (devices resume), stops listening, writes the accounts. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    this.#collecting?.cancel();
    await this.#following;
    await Promise.all(
      [...this.#servers.values()].map(
        ({ server }) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
    await Promise.all(this.#answers);
    this.#accounting.flush();
  }

  #createServer(): Server | SecureServer {
    const { headerBytes, headerMs, idleMs, keepAliveMs, connections } = this.#limits;
    const options = {
      maxHeaderSize: headerBytes,
      headersTimeout: headerMs,
      requestTimeout: headerMs,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: Math.min(headerMs, 5_000),
      // Answering looks at Host, so that its answer is like all others.
      requireHostHeader: false,
    };
    const server = this.#identity
      ? https().createServer({ ...options, ...this.#identity, minVersion: 'TLSv1.2', handshakeTimeout: headerMs })
      : createServer(options);
    // Who has ended only its own side of the connection is answered, as by other servers. @types/node does not know it.
    Object.assign(server, { httpAllowHalfOpen: true });
    server.maxConnections = connections + CONNECTIONS_TOLD;
    server.timeout = idleMs;
    server.on('connection', (socket: Socket) => this.#arrived(socket));
    // A TLS connection is heard from the end of its handshake on, which has its own time.
    const usable = this.#identity ? 'secureConnection' : 'connection';
    server.on(usable, (socket: Socket) => this.#connected(socket));
    // An expectation changes nothing: no request here needs its content, so that none is asked to send it.
    for (const event of ['request', 'checkContinue', 'checkExpectation'] as const) {
      server.on(event, (request: IncomingMessage, response: ServerResponse) => this.#requested(request, response));
    }
    server.on('clientError', (thrown, socket) => this.#misread(thrown, socket));
    server.on('timeout', (socket: Socket) => this.#silent(socket));
    return server;
  }

  /** One that was reset before it was taken has no address; who may not come is not even told so, and costs nothing. */
  #arrived(socket: Socket): void {
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const isWelcome = address !== '' && this.#o.allowAddress?.(address) !== false;
    const admission = isWelcome ? this.#connections.admit(socket, address) : 'dropped';
    if (admission === 'served') return;
    socket.on('error', () => {});
    if (admission === 'dropped') socket.destroy();
    else this.#endWithin(TOLD_MS, socket);
  }

  #collectLater(): TimerHandle {
    return this.#o.clock.after(CROWD_GARBAGE_MS, () => {
      const isGone = this.#connections.count <= LAST_FEW;
      this.#collecting = isGone ? undefined : this.#collectLater();
      if (!isGone) return;
      this.#gone = 0;
      this.#o.collectGarbage?.();
    });
  }

  #endWithin(ms: number, socket: Socket): void {
    const end = this.#o.clock.after(ms, () => socket.destroy());
    socket.on('close', () => end.cancel());
  }

  /** Nothing has moved between Node.js and the kernel for as long as that may be: behind an answer, the kernel may still be sending it. */
  #silent(socket: Socket): void {
    const peer = this.#connections.of(socket);
    if (peer) peer.taken = isAcknowledged(socket);
    if (peer && !peer.taken && peer.waiting === 0 && peer.unconfirmed.length > 0) this.#endBehind(peer);
    else socket.destroy();
  }

  /** Ends a connection behind its last answer; it is left when the client's kernel has all of that, or takes it too slowly. */
  #endBehind(peer: Peer): void {
    const { socket, pace } = peer;
    const { keepAliveMs } = this.#limits;
    peer.ending = true;
    socket.end();
    socket.setTimeout(0);
    let left = unacknowledged(socket);
    const look = (): void => {
      peer.taken = isAcknowledged(socket);
      const rest = unacknowledged(socket);
      pace.took(Math.max(0, left - rest), keepAliveMs);
      left = rest;
      if (peer.taken || pace.allowanceMs(0) <= 0) socket.destroy();
      else next = this.#o.clock.after(keepAliveMs, look);
    };
    let next = this.#o.clock.after(keepAliveMs, look);
    socket.on('close', () => next.cancel());
  }

  #connected(socket: Socket): void {
    if (socket.destroyed) return;
    if (this.#connections.isTold(socket)) {
      this.#turnAway(socket);
      return;
    }
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const peer = this.#connections.open(socket, address);
    // Node.js closes behind the last answer as soon as the kernel has it: nobody would know whether the client takes it, and
    // what it still sends would have the kernel drop the answer (RFC 9112 §9.6). So the client's end is waited for.
    socket.destroySoon = () => this.#endBehind(peer);
    // Before Node.js ends the connection.
    socket.prependListener('end', () => (peer.taken = isAcknowledged(socket)));
    socket.on('error', () => (peer.taken = false));
    socket.on('close', () => {
      this.#accounting.confirm(peer, peer.taken);
      this.#connections.closed(peer);
      this.#gone += 1;
      if (this.#gone >= CROWD) this.#collecting ??= this.#collectLater();
    });
  }

  /** Beyond the limits (RFC 9110 §15.6.4): a request is not waited for, because silence would hold the connection. */
  #turnAway(socket: Socket): void {
    socket.on('error', () => {});
    const retry = `Retry-After: ${RETRY_AFTER_S}`;
    socket.end(`HTTP/1.1 503 Service Unavailable\r\n${retry}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    const peer = this.#connections.of(request.socket);
    if (!peer) return;
    if (peer.ending) {
      // RFC 9112 §9.6: what follows the last request is not processed; nor read on. Later: Node.js resumes behind each request.
      setImmediate(() => peer.socket.pause());
      return;
    }
    // A client that asks on has taken the last answer.
    this.#accounting.confirm(peer, true);
    peer.requests += 1;
    peer.waiting += 1;
    // Where content ends is what request smuggling is about (RFC 9112 §11.2): after content nothing is heard.
    if (hasContent(request) || this.#isLast(peer)) response.shouldKeepAlive = false;
    peer.ending = !response.shouldKeepAlive;
    // RFC 9110 §6.6.1: no Date without a clock.
    response.sendDate = this.#o.clock.plausible();
    // Pipelined requests are answered one after the other: a connection never has more than one write pending.
    const answer = peer.answer
      .then(() => this.#answering.answer(peer, request, response))
      .then(() => flushed(response, peer.socket))
      .then(() => void (peer.waiting -= 1));
    peer.answer = answer;
    this.#answers.add(answer);
    void answer.finally(() => this.#answers.delete(answer));
  }

  #isLast(peer: Peer): boolean {
    return peer.requests >= this.#limits.requestsPerConnection || peer.waiting >= MAX_PIPELINED;
  }

  /** A request could not be parsed or did not come in time: that is said after the answers to the earlier ones. */
  #misread(thrown: Error, stream: Duplex): void {
    const code = systemErrorCode(thrown) ?? '';
    // The parser has one code for a version that it does not know and for a line that ends in LF alone.
    const isBareLf = 'reason' in thrown && thrown.reason === 'Expected CRLF after version';
    const known = isBareLf ? undefined : MISREAD[code];
    const status = known ?? (code.startsWith('HPE_') ? '400 Bad Request' : undefined);
    const peer = this.#connections.of(stream);
    if (!peer || status === undefined) {
      stream.destroy();
      return;
    }
    const { socket } = peer;
    // Nor is anything read on behind an answer that may last for long; only the client's end behind it matters.
    if (peer.waiting > 0) socket.pause();
    if (peer.ending) return;
    peer.ending = true;
    void peer.answer.then(() => {
      socket.resume();
      if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      this.#endWithin(TOLD_MS, socket);
    });
  }
}

/** RFC 9112 §6.3: content is announced by one of these two. */
function hasContent({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

/** Resolves when an answer is out or cannot go out any more. */
function flushed(response: ServerResponse, socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.removeListener('close', done);
      resolve();
    };
    if (response.writableFinished || socket.destroyed) return done();
    socket.once('close', done);
    response.once('finish', done);
  });
}

function listen(
  server: Server | SecureServer,
  address: string,
  port: number,
): Promise<Outcome<AddressInfo, ListenError>> {
  return new Promise((resolve) => {
    const failed = (thrown: Error): void => {
      const code = LISTEN_ERRORS[systemErrorCode(thrown) ?? ''] ?? 'cannot-listen';
      resolve(failure(code, `cannot listen on ${address} port ${port}: ${describeThrown(thrown)}`, thrown));
    };
    server.once('error', failed);
    server.listen({ host: address, port }, () => {
      server.removeListener('error', failed);
      // The address of a listening TCP server is never a pipe's name.
      resolve(success(server.address() as AddressInfo));
    });
  });
}
