import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Server as SecureServer } from 'node:tls';
import type { Clock, TimerHandle } from '../clock/index.js';
import { lateTls } from '../late/index.js';
import type { Logger } from '../log/index.js';
import { canonicalAddress, type TlsIdentity } from '../net/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { Admissions, CONNECTIONS_TOLD, type AdmissionLimits } from './admission.js';
import { HttpConnection, lastAnswer, TOLD_MS, type ConnectionLimits, type ConnectionOptions } from './connection.js';

export type HttpLimits = AdmissionLimits & ConnectionLimits;

export interface HttpServerOptions extends Pick<ConnectionOptions, 'handle'> {
  readonly limits: HttpLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether an address is heard. */
  readonly allowAddress: (address: string) => boolean;
  /** https (TLS 1.2 or later) and not http. */
  readonly identity: TlsIdentity | undefined;
  /** In seconds, for those who are turned away. */
  readonly retryAfterS: number;
  /** A crowd of connections has gone: what it leaves is 4 MB that nobody else may need for hours. */
  readonly crowdGone: () => void;
}

export type ListenError = CodedError<'address-in-use' | 'no-such-address' | 'not-permitted' | 'cannot-listen'>;

const LISTEN_ERRORS: Readonly<Record<string, ListenError['code']>> = {
  EADDRINUSE: 'address-in-use',
  EADDRNOTAVAIL: 'no-such-address',
  EACCES: 'not-permitted',
};

/** So often, in ms, connections are looked at, or as often as the shortest of their times needs it. */
const LOOK_MS = 1_000;
const SHORTEST_LOOK_MS = 20;

/** So many connections that have ended are a crowd. It has gone when no more than the last few are left, */
const CROWD = 64;
const LAST_FEW = 8;
/** which is told so often, in ms, at most: a garbage collection takes tens of ms on a small router, and whoever connects could ask for it. */
const CROWD_GONE_MS = 10_000;

interface Listening {
  readonly server: Server | SecureServer;
  readonly bound: AddressInfo;
  /** Its connections, also those whose TLS handshake has yet to come. */
  readonly sockets: ReadonlySet<Socket>;
}

/** An HTTP/1.1 server, plain or over TLS, on any number of addresses: bounded for every client. */
export class HttpServer {
  /** By the address as it was asked for. */
  readonly #listening = new Map<string, Listening>();
  readonly #connections = new Set<HttpConnection>();
  readonly #admissions: Admissions;
  readonly #options: ConnectionOptions;
  readonly #lookMs: number;
  #identity: TlsIdentity | undefined;
  #looking: TimerHandle | undefined;
  /** Connections that have ended since the last crowd. */
  #gone = 0;
  #leaving: TimerHandle | undefined;
  #date = { second: 0, text: '' };

  constructor(private readonly o: HttpServerOptions) {
    const { limits, clock, handle, identity } = o;
    const { headerMs, idleMs, keepAliveMs, minRateMs } = limits;
    this.#admissions = new Admissions(limits);
    this.#identity = identity;
    this.#options = { limits, monotonicMs: () => clock.monotonicMs(), date: () => this.#dateField(), handle };
    const shortestMs = Math.min(headerMs, idleMs, keepAliveMs, minRateMs);
    this.#lookMs = Math.max(SHORTEST_LOOK_MS, Math.min(LOOK_MS, shortestMs / 4));
  }

  /** The addresses on which it listens, as they were asked for, and as they are. */
  get listening(): ReadonlyMap<string, { readonly bound: AddressInfo }> {
    return this.#listening;
  }

  /** Connections that are served, how many more would be, and those that hear that they are not. */
  get load(): { readonly connections: number; readonly free: number; readonly turnedAway: number } {
    const { free, told } = this.#admissions;
    return { connections: this.#connections.size, free, turnedAway: told };
  }

  /** Those that come from now on see this certificate. */
  renew(identity: TlsIdentity): void {
    this.#identity = identity;
    for (const { server } of this.#listening.values())
      if ('setSecureContext' in server) server.setSecureContext(identity);
  }

  /** @param port 0 takes a free one */
  async listen(address: string, port: number): Promise<Outcome<AddressInfo, ListenError>> {
    const { limits, log } = this.o;
    const sockets = new Set<Socket>();
    const options = { allowHalfOpen: true, noDelay: true };
    const server = this.#identity
      ? lateTls().createServer({
          ...this.#identity,
          ...options,
          minVersion: 'TLSv1.2',
          handshakeTimeout: limits.headerMs,
        })
      : createServer(options);
    // A handshake that fails, or takes too long.
    server.on('tlsClientError', (_: Error, socket: Socket) => socket.destroy());
    server.maxConnections = limits.connections + CONNECTIONS_TOLD;
    server.on('connection', (socket: Socket) => this.#arrived(socket, sockets));
    // A TLS connection is heard from the end of its handshake on, which has its own time.
    server.on(this.#identity ? 'secureConnection' : 'connection', (socket: Socket) => this.#connected(socket));
    const bound = await listen(server, address, port);
    if (!bound.ok) return bound;
    this.#listening.set(address, { server, bound: bound.value, sockets });
    server.on('error', (thrown: Error) => {
      log.error('cannot accept a connection', { reason: describeThrown(thrown) });
    });
    return bound;
  }

  /** No longer listens on an address; whoever is connected there is cut off. */
  leave(address: string): Promise<void> {
    const left = this.#listening.get(address);
    this.#listening.delete(address);
    return new Promise((resolve) => {
      if (!left) return resolve();
      left.server.close(() => resolve());
      for (const socket of left.sockets) socket.destroy();
    });
  }

  /** Leaves every address; each connection has been told that it is closed then. */
  async close(): Promise<void> {
    for (const connection of this.#connections) connection.cutOff();
    await Promise.all([...this.#listening.keys()].map((address) => this.leave(address)));
    // Node.js counts a connection as closed a little before it tells.
    while (this.#connections.size > 0) await new Promise((resolve) => setImmediate(resolve));
    this.#leaving?.cancel();
    this.#looking?.cancel();
  }

  /** One that was reset before it was taken has no address; who may not come is not even told so, and costs nothing. */
  #arrived(socket: Socket, sockets: Set<Socket>): void {
    const { allowAddress, clock } = this.o;
    const address = canonicalAddress(socket.remoteAddress ?? '');
    const admission = address !== '' && allowAddress(address) ? this.#admissions.admit(socket, address) : 'dropped';
    // Before anything else hears of the connection.
    socket.on('error', () => {});
    if (admission === 'dropped') {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    const end = admission === 'told' ? clock.after(TOLD_MS, () => socket.destroy()) : undefined;
    socket.on('close', () => {
      sockets.delete(socket);
      end?.cancel();
    });
  }

  #connected(socket: Socket): void {
    if (socket.destroyed) return;
    if (this.#admissions.isTold(socket)) {
      // RFC 9110 §15.6.4. A request is not waited for, because silence would hold the connection.
      socket.on('error', () => {});
      socket.end(lastAnswer(503, `Retry-After: ${this.o.retryAfterS}\r\n`));
      // So that its end is seen, and the place is free for the next one.
      socket.resume();
      return;
    }
    const connection = new HttpConnection(socket, canonicalAddress(socket.remoteAddress ?? ''), this.#options);
    this.#connections.add(connection);
    this.#lookLater();
    socket.on('close', () => {
      this.#connections.delete(connection);
      this.#gone += 1;
      if (this.#gone >= CROWD) this.#leaveLater();
    });
  }

  /** One timer for all: two for each connection would be a third of what it takes. */
  #lookLater(): void {
    this.#looking ??= this.o.clock.after(this.#lookMs, () => {
      this.#looking = undefined;
      const nowMs = this.#options.monotonicMs();
      for (const connection of this.#connections) connection.look(nowMs);
      if (this.#connections.size > 0) this.#lookLater();
    });
  }

  #leaveLater(): void {
    this.#leaving ??= this.o.clock.after(CROWD_GONE_MS, () => {
      this.#leaving = undefined;
      if (this.#connections.size > LAST_FEW) return this.#leaveLater();
      this.#gone = 0;
      this.o.crowdGone();
    });
  }

  #dateField(): string {
    const { clock } = this.o;
    if (!clock.plausible()) return '';
    const second = Math.floor(clock.wallMs() / 1000);
    if (second !== this.#date.second) {
      this.#date = { second, text: `Date: ${new Date(second * 1000).toUTCString()}\r\n` };
    }
    return this.#date.text;
  }
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
