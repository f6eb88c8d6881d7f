/** What stands between the image server and the rest of the gateway: accounts, devices, alerts, room, what is said to a DM Server. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, get as request, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import { connect, type AddressInfo, type Socket } from 'node:net';
import os, { tmpdir, type NetworkInterfaceInfo } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, mock } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { AddressBlock } from './addresses.js';
import { OneProcess, type OneProcessOptions } from './one-process.js';
import { add, addImage, ALERT, exec, FANOUTS, IMAGES } from './operator.js';
import { eventually } from './wait.js';

const CONTENT = Buffer.from(Array.from({ length: 3_000_000 }, (_, at) => (at * 31) ^ (at >> 8)));
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');
/** More than the first durable bytes, with or without cut-through. */
const HALF = 2_000_000;
const HOUR_MS = 3_600_000;

/** Serves the content: with a media type, without one, or to the half of it until it may go on. */
class Origin {
  #held: ServerResponse | undefined;
  readonly #server = createServer((asked, response) => {
    const type = asked.url === '/typed' && { 'Content-Type': 'application/x-firmware' };
    response.writeHead(200, { ...type, 'Content-Length': CONTENT.length, ETag: '"v"' });
    if (asked.url === '/held') (this.#held = response).write(CONTENT.subarray(0, HALF));
    else response.end(CONTENT);
  });

  async start(host: string): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, host, resolve));
  }

  url(path: '/typed' | '/bare' | '/held'): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}${path}`;
  }

  release(): void {
    this.#held?.end(CONTENT.subarray(HALF));
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

interface Lab {
  readonly gateway: OneProcess;
  readonly origin: Origin;
  /** Adds an image that is retrieved from there, and waits until it has bytes. */
  add(node: string, path: Parameters<Origin['url']>[0], digest?: string): Promise<void>;
  uriOf(node: string): Promise<string>;
  /** What has been collected. */
  readonly garbage: readonly string[];
}

/** @param settings beside those that every lab here has, section by section */
async function withLab(
  block: AddressBlock,
  settings: OneProcessOptions['settings'],
  test: (lab: Lab) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'dmgw-serving-'));
  const origin = new Origin();
  await origin.start(block.downloadServer);
  const faults: unknown[] = [];
  const garbage: string[] = [];
  let gateway: OneProcess | undefined;
  try {
    const lab = await OneProcess.start({
      folder,
      serverId: 'dm.lab',
      settings: {
        session: { startDelaySeconds: 0, intervalSeconds: 0, jitterSeconds: 0, alertDelaySeconds: 0 },
        retrieve: { allowPrefixes: [block.wanPrefix], fsyncVolumeMiB: 1 },
        lan: { prefixes: [block.lanPrefix] },
        serve: { listen: [block.gateway] },
        ...settings,
      },
      onFatal: (thrown) => faults.push(thrown),
      onGarbage: (generation) => garbage.push(generation),
    });
    gateway = lab;
    await test({
      gateway: lab,
      origin,
      garbage,
      add: async (node, path, digest) => {
        const image = { uri: origin.url(path), ...(digest !== undefined && { digest }) };
        await lab.manage(...addImage(node, image));
        await eventually(`bytes of ${node}`, async () => {
          const found = (await lab.status()).images.find(({ imageId }) => imageId === node);
          return found && found.receivedBytes >= (path === '/held' ? 1 : CONTENT.length) ? true : undefined;
        });
      },
      uriOf: async (node) => (await lab.read(`${IMAGES}/${node}/LocalImageURI`))[0] ?? '',
    });
    assert.deepEqual(faults, []);
  } finally {
    await gateway?.close();
    origin.close();
    block.release();
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Fetched {
  /** Undefined: the connection was cut off. */
  readonly status?: number;
  readonly headers?: IncomingHttpHeaders;
  readonly body?: Buffer;
}

interface FetchOptions {
  readonly range?: string;
  /** Where the URL leads, in place of its host. */
  readonly at?: string;
}

/** Fetches a URL as a client at an address. */
function fetchFrom(localAddress: string, url: string, { range, at }: FetchOptions = {}): Promise<Fetched> {
  const { hostname, port, pathname, search } = new URL(url);
  const headers = range === undefined ? {} : { Range: `bytes=${range}` };
  const options = { localAddress, host: at ?? hostname, port, path: pathname + search, headers, agent: false };
  return new Promise((resolve) => {
    request(options, (reply) => {
      const { statusCode = 0, headers } = reply;
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () => resolve({ status: statusCode, headers, body: Buffer.concat(chunks) }));
    }).on('error', () => resolve({}));
  });
}

/** A client that asks for more than the kernels hold, and reads nothing of it. */
function askAndTakeNothing(localAddress: string, url: string): Socket {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect({ localAddress, host: hostname, port: Number(port) });
  socket.on('error', () => {}).pause();
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(6));
  return socket;
}

/** End Devices of the configuration: `MAC:020000000001` and so on. @param endpoints where each takes its notifications */
function devicesAt(...endpoints: readonly string[]): object {
  return endpoints.map((endpoint, index) => ({
    deviceId: `MAC:02000000000${index + 1}`,
    address: `udp://${endpoint}`,
  }));
}

const DELIVERY_LEAVES = ['DeviceID', 'Ambiguous', 'Bytes', 'Ranges', 'Complete', 'FirstTime', 'Time'];

/** The Delivery nodes of image `fw`: the values of each, in the order of DELIVERY_LEAVES. */
async function deliveries(gateway: OneProcess): Promise<string[][]> {
  const at = `${IMAGES}/fw/Delivery`;
  const [children = ''] = await gateway.read(at);
  const names = children.split('/').filter(Boolean);
  if (names.length === 0) return [];
  const values = await gateway.read(...names.flatMap((name) => DELIVERY_LEAVES.map((leaf) => `${at}/${name}/${leaf}`)));
  return names.map((_, row) => values.slice(row * DELIVERY_LEAVES.length, (row + 1) * DELIVERY_LEAVES.length));
}

/** Waits until the gateway has told that LocalImageURI of an image is another one. */
function uriTold({ gateway }: Lab, node: string): Promise<true> {
  return eventually(`the alert about ${node}`, async () => {
    const events = await gateway.events();
    const isTold = events.some(({ type, source }) => type === ALERT.imageLocalUri && source === `${IMAGES}/${node}`);
    return isTold || undefined;
  });
}

/** What the interfaces of this machine are for the gateways here, and what is added to the time of day. */
const interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = {};
let aheadMs = 0;

describe('an image that is served', { concurrency: true }, () => {
  before(() => {
    const now = Date.now.bind(Date);
    mock.method(Date, 'now', () => now() + aheadMs);
    mock.method(os, 'networkInterfaces', () => interfaces);
    syncBuiltinESMExports();
  });
  after(() => {
    mock.restoreAll();
    syncBuiltinESMExports();
  });

  it('is accounted for by device, in two LANs under one host', async () => {
    const block = await AddressBlock.claim();
    const secondLan = block.lanPrefix.replace(/0[.]0.17$/, '64.0/18');
    const inSecondLan = (n: number): string => secondLan.replace('0/18', String(n));
    const [known, several, unknown] = [block.device(0), inSecondLan(2), inSecondLan(3)];
    const port = await block.freePort(block.gateway, 8180);
    const settings = {
      lan: { prefixes: [block.lanPrefix.replace('/17', '/18'), secondLan] },
      serve: { listen: [block.gateway, inSecondLan(1)], port, publicHost: 'gw.lan' },
      devices: devicesAt(`${known}:2948`, `${several}:2948`, `${several}:2949`),
    };
    await withLab(block, settings, async (lab) => {
      const { gateway } = lab;
      await lab.add('fw', '/typed');
      const uri = await lab.uriOf('fw');
      assert.equal(uri, `http://gw.lan:${port}/scomo/fw`);

      const begin = await fetchFrom(known, uri, { range: '0-299999', at: block.gateway });
      await eventually('its account', async () => ((await deliveries(gateway)).length > 0 ? true : undefined));
      // Between its first time and its last.
      await sleep(20);
      const end = await fetchFrom(known, uri, { range: '300000-', at: block.gateway });
      assert.ok(Buffer.concat([begin.body!, end.body!]).equals(CONTENT));
      const whole = await fetchFrom(several, uri, { at: inSecondLan(1) });
      assert.ok(whole.body!.equals(CONTENT));
      assert.equal(whole.headers!['content-type'], 'application/x-firmware');
      for (const range of ['1000-1999', '3000-3999']) {
        assert.equal((await fetchFrom(unknown, uri, { range, at: inSecondLan(1) })).status, 206);
      }
      await eventually('what was sent, as confirmed', async () => {
        const [image] = (await gateway.status()).images;
        return image?.delivered === 2 ? true : undefined;
      });
      const rows = await eventually('all accounts', async () => {
        const found = await deliveries(gateway);
        return found[2]?.[2] === '2000' ? found : undefined;
      });
      const all = `0-${CONTENT.length - 1}`;
      assert.deepEqual(
        rows.map((row) => row.slice(0, 5)),
        [
          ['MAC:020000000001', 'false', String(CONTENT.length), all, 'true'],
          [several, 'true', String(CONTENT.length), all, 'true'],
          [unknown, 'false', '2000', '1000-1999,3000-3999', 'false'],
        ],
      );
      const [first = '', last = ''] = rows[0]!.slice(5);
      assert.match(first, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.ok(first < last, `${first} ${last}`);
      assert.deepEqual(await gateway.read(`${IMAGES}/fw/Delivered`, `${IMAGES}/fw/ContentType`), [
        '2',
        'application/x-firmware',
      ]);
      const { wanReceivedBytes, lanSentBytes } = (await gateway.status()).traffic;
      assert.deepEqual([wanReceivedBytes, lanSentBytes], [CONTENT.length, 2 * CONTENT.length + 2000]);

      // Nobody said of what type it is.
      await lab.add('bare', '/bare');
      assert.deepEqual(await gateway.read(`${IMAGES}/bare/ContentType`), ['']);
      const bare = await fetchFrom(known, uri.replace(/fw$/, 'bare'), { range: '0-0', at: block.gateway });
      assert.equal(bare.headers!['content-type'], 'application/octet-stream');
    });
  });

  it('is whole and verified first, although its Digest and size are known, unless the configuration says else', async () => {
    const block = await AddressBlock.claim();
    await withLab(block, {}, async (lab) => {
      const { gateway, origin } = lab;
      await lab.add('fw', '/held', SHA256);
      const [serving = ''] = gateway.gateway.listening.serve;
      const uri = `http://${serving}/scomo/fw`;
      assert.deepEqual(await gateway.read(`${IMAGES}/fw/Size`), [String(CONTENT.length)]);
      assert.equal(await lab.uriOf('fw'), '');
      assert.equal((await fetchFrom(block.device(0), uri)).status, 404);
      origin.release();
      await eventually('its LocalImageURI', async () => ((await lab.uriOf('fw')) === uri ? true : undefined));
      assert.ok((await fetchFrom(block.device(0), uri)).body!.equals(CONTENT));
    });
  });

  it('has room for so many devices, and a fanout wakes no more', async () => {
    const block = await AddressBlock.claim();
    let heard = 0;
    const sockets = [0, 1, 2].map((index) => {
      const socket = createSocket('udp4').on('message', () => (heard += 1));
      socket.bind(2948, block.device(index));
      return socket;
    });
    const settings = {
      serve: { listen: [block.gateway], cutThrough: true, maxConnections: 2, idleTimeoutSeconds: 600 },
      devices: devicesAt(...sockets.map((_, index) => `${block.device(index)}:2948`)),
    };
    try {
      await withLab(block, settings, async (lab) => {
        const { gateway } = lab;
        await lab.add('fw', '/held', SHA256);
        const waiting = request({ host: block.gateway, port: new URL(await lab.uriOf('fw')).port, path: '/scomo/fw' });
        waiting.on('error', () => {});
        const connections = async (): Promise<number> => (await gateway.status()).serve.connections;
        await eventually('the reader', async () => ((await connections()) === 1 ? true : undefined));
        const at = `${FANOUTS}/f`;
        await gateway.manage(
          add(at, 'node'),
          add(`${at}/ImageRef`, 'chr', 'fw'),
          add(`${at}/Targets`, 'chr', '*'),
          add(`${at}/Interval`, 'int', 3600),
          add(`${at}/Notification`, 'bin', Buffer.from('notification').toString('base64')),
          exec(`${at}/Operations/Start`, 'f'),
        );
        const sent = async (): Promise<number> => Number((await gateway.read(`${at}/Result/Sent`))[0]);
        await eventually('the first one', async () => ((await sent()) > 0 ? true : undefined));
        assert.equal(await sent(), 1);
        // That it has gone shows with the next bytes for it.
        waiting.destroy();
        lab.origin.release();
        await eventually('the second one', async () => ((await sent()) > 1 ? true : undefined));
        assert.equal(await sent(), 2);
        await eventually('what was sent', () => (heard >= 2 ? true : undefined));
        assert.equal(heard, 2);
        const reacted = async (): Promise<string> => (await gateway.read(`${at}/Result/Reacted`))[0] ?? '';
        assert.equal(await reacted(), '0');
        assert.equal((await fetchFrom(block.device(0), await lab.uriOf('fw'))).status, 200);
        await eventually('its reaction', async () => ((await reacted()) === '1' ? true : undefined));
      });
    } finally {
      for (const socket of sockets) socket.close();
    }
  });

  it('is for clients that take it in time, so many of each address', async () => {
    const block = await AddressBlock.claim();
    const serve = { listen: [block.gateway], maxConnectionsPerAddress: 1, idleTimeoutSeconds: 1 };
    await withLab(block, { serve }, async (lab) => {
      await lab.add('fw', '/typed');
      const uri = await lab.uriOf('fw');
      const [first, second] = [block.device(0), block.device(1)];
      const silent = askAndTakeNothing(first, uri);
      await eventually('it', async () => ((await lab.gateway.status()).serve.connections === 1 ? true : undefined));
      assert.equal((await fetchFrom(first, uri)).status, 503);
      assert.equal((await fetchFrom(second, uri)).status, 200);
      await eventually('its end', async () =>
        (await lab.gateway.status()).serve.connections === 0 ? true : undefined,
      );
      silent.destroy();
    });
  });

  it('is for clients that take it fast enough; the garbage of a crowd is collected when it has gone', async () => {
    const block = await AddressBlock.claim();
    const rate = { minBytesPerSecond: 1_048_576, minRateSeconds: 10, idleTimeoutSeconds: 3600 };
    await withLab(block, { serve: { listen: [block.gateway], ...rate } }, async (lab) => {
      await lab.add('fw', '/typed');
      const uri = await lab.uriOf('fw');
      const slow = askAndTakeNothing(block.device(0), uri);
      // 80 KB/s.
      const sips = setInterval(() => void slow.read(4096), 50).unref();
      for (let asked = 0; asked < 64; asked += 1) await fetchFrom(block.device(1), uri, { range: '0-0' });
      const { connections } = (await lab.gateway.status()).serve;
      assert.ok(connections >= 1);
      await eventually('its end', async () =>
        (await lab.gateway.status()).serve.connections === 0 ? true : undefined,
      );
      clearInterval(sips);
      slow.destroy();
      await eventually('the garbage', () => lab.garbage.includes('all') || undefined);
    });
  });

  it('moves with the address of an interface, and the DM Server is told', async () => {
    const block = await AddressBlock.claim();
    const name = `lan${block.gateway}`.slice(0, 15);
    const move = (address: string): void => {
      interfaces[name] = [{ address, family: 'IPv4', netmask: '255.255.255.0', mac: '', internal: false, cidr: null }];
    };
    move(block.gateway);
    await withLab(block, { serve: { listen: [], interfaces: [name] } }, async (lab) => {
      await lab.add('fw', '/typed');
      const old = await lab.uriOf('fw');
      assert.equal(new URL(old).hostname, block.gateway);
      move(block.device(7));
      await uriTold(lab, 'fw');
      const uri = await lab.uriOf('fw');
      assert.equal(uri, old.replace(block.gateway, block.device(7)));
      assert.ok((await fetchFrom(block.device(0), uri)).body!.equals(CONTENT));
      assert.deepEqual(await fetchFrom(block.device(0), old), {});
    });
  });

  it('is for those with a token, in the LAN, from addresses that are allowed; its renewal is told', async () => {
    const block = await AddressBlock.claim();
    const [first, second] = [block.device(0), block.device(1)];
    const serve = { listen: [block.gateway], tokenHours: 2, allowPrefixes: [`${first}/32`, block.wanPrefix] };
    await withLab(block, { serve }, async (lab) => {
      await lab.add('fw', '/typed');
      const uri = await lab.uriOf('fw');
      const statusOf = async (from: string, url = uri): Promise<number | undefined> =>
        (await fetchFrom(from, url)).status;
      assert.equal(await statusOf(first), 200);
      assert.equal(await statusOf(second), undefined, 'not allowed');
      assert.equal(await statusOf(block.gatewayInWan), 404, 'allowed, but not in the LAN');
      await lab.add('other', '/typed');
      assert.equal(await statusOf(first, uri.replace('/fw?', '/other?')), 404, 'the token of another image');
      const leftMs = Number(/[?]e=(\d+)/.exec(uri)?.[1]) * 1000 - Date.now();
      assert.ok(leftMs > HOUR_MS - 60_000 && leftMs <= 2 * HOUR_MS, `${leftMs} ms`);

      aheadMs = HOUR_MS;
      await uriTold(lab, 'fw');
      const renewed = await lab.uriOf('fw');
      assert.notEqual(renewed, uri);
      assert.equal(await statusOf(first, renewed), 200);
      aheadMs = 2 * HOUR_MS;
      assert.equal(await statusOf(first), 410);
    });
  });
});
