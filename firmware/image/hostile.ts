/** For the tests of this room: an origin on a bare socket, which may say what no HTTP server would. */
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import type { TlsIdentity } from '../net/index.js';

export interface RawRequest {
  readonly path: string;
  /** First byte that the Range asks for; undefined when the whole is asked for. */
  readonly from: number | undefined;
  readonly ifRange: string | undefined;
}

/** What one request is answered with. */
export interface Answer {
  readonly pieces: Iterable<string | Uint8Array>;
  /** Between two pieces. Default 0. */
  readonly everyMs?: number;
  /** After the last piece: FIN, RST, or silence. */
  readonly then: 'end' | 'reset' | 'silence';
}

export type Answering = Answer | ((request: RawRequest) => Answer);

export interface RawOrigin {
  readonly port: number;
  readonly seen: RawRequest[];
  close(): Promise<void>;
}

/** In which what was written has reached the other side of the loopback, so that a reset does not overtake it. */
const ARRIVAL_MS = 25;

/** Answers the n-th request with the n-th answer, and all later ones with the last. One request per connection. */
export async function startRawOrigin(answers: readonly Answering[], tls?: TlsIdentity): Promise<RawOrigin> {
  const seen: RawRequest[] = [];
  const sockets = new Set<Socket>();
  const onSocket = (socket: Socket): void => {
    let head = '';
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      head += chunk.toString('latin1');
      if (!head.includes('\r\n\r\n')) return;
      socket.removeAllListeners('data');
      socket.resume();
      const request = parse(head);
      const answering = answers[Math.min(seen.push(request), answers.length) - 1];
      if (answering) void play(socket, typeof answering === 'function' ? answering(request) : answering);
    });
  };
  const server = tls ? createTlsServer(tls, onSocket) : createTcpServer(onSocket);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** A port in front of an origin. */
export interface Front {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Resets the n-th connection once the origin has been heard and so many octets of its own have been passed on: within
 * the handshake, where it speaks TLS. 0: right after the ClientHello; later connections are passed on whole.
 */
export async function startBreakingFront(originPort: number, afterOctets: readonly number[]): Promise<Front> {
  const sockets = new Set<Socket>();
  let count = 0;
  const server = createTcpServer((client) => {
    let left = afterOctets[count] ?? Infinity;
    count += 1;
    const origin = connect(originPort, '127.0.0.1');
    for (const [socket, other] of [
      [client, origin],
      [origin, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    client.pipe(origin);
    origin.on('data', (octets: Buffer) => {
      if (left === 0) return;
      const passed = octets.subarray(0, left);
      left -= passed.length;
      client.write(passed);
      if (left === 0) void sleep(ARRIVAL_MS).then(() => client.resetAndDestroy());
    });
    client.once('data', () => left === 0 && client.resetAndDestroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function parse(head: string): RawRequest {
  const value = (name: string): string | undefined => new RegExp(`^${name}: (.*)\r$`, 'im').exec(head)?.[1];
  const from = /^bytes=(\d+)-$/.exec(value('Range') ?? '')?.[1];
  return {
    path: head.split(' ')[1] ?? '',
    from: from === undefined ? undefined : Number(from),
    ifRange: value('If-Range'),
  };
}

async function play(socket: Socket, { pieces, everyMs, then }: Answer): Promise<void> {
  for (const piece of pieces) {
    if (socket.destroyed) return;
    const flushed = socket.write(piece);
    if (everyMs !== undefined) await sleep(everyMs);
    else if (!flushed) await new Promise<void>((resolve) => socket.once('drain', resolve).once('close', resolve));
  }
  if (then === 'end') socket.end();
  if (then !== 'reset') return;
  await sleep(ARRIVAL_MS);
  socket.resetAndDestroy();
}
