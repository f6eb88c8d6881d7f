/** Retrievals by download descriptor (DLOTA), and the reports of their ends: real sockets. */
import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer, type AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemClock } from '../clock/index.js';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { systemDisk } from './disk.js';
import type { DownloaderOptions } from './downloader.js';
import {
  openHouse,
  pattern,
  removeFolder,
  serveFile,
  sha256,
  startOrigin,
  type Behaviour,
  type House,
  type HouseOptions,
  type Origin,
} from './fixture.js';
import type { ImageRecord, ResultCode } from './image.js';
import { INSTALL_STATUS } from './install.js';
import type { ImageState } from './states.js';

const CONTENT = pattern(400_003);
const SHA = sha256(CONTENT);
const DD = { 'Content-Type': 'application/vnd.oma.dd+xml' };

interface Parts {
  readonly type?: string;
  readonly size?: number;
  readonly object?: string;
  readonly notify?: string | null;
  readonly more?: string;
}

function descriptor({ type, size, object, notify, more = '' }: Parts = {}): string {
  const report = notify === null ? '' : `<installNotifyURI>${notify ?? '/report?token=secret'}</installNotifyURI>`;
  return `<media xmlns="http://www.openmobilealliance.org/xmlns/dd"><type>${type ?? 'application/x-firmware'}</type>
    <size>${size ?? CONTENT.length}</size><objectURI>${object ?? 'object?token=1'}</objectURI>${report}${more}</media>`;
}

const say =
  (status: number, headers: Record<string, string> = {}, body = ''): Behaviour =>
  (_, response) =>
    void response.writeHead(status, headers).end(body);
const dd = (parts: Parts = {}): Behaviour => say(200, DD, descriptor(parts));
const file = serveFile(CONTENT);
const chunked =
  (content: Buffer): Behaviour =>
  (_, response) => {
    response.writeHead(200, { 'Content-Type': 'application/x-firmware' });
    response.write(content.subarray(0, 1000), () => response.end(content.subarray(1000)));
  };

let origin: Origin;
let house: House;
/** What each path answers; of several answers the n-th to the n-th request, and then the last. */
let site: Record<string, Behaviour | readonly Behaviour[]>;
/** Bodies of the reports, with their types. */
let reports: string[];

beforeEach(async () => {
  site = { '/image.dd': dd(), '/object': file, '/report': say(204) };
  reports = [];
  const counts = new Map<string, number>();
  origin = await startOrigin((request, response, count) => {
    const { pathname } = new URL(request.url ?? '', 'http://x');
    const n = counts.get(pathname) ?? 0;
    counts.set(pathname, n + 1);
    const answers = [site[pathname] ?? say(404)].flat();
    const answer = answers[Math.min(n, answers.length - 1)] ?? say(404);
    if (request.method === 'POST') void takeReport(request, response, () => answer(request, response, count));
    else answer(request, response, count);
  });
});
afterEach(async () => {
  await house.close();
  await origin.close();
  removeFolder(house.folder);
});

async function takeReport(request: IncomingMessage, _: ServerResponse, answer: () => void): Promise<void> {
  let body = '';
  for await (const chunk of request as AsyncIterable<Buffer>) body += chunk.toString();
  reports.push(`${request.headers['content-type'] ?? ''}: ${body}`);
  answer();
}

async function open(downloader: Partial<DownloaderOptions> = {}, options: HouseOptions = {}): Promise<void> {
  house = openHouse({ ...options, downloader });
  await house.downloader.start();
}

async function reopen(downloader: Partial<DownloaderOptions> = {}): Promise<void> {
  await house.close();
  await open(downloader, { folder: house.folder });
}

const url = (path = 'image.dd'): string => origin.url.replace('image.bin', path);
const add = (digest?: string): ImageRecord => house.add('a', url(), digest);
/** Requests so far as `/path 400000-`. */
const asked = (): string[] =>
  origin.seen.map(({ url: path, headers }) => `${path} ${(headers.range ?? '').replace('bytes=', '')}`.trim());

async function reported(...expected: readonly string[]): Promise<void> {
  for (let round = 0; reports.length < expected.length; round += 1) {
    assert.ok(round < 1000, `${reports.length} reports, not ${expected.length}`);
    await sleep(5);
  }
  assert.deepEqual(
    reports,
    expected.map((line) => `text/plain: ${line}\r\n`),
  );
}
const waiting = (): number =>
  house.store.sql<{ n: number }>('SELECT count(*) AS n FROM install_report').get()?.n ?? Number.NaN;
async function settled(): Promise<void> {
  for (let round = 0; waiting() > 0; round += 1) {
    assert.ok(round < 1000, 'reports still wait');
    await sleep(5);
  }
}

describe('a download descriptor', () => {
  it('leads to its object, and its success is reported', async () => {
    await open();
    const image = await house.until(add().id, 'available');
    assert.deepEqual([image.blob, image.size, image.contentType], [SHA, CONTENT.length, 'application/x-firmware']);
    await reported('900 Success');
    assert.deepEqual(asked(), ['/image.dd', '/object?token=1', '/report?token=secret']);
    await settled();
  });

  it('is behind a redirect: what it names is relative to where it was', async () => {
    site['/image.dd'] = say(302, { Location: '/deep/er/image.dd' });
    site['/deep/er/image.dd'] = dd({ notify: null });
    site['/deep/er/object'] = file;
    await open();
    await house.until(add().id, 'available');
    assert.equal(asked().at(-1), '/deep/er/object?token=1');
    assert.equal(waiting(), 0);
  });

  it('is asked once while its object can be had: a cut goes on with the object', async () => {
    site['/object'] = [serveFile(CONTENT, { cutAfter: 150_000 }), file];
    await open();
    await house.until(add().id, 'available');
    assert.deepEqual(asked().slice(0, 3), ['/image.dd', '/object?token=1', '/object?token=1 150000-']);
  });

  for (const digest of [undefined, SHA]) {
    it(`is asked again after a restart, and the object goes on from the watermark, ${digest ? 'with' : 'without'} a Digest`, async () => {
      site['/object'] = (_, response) => {
        response.writeHead(200, {
          'Content-Length': CONTENT.length,
          ETag: '"1"',
          'Content-Type': 'application/x-firmware',
        });
        response.write(CONTENT.subarray(0, 200_000));
      };
      await open();
      const { id } = add(digest);
      while (house.downloader.wanBytes < 200_000) await sleep(2);
      site['/image.dd'] = dd({ object: 'object?token=2' });
      site['/object'] = serveFile(CONTENT, { etag: '"1"' });
      await reopen();
      assert.equal((await house.until(id, 'available')).blob, SHA);
      assert.deepEqual(asked().slice(0, 4), ['/image.dd', '/object?token=1', '/image.dd', '/object?token=2 200000-']);
      await reported('900 Success');
    });
  }

  it('is asked again when the object is refused later on: a fresh URL goes on', async () => {
    site['/image.dd'] = [dd(), dd({ object: 'object?token=2' })];
    const cut = serveFile(CONTENT, { cutAfter: 150_000 });
    site['/object'] = (request, response, count) =>
      (request.url?.endsWith('2') === true ? file : asked().length < 3 ? cut : say(403))(request, response, count);
    await open();
    await house.until(add().id, 'available');
    assert.deepEqual(asked().slice(0, 5), [
      '/image.dd',
      '/object?token=1',
      '/object?token=1 150000-',
      '/image.dd',
      '/object?token=2 150000-',
    ]);
  });

  it('takes the place of the URL of the image itself: with a Digest the bytes are kept', async () => {
    site['/image.bin'] = serveFile(CONTENT, { cutAfter: 150_000 });
    await open({ backoff: { firstMs: 60_000, maxMs: 60_000 } });
    const { id } = house.add('a', url('image.bin'), SHA);
    await house.until(id, 'waiting');
    house.catalog.setLeaf(id, 'imageUri', url(), 's');
    await house.until(id, 'available');
    await reported('900 Success');
    assert.deepEqual(asked(), ['/image.bin', '/image.dd 150000-', '/object?token=1 150000-', '/report?token=secret']);
  });

  it('whose answer to a range is a part of itself is asked for whole', async () => {
    site['/image.bin'] = serveFile(CONTENT, { cutAfter: 100 });
    site['/image.dd'] = (request, response, count) => {
      const text = descriptor({ notify: null });
      if (request.headers.range === undefined) return say(200, DD, text)(request, response, count);
      const range = `bytes 100-${text.length - 1}/${text.length}`;
      say(206, { ...DD, 'Content-Range': range }, text.slice(100))(request, response, count);
    };
    await open({ backoff: { firstMs: 60_000, maxMs: 60_000 } });
    const { id } = house.add('a', url('image.bin'), SHA);
    await house.until(id, 'waiting');
    house.catalog.setLeaf(id, 'imageUri', url(), 's');
    assert.equal((await house.until(id, 'available')).blob, SHA);
  });

  it('that does not end holds up nobody who ends', async () => {
    site['/image.dd'] = (_, response) => response.writeHead(200, DD).flushHeaders();
    await open({ idleTimeoutMs: 10_000 });
    add();
    while (asked().length === 0) await sleep(2);
    await sleep(50);
    await Promise.race([house.close(), sleep(8_000, undefined, { ref: false }).then(() => assert.fail('held up'))]);
  });

  it('that stays the same keeps the bytes over a new request', async () => {
    site['/object'] = [serveFile(CONTENT, { cutAfter: 150_000 }), say(404), say(404), file];
    await open();
    const { id } = add();
    await house.until(id, 'failed');
    house.catalog.request(id, 's');
    await house.until(id, 'available');
    assert.equal(
      asked().findLast((line) => line.startsWith('/object')),
      '/object?token=1 150000-',
    );
    await reported('954 Loader Error', '900 Success');
  });
});

interface Row {
  readonly name: string;
  readonly site?: Record<string, Behaviour | readonly Behaviour[]>;
  readonly digest?: string;
  readonly ends: ImageState;
  readonly result: ResultCode;
  readonly reports: readonly string[];
  readonly says?: RegExp;
  readonly blobs?: HouseOptions['blobs'];
  readonly access?: Partial<DownloaderOptions['access']>;
  readonly mirrors?: boolean;
}

const failed = (result: ResultCode, ...told: string[]) => ({ ends: 'failed', result, reports: told }) as const;

const ROWS: readonly Row[] = [
  {
    name: 'an object of another size',
    site: { '/object': serveFile(CONTENT.subarray(1)) },
    ...failed('descriptor-mismatch', '905 Attribute mismatch'),
  },
  {
    name: 'a shorter object of a size that is not announced',
    site: { '/object': chunked(CONTENT.subarray(1)) },
    ...failed('descriptor-mismatch', '905 Attribute mismatch'),
  },
  {
    name: 'a longer object of a size that is not announced',
    site: { '/object': chunked(Buffer.concat([CONTENT, Buffer.from('x')])) },
    ...failed('descriptor-mismatch', '905 Attribute mismatch'),
  },
  {
    name: 'an object of a size that is not announced',
    site: { '/object': chunked(CONTENT) },
    ends: 'available',
    result: 'ok',
    reports: ['900 Success'],
  },
  {
    name: 'an object of another type',
    site: { '/object': serveFile(CONTENT, { headers: { 'Content-Type': 'text/plain' } }) },
    ...failed('descriptor-mismatch', '905 Attribute mismatch'),
    says: /text\/plain.*application\/x-firmware/,
  },
  {
    name: 'an object of one of several types',
    site: {
      '/image.dd': dd({ more: '<type>text/plain</type>' }),
      '/object': serveFile(CONTENT, { headers: { 'Content-Type': 'Text/Plain; charset=x' } }),
    },
    ends: 'available',
    result: 'ok',
    reports: ['900 Success'],
  },
  {
    name: 'an object that is a descriptor',
    site: { '/object': dd() },
    ...failed('descriptor-mismatch', '905 Attribute mismatch'),
  },
  {
    name: 'another object than the Digest',
    digest: sha256(Buffer.from('another')),
    ...failed('digest-mismatch', '905 Attribute mismatch'),
  },
  {
    name: 'no size in it',
    site: { '/image.dd': say(200, DD, descriptor().replace(/<size>.*<\/size>/, '')) },
    ...failed('descriptor-invalid', '906 Invalid descriptor'),
  },
  { name: 'no XML', site: { '/image.dd': say(200, DD, 'size=1') }, ...failed('descriptor-invalid') },
  {
    name: 'no end',
    site: {
      '/image.dd': (_, response) => {
        response.writeHead(200, DD).on('error', () => {});
        const more = (): void => void response.write('<media>'.repeat(1000), more);
        more();
      },
    },
    ...failed('descriptor-invalid'),
  },
  {
    name: 'a drip of itself',
    site: {
      '/image.dd': (_, response) => {
        const timer = setInterval(() => response.write(' '), 20);
        response.writeHead(200, DD).on('close', () => clearInterval(timer));
      },
    },
    ...failed('broken'),
  },
  {
    name: 'gzip',
    site: { '/image.dd': say(200, { ...DD, 'Content-Encoding': 'gzip' }, 'x') },
    ...failed('bad-reply'),
  },
  {
    name: 'another major version',
    site: { '/image.dd': dd({ more: '<DDVersion>2.0</DDVersion>' }) },
    ...failed('descriptor-version', '951 Invalid DDVersion'),
  },
  {
    name: 'a type that is not carried',
    site: { '/image.dd': dd({ type: 'multipart/mixed' }) },
    ...failed('content-refused', '953 Non-Acceptable Content'),
  },
  {
    name: 'its object in the same message',
    site: {
      '/image.dd': say(
        200,
        { 'Content-Type': 'multipart/related; boundary=b; type="application/vnd.oma.dd+xml"' },
        'x',
      ),
    },
    ...failed('content-refused'),
  },
  {
    name: 'a size for which there is no room, and the object is not asked for',
    blobs: { quotaBytes: CONTENT.length - 1 },
    site: { '/object': () => assert.fail('asked for') },
    ...failed('no-room', '901 Insufficient memory'),
  },
  {
    name: 'an object that the disk does not take',
    blobs: {
      disk: { ...systemDisk, write: () => Promise.reject(Object.assign(new Error('no'), { code: 'EIO' })) },
    },
    ...failed('disk', '952 Device Aborted'),
  },
  { name: 'no object', site: { '/object': say(404) }, ...failed('not-found', '954 Loader Error') },
  {
    name: 'an object that is refused',
    site: { '/object': say(403) },
    ends: 'needs-uri',
    result: 'unauthorized',
    reports: ['954 Loader Error'],
  },
  {
    name: 'an object that breaks off for good',
    site: { '/object': [serveFile(CONTENT, { cutAfter: 1000 }), serveFile(CONTENT, { cutAfter: 0 })] },
    ...failed('broken', '903 Loss of Service'),
  },
  {
    name: 'an object at a forbidden address',
    site: { '/image.dd': dd({ object: 'http://127.0.0.2:9/object' }) },
    access: { allowAddress: (address) => address === '127.0.0.1' },
    ...failed('address-refused', '954 Loader Error'),
  },
  {
    name: 'an object at a host that is not on the list',
    site: { '/image.dd': dd({ object: 'http://evil.example/object' }) },
    access: { allowHost: (hostname) => hostname === '127.0.0.1' },
    ...failed('address-refused', '954 Loader Error'),
  },
  {
    name: 'a page of a captive portal for its object',
    site: { '/object': say(200, { 'Content-Type': 'text/html', ETag: '"of-the-page"' }, '<html>log in') },
    digest: SHA,
    ends: 'waiting',
    result: 'captive-portal',
    reports: [],
  },
  {
    name: 'an answer in JSON for its object',
    site: { '/object': say(200, { 'Content-Type': 'application/json' }, '{}') },
    ends: 'waiting',
    result: 'captive-portal',
    reports: [],
  },
  {
    name: 'an answer of no type and another size for its object, for good',
    site: { '/object': say(200, { 'Content-Length': '2' }, '{}') },
    ...failed('captive-portal', '903 Loss of Service'),
  },
  {
    name: 'a fault, while another mirror has the image',
    mirrors: true,
    site: { '/image.dd': dd({ more: '<DDVersion>2.0</DDVersion>' }), '/image.bin': file },
    ends: 'available',
    result: 'ok',
    reports: ['951 Invalid DDVersion'],
  },
  {
    name: 'no object, while another mirror has the image',
    mirrors: true,
    site: { '/object': say(404), '/image.bin': file },
    ends: 'available',
    result: 'ok',
    reports: ['954 Loader Error'],
  },
];

describe('a download descriptor with', () => {
  for (const row of ROWS) {
    it(`${row.name}: ${row.ends}, ${row.result}`, async () => {
      Object.assign(site, row.site);
      await open(
        {
          idleTimeoutMs: 200,
          access: { allowAddress: () => true, ...row.access },
          ...(row.ends === 'waiting' && { backoff: { firstMs: 60_000, maxMs: 60_000 } }),
        },
        row.blobs && { blobs: row.blobs },
      );
      const { id } = house.add('a', row.mirrors ? `${url()}\n${url('image.bin')}` : url(), row.digest);
      const image = await house.until(id, row.ends);
      assert.equal(image.result, row.result, image.resultText);
      if (row.says) assert.match(image.resultText, row.says);
      await reported(...row.reports);
      await settled();
      assert.equal(reports.length, row.reports.length);
    });
  }
});

describe('a report', () => {
  it('of a cancelled retrieval says so, and that of one that is overtaken too', async () => {
    site['/object'] = () => {};
    await open();
    const { id } = add();
    while (!asked().includes('/object?token=1')) await sleep(2);
    house.catalog.setLeaf(id, 'imageUri', `${url()}?2`, 's');
    while (asked().filter((line) => line === '/object?token=1').length < 2) await sleep(2);
    house.catalog.cancel(id);
    await reported('902 User Cancelled', '902 User Cancelled');
    await settled();
  });

  it('waits for nobody, and nobody for it: the image is there while its server is down', async () => {
    const later = [503, 500, 408, 425, 429].map((status) => say(status));
    site['/report'] = [...later, (request) => request.destroy(), say(200)];
    await open();
    const image = await house.until(add().id, 'available');
    assert.equal(image.blob, SHA);
    await reported(...Array.from({ length: 7 }, () => '900 Success'));
    await settled();
  });

  it('that has come has the pauses before the next ones begin anew', async () => {
    const pauses: number[] = [];
    const system = systemClock(0);
    const clock = { ...system, after: (ms: number, task: () => void) => (pauses.push(ms), system.after(ms, task)) };
    site['/report'] = [say(503), say(503), say(200), say(503), say(200)];
    await open({ clock, backoff: { firstMs: 20, maxMs: 80 } });
    for (const name of ['a', 'b']) {
      await house.until(house.add(name, url()).id, 'available');
      await settled();
    }
    assert.deepEqual(
      pauses.filter((ms) => ms <= 40),
      [10, 20, 10],
    );
  });

  it('survives a restart', async () => {
    site['/report'] = say(503);
    await open({ backoff: { firstMs: 60_000, maxMs: 60_000 } });
    await house.until(add().id, 'available');
    await reported('900 Success');
    site['/report'] = say(200);
    await reopen();
    await reported('900 Success', '900 Success');
    await settled();
  });

  it('is given up after a bounded number of tries, which a restart does not lengthen', async () => {
    site['/report'] = say(503);
    await open();
    await house.until(add().id, 'available');
    while (reports.length < 10) await sleep(2);
    await reopen();
    await settled();
    assert.ok(reports.length >= 20 && reports.length <= 21, `${reports.length} reports`);
  });

  it('that is refused is not repeated', async () => {
    site['/report'] = say(404);
    await open();
    await house.until(add().id, 'available');
    await settled();
    assert.equal(reports.length, 1);
  });

  it('is not sent to a forbidden address or host, nor where a redirect leads', async () => {
    let connections = 0;
    const forbidden = createServer((socket) => {
      connections += 1;
      socket.destroy();
    });
    await new Promise<void>((resolve) => forbidden.listen(0, '127.0.0.2', resolve));
    const { port } = forbidden.address() as AddressInfo;
    const access = {
      allowAddress: (address: string) => address === '127.0.0.1',
      allowHost: (hostname: string) => hostname !== 'localhost',
    };
    await open({ access });
    for (const host of [`127.0.0.2:${port}`, new URL(origin.url).host.replace('127.0.0.1', 'localhost')]) {
      site['/image.dd'] = dd({ notify: `http://${host}/report` });
      await house.until(house.add(host.replace(':', '-'), url()).id, 'available');
      await settled();
    }
    forbidden.close();
    assert.deepEqual([connections, reports], [0, []]);
    site['/image.dd'] = dd();
    site['/report'] = say(307, { Location: '/elsewhere' });
    const { id } = house.add('b', `${url()}?b`);
    await house.until(id, 'available');
    await settled();
    assert.deepEqual(
      asked().filter((line) => line === '/elsewhere'),
      [],
    );
    await reported('900 Success');
  });

  it('leaves when the end that it tells is durable', async () => {
    site['/report'] = say(200);
    await open();
    const durable = house.store.durable.bind(house.store);
    let flush = (): void => {};
    const flushed = new Promise<void>((resolve) => (flush = resolve));
    house.catalog.table.onReport(() => {
      house.store.durable = () => flushed.then(durable);
    });
    try {
      await house.until(add().id, 'available');
      await sleep(50);
      assert.deepEqual(reports, []);
    } finally {
      flush();
    }
    await reported('900 Success');
  });

  it('outlasts a network that is down', async () => {
    site['/image.dd'] = dd({ notify: url('report').replace('127.0.0.1', 'reports.example') });
    let asked = 0;
    await open({
      backoff: { firstMs: 1, maxMs: 1 },
      access: {
        allowAddress: () => true,
        resolve: (_, __, done) => {
          asked += 1;
          if (asked <= 30) done(Object.assign(new Error('no name server'), { code: 'EAI_AGAIN' }), []);
          else done(null, [{ address: '127.0.0.1', family: 4 }]);
        },
      },
    });
    await house.until(add().id, 'available');
    await reported('900 Success');
  });

  it('is one of a bounded number', async () => {
    site['/report'] = say(503);
    await open({ backoff: { firstMs: 60_000, maxMs: 60_000 } });
    for (let n = 0; n < 103; n += 1) {
      house.catalog.table.store.transaction(() =>
        house.catalog.table.reported(
          { ...add0(n), retrieval: { ...add0(n).retrieval, installNotify: url('report') } },
          'ok',
        ),
      );
    }
    assert.equal(waiting(), 100);
  });
});

describe('by https', { skip: NO_CERTIFICATES }, () => {
  let secure: string;
  let ca: string;
  let server: ReturnType<typeof createTlsServer>;
  /** What each path answers. */
  const answers: Record<string, Behaviour> = {
    '/report': (request, response) => void takeReport(request, response, () => response.end()),
    '/object': file,
  };
  before(async () => {
    const identity = makeCertificate('localhost');
    ca = identity.cert;
    server = createTlsServer(identity, (request, response) =>
      answers[(request.url ?? '').replace(/\?.*/, '')]?.(request, response, 0),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    secure = `https://localhost:${(server.address() as AddressInfo).port}`;
  });
  after(() => server.close());

  it('a descriptor leads neither to an object nor to a report by http', async () => {
    answers['/image.dd'] = dd({ object: `${secure}/object`, notify: url('report') });
    answers['/plain.dd'] = dd({ object: url('object') });
    await open({ access: { allowAddress: () => true, ca } });
    await house.until(house.add('a', `${secure}/image.dd`).id, 'available');
    const refused = await house.until(house.add('b', `${secure}/plain.dd`).id, 'failed');
    assert.equal(refused.result, 'bad-url');
    await settled();
    assert.deepEqual([asked(), reports.length], [[], 1]);
  });

  it('a report waits until the clock is set', async () => {
    site['/image.dd'] = dd({ notify: `${secure}/report` });
    const clock = { ...systemClock(0), isSet: false, plausible: () => clock.isSet };
    await open({ clock, access: { allowAddress: () => true, ca } });
    await house.until(add().id, 'available');
    await sleep(50);
    assert.deepEqual(reports, []);
    clock.isSet = true;
    await reported('900 Success');
  });
});

it('each end has its status', () => {
  const ends = new Map<number, string[]>();
  for (const [code, status] of Object.entries(INSTALL_STATUS)) ends.set(status, [...(ends.get(status) ?? []), code]);
  assert.deepEqual(Object.fromEntries(ends), {
    900: ['ok'],
    901: ['no-room'],
    902: ['cancelled'],
    903: ['unresolved', 'unreachable', 'unavailable', 'broken', 'captive-portal'],
    905: ['descriptor-mismatch', 'digest-mismatch', 'signature-mismatch'],
    906: ['descriptor-invalid'],
    951: ['descriptor-version'],
    952: ['clock', 'window', 'metered', 'disk'],
    953: ['content-refused'],
    954: [
      'server-error',
      'unauthorized',
      'expired',
      'not-found',
      'refused',
      'tls',
      'bad-url',
      'address-refused',
      'bad-reply',
    ],
  });
});

/** A record for which nothing has happened. */
function add0(n: number): ImageRecord {
  const node = `n${n}`;
  const known = house.catalog.byNode(node);
  if (known) return known;
  const created = house.catalog.create(node, 's');
  assert.ok(created.ok);
  return created.value;
}
