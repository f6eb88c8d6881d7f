import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIPv6, type AddressInfo, type Socket } from 'node:net';
import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { canonicalAddress } from '../net/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import type { BlobReader, BlobStore } from './blobs.js';
import type { Catalog } from './catalog.js';
import type { Deliveries } from './deliveries.js';
import type { ImageRecord } from './image.js';
import { OutflowBuffers, PacedReads, sendSpan } from './outflow.js';
import { select, type Selection } from './ranges.js';

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
  /** Bytes of a request's headers. Default 8 KiB. */
  readonly headerBytes?: number;
  /** Time for the headers of a request. Default 10 s. */
  readonly headerMs?: number;
  /** A connection on which nothing moves for so long is closed. Default 60 s. */
  readonly idleMs?: number;
  /** Time between two requests on a connection. Default 5 s. */
  readonly keepAliveMs?: number;
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
const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
/** Beyond the limit so many connections are still told so; more are dropped. */
const CONNECTIONS_TOLD = 64;
const RETRY_AFTER_S = 5;

/** What was sent on a connection and is not yet known to have arrived. */
interface Unconfirmed {
  readonly image: ImageRecord;
  readonly sha256: string;
  readonly start: number;
  readonly length: number;
}

/** One connection. */
interface Peer {
  readonly address: string;
  readonly socket: Socket;
  unconfirmed: Unconfirmed[];
  /** The newest answer; it comes after all earlier ones. */
  answer: Promise<void>;
}

/** Serves the available images at their LocalImageURI: HTTP/1.1 by RFC 9110, bounded for every client. */
export class ImageServer {
  readonly #o: ServerOptions;
  readonly #limits: Required<ServerLimits>;
  readonly #reactions: Reactions;
  readonly #buffers: OutflowBuffers;
  readonly #reads: PacedReads;
  readonly #servers: Server[] = [];
  readonly #perAddress = new Map<string, number>();
  readonly #peers = new Map<Socket, Peer>();
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
      ...options.limits,
    };
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

  /** Connections that are open, and how many more would be served. */
  get load(): { readonly connections: number; readonly free: number } {
    const connections = this.#peers.size;
    return { connections, free: Math.max(0, this.#limits.connections - connections) };
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
    });
    server.maxConnections = connections + CONNECTIONS_TOLD;
    server.timeout = idleMs;
    server.on('connection', (socket: Socket) => this.#connected(socket));
    server.on('request', (request, response) => this.#requested(request, response));
    server.on('error', (thrown) => {
      this.#o.log.error('cannot accept a connection', { reason: describeThrown(thrown) });
    });
    return server;
  }

  #connected(socket: Socket): void {
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const peer: Peer = { address, socket, unconfirmed: [], answer: Promise.resolve() };
    this.#peers.set(socket, peer);
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    let broken = false;
    socket.on('error', () => (broken = true));
    socket.on('close', () => {
      this.#confirm(peer, !broken && !this.#closing);
      this.#peers.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left > 0) this.#perAddress.set(address, left);
      else this.#perAddress.delete(address);
    });
  }

  #requested(request: IncomingMessage, response: ServerResponse): void {
    const peer = this.#peers.get(request.socket);
    if (!peer) return;
    // A client that asks on has taken the last answer.
    this.#confirm(peer, true);
    // Pipelined requests are answered one after the other: a connection never has more than one write pending.
    const answer = peer.answer.then(() => this.#answer(peer, request, response));
    peer.answer = answer;
    this.#answers.add(answer);
    void answer.finally(() => this.#answers.delete(answer));
  }

  /** Never rejects. */
  async #answer(peer: Peer, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { address } = peer;
    let reader: BlobReader | undefined;
    if (peer.socket.destroyed) return;
    try {
      if (this.#isFull(address)) {
        refuse(response, 503, { 'Retry-After': RETRY_AFTER_S, Connection: 'close' });
        return;
      }
      const image = this.#lookUp(request.url ?? '');
      if (image?.blob == null) {
        refuse(response, 404);
        return;
      }
      const { method } = request;
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

  #isFull(address: string): boolean {
    const own = this.#perAddress.get(address) ?? 0;
    return this.#peers.size > this.#limits.connections || own > this.#limits.connectionsPerAddress;
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
    const etag = `"${sha256}"`;
    const lastModifiedMs = image.availableMs === null ? undefined : Math.floor(image.availableMs / 1000) * 1000;
    const selection = select(method, request.headers, { etag, lastModifiedMs, size });
    const validators = {
      ETag: etag,
      // Another version may come under this path one day: caches ask before they reuse.
      'Cache-Control': 'no-cache',
      ...(lastModifiedMs !== undefined && { 'Last-Modified': new Date(lastModifiedMs).toUTCString() }),
    };
    if (!('length' in selection)) {
      refuseSelection(response, selection, validators, size);
      return;
    }
    response.writeHead(selection.status, {
      ...validators,
      'Accept-Ranges': 'bytes',
      'Content-Type': image.contentType ?? DEFAULT_CONTENT_TYPE,
      'Content-Length': selection.length,
      ...(selection.status === 206 && {
        'Content-Range': `bytes ${selection.start}-${selection.start + selection.length - 1}/${size}`,
      }),
      // RFC 9530 §3: of the whole representation, also with a part of it.
      'Repr-Digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
    });
    if (method === 'HEAD') {
      response.end();
      return;
    }
    await this.#sendBody(peer, response, image, reader, selection);
  }

  async #sendBody(
    peer: Peer,
    response: ServerResponse,
    image: ImageRecord,
    reader: BlobReader,
    { start, length }: { readonly start: number; readonly length: number },
  ): Promise<void> {
    this.#reactions.fetched(image.imageId, peer.address, false);
    let sent = 0;
    const end = await sendSpan({
      blob: reader,
      response,
      socket: peer.socket,
      start,
      length,
      buffers: this.#buffers,
      reads: this.#reads,
      monotonicMs: () => this.#o.clock.monotonicMs(),
      sent: (bytes) => {
        sent += bytes;
        this.#lanBytes += bytes;
      },
    });
    peer.unconfirmed.push({ image, sha256: reader.sha256, start, length: sent });
    if (end.kind === 'complete') {
      if (peer.socket.destroyed) this.#confirm(peer, false);
      response.end();
      return;
    }
    // Never ended as if it were complete: the client sees fewer bytes than Content-Length says.
    response.destroy();
    this.#confirm(peer, false);
    if (end.kind === 'disk') {
      this.#o.log.error('cannot read an image', { image: image.imageId, reason: describeThrown(end.cause) });
    }
  }

  /** Accounts for what was sent on a connection. A failing database must not end the connections. */
  #confirm(peer: Peer, confirmed: boolean): void {
    const { address } = peer;
    for (const { image, sha256, start, length } of peer.unconfirmed.splice(0)) {
      const span = { image: image.id, sha256, size: image.size ?? 0, address, start, length, confirmed };
      try {
        const whole = this.#o.deliveries.sent({ ...span, device: this.#reactions.deviceAt(address) });
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

function refuseSelection(
  response: ServerResponse,
  selection: Exclude<Selection, { length: number }>,
  validators: Record<string, string>,
  size: number,
): void {
  // RFC 9110 §15.4.5: a 304 has the validators and no Content-Length of its own.
  if (selection.status === 304) response.writeHead(304, validators).end();
  else if (selection.status === 416) refuse(response, 416, { 'Content-Range': `bytes */${size}` });
  else refuse(response, 412);
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
