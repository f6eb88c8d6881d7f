import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { Agent, get, type RequestOptions } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { ManualClock } from '../clock/index.js';
import type { HttpLimits } from '../http-server/index.js';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import type { TlsIdentity } from '../net/index.js';
import { openHouse, pattern, removeFolder, serveFile, serverOptions, startOrigin, type House } from './fixture.js';
import { ImageServer } from './server.js';

const CONTENT = pattern(5_000_001);

describe('an image server with a certificate', { skip: NO_CERTIFICATES, timeout: 120_000 }, () => {
  let house: House;
  let server: ImageServer;
  let port: number;
  let identity: TlsIdentity;
  let next: TlsIdentity | undefined;
  const moving: string[] = [];

  before(async () => {
    const origin = await startOrigin(serveFile(CONTENT));
    house = openHouse();
    await house.downloader.start();
    await house.until(house.add('fw', origin.url).id, 'available');
    await origin.close();
    identity = makeCertificate('gw.lan');
    const renewed = (): TlsIdentity | undefined => {
      const given = next;
      next = undefined;
      return given;
    };
    server = new ImageServer({
      ...serverOptions(house),
      publicHost: 'gw.lan',
      movingAddresses: () => moving,
      tls: { identity, renewed },
      allowAddress: (address) => address !== '127.0.0.9',
    });
    const started = await server.start();
    assert.ok(started.ok);
    port = started.value[0]!.port;
  });
  after(async () => {
    await server.close();
    await house.close();
    removeFolder(house.folder);
  });

  /** One with other limits, whose certificate stays. @returns it, and its port */
  async function another(limits: Partial<HttpLimits>): Promise<[ImageServer, number]> {
    const server = new ImageServer({
      ...serverOptions(house),
      tls: { identity, renewed: () => undefined },
      limits,
    });
    const started = await server.start();
    assert.ok(started.ok);
    return [server, started.value[0]!.port];
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const how = (more: RequestOptions = {}): RequestOptions => ({
    host: '127.0.0.1',
    port,
    path: '/scomo/fw',
    servername: 'gw.lan',
    ca: identity.cert,
    agent: false,
    ...more,
  });
  async function fetchWith(options: RequestOptions): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const [reply] = (await once(get(options), 'response')) as [AsyncIterable<Buffer> & { statusCode: number }];
    for await (const chunk of reply) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  it('serves by https, and says so in LocalImageURI', async () => {
    assert.equal(server.localUri(house.catalog.byNode('fw')!), `https://gw.lan:${port}/scomo/fw`);
    const all = await Promise.all(Array.from({ length: 4 }, () => fetchWith(how())));
    assert.ok(all.every((body) => body.equals(CONTENT)));
    const part = await fetchWith(how({ headers: { Range: 'bytes=7-4000006' } }));
    assert.ok(part.equals(CONTENT.subarray(7, 4_000_007)));
    await until(() => server.load.connections === 0);
    assert.equal(house.deliveries.list(house.catalog.byNode('fw')!.id, 0, 9)[0]?.complete, true);
  });

  it('knows who has a whole image and then keeps the connection in silence, until it is closed', async () => {
    const [quick, quickPort] = await another({ keepAliveMs: 300 });
    const agent = new Agent({ keepAlive: true });
    await fetchWith(how({ port: quickPort, agent, localAddress: '127.0.0.7' }));
    await until(() => quick.load.connections === 0);
    const rows = house.deliveries.list(house.catalog.byNode('fw')!.id, 0, 9);
    assert.equal(rows.find(({ address }) => address === '127.0.0.7')?.complete, true);
    agent.destroy();
    await quick.close();
  });

  it('speaks no TLS older than 1.2', async () => {
    await assert.rejects(fetchWith(how({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' })));
  });

  it('answers nothing in the clear, and drops who never ends a handshake', async () => {
    const [hasty, hastyPort] = await another({ headerMs: 300 });
    for (const sent of ['GET /scomo/fw HTTP/1.1\r\nHost: x\r\n\r\n', '']) {
      const socket = connectPlain(hastyPort, '127.0.0.1');
      socket.on('error', () => {});
      let got = '';
      socket.on('data', (bytes) => (got += bytes.toString('latin1')));
      socket.write(sent);
      await once(socket, 'close');
      assert.doesNotMatch(got, /HTTP/);
    }
    await hasty.close();
  });

  it('holds few connections of an address, handshake or not; others are served meanwhile', async () => {
    const [limited, limitedPort] = await another({ connections: 20, connectionsPerAddress: 4, headerMs: 60_000 });
    const at = { port: limitedPort };
    const flood = Array.from({ length: 200 }, () =>
      connectPlain({ ...at, host: '127.0.0.1', localAddress: '127.0.0.5' })
        .on('error', () => {})
        .resume(),
    );
    await until(() => limited.load.free === 16);
    assert.ok((await fetchWith(how(at))).equals(CONTENT));
    await until(() => flood.filter(({ closed }) => !closed).length === 4 && limited.load.turnedAway === 0);
    const [refused] = (await once(get(how({ ...at, localAddress: '127.0.0.5' })), 'response')) as [IncomingMessage];
    assert.deepEqual([refused.statusCode, refused.headers['retry-after']], [503, '5']);
    flood.forEach((socket) => socket.resetAndDestroy());
    await until(() => limited.load.free === 20);
    await limited.close();
  });

  it('closes before the handshake to whom nothing is served', async () => {
    await assert.rejects(fetchWith(how({ localAddress: '127.0.0.9' })));
  });

  it('shows a certificate that is renewed to those who come then, at addresses that come then too', async () => {
    const before = identity;
    identity = next = makeCertificate('gw.lan');
    await server.look();
    assert.ok((await fetchWith(how())).equals(CONTENT));
    await assert.rejects(fetchWith(how({ ca: before.cert })));
    moving.push('127.0.0.3');
    await server.look();
    assert.ok((await fetchWith(how({ host: '127.0.0.3' }))).equals(CONTENT));
  });

  it('asks again and again for a certificate that is renewed', async () => {
    const clock = new ManualClock();
    let asked = 0;
    const renewed = (): undefined => void (asked += 1);
    const asking = new ImageServer({ ...serverOptions(house), clock, tls: { identity, renewed } });
    assert.ok((await asking.start()).ok);
    for (const times of [2, 3]) {
      clock.advance(5_000);
      await until(() => asked === times && clock.nextInMs() !== undefined);
    }
    await asking.close();
  });
});
