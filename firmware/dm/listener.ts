import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { ipFamily } from '../net/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { unwrapPush } from './notification.js';

/** UDP port of connectionless WAP push (10.6). */
export const PUSH_PORT = 2948;

/** Longest datagram that is looked at: one Ethernet frame holds it. Headers and identifiers take at most 327 octets. */
const MAX_DATAGRAM_BYTES = 1472;
/** Datagrams looked at in a second, on all addresses together. Servers send a few in a day; each costs a few digests. */
const MAX_DATAGRAMS_PER_SECOND = 50;

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface ListenerOptions {
  /** IP addresses to listen on, IPv4 and IPv6; `0.0.0.0` and `::` do not overlap. */
  readonly addresses: readonly string[];
  /** 0 lets the system choose, for each address. */
  readonly port: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Takes a bare Package#0, not yet parsed or verified. Must not throw. */
  readonly onNotification: (bytes: Uint8Array, remote: Endpoint) => void;
}

/** Waits on UDP for Package#0, bare or in a WSP push (10.6). Nothing is ever answered (10.2). */
export interface NotificationListener {
  /** Where it listens, in the order of the options. */
  readonly bound: readonly Endpoint[];
  /** Resolves when all sockets are closed; may be called again. */
  close(): Promise<void>;
}

/** Binds all addresses or none. */
export async function openListener(
  options: ListenerOptions,
): Promise<Outcome<NotificationListener, CodedError<'bind'>>> {
  const admission = new Admission(options.clock, options.log);
  const sockets: Socket[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(sockets.splice(0).map(closeSocket));
  };
  for (const address of options.addresses) {
    const socket = ipFamily(address) === 6 ? createSocket({ type: 'udp6', ipv6Only: true }) : createSocket('udp4');
    sockets.push(socket);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject).bind({ address, port: options.port }, resolve);
      });
    } catch (thrown) {
      await close();
      return failure('bind', `cannot listen on UDP ${address} port ${options.port}: ${describeThrown(thrown)}`, thrown);
    }
    socket.on('error', (error) => {
      options.log.warn('socket for notifications failed', { address, reason: describeThrown(error) });
    });
    socket.on('message', (datagram, remote) => {
      if (admission.admits(datagram)) receive(options, datagram, remote);
    });
  }
  const bound = sockets.map((socket) => ({ address: socket.address().address, port: socket.address().port }));
  return success({ bound, close });
}

function receive({ log, onNotification }: ListenerOptions, datagram: Buffer, remote: RemoteInfo): void {
  const { address, port, size } = remote;
  const notification = unwrapPush(datagram);
  if (notification.ok) onNotification(notification.value, { address, port });
  else log.debug('datagram dropped', { address, port, bytes: size, code: notification.error.code });
}

/** Bounds what a flood costs. */
class Admission {
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #admitted = 0;

  constructor(
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  admits(datagram: Uint8Array): boolean {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.#windowStartMs >= 1000) {
      this.#windowStartMs = nowMs;
      this.#admitted = 0;
    }
    this.#admitted += 1;
    if (this.#admitted === MAX_DATAGRAMS_PER_SECOND + 1) {
      this.log.warn('too many datagrams, dropping for a second', { per_second: MAX_DATAGRAMS_PER_SECOND });
    }
    return this.#admitted <= MAX_DATAGRAMS_PER_SECOND && datagram.byteLength <= MAX_DATAGRAM_BYTES;
  }
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(() => {
      resolve();
    });
  });
}
