import type { Socket } from 'node:net';

export interface AdmissionLimits {
  /** Connections in all. */
  readonly connections: number;
  /** Connections of one address. */
  readonly connectionsPerAddress: number;
}

/** Beyond the limits so many connections at a time are told so; more are closed at once. */
export const CONNECTIONS_TOLD = 64;

/** What is done with a connection that has come. */
export type Admission = 'served' | 'told' | 'dropped';

/** Which of the open connections are served: those within the limits, first come, first served. */
export class Admissions {
  #served = 0;
  readonly #servedOf = new Map<string, number>();
  /** By `nameOf`: with TLS the socket that is told is another object than the one that came. */
  readonly #told = new Set<string>();

  constructor(private readonly limits: AdmissionLimits) {}

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

  /** How many more would be served. */
  get free(): number {
    return Math.max(0, this.limits.connections - this.#served);
  }
}

/** The same for a TCP connection and for the TLS on it. */
function nameOf({ remoteAddress = '', remotePort = 0, localAddress = '' }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
