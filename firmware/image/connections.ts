import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ImageRecord } from './image.js';
import { Pace } from './pace.js';
import type { Span } from './ranges.js';

/** What was sent on a connection and is not yet known to have arrived: the content of one answer. */
export interface Unconfirmed {
  readonly image: ImageRecord;
  readonly sha256: string;
  readonly spans: readonly Span[];
}

/** One connection. */
export interface Peer {
  readonly address: string;
  readonly socket: Socket;
  readonly pace: Pace;
  unconfirmed: Unconfirmed[];
  /** The client is known to have what was sent, as `Accounting` says. */
  taken: boolean;
  /** The newest answer; it comes after all earlier ones. */
  answer: Promise<void>;
  /** Requests that have come, and of them those whose answer is not finished. */
  requests: number;
  waiting: number;
  /** The last answer is under way or sent; whatever comes after its request is not heard (RFC 9112 §9.6). */
  ending: boolean;
}

export interface ConnectionLimits {
  /** Connections in all. */
  readonly connections: number;
  /** Connections of one address. */
  readonly connectionsPerAddress: number;
  readonly minBytesPerSecond: number;
  readonly minRateMs: number;
}

/** Beyond the limits so many connections at a time are told so; more are closed at once. */
export const CONNECTIONS_TOLD = 64;

/** What is done with a connection that has come. */
export type Admission = 'served' | 'told' | 'dropped';

/** The open connections, and which of them are served: those within the limits, first come, first served. */
export class Connections {
  readonly #peers = new Map<Duplex, Peer>();
  #served = 0;
  readonly #servedOf = new Map<string, number>();
  /** By `nameOf`: with TLS the socket that is told is another object than the one that came. */
  readonly #told = new Set<string>();

  constructor(private readonly limits: ConnectionLimits) {}

  /** Counts a connection from here to its end, also one whose TLS handshake has yet to come. */
  admit(socket: Socket, address: string): Admission {
    const own = this.#servedOf.get(address) ?? 0;
    if (this.free > 0 && own < this.limits.connectionsPerAddress) {
      this.#served += 1;
      this.#servedOf.set(address, own + 1);
      socket.once('close', () => this.#leave(address));
      return 'served';
    }
    if (this.#told.size >= CONNECTIONS_TOLD) return 'dropped';
    const name = nameOf(socket);
    this.#told.add(name);
    socket.once('close', () => this.#told.delete(name));
    return 'told';
  }

  /** The connection is beyond the limits. */
  isTold(socket: Socket): boolean {
    return this.#told.has(nameOf(socket));
  }

  open(socket: Socket, address: string): Peer {
    const peer: Peer = {
      address,
      socket,
      pace: new Pace(this.limits.minBytesPerSecond, this.limits.minRateMs),
      unconfirmed: [],
      taken: false,
      answer: Promise.resolve(),
      requests: 0,
      waiting: 0,
      ending: false,
    };
    this.#peers.set(socket, peer);
    return peer;
  }

  of(socket: Duplex): Peer | undefined {
    return this.#peers.get(socket);
  }

  closed(peer: Peer): void {
    this.#peers.delete(peer.socket);
  }

  #leave(address: string): void {
    this.#served -= 1;
    const own = (this.#servedOf.get(address) ?? 1) - 1;
    if (own > 0) this.#servedOf.set(address, own);
    else this.#servedOf.delete(address);
  }

  /** Open connections that hear that they are not served. */
  get told(): number {
    return this.#told.size;
  }

  /** Open connections that are served. */
  get count(): number {
    return this.#peers.size;
  }

  /** How many more would be served. */
  get free(): number {
    return Math.max(0, this.limits.connections - this.#served);
  }
}

/** The same for a TCP connection and for the TLS on it. */
function nameOf({ remoteAddress = '', remotePort = 0, localAddress = '' }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
