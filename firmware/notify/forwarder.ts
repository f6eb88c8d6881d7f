import { createSocket, type Socket } from 'node:dgram';
import type { Clock } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { ipFamily, openHttp, type HttpErrorCode, type Prefixes } from '../net/index.js';
import { describeThrown, failure, success, systemErrorCode, type CodedError, type Outcome } from '../outcome/index.js';
import { MAX_NOTIFICATION_BYTES } from './leaves.js';
import type { SendNotification, Wrap } from './ports.js';
import { WatchedSends } from './watched-sends.js';

export type ForwardErrorCode =
  | 'address-refused' // not an address in the LAN
  | 'unresolved' // the name in the URL has no address
  | 'refused' // somebody is there and does not listen (ECONNREFUSED)
  | 'unreachable' // no way there (EHOSTUNREACH, ENETUNREACH), or no answer to HTTP
  | 'no-buffers' // the kernel had no room for the datagram (ENOBUFS, ENOMEM, EAGAIN)
  | 'too-large' // does not fit a datagram (EMSGSIZE), or over MAX_NOTIFICATION_BYTES
  | 'rejected' // the device answered HTTP with another status than 2xx
  | 'failed' // any other error of socket, TLS or HTTP
  | 'busy' // MAX_SENDS_IN_FLIGHT are on their way
  | 'closed'; // the forwarder is closed

export type ForwardError = CodedError<ForwardErrorCode>;

export interface ForwarderOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Asked about the very address of each datagram and each connection, whoever wrote the device's record. */
  readonly lan: Prefixes;
  readonly wrap: Wrap;
  /** Sends without Node.js, which takes twice the time: see `Native.sendDatagram`. Where it cannot, Node.js does. */
  readonly sendNow?: (host: string, port: number, payload: Uint8Array) => boolean;
}

/** Of all that have left. */
const SENT: Promise<Outcome<undefined, never>> = Promise.resolve(success());

/** As many as a fanout takes from the database at a time; each POST among them takes a descriptor. */
export const MAX_SENDS_IN_FLIGHT = 128;

/** A device in the LAN that takes longer for a POST is taken for unreachable. */
const HTTP_DEADLINE_MS = 3_000;

/** oma-dm-facts.md section 10.6: content type and application id of a notification. */
const HTTP_HEADERS = {
  'Content-Type': 'application/vnd.syncml.notification',
  'X-Wap-Application-Id': 'x-wap-application:syncml.dm',
};

/**
 * Forwards one notification to one device, byte for byte as the DM Server made it (section 10.3: the digest is keyed
 * by a secret that the gateway does not have).
 *
 * A success over UDP says that the datagram was given to the network, no more. As long as there is room, a send is
 * watched: that a device is up and does not listen (ECONNREFUSED), or is not there at all (EHOSTUNREACH, after some
 * seconds), is then an outcome too. Of the thousands of a large fanout only some are watched at a time.
 */
export class Forwarder {
  readonly #sockets = new Map<4 | 6, Promise<Outcome<Socket, ForwardError>>>();
  readonly #inFlight = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();
  readonly #watched: WatchedSends;

  constructor(private readonly o: ForwarderOptions) {
    this.#watched = new WatchedSends(o.clock);
  }

  /**
   * Sends once, without repetition. Over HTTP the body is the bare notification, because the Content-Type already says
   * what WSP would. Never rejects.
   * @param onLateFailure told at most once, when the network says after a success that it did not arrive
   */
  readonly send: SendNotification = (address, notification, onLateFailure) => {
    if (this.#closing.signal.aborted) return Promise.resolve(failure('closed', 'the gateway is stopping'));
    if (this.#inFlight.size >= MAX_SENDS_IN_FLIGHT) {
      return Promise.resolve(failure('busy', `${MAX_SENDS_IN_FLIGHT} notifications are on their way`));
    }
    if (notification.byteLength > MAX_NOTIFICATION_BYTES) {
      return Promise.resolve(failure('too-large', `a notification has at most ${MAX_NOTIFICATION_BYTES} bytes`));
    }
    const sending =
      address.transport === 'udp'
        ? this.#sendUdp(address.host, address.port, this.o.wrap(notification, address.encapsulation), onLateFailure)
        : this.#post(address.url, notification);
    if (sending === SENT) return sending;
    this.#inFlight.add(sending);
    void sending.then(() => this.#inFlight.delete(sending));
    return sending;
  };

  /** Ends HTTP requests, waits for what is in flight, closes the sockets. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#watched.close();
    await Promise.all(this.#inFlight);
    const sockets = [...this.#sockets.values()];
    this.#sockets.clear();
    for (const socket of await Promise.all(sockets)) {
      if (socket.ok) await new Promise<void>((resolve) => socket.value.close(() => resolve()));
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #sendUdp(
    host: string,
    port: number,
    payload: Uint8Array,
    onLateFailure: ((error: ForwardError) => void) | undefined,
  ): Promise<Outcome<undefined, ForwardError>> {
    const family = ipFamily(host);
    if (family === 0 || !this.o.lan.contains(host)) {
      return Promise.resolve(failure('address-refused', `${host} is not an address in the LAN`));
    }
    if (onLateFailure && this.#watched.hasRoom()) {
      const late = (error: Error): void => onLateFailure(udpError(error));
      return this.#watched
        .send(family, host, port, payload, late)
        .then((error) => (error ? udpFailure(error) : success()));
    }
    if (this.o.sendNow?.(host, port, payload)) return SENT;
    return this.#socket(family).then((socket) =>
      socket.ok
        ? new Promise((resolve) => {
            socket.value.send(payload, port, host, (error) => resolve(error ? udpFailure(error) : success()));
          })
        : socket,
    );
  }

  /** Bound to a free port when the first notification needs it. A socket that fails is made anew for the next one. */
  #socket(family: 4 | 6): Promise<Outcome<Socket, ForwardError>> {
    const present = this.#sockets.get(family);
    if (present) return present;
    const opening = new Promise<Outcome<Socket, ForwardError>>((resolve) => {
      const socket = createSocket({ type: `udp${family}`, ipv6Only: family === 6 });
      socket.on('error', (error) => {
        this.o.log.warn('socket for notifications failed', { family, reason: describeThrown(error) });
        if (this.#sockets.get(family) === opening) {
          this.#sockets.delete(family);
          socket.close();
        }
        resolve(udpFailure(error));
      });
      socket.bind(0, () => {
        socket.unref();
        resolve(success(socket));
      });
    });
    this.#sockets.set(family, opening);
    return opening;
  }

  async #post(url: string, notification: Uint8Array): Promise<Outcome<undefined, ForwardError>> {
    if (!URL.canParse(url)) return failure('address-refused', 'not a URL');
    const deadline = new AbortController();
    const end = (): void => deadline.abort();
    const timer = this.o.clock.after(HTTP_DEADLINE_MS, end);
    this.#closing.signal.addEventListener('abort', end, { once: true });
    const reply = await openHttp({
      method: 'POST',
      url: new URL(url),
      headers: HTTP_HEADERS,
      body: notification,
      signal: deadline.signal,
      // The deadline holds for all of it.
      idleTimeoutMs: 0,
      allowAddress: (address) => this.o.lan.contains(address),
    });
    timer.cancel();
    this.#closing.signal.removeEventListener('abort', end);
    if (!reply.ok) return failure(FROM_HTTP[reply.error.code], reply.error.text, reply.error);
    // What else the device has to say is not waited for.
    reply.value.body.on('error', () => {}).destroy();
    const { status } = reply.value;
    return status >= 200 && status < 300 ? success() : failure('rejected', `the device answered ${status}`);
  }
}

const FROM_HTTP: Readonly<Record<HttpErrorCode, ForwardErrorCode>> = {
  'bad-url': 'address-refused',
  'address-refused': 'address-refused',
  unresolved: 'unresolved',
  unreachable: 'unreachable',
  tls: 'failed',
  proxy: 'failed',
  'proxy-auth': 'failed',
  timeout: 'unreachable',
  broken: 'failed',
  aborted: 'unreachable',
};

const UDP_ERRORS: Readonly<Record<string, ForwardErrorCode>> = {
  ECONNREFUSED: 'refused',
  EHOSTUNREACH: 'unreachable',
  EHOSTDOWN: 'unreachable',
  ENETUNREACH: 'unreachable',
  ENETDOWN: 'unreachable',
  EADDRNOTAVAIL: 'unreachable',
  ENOBUFS: 'no-buffers',
  ENOMEM: 'no-buffers',
  EAGAIN: 'no-buffers',
  EMSGSIZE: 'too-large',
};

/** What a socket's error means for a notification. */
export function udpError(error: Error): ForwardError {
  const code = UDP_ERRORS[systemErrorCode(error) ?? ''] ?? 'failed';
  return { code, text: describeThrown(error), cause: error };
}

function udpFailure(error: Error): Outcome<never, ForwardError> {
  const { code, text } = udpError(error);
  return failure(code, text, error);
}
