import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { systemClock, type Clock } from '../clock/index.js';
import { MIME_WBXML, MIME_XML } from './codes.js';
import { DmTransport, type PostOptions, type TransportError, type TransportOptions } from './transport.js';

const BODY = Buffer.from('<SyncML/>');
const WALL_MS = Date.parse('2024-01-01T00:00:00Z');
const clock: Clock = { ...systemClock(0), wallMs: () => WALL_MS, plausible: () => true };

interface Request {
  readonly request: IncomingMessage;
  readonly body: string;
}

type Answer = (response: ServerResponse, request: Request, count: number) => void;

const dmMessage: Answer = (response) => {
  response.writeHead(200, { 'Content-Type': `${MIME_XML}; charset=UTF-8` }).end('<answer/>');
};

/** A server that keeps what it was asked and answers as the test says. */
async function serve(
  context: TestContext,
  answer: Answer,
): Promise<{ url: string; asked: Request[]; sockets: Set<unknown> }> {
  const asked: Request[] = [];
  const sockets = new Set<unknown>();
  const server = createServer((request, response) => {
    sockets.add(request.socket);
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const seen = { request, body: Buffer.concat(chunks).toString() };
      asked.push(seen);
      answer(response, seen, asked.length);
    });
  });
  const url = await listen(context, server);
  context.after(() => server.closeAllConnections());
  return { url, asked, sockets };
}

async function listen(context: TestContext, server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/dm?s=1`;
}

function transport(context: TestContext, options: Partial<TransportOptions> = {}): DmTransport {
  const made = new DmTransport({
    allowAddress: () => true,
    userAgent: 'dmgw/test',
    idleTimeoutMs: 2000,
    exchangeTimeoutMs: 5000,
    clock,
    ...options,
  });
  context.after(() => made.close());
  return made;
}

const POST: PostOptions = { maxReplyBytes: 1000 };

async function refused(made: DmTransport, url: string, options = POST): Promise<TransportError> {
  const reply = await made.post(url, BODY, MIME_XML, options);
  assert.ok(!reply.ok);
  return reply.error;
}

describe('DmTransport.post', () => {
  it('sends the message with the headers of the binding and hands back the octets of the answer', async (context) => {
    const { url, asked } = await serve(context, dmMessage);
    const reply = await transport(context).post(url, BODY, MIME_XML, POST);
    assert.ok(reply.ok);
    assert.deepEqual(
      { ...reply.value, body: Buffer.from(reply.value.body).toString() },
      {
        status: 200,
        contentType: MIME_XML,
        body: '<answer/>',
      },
    );
    const [{ request, body }] = asked as [Request];
    assert.equal(body, BODY.toString());
    assert.equal(request.url, '/dm?s=1');
    const expected = {
      'content-type': MIME_XML,
      'content-length': String(BODY.length),
      accept: `${MIME_XML}, ${MIME_WBXML}`,
      'accept-charset': 'utf-8',
      'cache-control': 'no-store',
      'user-agent': 'dmgw/test',
      'x-syncml-hmac': undefined,
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(request.headers[name], value, name);
  });

  it('carries x-syncml-hmac in both directions', async (context) => {
    const { url, asked } = await serve(context, (response) => {
      response.writeHead(200, { 'Content-Type': MIME_XML, 'X-SyncML-Hmac': 'theirs' }).end('x');
    });
    const reply = await transport(context).post(url, BODY, MIME_XML, { ...POST, hmac: 'ours' });
    assert.equal(reply.ok && reply.value.hmac, 'theirs');
    assert.equal(asked[0]?.request.headers['x-syncml-hmac'], 'ours');
  });

  it('uses one connection for all messages of a session, and a new one when the server closed it', async (context) => {
    const { url, sockets } = await serve(context, (response, _, count) => {
      if (count === 3) response.setHeader('Connection', 'close');
      dmMessage(response, _, count);
    });
    const made = transport(context);
    for (let message = 1; message <= 4; message += 1) assert.ok((await made.post(url, BODY, MIME_XML, POST)).ok);
    assert.equal(sockets.size, 2);
  });

  it('returns cookies to the server that set them, and to no other', async (context) => {
    const { url, asked } = await serve(context, (response, request, count) => {
      if (count === 1) response.setHeader('Set-Cookie', ['a=1; Path=/; HttpOnly', 'b = two ;Secure', 'nonsense', '=x']);
      if (count === 2) response.setHeader('Set-Cookie', ['a=3', 'b=; Max-Age=0', `c=${'x'.repeat(2000)}`]);
      dmMessage(response, request, count);
    });
    const other = await serve(context, dmMessage);
    const made = transport(context);
    for (const to of [url, url, url, other.url]) await made.post(to, BODY, MIME_XML, POST);
    assert.deepEqual(
      asked.map(({ request }) => request.headers.cookie),
      [undefined, 'a=1; b=two', 'a=3'],
    );
    assert.equal(other.asked[0]?.request.headers.cookie, undefined);
  });

  const types: readonly (readonly [string, string])[] = [
    [MIME_WBXML, MIME_WBXML],
    ['Application/Vnd.Syncml.Dm+Xml;charset="utf-8"', MIME_XML],
    ['application/vnd.syncml+xml', MIME_XML],
    ['application/vnd.syncml+wbxml', MIME_WBXML],
  ];
  for (const [sent, reported] of types) {
    it(`reports an answer of type ${sent} as ${reported}`, async (context) => {
      const { url } = await serve(context, (response) => response.writeHead(200, { 'Content-Type': sent }).end('x'));
      const reply = await transport(context).post(url, BODY, MIME_XML, POST);
      assert.equal(reply.ok && reply.value.contentType, reported);
    });
  }

  const refusals: readonly (readonly [string, number, Record<string, string>, Partial<TransportError>])[] = [
    ['a page of HTML', 200, { 'Content-Type': 'text/html' }, { code: 'content-type', status: 200 }],
    ['no type', 200, {}, { code: 'content-type', status: 200 }],
    ['a coding', 200, { 'Content-Type': MIME_XML, 'Content-Encoding': 'gzip' }, { code: 'content-type', status: 200 }],
    ['204', 204, {}, { code: 'http-status', status: 204 }],
    ['304', 304, {}, { code: 'http-status', status: 304 }],
    ['401, which is not the 401 of a message', 401, {}, { code: 'http-status', status: 401 }],
    ['404', 404, {}, { code: 'http-status', status: 404 }],
    ['500', 500, {}, { code: 'http-status', status: 500 }],
    ['503 with seconds', 503, { 'Retry-After': ' 120 ' }, { code: 'http-status', status: 503, retryAfterSeconds: 120 }],
    [
      '503 with a date',
      503,
      { 'Retry-After': 'Mon, 01 Jan 2024 00:01:00 GMT' },
      { code: 'http-status', status: 503, retryAfterSeconds: 60 },
    ],
    [
      '503 with a past date',
      503,
      { 'Retry-After': 'Sun, 31 Dec 2023 00:01:00 GMT' },
      { code: 'http-status', status: 503, retryAfterSeconds: 0 },
    ],
    [
      '503 with years',
      503,
      { 'Retry-After': '999999999999' },
      { code: 'http-status', status: 503, retryAfterSeconds: 86_400 },
    ],
    ['503 with nonsense', 503, { 'Retry-After': 'soon' }, { code: 'http-status', status: 503 }],
    [
      'a redirect',
      302,
      { Location: 'http://x/?secret' },
      { code: 'redirect', status: 302, location: 'http://x/?secret' },
    ],
    ['a redirect to nowhere', 302, {}, { code: 'http-status', status: 302 }],
  ];
  for (const [name, status, headers, expected] of refusals) {
    it(`fails on ${name}`, async (context) => {
      const { url } = await serve(context, (response) => response.writeHead(status, headers).end());
      const { text, ...error } = await refused(transport(context), url);
      assert.deepEqual(error, expected);
      assert.doesNotMatch(text, /secret/);
    });
  }

  it('takes a date for nothing while the clock is not plausible', async (context) => {
    const headers = { 'Retry-After': 'Mon, 01 Jan 2024 00:01:00 GMT' };
    const { url } = await serve(context, (response) => response.writeHead(503, headers).end());
    const error = await refused(transport(context, { clock: { ...clock, plausible: () => false } }), url);
    assert.equal(error.retryAfterSeconds, undefined);
  });

  it('stops reading an answer that is too large, chunked or announced', async (context) => {
    const { url } = await serve(context, (response) => {
      response.writeHead(200, { 'Content-Type': MIME_XML });
      const more = (): void => {
        while (!response.destroyed && response.write('x'.repeat(500)));
      };
      response.on('drain', more);
      more();
    });
    assert.equal((await refused(transport(context), url)).code, 'reply-too-large');
  });

  it('takes an answer of exactly the largest size', async (context) => {
    const { url } = await serve(context, (response) =>
      response.writeHead(200, { 'Content-Type': MIME_XML }).end('x'.repeat(1000)),
    );
    const reply = await transport(context).post(url, BODY, MIME_XML, POST);
    assert.equal(reply.ok && reply.value.body.byteLength, 1000);
  });

  const silent: Answer = () => {};
  const stalled: Answer = (response) => {
    response.writeHead(200, { 'Content-Type': MIME_XML }).write('x');
  };
  const dripping: Answer = (response) => {
    stalled(response, undefined as never, 0);
    const timer = setInterval(() => response.write('x'), 5);
    response.on('close', () => clearInterval(timer));
  };
  it('fails when the server says nothing', async (context) => {
    const { url } = await serve(context, silent);
    assert.equal((await refused(transport(context, { idleTimeoutMs: 30 }), url)).code, 'timeout');
  });
  it('fails when the server stalls in the answer', async (context) => {
    const { url } = await serve(context, stalled);
    assert.equal((await refused(transport(context, { idleTimeoutMs: 30 }), url)).code, 'broken');
  });
  for (const [name, answer] of [
    ['says nothing', silent],
    ['drips', dripping],
  ] as const) {
    it(`fails after the time of an exchange when the server ${name}`, async (context) => {
      const { url } = await serve(context, answer);
      assert.equal((await refused(transport(context, { exchangeTimeoutMs: 50 }), url)).code, 'timeout');
    });
    it(`ends when it is aborted while the server ${name}`, async (context) => {
      const { url } = await serve(context, answer);
      const abort = new AbortController();
      setTimeout(() => abort.abort(), 30);
      assert.equal((await refused(transport(context), url, { ...POST, signal: abort.signal })).code, 'aborted');
    });
  }
  it('sends nothing when it was aborted before', async (context) => {
    const { url, asked } = await serve(context, dmMessage);
    const error = await refused(transport(context), url, { ...POST, signal: AbortSignal.abort() });
    assert.equal(error.code, 'aborted');
    assert.equal(asked.length, 0);
  });

  it('fails when the connection breaks, before and in the answer', async (context) => {
    const replies = [
      '',
      'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nContent-Type: application/vnd.syncml.dm+xml\r\n\r\nshort',
    ];
    for (const reply of replies) {
      const url = await listen(
        context,
        createTcpServer((socket) => {
          socket.on('error', () => {});
          socket.once('data', () => socket.end(reply));
        }),
      );
      assert.equal((await refused(transport(context), url)).code, 'broken');
    }
  });

  it('fails on what is no URL of HTTP, and keeps to the address filter', async (context) => {
    const { url, asked } = await serve(context, dmMessage);
    assert.equal((await refused(transport(context), 'ftp://x/')).code, 'bad-url');
    assert.equal((await refused(transport(context), 'nowhere')).code, 'bad-url');
    assert.equal((await refused(transport(context, { allowAddress: () => false }), url)).code, 'address-refused');
    assert.equal(asked.length, 0);
  });
});
