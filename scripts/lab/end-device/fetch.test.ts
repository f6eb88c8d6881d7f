import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { systemClock } from '../../../firmware/clock/index.js';
import { fetchFile, type FetchOptions } from './fetch.js';
import { startImageServer, type ImageServer, type Trick } from './image-server.js';

/** Every byte depends on its place, so that a wrong offset shows. */
const CONTENT = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe('fetching a file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fetch-'));
  const file = join(folder, 'image');
  let image: ImageServer;
  const fetchIt = (overrides: Partial<FetchOptions> = {}) =>
    fetchFile({
      url: image.url,
      file,
      localAddress: '127.9.8.7',
      idleTimeoutMs: 2000,
      fruitlessTries: 3,
      maxRetryDelayMs: 5,
      clock: systemClock(0),
      random: Math.random,
      signal: new AbortController().signal,
      ...overrides,
    });

  before(async () => {
    image = await startImageServer(CONTENT);
  });
  afterEach(() => {
    image.requests.length = 0;
    image.tricks.length = 0;
    image.etag = '"one"';
  });
  after(async () => {
    await image.close();
    rmSync(folder, { recursive: true });
  });

  const rows: readonly (readonly [string, readonly Trick[], readonly string[]])[] = [
    ['takes it in one request', [], ['']],
    [
      'goes on where the connection broke',
      [
        { kind: 'cut', afterBytes: 100_000 },
        { kind: 'cut', afterBytes: 50_000 },
      ],
      ['', 'more', 'more'],
    ],
    [
      'begins again when the range is not honoured',
      [{ kind: 'cut', afterBytes: 100_000 }, { kind: 'ignore-range' }],
      ['', 'more'],
    ],
    [
      'takes no bytes of another place than it asked for',
      [{ kind: 'cut', afterBytes: 100_000 }, { kind: 'shift-range' }],
      ['', 'more', ''],
    ],
    [
      'waits while the server has no room',
      [
        { kind: 'status', status: 503, retryAfter: '1' },
        { kind: 'status', status: 503 },
      ],
      ['', '', ''],
    ],
    [
      'tries again after 500 and 416',
      [
        { kind: 'status', status: 500 },
        { kind: 'status', status: 416 },
      ],
      ['', '', ''],
    ],
  ];
  for (const [name, tricks, ranges] of rows) {
    it(name, async () => {
      image.tricks.push(...tricks);
      const outcome = await fetchIt();
      assert.ok(outcome.ok, JSON.stringify(outcome));
      assert.deepEqual([outcome.value.bytes, outcome.value.sha256], [CONTENT.byteLength, sha256(CONTENT)]);
      assert.equal(sha256(readFileSync(file)), sha256(CONTENT));
      assert.deepEqual(
        image.requests.map(({ range }) => (/^bytes=\d+-$/.test(range) ? 'more' : range)),
        ranges,
      );
      assert.ok(
        image.requests.every(
          ({ from, range, ifRange }) => from === '127.9.8.7' && (range === '' || ifRange === '"one"'),
        ),
      );
    });
  }

  it('begins again when the file has changed meanwhile', async () => {
    const changed = Buffer.from(CONTENT).reverse();
    image.tricks.push({ kind: 'cut', afterBytes: 100_000 });
    const running = fetchIt({ maxRetryDelayMs: 200 });
    while (image.requests.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    image.content = changed;
    image.etag = '"two"';
    const outcome = await running;
    image.content = CONTENT;
    assert.equal(outcome.ok && outcome.value.sha256, sha256(changed));
  });

  it('begins again without a strong validator', async () => {
    image.etag = undefined;
    image.tricks.push({ kind: 'cut', afterBytes: 100_000 });
    const outcome = await fetchIt();
    assert.equal(outcome.ok && outcome.value.sha256, sha256(CONTENT));
    assert.deepEqual(
      image.requests.map(({ range }) => range),
      ['', ''],
    );
  });

  const failures: readonly (readonly [string, number, number])[] = [
    ['not-found', 404, 1],
    ['not-found', 410, 1],
    ['unauthorized', 403, 1],
    ['server-error', 500, 4],
    ['unavailable', 503, 4],
  ];
  for (const [code, status, requests] of failures) {
    it(`ends as ${code} after ${requests} times ${status}`, async () => {
      image.tricks.push(...Array.from({ length: 9 }, () => ({ kind: 'status' as const, status })));
      const outcome = await fetchIt();
      assert.equal(!outcome.ok && outcome.error.code, code);
      assert.equal(image.requests.length, requests);
    });
  }

  it('ends as unavailable when nobody listens, as bad-url without asking anybody', async () => {
    const nobody = await fetchIt({ url: 'http://127.0.0.1:9/' });
    assert.equal(!nobody.ok && nobody.error.code, 'unavailable');
    const bad = await fetchIt({ url: 'ftp://127.0.0.1/' });
    assert.equal(!bad.ok && bad.error.code, 'bad-url');
  });

  it('ends as disk when the file cannot be written', async () => {
    const outcome = await fetchIt({ file: join(folder, 'no', 'such', 'folder') });
    assert.equal(!outcome.ok && outcome.error.code, 'disk');
  });
});
