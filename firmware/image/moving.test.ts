/** Addresses of the LAN that come and go while images are served: real sockets on addresses of loopback. */
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { networkInterfaces, type NetworkInterfaceInfo } from 'node:os';
import { after, before, beforeEach, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { Prefixes } from '../net/index.js';
import { openHouse, pattern, removeFolder, serveFile, serverOptions, startOrigin, type House } from './fixture.js';
import { lanAddresses } from './lan-addresses.js';
import { ImageServer } from './server.js';

const CONTENT = pattern(300_001);

let house: House;
let id: number;
let addresses: string[];
/** How often a place was told: once at the start. */
let moved: number;
before(async () => {
  const origin = await startOrigin(serveFile(CONTENT));
  house = openHouse();
  await house.downloader.start();
  id = house.add('fw.bin', origin.url).id;
  await house.until(id, 'available');
  await origin.close();
});
beforeEach(() => (moved = 0));
after(async () => {
  await house.close();
  removeFolder(house.folder);
});

async function withServer(
  options: Partial<ConstructorParameters<typeof ImageServer>[0]>,
  test: (server: ImageServer) => Promise<void>,
) {
  const server = new ImageServer({
    ...serverOptions(house),
    addresses: [],
    publicHost: '',
    movingAddresses: () => addresses,
    onPlace: () => (moved += 1),
    ...options,
  });
  const started = await server.start();
  assert.ok(started.ok);
  try {
    await test(server);
  } finally {
    await server.close();
  }
}

const uriOf = (server: ImageServer): string => server.localUri(house.catalog.byId(id)!);

async function isServedAt(uri: string): Promise<void> {
  assert.ok(Buffer.from(await (await fetch(uri)).arrayBuffer()).equals(CONTENT));
}

const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'));

describe('addresses that move', { timeout: 30_000 }, () => {
  it('are followed: LocalImageURI goes along, and whoever wants to know is told', async () => {
    addresses = ['127.0.0.1'];
    await withServer({}, async (server) => {
      const before = uriOf(server);
      assert.match(before, /^http:\/\/127\.0\.0\.1:\d+\/scomo\/fw\.bin$/);
      await isServedAt(before);
      addresses = ['127.0.0.2'];
      await server.look();
      assert.equal(uriOf(server), before.replace('127.0.0.1', '127.0.0.2'));
      await isServedAt(uriOf(server));
      await assert.rejects(fetch(before));
      assert.equal(moved, 2);
      await server.look();
      assert.equal(moved, 2);
    });
  });

  it('cut off who is connected there when they go, and nobody else', async () => {
    addresses = ['127.0.0.1', '127.0.0.2'];
    await withServer({}, async (server) => {
      const port = server.listening[0]!.port;
      const [stays, goes] = ['127.0.0.1', '127.0.0.2'].map((host) => connect(port, host)) as [
        ReturnType<typeof connect>,
        ReturnType<typeof connect>,
      ];
      goes.on('error', () => {});
      await Promise.all([stays, goes].map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
      while (server.load.connections < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      addresses = ['127.0.0.1'];
      const gone = new Promise((resolve) => goes.once('close', resolve));
      goes.resume();
      await server.look();
      await gone;
      assert.equal(server.load.connections, 1);
      assert.equal(moved, 1);
      stays.destroy();
    });
  });

  it('may be none at first: LocalImageURI is empty until one comes', async () => {
    addresses = [];
    await withServer({}, async (server) => {
      assert.equal(uriOf(server), '');
      addresses = ['127.0.0.3'];
      await server.look();
      await isServedAt(uriOf(server));
    });
  });

  it('that cannot be listened on are tried again with the next look', async () => {
    addresses = ['127.0.0.1', '192.0.2.1'];
    const said: string[] = [];
    const log = { ...silentLog, error: (event: string) => said.push(event), warn: (event: string) => said.push(event) };
    await withServer({ log }, async (server) => {
      assert.deepEqual(
        server.listening.map(({ address }) => address),
        ['127.0.0.1'],
      );
      await server.look();
      await isServedAt(uriOf(server));
      assert.deepEqual(said, ['cannot serve on an address yet'], 'once, however often it is tried');
    });
  });

  it('of both families are served at the same port', { skip: hasIpv6 ? false : 'no ::1 here' }, async () => {
    addresses = ['127.0.0.1', '::1'];
    await withServer({}, async (server) => {
      const { port } = server.listening[0]!;
      assert.deepEqual(
        server.listening.map((bound) => bound.port),
        [port, port],
      );
      await isServedAt(`http://[::1]:${port}/scomo/fw.bin`);
      addresses = ['::1'];
      await server.look();
      assert.equal(uriOf(server), `http://[::1]:${port}/scomo/fw.bin`);
      await isServedAt(uriOf(server));
    });
  });

  it('leave the configured host in LocalImageURI as it is', async () => {
    addresses = ['127.0.0.1'];
    await withServer({ publicHost: 'gw.lan' }, async (server) => {
      addresses = ['127.0.0.2'];
      await server.look();
      assert.match(uriOf(server), /^http:\/\/gw\.lan:/);
      assert.equal(moved, 1);
    });
  });
});

describe('the addresses of interfaces', () => {
  const info = (address: string, family: 'IPv4' | 'IPv6', scopeid = 0): NetworkInterfaceInfo => ({
    address,
    family,
    scopeid,
    netmask: '',
    mac: '',
    internal: false,
    cidr: null,
  });
  const all = {
    'br-lan': [
      info('192.168.1.1', 'IPv4'),
      info('fd00::1', 'IPv6'),
      info('fe80::1', 'IPv6', 3),
      info('203.0.113.9', 'IPv4'),
    ],
    'br-guest': [info('192.168.2.1', 'IPv4')],
    wan: [info('192.168.9.9', 'IPv4')],
  };
  const lan = Prefixes.of(['192.168.0.0/16', 'fd00::/8', 'fe80::/10']);

  it('are those in the LAN, of the interfaces named, in their order; link-local ones are left out', () => {
    const found = lanAddresses(['br-guest', 'gone', 'br-lan', 'br-guest'], lan, () => all);
    assert.deepEqual(found, ['192.168.2.1', '192.168.1.1', 'fd00::1']);
  });
});
