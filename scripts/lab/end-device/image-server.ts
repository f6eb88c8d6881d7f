import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the next request gets instead of the plain truth. */
export type Trick =
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  | { readonly kind: 'ignore-range' }
  | { readonly kind: 'shift-range' };

/** A download server for tests: one file, with ranges, and tricks that are used up one per request. */
export interface ImageServer {
  readonly url: string;
  readonly requests: { readonly range: string; readonly ifRange: string; readonly from: string }[];
  readonly tricks: Trick[];
  content: Buffer;
  etag: string | undefined;
  close(): Promise<void>;
}

export async function startImageServer(content: Buffer): Promise<ImageServer> {
  const http = createServer((request, response) => answer(image, request, response));
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  const image: ImageServer = {
    url: `http://127.0.0.1:${port}/scomo/image`,
    requests: [],
    tricks: [],
    content,
    etag: '"one"',
    close: () =>
      new Promise((resolve) => {
        http.close(() => {
          resolve();
        });
        http.closeAllConnections();
      }),
  };
  return image;
}

function answer(image: ImageServer, request: IncomingMessage, response: ServerResponse): void {
  const { range = '', 'if-range': ifRange } = request.headers;
  const condition = typeof ifRange === 'string' ? ifRange : '';
  image.requests.push({ range, ifRange: condition, from: request.socket.remoteAddress ?? '' });
  const trick = image.tricks.shift();
  if (trick?.kind === 'status') {
    response.writeHead(trick.status, trick.retryAfter === undefined ? {} : { 'Retry-After': trick.retryAfter }).end();
    return;
  }
  const first = Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0);
  const honoured = range !== '' && condition === image.etag && trick?.kind !== 'ignore-range';
  const start = honoured ? first : 0;
  const body = image.content.subarray(start);
  const told = trick?.kind === 'shift-range' ? start + 1 : start;
  response.writeHead(honoured ? 206 : 200, {
    'Content-Length': body.byteLength,
    ...(image.etag !== undefined && { ETag: image.etag }),
    ...(honoured && { 'Content-Range': `bytes ${told}-${image.content.byteLength - 1}/${image.content.byteLength}` }),
  });
  if (trick?.kind === 'cut') response.write(body.subarray(0, trick.afterBytes), () => response.destroy());
  else response.end(body);
}
