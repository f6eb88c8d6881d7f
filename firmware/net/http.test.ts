import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer as createHttp, type RequestListener, type Server } from 'node:http';
import { connect, createServer as createTcp, type AddressInfo, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { openHttp, redactUrl, type HttpRequest } from './index.js';

type Body = AsyncIterable<Buffer>;

async function readAll(body: Body): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

function request(url: string, changes: Partial<HttpRequest> = {}): HttpRequest {
  return { method: 'GET', url: new URL(url), headers: {}, idleTimeoutMs: 2000, allowAddress: () => true, ...changes };
}

async function codeOf(url: string, changes: Partial<HttpRequest> = {}): Promise<string> {
  const reply = await openHttp(request(url, changes));
  if (reply.ok) reply.value.body.destroy();
  return reply.ok ? String(reply.value.status) : reply.error.code;
}

describe('openHttp', () => {
  const seen: { method: string; url: string; headers: Record<string, unknown>; body: string }[] = [];
  const answer: RequestListener = (incoming, outgoing) => {
    void readAll(incoming).then((body) => {
      seen.push({ method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers, body });
      if (incoming.url === '/redirect') outgoing.writeHead(302, { Location: 'http://169.254.169.254/' }).end();
      else if (incoming.url === '/stall') outgoing.write('begun');
      else if (incoming.url === '/headers') outgoing.writeHead(200, { 'X-Long': 'x'.repeat(20_000) }).end();
      else outgoing.end('hello');
    });
  };
  let server: Server;
  let origin: string;
  before(async () => {
    server = createHttp(answer);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  const port = (): number => (server.address() as AddressInfo).port;

  it('sends what it is given, and gives back status, headers and body', async () => {
    const body = Buffer.from('é');
    const reply = await openHttp(request(`${origin}/a?b=c`, { method: 'POST', headers: { 'X-One': '1' }, body }));
    assert.ok(reply.ok);
    assert.equal(await readAll(reply.value.body), 'hello');
    const last = seen.at(-1);
    assert.equal(`${last?.method} ${last?.url} ${last?.body}`, 'POST /a?b=c é');
    assert.equal(last?.headers['content-length'], '2');
    assert.equal(last.headers['x-one'], '1');
    assert.equal(last.headers['host'], `127.0.0.1:${port()}`);
  });
  it('does not follow a redirect', async () => assert.equal(await codeOf(`${origin}/redirect`), '302'));
  it('refuses other schemes', async () => {
    for (const url of ['ftp://127.0.0.1/', 'file:///etc/passwd', 'data:,x']) assert.equal(await codeOf(url), 'bad-url');
  });
  it('ends on silence, also in the middle of the body', async () => {
    const reply = await openHttp(request(`${origin}/stall`, { idleTimeoutMs: 100 }));
    assert.ok(reply.ok);
    await assert.rejects(readAll(reply.value.body));
  });
  it('refuses headers without end: broken', async () => assert.equal(await codeOf(`${origin}/headers`), 'broken'));
  it('is aborted before it begins, while it waits, and while the body is read', async () => {
    assert.equal(await codeOf(origin, { signal: AbortSignal.abort() }), 'aborted');
    const listener = createTcp(() => {});
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const aborting = new AbortController();
    const waiting = codeOf(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`, { signal: aborting.signal });
    setTimeout(() => aborting.abort(), 30);
    assert.equal(await waiting, 'aborted');
    listener.close();
    const reading = new AbortController();
    const reply = await openHttp(request(`${origin}/stall`, { signal: reading.signal }));
    assert.ok(reply.ok);
    reading.abort();
    await assert.rejects(readAll(reply.value.body));
  });
  it('tells a refused connection, a name without address and a broken reply apart', async () => {
    const closed = createTcp();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const { port: free } = closed.address() as AddressInfo;
    await new Promise((resolve) => closed.close(resolve));
    assert.equal(await codeOf(`http://127.0.0.1:${free}/`), 'unreachable');
    assert.equal(await codeOf('http://no-such-host.invalid/'), 'unresolved');
    const rude = createTcp((socket: Socket) => socket.end('HTTP/1.1 200 OK\r\nContent-'));
    await new Promise<void>((resolve) => rude.listen(0, '127.0.0.1', resolve));
    assert.equal(await codeOf(`http://127.0.0.1:${(rude.address() as AddressInfo).port}/`), 'broken');
    rude.close();
  });
  it('a handshake with a server that speaks no TLS: tls or broken, never a reply', async () => {
    assert.match(await codeOf(origin.replace('http:', 'https:')), /^(tls|broken)$/);
  });

  describe('the address filter', () => {
    it('is asked about a literal address, in the form in which it is connected to', async () => {
      const cases: readonly (readonly [host: string, asked: string])[] = [
        ['127.0.0.1', '127.0.0.1'],
        ['127.1', '127.0.0.1'],
        ['2130706433', '127.0.0.1'],
        ['0x7f.0.0.1', '127.0.0.1'],
        ['[::1]', '::1'],
        ['[::ffff:127.0.0.1]', '::ffff:7f00:1'],
        ['[0:0:0:0:0:ffff:7f00:1]', '::ffff:7f00:1'],
      ];
      for (const [host, expected] of cases) {
        const asked: string[] = [];
        const refuse = (address: string): boolean => asked.push(address) === 0;
        assert.equal(await codeOf(`http://${host}:${port()}/`, { allowAddress: refuse }), 'address-refused', host);
        assert.deepEqual(asked, [expected], host);
      }
    });
    it('is asked about each address of a name; nothing is sent when it refuses them all', async () => {
      const before = seen.length;
      const asked: string[] = [];
      const refuse = (address: string): boolean => asked.push(address) === 0;
      assert.equal(await codeOf(`http://localhost:${port()}/`, { allowAddress: refuse }), 'address-refused');
      assert.ok(asked.length > 0 && asked.every((address) => address === '127.0.0.1' || address === '::1'));
      assert.equal(seen.length, before);
    });
    it('lets a name through to the addresses that it allows', async () => {
      const allow = (address: string): boolean => address === '127.0.0.1';
      assert.equal(await codeOf(`http://localhost:${port()}/`, { allowAddress: allow }), '200');
    });
    it('keeps from a name the addresses that it refuses, although it allows others', async () => {
      let connections = 0;
      const refused = createTcp((socket) => {
        connections += 1;
        socket.destroy();
      });
      await new Promise<void>((resolve) => refused.listen(0, '127.0.0.2', resolve));
      const { port: at } = refused.address() as AddressInfo;
      const addresses = ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 }));
      const allowAddress = (address: string): boolean => address === '127.0.0.1';
      await codeOf(`http://a.example:${at}/`, { allowAddress, resolve: (_, __, done) => done(null, addresses) });
      assert.equal(connections, 0);
      refused.close();
    });
    it('no packet goes to a refused address', async () => {
      let connections = 0;
      const counting = createTcp(() => (connections += 1));
      await new Promise<void>((resolve) => counting.listen(0, '127.0.0.1', resolve));
      const { port: at } = counting.address() as AddressInfo;
      for (const host of ['127.0.0.1', 'localhost'])
        await codeOf(`http://${host}:${at}/`, { allowAddress: () => false });
      // One that is allowed comes in behind those that were not.
      const allowed = connect(at, '127.0.0.1');
      await once(counting, 'connection');
      assert.equal(connections, 1);
      allowed.destroy();
      counting.close();
    });
  });
});

describe('redactUrl', () => {
  const cases: readonly (readonly [url: string, shown: string])[] = [
    ['https://a.example/b', 'https://a.example/b'],
    ['https://a.example/b?token=secret', 'https://a.example/b?...'],
    ['https://a.example/b#secret', 'https://a.example/b'],
    ['https://a.example/b?x#y', 'https://a.example/b?...'],
    ['https://user:secret@a.example/b', 'https://a.example/b'],
    ['https://user:sec@ret@a.example/b', 'https://a.example/b'],
    ['https:\\\\user:secret@a.example\\b', 'https://a.example\\b'],
    ['https://user:secret@a.example', 'https://a.example'],
    ['https://a.example/b@c', 'https://a.example/b@c'],
    ['/b?token=secret', '/b?...'],
    ['no URL at all', 'no URL at all'],
  ];
  for (const [url, shown] of cases) it(`${url}: ${shown}`, () => assert.equal(redactUrl(url), shown));
});
