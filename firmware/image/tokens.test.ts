import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { ManualClock } from '../clock/index.js';
import { Prefixes } from '../net/index.js';
import { openHouse, pattern, removeFolder, serveFile, serverOptions, startOrigin, type House } from './fixture.js';
import { ImageServer } from './server.js';
import { Tokens } from './tokens.js';
import { converse, requestOf, type WireReply } from './wire.fixture.js';

const HOUR = 3_600_000;
const SUBNETS = ['127.0.0.0/24', 'fd00::/8'];
const CONTENT = pattern(70_001);

let house: House;
let clock: ManualClock;
before(async () => {
  const origin = await startOrigin(serveFile(CONTENT));
  house = openHouse();
  await house.downloader.start();
  await house.until(house.add('fw', origin.url).id, 'available');
  await origin.close();
});
after(async () => {
  await house.close();
  removeFolder(house.folder);
});
beforeEach(() => (clock = new ManualClock()));

function tokens(subnets = SUBNETS): Tokens {
  return new Tokens({
    store: house.store,
    clock,
    subnets: Prefixes.of(subnets),
    lifetimeMs: 2 * HOUR,
    randomBytes: (bytes) => randomBytes(bytes),
  });
}

describe('a token', () => {
  it('is good for its image, from its subnets, until it expires', () => {
    const ours = tokens();
    const query = ours.queryFor('fw')!;
    assert.match(query, /^e=\d+&t=[\w-]{22}$/);
    const other = query.replace(/.$/, (last) => (last === 'A' ? 'Q' : 'A'));
    const later = query.replace(/e=(\d+)/, (_, seconds) => `e=${Number(seconds) + 1}`);
    const rows: readonly (readonly [string, string, string, string])[] = [
      ['fw', query, '127.0.0.9', 'good'],
      ['fw', query, 'fd00::1', 'good'],
      ['fw', query, '::ffff:127.0.0.9', 'good'],
      ['fw', query, '127.0.1.9', 'bad'],
      ['fw2', query, '127.0.0.9', 'bad'],
      ['', query, '127.0.0.9', 'bad'],
      ['fw', other, '127.0.0.9', 'bad'],
      ['fw', later, '127.0.0.9', 'bad'],
      ['fw', `${query}&x=1`, '127.0.0.9', 'bad'],
      ['fw', query.split('&').reverse().join('&'), '127.0.0.9', 'bad'],
      ['fw', 'e=1&t=', '127.0.0.9', 'bad'],
      ['fw', '', '127.0.0.9', 'bad'],
    ];
    for (const [image, given, address, verdict] of rows) {
      assert.equal(ours.check(image, given, address), verdict, `${image} ${given} ${address}`);
    }
    clock.jumpWall(HOUR);
    assert.equal(ours.check('fw', query, '127.0.0.9'), 'good', 'half of the lifetime is always left');
    clock.jumpWall(HOUR);
    assert.equal(ours.check('fw', query, '127.0.0.9'), 'expired');
  });

  it('outlives a restart, not another set of subnets', () => {
    const query = tokens().queryFor('fw')!;
    assert.equal(tokens().check('fw', query, '127.0.0.9'), 'good');
    assert.equal(tokens(['127.0.0.0/24']).check('fw', query, '127.0.0.9'), 'bad');
  });

  it('waits for the clock', () => {
    const query = tokens().queryFor('fw')!;
    clock.isPlausible = false;
    assert.equal(tokens().queryFor('fw'), undefined);
    assert.equal(tokens().check('fw', query, '127.0.0.9'), 'clock');
    assert.equal(tokens().check('fw', query, '127.0.9.9'), 'bad');
  });
});

describe('a server that asks for tokens', () => {
  const places: string[] = [];

  async function withServer(test: (server: ImageServer, port: number) => Promise<void>): Promise<void> {
    places.length = 0;
    const server = new ImageServer({
      ...serverOptions(house),
      clock,
      tokens: tokens(),
      onPlace: (place) => places.push(place),
    });
    const started = await server.start();
    assert.ok(started.ok);
    try {
      await test(server, started.value[0]!.port);
    } finally {
      await server.close();
    }
  }

  const uri = (server: ImageServer): URL => new URL(server.localUri(house.catalog.byNode('fw')!));

  async function headOf(port: number, target: string): Promise<WireReply | undefined> {
    const { replies } = await converse(port, requestOf(`HEAD ${target} HTTP/1.1\nHost: x`), { methods: ['HEAD'] });
    return replies[0];
  }
  const statusOf = async (port: number, target: string): Promise<number | undefined> =>
    (await headOf(port, target))?.status;

  it('serves those who have one, tells others nothing of what there is, and those whose token is old that it is', async () => {
    await withServer(async (server, port) => {
      const { pathname, search } = uri(server);
      assert.equal(await statusOf(port, `${pathname}${search}`), 200);
      for (const target of [pathname, `${pathname}?`, `${pathname}${search}x`, `/scomo/none${search}`, '/scomo/none']) {
        assert.equal(await statusOf(port, target), 404, target);
      }
      clock.jumpWall(2 * HOUR);
      assert.equal(await statusOf(port, `${pathname}${search}`), 410);
      clock.isPlausible = false;
      const later = await headOf(port, `${pathname}${search}`);
      assert.deepEqual([later?.status, later?.headers['retry-after']], [503, '5']);
      assert.equal(server.localUri(house.catalog.byNode('fw')!), '');
    });
  });

  it('tells of the next token when half of the lifetime of the one before is left', async () => {
    await withServer(async (server, port) => {
      const { pathname, search } = uri(server);
      assert.equal(places.length, 1);
      await server.look();
      assert.equal(places.length, 1);
      clock.jumpWall(HOUR);
      await server.look();
      assert.equal(places.length, 2);
      assert.notEqual(uri(server).search, search);
      assert.equal(await statusOf(port, `${pathname}${search}`), 200);
    });
  });

  it('looks by itself whether that is so', async () => {
    await withServer(async () => {
      clock.jumpWall(HOUR);
      clock.advance(5_000);
      await eventually('the next token', () => places.length === 2);
    });
  });

  it('tells of its first token when the clock is set', async () => {
    clock.isPlausible = false;
    await withServer(async (server) => {
      assert.deepEqual(places, []);
      clock.isPlausible = true;
      await server.look();
      assert.equal(places.length, 1);
    });
  });
});

describe('the place where images are served', () => {
  it('is told to those who had images retrieved when it is another one than before, also in an earlier run', () => {
    house.events.length = 0;
    const told = (): string[] => house.events.splice(0).map(({ kind, image }) => `${kind} ${image.imageId}`);
    house.catalog.servedAt('http://192.168.1.1:8180');
    assert.deepEqual(told(), []);
    house.catalog.servedAt('http://192.168.1.1:8180');
    assert.deepEqual(told(), []);
    house.catalog.servedAt('http://192.168.1.2:8180');
    assert.deepEqual(told(), ['local-uri fw']);
    const { place } = house.store.sql<{ place: string }>('SELECT place FROM image_server').get()!;
    assert.equal(place, 'http://192.168.1.2:8180');
  });
});
