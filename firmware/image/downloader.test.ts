import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../clock/eventually.fixture.js';
import { systemClock } from '../clock/index.js';
import { silentLog, type LogFields } from '../log/index.js';
import { systemDisk, type Disk } from './disk.js';
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

const CONTENT = pattern(1_000_003);
const SHA = sha256(CONTENT);

let origin: Origin;
let house: House;

beforeEach(async () => {
  origin = await startOrigin(serveFile(CONTENT));
});
afterEach(async () => {
  await house.close();
  await origin.close();
  removeFolder(house.folder);
});

async function open(options: HouseOptions = {}): Promise<House> {
  house = openHouse(options);
  await house.downloader.start();
  return house;
}

/** Closes, and opens again on the same folder. */
async function reopen(options: HouseOptions = {}): Promise<House> {
  await house.close();
  return open({ ...options, folder: house.folder });
}

function blobOf(sha: string): Buffer {
  return readFileSync(join(house.folder, 'blobs', sha));
}

function partialFiles(): string[] {
  return readdirSync(join(house.folder, 'partial'));
}

describe('a retrieval', () => {
  it('ends with the verified content under its name, a sidecar, and an event', async () => {
    await open();
    const { id } = house.add('a', `${origin.url}?signature=secret`);
    house.catalog.request(id, 'server-2', 'c1');
    const image = await house.until(id, 'available');
    assert.equal(image.blob, SHA);
    assert.equal(image.size, CONTENT.length);
    assert.equal(image.received, CONTENT.length);
    assert.equal(image.contentType, 'application/x-firmware');
    assert.equal(image.wanBytes, CONTENT.length);
    assert.ok(blobOf(SHA).equals(CONTENT));
    assert.equal(statSync(join(house.folder, 'blobs', SHA)).mode & 0o777, 0o600);
    const sidecar = readFileSync(join(house.folder, 'blobs', `${SHA}.json`), 'utf8');
    assert.ok(!sidecar.includes('secret'));
    const [event] = house.events;
    assert.deepEqual([event?.kind, event?.correlator, event?.image.requester], ['retrieved', 'c1', 'server-2']);
    assert.deepEqual(partialFiles(), []);
  });

  it('of an empty file', async () => {
    origin.behave = serveFile(Buffer.alloc(0));
    await open();
    const image = await house.until(house.add('a', origin.url).id, 'available');
    assert.equal(image.size, 0);
  });

  it('of unknown length ends with the body', async () => {
    origin.behave = (_, response) => {
      response.write(CONTENT.subarray(0, 300_000));
      response.end(CONTENT.subarray(300_000));
    };
    await open();
    assert.equal((await house.until(house.add('a', origin.url).id, 'available')).blob, SHA);
  });

  it('cut ten times fetches no byte twice and builds each request afresh', async () => {
    origin.behave = serveFile(CONTENT, { cutAfter: 100_000 });
    const pauses: unknown[] = [];
    const log = { ...silentLog, warn: (_: string, fields?: LogFields) => pauses.push(fields?.['wait_ms']) };
    await open({ downloader: { maxAttempts: 2, log, backoff: { firstMs: 4, maxMs: 1000 } } });
    const image = await house.until(house.add('a', origin.url).id, 'available');
    assert.ok(blobOf(SHA).equals(CONTENT));
    assert.equal(image.wanBytes, CONTENT.length);
    for (const [index, request] of origin.seen.entries()) {
      const ranges = request.rawHeaders.filter((_, i, all) => i % 2 === 1 && all[i - 1] === 'Range');
      assert.equal(ranges.length, index === 0 ? 0 : 1);
      assert.equal(request.headers['accept-encoding'], 'identity');
      if (index > 0) assert.match(request.headers['if-range'] as string, /^"[0-9a-f]{16}"$/);
    }
    assert.equal(origin.seen.length, 11);
    // Each new byte has the pauses begin anew.
    assert.deepEqual(
      pauses,
      Array.from({ length: 10 }, () => 2),
    );
  });

  it('follows redirects, and asks the first URL again after a cut', async () => {
    const file = serveFile(CONTENT, { cutAfter: 600_000 });
    origin.behave = (request, response, count) => {
      if (request.url === '/image.bin') response.writeHead(302, { Location: '/moved' }).end();
      else file(request, response, count);
    };
    await open();
    await house.until(house.add('a', origin.url).id, 'available');
    assert.deepEqual(
      origin.seen.map((request) => request.url),
      ['/image.bin', '/moved', '/image.bin', '/moved'],
    );
  });

  it('of several images goes by priority', async () => {
    const files = serveFile(CONTENT.subarray(0, 1000));
    const gate: (() => void)[] = [];
    origin.behave = (request, response, count) => {
      if (count === 1) gate.push(() => files(request, response, count));
      else files(request, response, count);
    };
    await open();
    const asked = [undefined, -1, undefined, 5].map((priority, n) =>
      house.store.transaction(() => {
        const added = house.add(`n${n}`, `${origin.url}?${priority ?? 'none'}`);
        if (priority !== undefined) house.catalog.setLeaf(added.id, 'priority', priority, 's');
        return added;
      }),
    );
    while (gate.length === 0) await sleep(2);
    gate[0]!();
    for (const { id } of asked) await house.until(id, 'available');
    assert.deepEqual(
      origin.seen.map((request) => request.url),
      ['/image.bin?none', '/image.bin?5', '/image.bin?none', '/image.bin?-1'],
    );
  });

  it('beside another one has small buffers; one that begins alone has the large ones again', async () => {
    const content = pattern(4_000_000);
    let begun = 0;
    const file = serveFile(content);
    origin.behave = (...asked) => {
      begun += 1;
      // All three at once.
      const go = (): void => (begun < 3 ? void setTimeout(go, 2) : file(...asked));
      go();
    };
    const longest = new Map<number, number>();
    const memory = new Set<ArrayBufferLike>();
    const disk: Disk = {
      ...systemDisk,
      write: (fd, bytes, position) => {
        longest.set(fd, Math.max(longest.get(fd) ?? 0, bytes.length));
        if (bytes.length >= 64 * 1024) memory.add(bytes.buffer);
        return systemDisk.write(fd, bytes, position);
      },
    };
    await open({ blobs: { disk }, downloader: { concurrency: 3, fsyncVolumeBytes: 16 * 1024 * 1024 } });
    const images = ['a', 'b', 'c'].map((node) => house.add(node, `${origin.url}?${node}`));
    for (const { id } of images) await house.until(id, 'available');
    const pieces = [...longest.values()].filter((bytes) => bytes > 64 * 1024).sort((x, y) => x - y);
    assert.deepEqual(pieces, [128 * 1024, 128 * 1024, 1024 * 1024]);
    const held = (): number => [...memory].reduce((sum, { byteLength }) => sum + byteLength, 0);
    assert.ok(held() <= 3 * 1024 * 1024 + 6 * 128 * 1024, `${held()} bytes`);
    longest.clear();
    await house.until(house.add('d', `${origin.url}?d`).id, 'available');
    assert.equal(Math.max(...longest.values()), 1024 * 1024);
    assert.ok(held() <= 3 * 1024 * 1024 + 6 * 128 * 1024, `${held()} bytes`);
  });

  it('takes what another image with the same Digest has brought', async () => {
    await open();
    const a = house.add('a', origin.url, SHA);
    const b = house.add('b', `${origin.url}?other`, SHA);
    await house.until(a.id, 'available');
    await house.until(b.id, 'available');
    assert.equal(origin.seen.length, 1);
    house.catalog.remove(a.id);
    await sleep(20);
    assert.ok(blobOf(SHA).equals(CONTENT));
    house.catalog.remove(b.id);
    while (readdirSync(join(house.folder, 'blobs')).length > 0) await sleep(2);
  });
});

const file = serveFile(CONTENT);
const firstThen =
  (first: Behaviour, then: Behaviour): Behaviour =>
  (request, response, count) =>
    (count === 1 ? first : then)(request, response, count);
const cut = serveFile(CONTENT, { cutAfter: 400_000 });
const status =
  (code: number, headers: Record<string, string> = {}): Behaviour =>
  (_, response) => {
    response.writeHead(code, headers).end();
  };
const total = CONTENT.length;

describe('a server that', () => {
  it('falls silent is a stall: waiting, then on from the last byte', async () => {
    origin.behave = firstThen(
      (_, response) => {
        response.writeHead(200, { 'Content-Length': total, ETag: '"1"' });
        response.write(CONTENT.subarray(0, 400_000));
      },
      serveFile(CONTENT, { etag: '"1"' }),
    );
    await open({ downloader: { idleTimeoutMs: 100 } });
    await house.until(house.add('a', origin.url).id, 'available');
    assert.equal(origin.seen[1]?.headers.range, 'bytes=400000-');
  });

  it('refuses in the middle: the bytes are kept for a new URL of the same file', async () => {
    origin.behave = firstThen(cut, status(403));
    await open();
    const { id } = house.add('a', `${origin.url}?token=1`);
    const refused = await house.until(id, 'needs-uri');
    assert.equal(refused.received, 400_000);
    assert.ok(!refused.resultText.includes('token'));
    await reopen();
    assert.equal((await house.blobs.usage()).reserved, 400_000);
    origin.behave = file;
    house.catalog.setLeaf(id, 'imageUri', `${origin.url}?token=2`, 's');
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.equal(origin.seen.at(-1)?.headers.range, 'bytes=400000-');
  });

  it('asks to wait with Retry-After is obeyed', async () => {
    origin.behave = firstThen(status(503, { 'Retry-After': '1' }), file);
    await open();
    const started = performance.now();
    const { id } = house.add('a', origin.url);
    assert.equal((await house.until(id, 'waiting')).result, 'unavailable');
    await house.until(id, 'available');
    assert.ok(performance.now() - started >= 1000);
  });

  it('asks to be asked at once has us pause as long as after any other failure', async () => {
    const pauses: number[] = [];
    const system = systemClock(0);
    const clock = { ...system, after: (ms: number, task: () => void) => (pauses.push(ms), system.after(ms, task)) };
    origin.behave = firstThen(status(503, { 'Retry-After': '0' }), file);
    await open({ downloader: { clock, backoff: { firstMs: 43_210, maxMs: 43_210 } } });
    const { id } = house.add('a', origin.url);
    await house.until(id, 'waiting');
    await eventually('the pause', () => pauses.includes(21_605));
    house.downloader.retryNow();
    await house.until(id, 'available');
  });

  it('asks to wait too long is obeyed up to the bound; a request tries again at once', async () => {
    const pauses: number[] = [];
    const system = systemClock(0);
    const clock = { ...system, after: (ms: number, task: () => void) => (pauses.push(ms), system.after(ms, task)) };
    origin.behave = (request, response, count) =>
      (count > 2 ? file : status(503, { 'Retry-After': count === 1 ? '3599' : '86400' }))(request, response, count);
    await open({ downloader: { clock } });
    const { id } = house.add('a', origin.url);
    for (const expected of [3_599_000, 3_600_000]) {
      while (!pauses.some((ms) => ms >= 3_000_000)) await sleep(2);
      assert.equal(Math.max(...pauses.splice(0)), expected);
      house.catalog.request(id, 's');
    }
    await house.until(id, 'available');
  });

  it('is busy for good is asked so often, and as often again for another request', async () => {
    origin.behave = status(503);
    await open();
    const { id } = house.add('a', `${origin.url}\n${origin.url}?mirror`);
    for (const asked of [4, 8]) {
      const { resultText } = await house.until(id, 'failed');
      assert.equal(resultText, 'given up after 4 tries: the server answers 503');
      assert.equal(origin.seen.length, asked);
      house.catalog.request(id, 's');
    }
  });

  it('is at a forbidden address is not connected to, also behind a redirect', async () => {
    const hidden = await startOrigin(file);
    try {
      origin.behave = status(302, { Location: hidden.url.replace('127.0.0.1', '127.0.0.2') });
      await open({ downloader: { access: { allowAddress: (address) => address === '127.0.0.1' } } });
      const image = await house.until(house.add('a', origin.url).id, 'failed');
      assert.equal(image.result, 'address-refused');
      assert.equal(hidden.seen.length, 0);
    } finally {
      await hidden.close();
    }
  });

  it('is down is one of several mirrors', async () => {
    await open();
    const image = house.add('a', `http://127.0.0.1:1/x\n${origin.url}?404\n${origin.url}`);
    origin.behave = (request, response, count) =>
      (request.url?.endsWith('404') === true ? status(404) : file)(request, response, count);
    assert.equal((await house.until(image.id, 'available')).blob, SHA);
  });
});

describe('a mirror that', () => {
  it('has other content is one of several, where a Digest tells', async () => {
    await open();
    const image = house.add('a', `${origin.url}?old\n${origin.url}`, SHA);
    origin.behave = (request, response, count) =>
      (request.url?.endsWith('old') === true ? serveFile(pattern(300_000, 7)) : file)(request, response, count);
    assert.equal((await house.until(image.id, 'available')).blob, SHA);
    assert.deepEqual(
      origin.seen.map(({ url, headers }) => [url, headers.range]),
      [
        ['/image.bin?old', undefined],
        ['/image.bin', undefined],
      ],
    );
  });

  it('answers with what has no type and no version, and the Digest refuses, has its turn again', async () => {
    await open();
    const image = house.add('a', `${origin.url}?gone\n${origin.url}`, SHA);
    let nameless = 0;
    origin.behave = (request, response, count) => {
      if (request.url?.endsWith('gone') === true) return status(404)(request, response, count);
      nameless += 1;
      if (nameless === 1) response.end('Who are you?');
      else file(request, response, count);
    };
    assert.equal((await house.until(image.id, 'available')).blob, SHA);
  });

  it('has such an answer that is longer each time ends the retrieval with its tries', async () => {
    await open();
    const image = house.add('a', origin.url, SHA);
    origin.behave = (_, response, count) => response.end('x'.repeat(count));
    assert.equal((await house.until(image.id, 'failed')).result, 'digest-mismatch');
    assert.equal(origin.seen.length, 4);
  });

  it('is another one than the bytes came from is asked for the whole, where they came without a Digest', async () => {
    await open();
    const { id } = house.add('a', `${origin.url}\n${origin.url.replace('image', 'other')}`);
    origin.behave = (request, response, count) => {
      if (count === 2) house.catalog.setLeaf(id, 'digest', SHA, 's');
      const first = count === 1 ? cut : status(503);
      (request.url === '/other.bin' ? file : first)(request, response, count);
    };
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.deepEqual(
      origin.seen.map(({ url, headers }) => [url, headers.range]),
      [
        ['/image.bin', undefined],
        ['/image.bin', 'bytes=400000-'],
        ['/other.bin', undefined],
      ],
    );
  });

  it('has other content, as all the others, ends the retrieval', async () => {
    await open();
    const image = house.add('a', `${origin.url}?1\n${origin.url}?2`, sha256(pattern(5)));
    assert.equal((await house.until(image.id, 'failed')).result, 'digest-mismatch');
    assert.equal(origin.seen.length, 2);
    assert.equal(house.events.length, 1);
  });
});

describe('what a server of the management asks for meanwhile', () => {
  const slow: Behaviour = (_, response) => {
    response.writeHead(200, { 'Content-Length': total, ETag: '"1"' });
    response.write(CONTENT.subarray(0, 300_000));
  };
  async function untilReceived(id: number): Promise<void> {
    while ((house.catalog.byId(id)?.received ?? 0) === 0) await sleep(2);
  }

  it('another request while one fails has no pause follow', async () => {
    let fail = (): void => {};
    origin.behave = firstThen((_, response) => (fail = () => response.writeHead(503).end()), file);
    await open({ downloader: { backoff: { firstMs: 600_000, maxMs: 600_000 } } });
    const { id } = house.add('a', origin.url);
    while (origin.seen.length === 0) await sleep(2);
    house.catalog.request(id, 's');
    fail();
    await house.until(id, 'available');
  });

  it('a Digest lets the same URL go on without a validator', async () => {
    let hangUp = (): void => {};
    origin.behave = firstThen(
      (_, response) => {
        response.writeHead(200, { 'Content-Length': total }).write(CONTENT.subarray(0, 400_000));
        hangUp = () => response.destroy();
      },
      serveFile(CONTENT, { etag: '' }),
    );
    await open();
    const { id } = house.add('a', origin.url);
    await untilReceived(id);
    house.catalog.setLeaf(id, 'digest', SHA, 's');
    hangUp();
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.match(origin.seen[1]?.headers.range ?? '', /^bytes=\d+-$/);
  });

  it('cancel drops the bytes', async () => {
    origin.behave = slow;
    await open();
    const { id } = house.add('a', origin.url);
    await untilReceived(id);
    house.catalog.cancel(id);
    while (partialFiles().length > 0) await sleep(2);
    assert.equal(house.catalog.byId(id)?.state, 'cancelled');
  });

  it('remove drops the bytes', async () => {
    origin.behave = slow;
    await open();
    const { id } = house.add('a', origin.url);
    await untilReceived(id);
    house.catalog.remove(id);
    while (partialFiles().length > 0) await sleep(2);
  });

  it('another ImageURI supersedes the running retrieval, also where its last byte is on the way', async () => {
    let finish = (): void => {};
    origin.behave = (request, response, count) => {
      slow(request, response, count);
      finish = () => response.end(CONTENT.subarray(300_000));
    };
    await open();
    const { id } = house.add('a', origin.url);
    await untilReceived(id);
    const other = pattern(total, 1);
    origin.behave = serveFile(other);
    house.catalog.setLeaf(id, 'imageUri', origin.url.replace('image', 'other'), 's');
    finish();
    assert.equal((await house.until(id, 'available')).blob, sha256(other));
    assert.equal(origin.seen.at(-1)?.headers.range, undefined);
  });

  it('one ImageURI after the other, while the bytes that are there are looked at: the last one counts', async () => {
    origin.behave = firstThen(cut, status(403));
    await open();
    const { id } = house.add('a', `${origin.url}?token=1`);
    await house.until(id, 'needs-uri');
    const reads: (() => void)[] = [];
    const read: Disk['read'] = async (...asked) => {
      await new Promise<void>((resolve) => reads.push(resolve));
      return systemDisk.read(...asked);
    };
    await reopen({ blobs: { disk: { ...systemDisk, read } } });
    origin.behave = file;
    const asked = origin.seen.length;
    house.catalog.setLeaf(id, 'imageUri', `${origin.url}?token=2`, 's');
    await eventually('the first look', () => reads.length > 0);
    assert.equal(house.catalog.byId(id)?.state, 'verifying');
    house.catalog.setLeaf(id, 'imageUri', `${origin.url}?token=3`, 's');
    house.catalog.setLeaf(id, 'imageUri', `${origin.url}?token=4`, 's');
    const letGo = setInterval(() => reads.splice(0).forEach((go) => go()), 1);
    try {
      assert.equal((await house.until(id, 'available')).blob, SHA);
    } finally {
      clearInterval(letGo);
    }
    assert.deepEqual(
      origin.seen.slice(asked).map(({ url, headers }) => [url.split('=').at(-1), headers.range]),
      [['4', 'bytes=400000-']],
    );
  });

  it('another query of the same file goes on from the watermark', async () => {
    origin.behave = slow;
    await open();
    const { id } = house.add('a', `${origin.url}?1`);
    await untilReceived(id);
    origin.behave = serveFile(CONTENT, { etag: '"1"' });
    house.catalog.setLeaf(id, 'imageUri', `${origin.url}?2`, 's');
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.match(origin.seen.at(-1)?.headers.range ?? '', /^bytes=\d+-$/);
  });
});

describe('a restart', () => {
  const slow: Behaviour = (_, response) => {
    response.writeHead(200, { 'Content-Length': total, ETag: '"1"' });
    response.write(CONTENT.subarray(0, 300_000));
  };

  for (const [name, damage, from] of [
    ['goes on from the watermark', () => {}, /^bytes=300000-$/],
    [
      'cuts what lies beyond the watermark',
      (path: string) => writeFileSync(path, Buffer.alloc(9, 1), { flag: 'a' }),
      /^bytes=300000-$/,
    ],
    ['begins anew with a file that lost flushed bytes', (path: string) => truncateSync(path, 1000), /^whole$/],
  ] as const) {
    it(name, async () => {
      origin.behave = slow;
      await open();
      const { id } = house.add('a', origin.url);
      while (house.downloader.wanBytes < 300_000) await sleep(2);
      await house.close();
      damage(join(house.folder, 'partial', String(id)));
      origin.behave = serveFile(CONTENT, { etag: '"1"' });
      await open({ folder: house.folder });
      const image = await house.until(id, 'available');
      assert.equal(image.blob, SHA);
      assert.match(origin.seen.at(-1)?.headers.range ?? 'whole', from);
    });
  }

  // What came in is hashed from memory; only what a restart hashes is read from the disk.
  for (const [name, known, requests] of [
    ['fetches the whole file where a byte below the watermark has flipped, and Digest tells', true, ['300000-', '']],
    [
      'has no way to tell that a byte below the watermark has flipped, without Digest and Signature',
      false,
      ['300000-'],
    ],
  ] as const) {
    it(name, async () => {
      origin.behave = slow;
      await open();
      const { id } = house.add('a', origin.url, known ? SHA : undefined);
      while (house.downloader.wanBytes < 300_000) await sleep(2);
      await house.close();
      const partial = join(house.folder, 'partial', String(id));
      const flipped = readFileSync(partial);
      flipped.writeUInt8(flipped.readUInt8(1000) ^ 1, 1000);
      writeFileSync(partial, flipped);
      origin.behave = serveFile(CONTENT, { etag: '"1"' });
      await open({ folder: house.folder });
      const image = await house.until(id, 'available');
      assert.deepEqual(
        origin.seen.slice(1).map(({ headers }) => headers.range?.replace('bytes=', '') ?? ''),
        requests,
      );
      assert.equal(image.blob, known ? SHA : sha256(Buffer.concat([flipped, CONTENT.subarray(300_000)])));
      assert.equal(sha256(blobOf(image.blob)), image.blob);
    });
  }

  it('cuts what lies beyond the page of the watermark before it asks for more', async () => {
    origin.behave = slow;
    await open();
    const { id } = house.add('a', origin.url);
    while (house.downloader.wanBytes < 300_000) await sleep(2);
    await house.close();
    const partial = join(house.folder, 'partial', String(id));
    writeFileSync(partial, Buffer.alloc(500_000, 1), { flag: 'a' });
    origin.behave = () => {};
    await open({ folder: house.folder });
    while (origin.seen.length < 2) await sleep(2);
    assert.equal(statSync(partial).size, 5 * 65_536);
  });

  it('cuts what lies beyond the end of a file that is whole', async () => {
    origin.behave = (_, response) => void response.writeHead(200, { ETag: '"1"' }).write(CONTENT);
    await open();
    const { id } = house.add('a', origin.url);
    while (house.downloader.wanBytes < total) await sleep(2);
    await house.close();
    writeFileSync(join(house.folder, 'partial', String(id)), Buffer.alloc(9, 1), { flag: 'a' });
    origin.behave = serveFile(CONTENT, { etag: '"1"' });
    await open({ folder: house.folder });
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.deepEqual([blobOf(SHA).length, origin.seen.length], [total, 2]);
  });

  it('that ends while it looks at what is there loses nothing of it', async () => {
    origin.behave = slow;
    await open();
    const { id } = house.add('a', origin.url);
    while (house.downloader.wanBytes < 300_000) await sleep(2);
    let reads = 0;
    const read: Disk['read'] = async (fd, buffer, length, position) => {
      reads += 1;
      await sleep(20);
      return systemDisk.read(fd, buffer, Math.min(length, 10_000), position);
    };
    await reopen({ blobs: { disk: { ...systemDisk, read } } });
    while (reads < 2) await sleep(2);
    origin.behave = serveFile(CONTENT, { etag: '"1"' });
    await reopen();
    await house.until(id, 'available');
    assert.deepEqual(
      origin.seen.map(({ headers }) => headers.range),
      [undefined, 'bytes=300000-'],
    );
  });

  it('knows the blob that had just got its name', async () => {
    const copy = `${mkdtempSync(join(tmpdir(), 'dmgw-image-'))}/copy`;
    const rename: Disk['rename'] = async (from, to) => {
      await systemDisk.rename(from, to);
      if (to.endsWith(SHA)) cpSync(house.folder, copy, { recursive: true });
    };
    await open({ blobs: { disk: { ...systemDisk, rename } } });
    const { id } = house.add('a', origin.url);
    await house.until(id, 'available');
    await house.close();
    removeFolder(house.folder);
    await open({ folder: copy });
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.equal(origin.seen.length, 1);
  });

  it('removes files that nobody wants, and fetches a blob that is gone', async () => {
    await open();
    const { id } = house.add('a', origin.url);
    await house.until(id, 'available');
    await house.close();
    const blobs = join(house.folder, 'blobs');
    writeFileSync(join(blobs, 'ab'.repeat(32)), 'x');
    writeFileSync(join(blobs, `${'ab'.repeat(32)}.json`), '{}');
    writeFileSync(join(house.folder, 'partial', '999'), 'x');
    truncateSync(join(blobs, SHA), 17);
    await open({ folder: house.folder });
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.deepEqual(readdirSync(blobs).sort(), [SHA, `${SHA}.json`]);
    assert.deepEqual(partialFiles(), []);
    assert.deepEqual(
      house.events.map((event) => event.kind),
      ['local-uri', 'retrieved'],
    );
  });

  it('again and again without progress ends as failed', async () => {
    origin.behave = () => {};
    await open({ downloader: { maxAttempts: 3 } });
    const { id } = house.add('a', origin.url);
    for (let round = 0; round < 3; round += 1) {
      while (origin.seen.length <= round) await sleep(2);
      await reopen({ downloader: { maxAttempts: 3 } });
    }
    assert.equal((await house.until(id, 'failed')).result, 'broken');
  });
});

describe('room', () => {
  it('beyond the quota is refused before the first byte', async () => {
    await open({ blobs: { quotaBytes: CONTENT.length - 1 } });
    const image = await house.until(house.add('a', origin.url).id, 'failed');
    assert.equal(image.result, 'no-room');
    assert.equal(image.received, 0);
    while (partialFiles().length > 0) await sleep(2);
  });

  it('below the free-space floor is refused', async () => {
    const disk: Disk = { ...systemDisk, freeBytes: () => Promise.resolve(CONTENT.length + 99) };
    await open({ blobs: { disk, freeFloorBytes: 100 } });
    assert.equal((await house.until(house.add('a', origin.url).id, 'failed')).result, 'no-room');
  });

  it('for a body of unknown length is promised as it grows', async () => {
    origin.behave = (_, response) => {
      const more = (): void => void response.write(CONTENT.subarray(0, 100_000), more);
      response.on('error', () => {});
      more();
    };
    await open({ blobs: { quotaBytes: 1_000_000 } });
    assert.equal((await house.until(house.add('a', origin.url).id, 'failed')).result, 'no-room');
    assert.ok(house.downloader.wanBytes < 3_000_000);
  });

  it('is made by evicting the least recently served that nobody needs', async () => {
    const needed = new Set(['needed']);
    await open({
      blobs: { quotaBytes: 4500 },
      downloader: { pins: { needs: (imageId) => needed.has(imageId) } },
    });
    origin.behave = (request, response, count) =>
      serveFile(pattern(1000, Number(new URL(request.url ?? '', origin.url).searchParams.get('v'))))(
        request,
        response,
        count,
      );
    const ids = new Map<string, number>();
    for (const [index, node] of ['needed', 'pinned', 'old', 'young'].entries()) {
      const { id } = house.add(node, `${origin.url}?v=${index + 1}`);
      ids.set(node, id);
      await house.until(id, 'available');
      await sleep(2);
    }
    house.catalog.setLeaf(ids.get('pinned')!, 'pinned', true, 's');
    const { id } = house.add('new', `${origin.url}?v=9`);
    await house.until(id, 'available');
    const states = [...ids].map(([node, image]) => [node, house.catalog.byId(image)?.state]);
    assert.deepEqual(Object.fromEntries(states), {
      needed: 'available',
      pinned: 'available',
      old: 'evicted',
      young: 'available',
    });
    assert.equal(house.events.filter((event) => event.kind === 'evicted').length, 1);
    assert.equal(readdirSync(join(house.folder, 'blobs')).length, 8);
  });
});

describe('a disk that', () => {
  const failing = (patch: Partial<Disk>): HouseOptions => ({ blobs: { disk: { ...systemDisk, ...patch } } });
  const reject = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));

  for (const [name, patch, result] of [
    ['is full', { write: reject('ENOSPC') }, 'no-room'],
    ['has given us all that we may have', { write: reject('EDQUOT') }, 'no-room'],
    ['takes no file so large', { write: reject('EFBIG') }, 'no-room'],
    ['cannot write', { write: reject('EIO') }, 'disk'],
    ['cannot flush', { flushData: reject('EIO') }, 'disk'],
    ['cannot flush the whole', { flush: reject('EIO') }, 'disk'],
    ['is read-only', { open: reject('EROFS') }, 'disk'],
  ] as const) {
    it(`${name}: ${result}`, async () => {
      await open(failing(patch));
      const image = await house.until(house.add('a', `${origin.url}\n${origin.url}?mirror`).id, 'failed');
      assert.equal(image.result, result);
      assert.deepEqual(house.defects, []);
      // No mirror helps against it.
      assert.ok(origin.seen.length <= 1);
    });
  }

  for (const [name, at] of [
    ['the partial file', 'partial'],
    ['the sidecar', 'sidecar'],
    ['the folder of the blobs, after the rename', 'folder'],
  ] as const) {
    it(`has no file descriptor left for ${name}: tries again, and fetches nothing twice`, async () => {
      let lacking = 2;
      const lack = (): void => {
        lacking -= 1;
        if (lacking >= 0) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
      };
      await open(
        failing({
          open: async (path, how) => {
            if (at === 'partial' ? path.includes('/partial/') : at === 'sidecar' && path.endsWith('.json.new')) lack();
            return systemDisk.open(path, how);
          },
          flushFolder: async (path) => {
            if (at === 'folder' && path.endsWith('/blobs') && readdirSync(path).includes(SHA)) lack();
            await systemDisk.flushFolder(path);
          },
        }),
      );
      await house.until(house.add('a', origin.url).id, 'available');
      assert.ok(lacking < 0);
      assert.ok(blobOf(SHA).equals(CONTENT));
      assert.equal(origin.seen.length, 1);
      assert.deepEqual(house.defects, []);
    });
  }

  it('never has a file descriptor left: the retrieval fails after its tries', async () => {
    await open({ ...failing({ open: reject('EMFILE') }), downloader: { maxAttempts: 3 } });
    const image = await house.until(house.add('a', origin.url).id, 'failed');
    assert.equal(image.result, 'disk');
    assert.match(image.resultText, /^given up after 3 tries: the disk failed: EMFILE/);
    assert.deepEqual(house.defects, []);
  });

  it('could not take some bytes for a moment goes on with them', async () => {
    let writes = 0;
    await open(
      failing({
        write: (fd, bytes, position) => {
          writes += 1;
          if (writes === 3) return reject('ENOMEM')();
          return systemDisk.write(fd, bytes, position);
        },
      }),
    );
    assert.equal((await house.until(house.add('a', origin.url).id, 'available')).blob, SHA);
    assert.ok(blobOf(SHA).equals(CONTENT));
    assert.equal(origin.seen.length, 2);
  });

  it('gets what nothing guards joined to what it has only once that is on record', async () => {
    let writtenTo = 0;
    await open(
      failing({
        write: (fd, bytes, position) => {
          writtenTo = Math.max(writtenTo, position + bytes.length);
          return systemDisk.write(fd, bytes, position);
        },
      }),
    );
    const durable = house.store.durable.bind(house.store);
    let record = (): void => {};
    const recorded = new Promise<void>((resolve) => (record = resolve));
    const rest = serveFile(CONTENT, { etag: '' });
    origin.behave = (request, response, count) => {
      if (count === 2) house.store.durable = () => recorded.then(durable);
      (count === 1 ? serveFile(CONTENT, { etag: '', cutAfter: 400_000 }) : rest)(request, response, count);
    };
    const { id } = house.add('a', origin.url, SHA);
    try {
      while (origin.seen.length < 2) await sleep(2);
      await sleep(50);
      assert.deepEqual([origin.seen[1]?.headers.range, writtenTo], ['bytes=400000-', 400_000]);
    } finally {
      record();
    }
    await house.until(id, 'available');
  });

  it('writes short and slowly holds the socket back, not the event loop', async () => {
    let inFlight = 0;
    await open(
      failing({
        write: async (fd, bytes, position) => {
          inFlight += 1;
          assert.equal(inFlight, 1);
          await sleep(5);
          for (let at = 0; at < bytes.length; at += 7_777) {
            await systemDisk.write(fd, bytes.subarray(at, at + 7_777), position + at);
          }
          inFlight -= 1;
        },
        flushData: async (fd) => {
          await sleep(20);
          await systemDisk.flushData(fd);
        },
      }),
    );
    await house.until(house.add('a', origin.url).id, 'available');
    assert.ok(blobOf(SHA).equals(CONTENT));
  });

  it('records a watermark only after its bytes were flushed', async () => {
    let flushed = 0;
    let written = 0;
    await open(
      failing({
        write: async (fd, bytes, position) => {
          await systemDisk.write(fd, bytes, position);
          // Not the sidecar's few.
          written = Math.max(written, position + bytes.length);
        },
        flushData: async (fd) => {
          const reached = written;
          await sleep(10);
          await systemDisk.flushData(fd);
          flushed = reached;
        },
        flush: async (fd) => {
          await systemDisk.flush(fd);
          flushed = written;
        },
      }),
    );
    // Not a whole number of volumes: the rest is flushed before the pause.
    origin.behave = serveFile(CONTENT, { cutAfter: 333_333 });
    const early: string[] = [];
    house.catalog.table.onSaved((_, image) => {
      if (image && image.received > flushed) early.push(`${image.received} recorded, ${flushed} flushed`);
    });
    await house.until(house.add('a', origin.url).id, 'available');
    assert.deepEqual(early, []);
  });
});
