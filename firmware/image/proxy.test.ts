/** Retrievals through a proxy: real sockets, names that only the proxy knows. */
import assert from 'node:assert/strict';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { getDefaultHighWaterMark } from 'node:stream';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { Credentials, proxyAuthorization, type HttpAccess, type Proxy, type TlsIdentity } from '../net/index.js';
import type { DownloaderOptions } from './downloader.js';
import {
  openHouse,
  pattern,
  removeFolder,
  serveFile,
  sha256,
  startOrigin,
  type House,
  type Origin,
} from './fixture.js';
import { startProxy, type TestProxy } from './proxy.fixture.js';

const CONTENT = pattern(700_001);
const SHA = sha256(CONTENT);

let origin: Origin;
let proxy: TestProxy;
let house: House;
beforeEach(async () => {
  origin = await startOrigin(serveFile(CONTENT));
  proxy = await startProxy(Number(new URL(origin.url).port));
});
afterEach(async () => {
  await house.close();
  await Promise.all([proxy.close(), origin.close()]);
  removeFolder(house.folder);
});

interface Settings {
  readonly proxy?: Partial<Proxy>;
  readonly access?: Partial<HttpAccess>;
  readonly downloader?: Partial<DownloaderOptions>;
}

async function open(settings: Settings = {}): Promise<void> {
  house = openHouse({
    downloader: {
      access: {
        // Nothing but the proxy is reached, and no name is looked up.
        allowAddress: () => false,
        resolve: () => assert.fail('a name is looked up'),
        proxy: { url: proxy.url, except: () => false, ...settings.proxy },
        ...settings.access,
      },
      ...settings.downloader,
    },
  });
  await house.downloader.start();
}

const lines = (): string[] => proxy.seen.map(({ line }) => line);

function bearer(url: string): Credentials {
  const made = Credentials.of([{ origin: url, scheme: 'bearer', secret: 'token' }]);
  assert.ok(made.ok);
  return made.value;
}

describe('through a proxy, an image by http', () => {
  it('is asked for in absolute-form, and goes on after a cut', async () => {
    origin.behave = serveFile(CONTENT, { cutAfter: 400_000 });
    await open();
    const { id } = house.add('a', 'http://user:password@images.example/a/image.bin?x=1#f');
    assert.equal((await house.until(id, 'available')).blob, SHA);
    const line = 'GET http://images.example/a/image.bin?x=1';
    assert.deepEqual(lines(), [line, line]);
    assert.deepEqual(
      origin.seen.map(({ url, headers }) => [url, headers.host, headers.range]),
      [
        ['/a/image.bin?x=1', 'images.example', undefined],
        ['/a/image.bin?x=1', 'images.example', 'bytes=400000-'],
      ],
    );
  });

  it('shows the proxy what is for the proxy, and the server what is for the server', async () => {
    await open({
      proxy: { authorization: proxyAuthorization('gw', 'hunter2') ?? '' },
      access: { credentials: bearer('http://images.example') },
    });
    await house.until(house.add('a', 'http://images.example/x').id, 'available');
    assert.equal(proxy.seen[0]?.headers['proxy-authorization'], `Basic ${btoa('gw:hunter2')}`);
    assert.equal(origin.seen[0]?.headers.authorization, 'Bearer token');
    assert.equal(origin.seen[0].headers['proxy-authorization'], undefined);
  });

  it('follows redirects through the proxy, each checked', async () => {
    origin.behave = (request, response, count) =>
      request.headers.host === 'b.example'
        ? serveFile(CONTENT)(request, response, count)
        : void response.writeHead(302, { Location: 'http://b.example/y' }).end();
    await open({ access: { allowHost: (hostname) => hostname.endsWith('.example') } });
    await house.until(house.add('a', 'http://a.example/x').id, 'available');
    assert.deepEqual(lines(), ['GET http://a.example/x', 'GET http://b.example/y']);
  });
});

describe('through a proxy, what stands in the URL is checked:', () => {
  for (const [name, url] of [
    ['an address', 'http://10.0.0.1/x'],
    ['an address in another form', 'http://0x7f.1/x'],
    ['an IPv6 address', 'https://[::1]/x'],
    ['the name of the proxy itself', 'http://localhost:3128/x'],
    ['a name below it', 'http://a.LocalHost./x'],
    ['a host that is not on the list', 'http://evil.test/x'],
  ] as const) {
    it(name, async () => {
      await open({ access: { allowHost: (hostname) => hostname !== 'evil.test' } });
      const image = await house.until(house.add('a', url).id, 'failed');
      assert.equal(image.result, 'address-refused');
      assert.deepEqual(proxy.seen, []);
    });
  }

  it('a redirect to an address', async () => {
    origin.behave = (_, response) => response.writeHead(302, { Location: 'http://169.254.169.254/meta' }).end();
    await open();
    assert.equal((await house.until(house.add('a', 'http://a.example/x').id, 'failed')).result, 'address-refused');
    assert.equal(proxy.seen.length, 1);
  });
});

describe('a host that is excepted', () => {
  it('is reached directly, under the rules for addresses, and without what is for the proxy', async () => {
    await open({
      proxy: { except: (hostname) => hostname === 'direct.example', authorization: 'Basic x' },
      access: {
        allowAddress: (address) => address === '127.0.0.1',
        resolve: (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
      },
    });
    await house.until(house.add('a', origin.url.replace('127.0.0.1', 'direct.example')).id, 'available');
    assert.deepEqual(proxy.seen, []);
    assert.equal(origin.seen[0]?.headers['proxy-authorization'], undefined);
  });
});

describe('a proxy that', () => {
  const schemes = ['http', 'https'] as const;
  for (const scheme of schemes) {
    const url = `${scheme}://images.example/x?token=secret`;
    const ends = async (): Promise<{ result: string | null; resultText: string }> => {
      await open();
      const image = await house.until(house.add('a', url).id, 'failed');
      assert.ok(!image.resultText.includes('secret'));
      return image;
    };

    it(`wants other credentials, ${scheme}: unauthorized, after all tries`, async () => {
      proxy.refuseWith = 407;
      const { result, resultText } = await ends();
      assert.equal(result, 'unauthorized');
      assert.match(resultText, /given up after 4 tries.*the proxy answers 407/);
      assert.equal(proxy.seen.length, 4);
    });

    it(`is down, ${scheme}: unreachable`, async () => {
      await proxy.close();
      assert.equal((await ends()).result, 'unreachable');
    });

    it(`is silent, ${scheme}: unreachable`, async () => {
      proxy.silent = true;
      await open({ downloader: { idleTimeoutMs: 50 } });
      const image = await house.until(house.add('a', url).id, 'failed');
      assert.equal(image.result, 'unreachable');
    });
  }

  it('will not lead to a host: unreachable, with its status', async () => {
    proxy.refuseWith = 403;
    await open();
    const image = await house.until(house.add('a', 'https://images.example/x').id, 'failed');
    assert.equal(image.result, 'unreachable');
    assert.match(image.resultText, /the proxy answers 403 for images\.example:443/);
  });
});

/** What a stream may hold back; no less than a TLS record (RFC 8446, section 5.1). */
const STREAM_BYTES = getDefaultHighWaterMark(false);

describe('through a proxy, an image by https', { skip: NO_CERTIFICATES }, () => {
  let good: TlsIdentity;
  let server: ReturnType<typeof createTlsServer>;
  const seen: { url: string; headers: Record<string, unknown> }[] = [];
  let cutAfter: number | undefined;
  before(async () => {
    good = makeCertificate('images.example');
    server = createTlsServer(good, (request, response) => {
      seen.push({ url: request.url ?? '', headers: request.headers });
      serveFile(CONTENT, cutAfter === undefined ? {} : { cutAfter })(request, response, seen.length);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  beforeEach(async () => {
    seen.length = 0;
    cutAfter = undefined;
    await proxy.close();
    proxy = await startProxy((server.address() as AddressInfo).port);
  });

  it('comes by CONNECT, with TLS to the server itself, and goes on after a cut', async () => {
    cutAfter = 400_000;
    await open({
      proxy: { authorization: 'Basic proxy' },
      access: { ca: good.cert, credentials: bearer('https://images.example:8443') },
    });
    const { id } = house.add('a', 'https://images.example:8443/x?y=1');
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.deepEqual(lines(), ['CONNECT images.example:8443', 'CONNECT images.example:8443']);
    const [connect] = proxy.seen;
    assert.equal(connect?.headers['proxy-authorization'], 'Basic proxy');
    assert.equal(connect.headers.authorization, undefined);
    assert.equal(connect.headers.host, 'images.example:8443');
    const request = ['/x?y=1', 'images.example:8443', 'Bearer token'];
    assert.deepEqual(
      seen.map(({ url, headers }) => [url, headers['host'], headers['authorization']]),
      [request, request],
    );
    const [first, second] = seen.map(({ headers }) => headers['range']);
    assert.equal(first, undefined);
    const from = Number(/^bytes=([0-9]+)-$/.exec(String(second))?.[1]);
    // What a stream holds when the connection breaks, or a TLS record that is not whole, is lost.
    assert.ok(from <= 400_000 && from > 400_000 - STREAM_BYTES, `it goes on at ${from}`);
    assert.ok(seen.every(({ headers }) => headers['proxy-authorization'] === undefined));
    for (let round = 0; proxy.open() > 0; round += 1) {
      assert.ok(round < 500, 'the tunnels are closed');
      await sleep(5);
    }
  });

  it('is refused when the certificate is for another name: a proxy cannot stand in for the server', async () => {
    await open({ access: { ca: good.cert } });
    const image = await house.until(house.add('a', 'https://other.example/x').id, 'failed');
    assert.equal(image.result, 'tls');
    assert.equal(seen.length, 0);
  });

  it('is refused when nobody vouches for the certificate', async () => {
    await open();
    assert.equal((await house.until(house.add('a', 'https://images.example/x').id, 'failed')).result, 'tls');
  });
});
