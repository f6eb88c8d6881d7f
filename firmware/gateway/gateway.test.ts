/** The whole gateway in this process, from its configuration file on: what the sections `retrieve` and `store` say is done. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { startInstalled } from './gateway.fixture.js';
import { Scrub } from '../image/index.js';
import { silentLog, type LogFields } from '../log/index.js';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import {
  askMetered,
  askStatus,
  operate,
  type ImageReport,
  type MeteredSetting,
  type StatusReport,
} from '../ops/index.js';
import { databaseSchema } from '../schema.js';
import { settingOfOpened } from '../store/setting.fixture.js';
import { openTestStore } from '../store/store.fixture.js';

/** OMA SCOMO: an alternate of 1400, Download failed. */
const OUT_OF_MEMORY = 1404;
/** Of what is not as it should be: no signature, another digest. */
const ATTRIBUTES_DIFFER = 1407;

const PATIENT = { timeoutMs: 60_000 };

const folder = mkdtempSync(join(tmpdir(), 'dmgw-gateway-'));
const closings: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closings.reverse()) await close();
  rmSync(folder, { recursive: true });
});

/** @returns its URL, without a path */
async function startOrigin(answer: RequestListener, tls?: ReturnType<typeof makeCertificate>): Promise<string> {
  const server = tls ? createTlsServer(tls, answer) : createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closings.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`;
}

let count = 0;

/** A gateway by a configuration file with these sections. @param earlier the folder of one that has ended */
async function start(
  sections: { readonly retrieve?: object; readonly store?: object; readonly accounts?: readonly object[] },
  earlier?: string,
) {
  count += 1;
  const home = earlier ?? join(folder, String(count));
  const file = join(folder, `${count}.json`);
  const configuration = {
    stateDir: join(home, 'state'),
    storeDir: join(home, 'store'),
    volatile: true,
    device: { devId: 'IMEI:1', manufacturer: 'Example', model: 'R1' },
    lan: { prefixes: ['127.0.1.0/24'] },
    serve: { listen: ['127.0.1.1'], port: 0 },
    discovery: { backend: 'off' },
    ...sections,
    retrieve: { allowPrefixes: ['127.0.0.0/24'], ...sections.retrieve },
  };
  const told: string[] = [];
  const onInfo = (text: string, fields: LogFields = {}): void => void told.push(`${text} ${JSON.stringify(fields)}`);
  const { gateway, socket } = await startInstalled({ file, configuration, onInfo });
  closings.push(() => gateway.close());

  const status = async (): Promise<StatusReport> => {
    const asked = await askStatus(socket);
    assert.ok(asked.ok, asked.ok ? '' : asked.error.text);
    return asked.value;
  };
  const images = async (): Promise<readonly ImageReport[]> => (await status()).images;
  return {
    images,
    home,
    storeDir: configuration.storeDir,
    close: () => gateway.close(),
    /** Where images are served. */
    serving: new URL(`http://${gateway.listening.serve[0]}`),
    status,
    told,
    /** What the nodes of ./GwMO/Storage say: Total, Free, Reserved, Quota. */
    storage: (): Promise<(string | null)[]> =>
      Promise.all(
        ['Total', 'Free', 'Reserved', 'Quota'].map(async (leaf) => {
          const found = await operate(socket, 'tree/get', { uri: `./GwMO/Storage/${leaf}` });
          return found.ok ? found.value.value : found.error.text;
        }),
      ),
    tellMetered: async (set: MeteredSetting): Promise<void> => {
      const told = await askMetered(socket, set);
      assert.equal(told.ok && told.value.set, set);
    },
    add: async (id: string, uri: string, leaves: { priority?: number; signature?: string } = {}): Promise<void> => {
      const added = await operate(socket, 'images/add', { id, uri, ...leaves });
      assert.ok(added.ok, added.ok ? '' : added.error.text);
    },
    /** The image once it is in this state. */
    until: (id: string, state: string): Promise<ImageReport> =>
      eventually(
        `${id} to be ${state}`,
        async () => (await images()).find((image) => image.imageId === id && image.state === state),
        PATIENT,
      ),
  };
}

describe('the gateway', { skip: NO_CERTIFICATES }, () => {
  let caFile: string;
  /** By https: `/file`, and `/down`, which leads to the file by http. */
  let secure: string;
  let plain: string;
  /** Replies by http that wait for the test. */
  const held: ServerResponse[] = [];
  let most = 0;
  before(async () => {
    const tls = makeCertificate('localhost');
    caFile = join(folder, 'ca.pem');
    writeFileSync(caFile, tls.cert);
    plain = await startOrigin(({ url }, response) => {
      if (url?.startsWith('/file') === true) {
        response.end('firmware');
        return;
      }
      if (url === '/large') {
        response.end(Buffer.alloc(4 * 1024 * 1024));
        return;
      }
      if (url === '/drip') {
        const timer = setInterval(() => response.write('x'), 20);
        response.writeHead(200, { 'Content-Length': 1_000_000 }).on('close', () => clearInterval(timer));
        return;
      }
      most = Math.max(most, held.push(response));
    });
    secure = await startOrigin(({ url }, response) => {
      if (url === '/file') response.end('firmware');
      else response.writeHead(302, { Location: `${plain}/file?token=secret` }).end();
    }, tls);
  });

  it('knows its own authorities, follows a redirect from https to http where it may, retrieves two at a time', async () => {
    const gateway = await start({ retrieve: { caFile, allowHttpsToHttp: true, concurrent: 2 } });
    for (const path of ['file', 'down']) await gateway.add(path, `${secure}/${path}`);
    for (const path of ['file', 'down']) assert.equal((await gateway.until(path, 'available')).sizeBytes, 8);

    const ids = ['a', 'b', 'c', 'd'];
    for (const id of ids) await gateway.add(id, `${plain}/${id}`);
    for (let left = ids.length; left > 0; left -= 1) {
      await eventually('two requests', () => held.length >= Math.min(2, left), PATIENT);
      const states = (await gateway.images()).map(({ state }) => state);
      assert.equal(states.filter((state) => state === 'pending').length, Math.max(0, left - 2));
      held.shift()?.end('firmware');
    }
    for (const id of ids) await gateway.until(id, 'available');
    assert.equal(most, 2);
  });

  it('follows no such redirect else, and takes a slow server for a stalled one', async () => {
    const retrieve = { caFile, idleTimeoutSeconds: 1, minBytesPerSecond: 10_000, retryFirstSeconds: 600 };
    const gateway = await start({ retrieve });
    await gateway.add('down', `${secure}/down`);
    await gateway.add('drip', `${plain}/drip`);
    assert.match(
      (await gateway.until('down', 'failed')).resultText,
      /a redirect from https to http:[^ ?]+\/file\?\.\.\.$/,
    );
    assert.match((await gateway.until('drip', 'waiting')).resultText, /stalled/);
  });

  it('takes what is signed by its keys, through its proxy, where the server is shown its credential', async () => {
    const seen: unknown[] = [];
    const proxy = await startOrigin(({ url, headers }, response) => {
      seen.push([url, headers.authorization, headers['proxy-authorization'], headers['user-agent']]);
      response.end('firmware');
    });
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    const keyFile = join(folder, 'key.pem');
    writeFileSync(keyFile, publicKey.export({ type: 'spki', format: 'pem' }));
    const origin = 'http://images.example:8080';
    const gateway = await start({
      retrieve: {
        proxy: { url: proxy, name: 'gateway', secret: 'of the proxy' },
        credentials: [{ origin, scheme: 'bearer', secret: 'of-the-server', allowInsecure: true }],
        signatureKeys: [keyFile],
        requireSignature: true,
      },
    });
    // Nobody here can check where its names lead.
    assert.ok(gateway.told.some((line) => line.includes('proxy, which alone can check') && line.includes(proxy)));
    assert.equal((await gateway.status()).retrieve.proxy, proxy);
    await gateway.add('unsigned', `${origin}/file`);
    const signature = sign(null, createHash('sha256').update('firmware').digest(), privateKey).toString('base64');
    await gateway.add('signed', `${origin}/file`, { signature });
    await gateway.until('signed', 'available');
    assert.equal((await gateway.until('unsigned', 'failed')).result, ATTRIBUTES_DIFFER);
    const basic = `Basic ${Buffer.from('gateway:of the proxy').toString('base64')}`;
    assert.deepEqual(seen, [[`${origin}/file`, 'Bearer of-the-server', basic, 'dmgw/test']]);
  });

  it('waits while the link is metered, as the file says or somebody, but for what has the priority', async () => {
    const meteredFile = join(folder, 'metered');
    writeFileSync(meteredFile, 'yes');
    const gateway = await start({ retrieve: { meteredFile, meteredMinPriority: 5 } });
    await gateway.add('later', `${plain}/file`, { priority: 4 });
    await gateway.add('now', `${plain}/file`, { priority: 5 });
    await gateway.until('now', 'available');
    assert.match((await gateway.until('later', 'waiting')).resultText, /metered/);
    rmSync(meteredFile);
    await gateway.until('later', 'available');
    assert.equal((await gateway.status()).retrieve.metered, false);
    await gateway.tellMetered('on');
    assert.equal((await gateway.status()).retrieve.metered, true);
    await gateway.add('told', `${plain}/file`);
    assert.match((await gateway.until('told', 'waiting')).resultText, /metered/);
    await gateway.tellMetered('off');
    await gateway.until('told', 'available');
  });

  it('leaves the room free that it should', async () => {
    const gateway = await start({ store: { freeFloorMiB: 1_048_576 } });
    await gateway.add('file', `${plain}/file`);
    const { result, resultText } = await gateway.until('file', 'failed');
    assert.equal(result, OUT_OF_MEMORY, resultText);
  });

  it('gives the database the page cache that it should', async () => {
    const sizes = await settingOfOpened('cache_size', () => start({ store: { databaseCacheKiB: 777 } }));
    assert.deepEqual(sizes, [-777]);
  });

  it('tells what images take, may take and are promised; nothing where the disk cannot be asked', async () => {
    const gateway = await start({ store: { quotaMiB: 4 } });
    await gateway.add('file', `${plain}/file`);
    await gateway.until('file', 'available');
    await gateway.add('drip', `${plain}/drip`);
    const quota = 4 * 1024 * 1024;
    const expected = [quota, quota - 8 - 1_000_000, 1_000_000, quota].map(String);
    await eventually('the promise', async () => (await gateway.storage())[2] === expected[2], PATIENT);
    assert.deepEqual(await gateway.storage(), expected);
    rmSync(join(gateway.storeDir, 'blobs'), { recursive: true });
    assert.deepEqual(await gateway.storage(), ['0', '0', '0', '0']);
  });

  it('reads what it stores again after so many days, as fast as it may; whose server is known hears of rot', async (test) => {
    const url = 'https://dm.example/';
    const secret = { secret: 'secret' };
    const sections = {
      store: { scrubDays: 2, scrubKiBPerSecond: 1536 },
      accounts: [{ serverId: 'dm', url, client: secret, server: secret }],
    };
    const before = await start(sections);
    for (const id of ['own', 'theirs']) await before.add(id, `${plain}/file`);
    for (const id of ['own', 'theirs']) await before.until(id, 'available');
    const { diskWrittenBytes, wanReceivedBytes } = (await before.status()).traffic;
    assert.deepEqual([typeof diskWrittenBytes, wanReceivedBytes], ['number', 16]);
    await before.add('large', `${plain}/large`);
    await before.until('large', 'available');
    await before.close();
    const openStore = () =>
      openTestStore({ file: join(before.home, 'state', 'dmgw.db'), schema: databaseSchema, log: silentLog });
    const asked = openStore();
    asked.sql(`UPDATE image SET requester = 'dm' WHERE node = 'theirs'`).run();
    await asked.close();
    const sha256 = createHash('sha256').update('firmware').digest('hex');
    writeFileSync(join(before.storeDir, 'blobs', sha256), 'Firmware');
    const nowMs = Date.now.bind(Date);
    test.mock.method(Date, 'now', () => nowMs() + 3 * 86_400_000);
    const timers = test.mock.method(globalThis, 'setTimeout').mock;
    const pauses = (): unknown[] => timers.calls.map((call) => call.arguments[1]);
    const pauseMs = (65_536 * 1000) / (1536 * 1024);

    const gateway = await start(sections, before.home);
    const aside = join(before.storeDir, 'rotten', sha256);
    await eventually('the rotten one', () => existsSync(aside), PATIENT);
    for (const id of ['own', 'theirs']) await gateway.until(id, 'available');
    await eventually('an idle pause', () => pauses().includes(pauseMs), PATIENT);
    timers.resetCalls();
    const client = connect({ host: '127.0.1.1', port: Number(gateway.serving.port), localAddress: '127.0.1.2' });
    await eventually('a pause beside a client', () => pauses().includes(16 * pauseMs), PATIENT);
    client.destroy();
    await gateway.add('drip', `${plain}/drip`);
    await gateway.until('drip', 'downloading');
    await gateway.close();
    timers.resetCalls();
    const last = await start(sections, before.home);
    await eventually('a pause beside a retrieval', () => pauses().includes(16 * pauseMs), PATIENT);
    await last.close();

    const told = openStore();
    const alerts = told.sql<{ text: string }>(
      `SELECT server_id || source AS text FROM outbox WHERE data LIKE 'image %'`,
    );
    assert.deepEqual(alerts.all(), [{ text: 'dm./GwMO/ImageInventory/theirs' }]);
    await told.close();
  });

  it('reads nothing again where no days are set', async (test) => {
    const begun = test.mock.method(Scrub.prototype, 'start').mock;
    await start({ store: { scrubDays: 0 } });
    assert.equal(begun.callCount(), 0);
  });
});
