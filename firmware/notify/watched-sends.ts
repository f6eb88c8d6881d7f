import { createSocket } from 'node:dgram';
import type { Clock } from '../clock/index.js';

/**
 * Sends that are watched at the same time. Fewer than half of a batch, so that they do not hold up the others; each takes
 * a descriptor.
 */
const MAX_WATCHED = 24;

/** Refusals come back at once in a LAN. */
const ANSWER_WITHIN_MS = 100;

/** The kernel gives up on a neighbour that does not answer after three seconds. */
const LINGER_MS = 4_000;

/**
 * Datagrams of which is told what became of them, as far as the network says: each leaves a socket of its own that is
 * connected to the device, because an unconnected one is told of no ICMP error.
 */
export class WatchedSends {
  readonly #open = new Set<() => void>();

  constructor(private readonly clock: Clock) {}

  hasRoom(): boolean {
    return this.#open.size < MAX_WATCHED;
  }

  /**
   * @param late told when the network refuses it after the answer
   * @returns undefined when it is on its way and nobody has refused it yet. Never rejects
   */
  send(
    family: 4 | 6,
    host: string,
    port: number,
    payload: Uint8Array,
    late: (error: Error) => void,
  ): Promise<Error | undefined> {
    return new Promise((resolve) => {
      const socket = createSocket({ type: `udp${family}`, ipv6Only: family === 6 });
      let answered = false;
      let closed = false;
      const answer = (error: Error | undefined): void => {
        answered = true;
        resolve(error);
      };
      const end = (): void => {
        if (closed) return;
        closed = true;
        this.#open.delete(end);
        soon.cancel();
        lingering.cancel();
        if (!answered) answer(undefined);
        socket.close();
      };
      const fail = (error: Error): void => {
        if (closed) return;
        if (answered) late(error);
        else answer(error);
        end();
      };
      const soon = this.clock.after(ANSWER_WITHIN_MS, () => answer(undefined));
      const lingering = this.clock.after(LINGER_MS, end);
      this.#open.add(end);
      socket.on('error', fail);
      socket.connect(port, host, () => {
        if (!closed) socket.send(payload, (error) => error && fail(error));
      });
      socket.unref();
    });
  }

  /** Watches no longer. */
  close(): void {
    for (const end of [...this.#open]) end();
  }
}
