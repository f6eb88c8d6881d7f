import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIPv6, type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { canonicalAddress } from '../net/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import type { BlobReader, BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import { Connections, type Peer } from './connections.js';
import type { Deliveries } from './deliveries.js';
import type { ImageRecord } from './image.js';
import type { Piece } from './multipart.js';
import { OutflowBuffers, PacedReads, sendBody } from './outflow.js';
import type { Span } from './ranges.js';
import { replyTo, validatorsOf } from './reply.js';
import { select } from './selection.js';

/** Who wants to know which device fetches what. */
export interface Reactions {
  /** The device that has this address now, if exactly one is known; opaque here. */
  deviceAt(address: string): string | undefined;
  /**
   * An address has begun to fetch an image, or has got every byte of it.
   * @param imageId its ImageID
   */
  fetched(imageId: string, address: string, complete: boolean): void;
}

export interface ServerLimits {
  /** Connections in all. Default 512. */
  readonly connections?: number;
  /** Connections of one address. Default 16. */
  readonly connectionsPerAddress?: number;
  /** Bytes of a request's headers. Default 8 KiB: 150 ranges of 64-bit offsets take 6 KiB. */
  readonly headerBytes?: number;
  /** Time for the headers of a request. Default 10 s. */
  readonly headerMs?: number;
  /** A connection on which nothing moves for so long is closed. Default 60 s. */
  readonly idleMs?: number;
  /** Time between two requests on a connection. Default 5 s. */
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
  readonly clock: Clock;
  readonly log: Logger;
  /** Addresses of the LAN to listen on. */
  readonly addresses: readonly string[];
  /** 0 takes a free one, for tests. */
  readonly port: number;
  /** Host in LocalImageURI: a name or an address by which the devices reach us. */
  readonly publicHost: string;
  readonly reactions?: Reactions;
  readonly limits?: ServerLimits;
}

export type ListenError = CodedError<'address-in-use' | 'no-such-address' | 'not-permitted' | 'cannot-listen'>;

const LISTEN_ERRORS: Readonly<Record<string, ListenError['code']>> = {
  EADDRINUSE: 'address-in-use',
  EADDRNOTAVAIL: 'no-such-address',
  EACCES: 'not-permitted',
};

const PATH_PREFIX = '/scomo/';
const ALLOW = 'GET, HEAD, OPTIONS';
/** Beyond the limit so many connections are still told so; more are dropped. */
const CONNECTIONS_TOLD = 64;
const RETRY_AFTER_S = 5;

/** Requests that may wait for their answers on one connection; the answer to the last of them closes it. */
const MAX_PIPELINED = 32;

/** What a request that cannot be understood is answered with (RFC 9110 §15.5); by the parser's code. */
const MISREAD: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Content Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** Serves the available images at their LocalImageURI: HTTP/1.1 by RFC 9110, bounded for every client. */
export class ImageServer {
  readonly #o: ServerOptions;
  readonly #limits: Required<ServerLimits>;
  readonly #reactions: Reactions;
  readonly #buffers: OutflowBuffers;
  readonly #reads: PacedReads;
  readonly #servers: Server[] = [];
  readonly #connections: Connections;
  readonly #answers = new Set<Promise<void>>();
  #lanBytes = 0;
  #port: number;
  #closing: Promise<void> | undefined;

  constructor(options: ServerOptions) {
    this.#o = options;
    this.#port = options.port;
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
    this.#reactions = options.reactions ?? { deviceAt: () => undefined, fetched: () => {} };
    const monotonicMs = (): number => options.clock.monotonicMs();
    this.#buffers = new OutflowBuffers(monotonicMs);
    this.#reads = new PacedReads(monotonicMs);
  }

  /** Listens on every address, or on none. @returns the addresses with their ports */
  async start(): Promise<Outcome<readonly AddressInfo[], ListenError>> {
    const bound: AddressInfo[] = [];
    for (const address of this.#o.addresses) {
      const server = this.#createServer();
      const listening = await listen(server, address, this.#o.port);
      if (!listening.ok) {
        for (const opened of this.#servers.splice(0)) opened.close();
        return listening;
      }
      this.#servers.push(server);
      bound.push(listening.value);
    }
    this.#port = bound[0]?.port ?? this.#o.port;
    return success(bound);
  }

  /** LocalImageURI of an image; empty unless it is available. */
  localUri(image: ImageRecord): string {
    if (image.state !== 'available') return '';
    const { publicHost } = this.#o;
    const host = isIPv6(publicHost) ? `[${publicHost}]` : publicHost;
    return `http://${host}:${this.#port}${PATH_PREFIX}${image.imageId}`;
  }

  /** Bytes of image content sent into the LAN since the start. */
  get lanBytes(): number {
    return this.#lanBytes;
  }

  /** Connections that are open, how many more would be served, and the buffers that they hold. */
  get load(): { readonly connections: number; readonly free: number; readonly buffers: number } {
    return { connections: this.#connections.count, free: this.#connections.free, buffers: this.#buffers.lent };
  }

  /** Breaks off what is being sent (devices resume), stops listening, writes the accounts. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      ),
    );
    await Promise.all(this.#answers);
    this.#o.deliveries.flush();
  }

  #createServer(): Server {
    const { headerBytes, headerMs, idleMs, keepAliveMs, connections } = this.#limits;
    const server = createServer({
      maxHeaderSize: headerBytes,
      headersTimeout: headerMs,
      requestTimeout: headerMs,
      keepAliveTimeout: keepAliveMs,
      connectionsCheckingInterval: Math.min(headerMs, 5_000),
      // #answer looks at Host, so that its answer is like all others.
      requireHostHeader: false,
    });
    server.maxConnections = connections + CONNECTIONS_TOLD;
    server.timeout = idleMs;
    server.on('connection', (socket: Socket) => this.#connected(socket));
    // An expectation changes nothing: no request here needs its content, so that none is asked to send it.
    for (const event of ['request', 'checkContinue', 'checkExpectation'] as const) {
      server.on(event, (request: IncomingMessage, response: ServerResponse) => this.#requested(request, response));
    }
    server.on('clientError', (thrown, socket) => this.#misread(thrown, socket));
    server.on('error', (thrown) => {
      this.#o.log.error('cannot accept a connection', { reason: describeThrown(thrown) });
    });
    return server;
  }

  #connected(socket: Socket): void {
    const peer = this.#connections.open(socket, canonicalAddress(socket.remoteAddress ?? ''));
    let broken = false;
    socket.on('error', () => (broken = true));
    socket.on('close', () => {
      this.#confirm(peer, !broken && !this.#closing);
      this.#connections.closed(peer);
    });
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    const peer = this.#connections.of(request.socket);
    if (!peer) return;
    if (peer.ending) {
      // RFC 9112 §9.6: what follows the last request is not processed; nor read on.
      peer.socket.pause();
      return;
    }
    // A client that asks on has taken the last answer.
    this.#confirm(peer, true);
    peer.requests += 1;
    peer.waiting += 1;
    // Where content ends is what request smuggling is about (RFC 9112 §11.2): after content nothing is heard.
    if (hasContent(request) || this.#isLast(peer) || !this.#connections.admit(peer)) response.shouldKeepAlive = false;
    peer.ending = !response.shouldKeepAlive;
    // RFC 9110 §6.6.1: no Date without a clock.
    response.sendDate = this.#o.clock.plausible();
    // Pipelined requests are answered one after the other: a connection never has more than one write pending.
    const answer = peer.answer
      .then(() => this.#answer(peer, request, response))
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
    const status = MISREAD[code] ?? (code.startsWith('HPE_') ? '400 Bad Request' : undefined);
    const peer = this.#connections.of(stream);
    if (!peer || status === undefined) {
      stream.destroy();
      return;
    }
    const { socket } = peer;
    socket.pause();
    if (peer.ending) return;
    peer.ending = true;
    void peer.answer.then(() => {
      if (socket.writable) socket.end(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      socket.destroySoon();
    });
  }

  /** Never rejects. */
  async #answer(peer: Peer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { address } = peer;
    let reader: BlobReader | undefined;
    if (peer.socket.destroyed) return;
    try {
      if (!this.#connections.admit(peer)) {
        refuse(response, 503, { 'Retry-After': RETRY_AFTER_S });
        return;
      }
      const hosts = countOf(request, 'host');
      const { httpVersion } = request;
      if (hosts > 1 || (hosts === 0 && httpVersion === '1.1') || httpVersion === '0.9') {
        // RFC 9112 §3.2 (Host), §2.3: the parser takes a request line without version for 0.9.
        refuse(response, 400);
        return;
      }
      const { method } = request;
      const target = request.url ?? '';
      // RFC 9110 §9.3.7: `*` is the server as a whole.
      if (method === 'OPTIONS' && target === '*') {
        response.writeHead(204, { Allow: ALLOW }).end();
        return;
      }
      const image = this.#lookUp(target);
      if (image?.blob == null) {
        refuse(response, 404);
        return;
      }
      if (method === 'OPTIONS') {
        response.writeHead(204, { Allow: ALLOW }).end();
        return;
      }
      if (method !== 'GET' && method !== 'HEAD') {
        refuse(response, 405, { Allow: ALLOW });
        return;
      }
      reader = await this.#o.blobs.openBlob(image.blob);
      if (!reader) {
        refuse(response, 404);
        return;
      }
      await this.#send(method, peer, request, response, image, reader);
    } catch (thrown) {
      this.#o.log.error('cannot serve an image', { address, reason: describeThrown(thrown) });
      if (response.headersSent) response.destroy();
      else refuse(response, 500);
    } finally {
      await reader?.close().catch((thrown: unknown) => {
        this.#o.log.error('cannot close a blob', { reason: describeThrown(thrown) });
      });
    }
  }

  /** The path is looked up, never joined to a folder. A query is not part of it. */
  #lookUp(target: string): ImageRecord | undefined {
    // RFC 9112 §3.2.2: a server accepts the absolute form too.
    const path = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/\?.*$/, '');
    if (!path.startsWith(PATH_PREFIX)) return undefined;
    const image = this.#o.catalog.byImageId(path.slice(PATH_PREFIX.length));
    return image?.state === 'available' ? image : undefined;
  }

  async #send(
    method: 'GET' | 'HEAD',
    peer: Peer,
    request: IncomingMessage,
    response: ServerResponse,
    image: ImageRecord,
    reader: BlobReader,
  ): Promise<void> {
    const { sha256, size } = reader;
    const selection = select(method, request.headers, { ...validatorsOf(image, sha256), size });
    const { status, headers, body } = replyTo(selection, image, reader);
    response.writeHead(status, headers);
    if (method === 'HEAD' || !('spans' in selection)) response.end();
    else await this.#sendBody(peer, response, image, reader, body);
  }

  async #sendBody(
    peer: Peer,
    response: ServerResponse,
    image: ImageRecord,
    blob: BlobReader,
    body: Iterable<Piece>,
  ): Promise<void> {
    const { socket, pace } = peer;
    const { clock, log } = this.#o;
    this.#reactions.fetched(image.imageId, peer.address, false);
    const spans: Span[] = [];
    const end = await sendBody({
      blob,
      response,
      socket,
      body,
      buffers: this.#buffers,
      reads: this.#reads,
      pace,
      clock,
      sent: (content) => {
        for (const span of content) {
          this.#lanBytes += span.length;
          append(spans, span);
        }
      },
    });
    peer.unconfirmed.push({ image, sha256: blob.sha256, spans });
    if (end.kind === 'complete') {
      if (socket.destroyed) this.#confirm(peer, false);
      response.end();
      return;
    }
    // Never ended as if it were complete: the client sees fewer bytes than Content-Length says.
    response.destroy();
    this.#confirm(peer, false);
    const { imageId } = image;
    if (end.kind === 'too-slow') log.info('a client that reads too slowly is dropped', { address: peer.address });
    if (end.kind === 'disk') log.error('cannot read an image', { image: imageId, reason: describeThrown(end.cause) });
  }

  /** Accounts for what was sent on a connection. A failing database must not end the connections. */
  #confirm(peer: Peer, confirmed: boolean): void {
    const { address } = peer;
    for (const { image, sha256, spans } of peer.unconfirmed.splice(0)) {
      const sent = { image: image.id, sha256, size: image.size ?? 0, address, spans, confirmed };
      try {
        const whole = this.#o.deliveries.sent({ ...sent, device: this.#reactions.deviceAt(address) });
        if (whole) this.#reactions.fetched(image.imageId, address, true);
      } catch (thrown) {
        this.#o.log.error('cannot account for a delivery', { address, reason: describeThrown(thrown) });
      }
    }
  }
}

/** An answer without content that says no more than its status. */
function refuse(response: ServerResponse, status: number, headers: Record<string, string | number> = {}): void {
  response.writeHead(status, { ...headers, 'Content-Length': 0 }).end();
}

/** RFC 9112 §6.3: content is announced by one of these two. */
function hasContent({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;
}

/** How often a header field stands in a request. */
function countOf({ rawHeaders }: IncomingMessage, name: string): number {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === name).length;
}

/** Adds a span to what was sent, so that an answer has no more of them than it has parts. */
function append(spans: Span[], { start, length }: Span): void {
  const last = spans.at(-1);
  if (last && last.start + last.length === start) spans[spans.length - 1] = { ...last, length: last.length + length };
  else spans.push({ start, length });
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

function listen(server: Server, address: string, port: number): Promise<Outcome<AddressInfo, ListenError>> {
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
