/** Where a retrieval goes, and what it shows there: real sockets, names that only the tests know. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { Credentials, type HttpAccess, type Resolver } from '../net/index.js';
import { openHouse, pattern, removeFolder, serveFile, startOrigin, type House, type Origin } from './fixture.js';

const CONTENT = pattern(300_001);
const file = serveFile(CONTENT);

/** Every name is this host. */
const everywhere: Resolver = (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]);

let origin: Origin;
let other: Origin;
let house: House;
beforeEach(async () => {
  origin = await startOrigin(file);
  other = await startOrigin(file);
});
afterEach(async () => {
  await house.close();
  await Promise.all([origin.close(), other.close()]);
  removeFolder(house.folder);
});

async function open(access: Partial<HttpAccess> = {}): Promise<void> {
  house = openHouse({ downloader: { access: { allowAddress: () => true, resolve: everywhere, ...access } } });
  await house.downloader.start();
}
/** The URL of an origin, under another name. */
const named = ({ url }: Origin, name: string): string => url.replace('127.0.0.1', name);
const shown = ({ seen }: Origin): (string | undefined)[] => seen.map(({ headers }) => headers.authorization);

function credentials(...urls: string[]): Credentials {
  const made = Credentials.of(
    urls.map((url, n) => ({ origin: new URL(url).origin, scheme: 'bearer', secret: `token-${n}` })),
  );
  assert.ok(made.ok);
  return made.value;
}

describe('a credential', () => {
  it('is shown to its server at each request, and not to the one that it redirects to', async () => {
    origin.behave = (_, response) => response.writeHead(302, { Location: other.url }).end();
    other.behave = serveFile(CONTENT, { cutAfter: 200_000 });
    await open({ credentials: credentials(origin.url) });
    await house.until(house.add('a', origin.url).id, 'available');
    assert.deepEqual(shown(origin), ['Bearer token-0', 'Bearer token-0']);
    assert.deepEqual(shown(other), [undefined, undefined]);
  });

  it('is chosen anew at each redirect', async () => {
    origin.behave = (_, response) => response.writeHead(302, { Location: other.url }).end();
    await open({ credentials: credentials(origin.url, other.url) });
    await house.until(house.add('a', origin.url).id, 'available');
    assert.deepEqual([...shown(origin), ...shown(other)], ['Bearer token-0', 'Bearer token-1']);
  });

  it('is not shown to another name on the same address, nor taken from the URL', async () => {
    await open({ credentials: credentials(named(origin, 'a.example')) });
    await house.until(house.add('a', named(origin, 'user:password@b.example')).id, 'available');
    assert.deepEqual(shown(origin), [undefined]);
  });
});

describe('a host', () => {
  it('that is allowed may not redirect to one that is not: nothing is sent there', async () => {
    origin.behave = (_, response) => response.writeHead(302, { Location: named(other, 'b.example') }).end();
    await open({ allowHost: (hostname) => hostname === 'a.example' });
    const image = await house.until(house.add('a', named(origin, 'a.example')).id, 'failed');
    assert.equal(image.result, 'address-refused');
    assert.equal(other.seen.length, 0);
  });

  it('is sent as it was named, with its port', async () => {
    await open({ allowHost: (hostname) => hostname === 'a.example' });
    await house.until(house.add('a', named(origin, 'a.example')).id, 'available');
    assert.equal(origin.seen[0]?.headers.host, new URL(named(origin, 'a.example')).host);
  });
});

describe('a network that is down', () => {
  const down = ['EAI_AGAIN', 'EAI_FAIL', 'ENETUNREACH', 'ENETDOWN', 'EHOSTUNREACH'];
  for (const code of down) {
    it(`(${code}) is waited for, however long, and uses up no try`, async () => {
      let tries = 0;
      const resolve: Resolver = (hostname, options, done) => {
        tries += 1;
        if (tries <= 12) done(Object.assign(new Error(code), { code }), []);
        else everywhere(hostname, options, done);
      };
      await open({ resolve });
      const { id } = house.add('a', named(origin, 'a.example'));
      const image = await house.until(id, 'available');
      assert.equal(tries, 13);
      assert.equal(image.retrieval.attempts, 1);
      assert.equal(house.events.length, 1);
    });
  }

  it('while a host that does not exist uses up the budget', async () => {
    const resolve: Resolver = (_, __, done) => done(Object.assign(new Error('no'), { code: 'ENOTFOUND' }), []);
    await open({ resolve });
    const image = await house.until(house.add('a', named(origin, 'a.example')).id, 'failed');
    assert.equal(image.result, 'unresolved');
    assert.match(image.resultText, /after 4 tries/);
  });
});
