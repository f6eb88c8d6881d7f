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

/** The open connections, and which of them are served: those within the limits, first come, first served. */
export class Connections {
  readonly #peers = new Map<Duplex, Peer>();
  readonly #admitted = new Set<Peer>();
  readonly #admittedOf = new Map<string, number>();

  constructor(private readonly limits: ConnectionLimits) {}

  open(socket: Socket, address: string): Peer {
    const peer: Peer = {
      address,
      socket,
      pace: new Pace(this.limits.minBytesPerSecond, this.limits.minRateMs),
      unconfirmed: [],
      answer: Promise.resolve(),
      requests: 0,
      waiting: 0,
      ending: false,
    };
    this.#peers.set(socket, peer);
    this.admit(peer);
    return peer;
  }

  of(socket: Duplex): Peer | undefined {
    return this.#peers.get(socket);
  }

  /** @returns whether it is served: since it was opened, or because there is room now */
  admit(peer: Peer): boolean {
    if (this.#admitted.has(peer)) return true;
    const own = this.#admittedOf.get(peer.address) ?? 0;
    if (this.free === 0 || own >= this.limits.connectionsPerAddress) return false;
    this.#admitted.add(peer);
    this.#admittedOf.set(peer.address, own + 1);
    return true;
  }

  closed(peer: Peer): void {
    this.#peers.delete(peer.socket);
    if (!this.#admitted.delete(peer)) return;
    const own = (this.#admittedOf.get(peer.address) ?? 1) - 1;
    if (own > 0) this.#admittedOf.set(peer.address, own);
    else this.#admittedOf.delete(peer.address);
  }

  /** Open connections, served or not. */
  get count(): number {
    return this.#peers.size;
  }

  /** How many more would be served. */
  get free(): number {
    return Math.max(0, this.limits.connections - this.#admitted.size);
  }
}
