/** For the tests of this room: a small HTTP proxy that knows every name, absolute-form and CONNECT. */
import { createServer, request, type IncomingHttpHeaders } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

export interface ProxiedRequest {
  /** `GET http://images.example:80/x` or `CONNECT images.example:443`. */
  readonly line: string;
  readonly headers: IncomingHttpHeaders;
}

export interface TestProxy {
  readonly url: URL;
  readonly seen: ProxiedRequest[];
  /** Answers with this status instead of doing its work; 0: it works. */
  refuseWith: number;
  /** Says nothing. */
  silent: boolean;
  /** Connections through it that are open. */
  readonly open: () => number;
  close(): Promise<void>;
}

/** Starts a proxy for which every name, with every port, is this port of this host. */
export async function startProxy(targetPort: number): Promise<TestProxy> {
  const sockets = new Set<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  };
  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    proxy.seen.push({ line: `${method} ${url}`, headers });
    if (proxy.silent) return;
    if (proxy.refuseWith > 0) return void outgoing.writeHead(proxy.refuseWith).end();
    const { host, pathname, search } = new URL(url);
    const onward: IncomingHttpHeaders = { ...headers };
    delete onward['proxy-authorization'];
    const target = { host: '127.0.0.1', port: targetPort, method, path: `${pathname}${search}` };
    const forwarded = request({ ...target, headers: { ...onward, host } }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 500, reply.rawHeaders);
      reply.on('error', () => outgoing.destroy());
      reply.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  });
  server.on('connection', track);
  server.on('connect', ({ url = '', headers }, client: Socket) => {
    proxy.seen.push({ line: `CONNECT ${url}`, headers });
    if (proxy.silent) return;
    if (proxy.refuseWith > 0) return void client.end(`HTTP/1.1 ${proxy.refuseWith} No\r\nContent-Length: 0\r\n\r\n`);
    const target = connect(targetPort, '127.0.0.1', () => client.write('HTTP/1.1 200 Connection established\r\n\r\n'));
    track(target);
    target.pipe(client);
    client.pipe(target);
    client.on('close', () => target.destroy());
    target.on('close', () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: TestProxy = {
    url: new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    seen: [],
    refuseWith: 0,
    silent: false,
    open: () => sockets.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return proxy;
}
