/** For tests: one connection of a server, and the client at its other end. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { HttpConnection } from './connection.js';

export const LIMITS = {
  headerBytes: 8192,
  headerMs: 10_000,
  idleMs: 60_000,
  keepAliveMs: 5_000,
  requestsPerConnection: 100,
  minBytesPerSecond: 1,
  minRateMs: 60_000,
};

export interface Exchange {
  readonly connection: HttpConnection;
  /** Stays whatever it is told. */
  readonly client: Socket;
  /** When the first request has been understood; it waits for its answer for ever. */
  readonly asked: Promise<void>;
  readonly close: () => void;
}

export async function openExchange(monotonicMs: () => number): Promise<Exchange> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).on('error', () => {});
  const socket = await accepted;
  let hear: () => void = () => {};
  const asked = new Promise<void>((resolve) => (hear = resolve));
  const answer = (): Promise<void> => {
    hear();
    return new Promise(() => {});
  };
  const connection = new HttpConnection(socket, '127.0.0.1', {
    limits: LIMITS,
    monotonicMs,
    date: () => '',
    handle: () => ({ answer, closed: () => {} }),
  });
  const close = (): void => {
    client.destroy();
    connection.socket.destroy();
    server.close();
  };
  return { connection, client, asked, close };
}
