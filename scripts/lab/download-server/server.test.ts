import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { Access, Stats } from './access-log.js';
import type { Fault } from './admin-messages.js';
import { startDownloadServer, type RunningDownloadServer } from './server.js';

const SIZE = 300_000;
const content = randomBytes(SIZE);
let folder: string;
let server: RunningDownloadServer;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'download-server-'));
  writeFileSync(join(folder, 'image.bin'), content);
  writeFileSync(join(folder, 'other.bin'), 'other');
  server = await startDownloadServer({
    host: '127.0.0.1',
    port: 0,
    adminPort: 0,
    root: folder,
    files: [{ path: '/fw', file: join(folder, 'image.bin'), contentType: 'application/x-fw' }],
    logFile: join(folder, 'access.log'),
    rateBytesPerSecond: 0,
    faults: [],
  });
});

after(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

beforeEach(() => admin('DELETE', '/faults'));

async function admin(method: string, path: string, body?: unknown): Promise<unknown> {
  const reply = await fetch(`${server.adminUrl}${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  assert.equal(reply.status, 200);
  return reply.json();
}

const fault = (asked: Partial<Fault> & { kind: Fault['kind'] }) => admin('POST', '/faults', asked);

interface Got {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
  readonly whole: boolean;
}

function fetchFw(headers: Record<string, string> = {}, method = 'GET', path = '/fw'): Promise<Got> {
  return new Promise((resolve, reject) => {
    get(`${server.url}${path}`, { headers, method, agent: false }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('error', () => {});
      reply.on('close', () => {
        const { statusCode: status = 0, headers: got, complete: whole } = reply;
        resolve({ status, headers: got, body: Buffer.concat(chunks), whole });
      });
    }).on('error', reject);
  });
}

/** The log, once no reply is being sent any more: a client sees the end of a reply before the server has noted it. */
async function accesses(): Promise<Access[]> {
  while (((await admin('GET', '/stats')) as Stats).open > 0);
  const lines = readFileSync(join(folder, 'access.log'), 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Access);
}

describe('download server', () => {
  it('sends the whole file with what a client needs to resume', async () => {
    const got = await fetchFw();
    assert.equal(got.status, 200);
    assert.equal(Buffer.compare(got.body, content), 0);
    assert.equal(got.headers['accept-ranges'], 'bytes');
    assert.equal(got.headers['content-type'], 'application/x-fw');
    assert.match(String(got.headers.etag), /^"[^"]+"$/);
    assert.ok(Date.parse(String(got.headers['last-modified'])) > 0);
  });

  it('answers HEAD with the same head and no body', async () => {
    const got = await fetchFw({}, 'HEAD');
    assert.equal(got.headers['content-length'], String(SIZE));
    assert.equal(got.body.length, 0);
  });

  for (const { range, start, end } of [
    { range: 'bytes=0-9', start: 0, end: 10 },
    { range: 'bytes=1000-', start: 1000, end: SIZE },
    { range: 'bytes=-5', start: SIZE - 5, end: SIZE },
    { range: `bytes=10-${SIZE * 2}`, start: 10, end: SIZE },
  ]) {
    it(`answers ${range} with 206`, async () => {
      const got = await fetchFw({ range });
      assert.equal(got.status, 206);
      assert.equal(got.headers['content-range'], `bytes ${start}-${end - 1}/${SIZE}`);
      assert.equal(Buffer.compare(got.body, content.subarray(start, end)), 0);
      const last = (await accesses()).at(-1);
      assert.deepEqual([last?.from, last?.bytes, last?.complete], [start, end - start, true]);
    });
  }

  it('refuses a range behind the end with the total', async () => {
    const got = await fetchFw({ range: `bytes=${SIZE}-` });
    assert.equal(got.status, 416);
    assert.equal(got.headers['content-range'], `bytes */${SIZE}`);
  });

  it('sends the whole file when If-Range names another version', async () => {
    assert.equal((await fetchFw({ range: 'bytes=5-', 'if-range': '"old"' })).status, 200);
    const { etag } = (await fetchFw({}, 'HEAD')).headers;
    assert.equal((await fetchFw({ range: 'bytes=5-', 'if-range': String(etag) })).status, 206);
    assert.equal((await fetchFw({ range: 'bytes=5-', 'if-range': `W/${String(etag)}` })).status, 200);
  });

  it('offers the files of its root, and nothing above it', async () => {
    assert.equal((await fetchFw({}, 'GET', '/other.bin')).status, 200);
    assert.equal((await fetchFw({}, 'GET', '/..%2fetc%2fpasswd')).status, 404);
    assert.equal((await fetchFw({}, 'GET', '/missing')).status, 404);
  });

  it('cuts the connection after so many bytes, and counts exactly those', async () => {
    await fault({ kind: 'cut', afterBytes: 100_001, times: 1 });
    const got = await fetchFw();
    assert.equal(got.whole, false);
    assert.equal(Buffer.compare(got.body, content.subarray(0, 100_001)), 0);
    assert.equal((await accesses()).at(-1)?.bytes, 100_001);
    assert.equal((await fetchFw()).whole, true);
  });

  it('cuts at each offset once', async () => {
    await fault({ kind: 'cut-at', offsets: [1000, 2000] });
    assert.equal((await fetchFw()).body.length, 1000);
    assert.equal((await fetchFw({ range: 'bytes=1000-' })).body.length, 1000);
    assert.equal((await fetchFw({ range: 'bytes=2000-' })).whole, true);
  });

  it('changes the content at a cut', async () => {
    const before = await fetchFw({}, 'HEAD');
    const offer = (file: string) => ({ path: '/fw', file: join(folder, file), contentType: 'application/x-fw' });
    await fault({ kind: 'cut-at', offsets: [1000], thenOffer: offer('other.bin') });
    await fetchFw();
    const later = await fetchFw({ range: 'bytes=1000-', 'if-range': String(before.headers.etag) });
    assert.equal(later.status, 200);
    assert.equal(later.body.toString(), 'other');
    await admin('POST', '/files', offer('image.bin'));
  });

  it('answers with a status for so many requests', async () => {
    await fault({ kind: 'status', status: 503, headers: { 'retry-after': '3' }, times: 1 });
    const got = await fetchFw();
    assert.equal(got.status, 503);
    assert.equal(got.headers['retry-after'], '3');
    assert.equal((await fetchFw()).status, 200);
  });

  it('misstates validators and ranges on request', async () => {
    await fault({ kind: 'no-ranges', times: 1 });
    assert.equal((await fetchFw({ range: 'bytes=5-' })).status, 200);
    await fault({ kind: 'weak-etag', times: 1 });
    assert.match(String((await fetchFw()).headers.etag), /^W\/"/);
    await fault({ kind: 'no-validator', times: 1 });
    assert.equal((await fetchFw()).headers.etag, undefined);
    await fault({ kind: 'content-range', value: 'bytes 7-8/9', times: 1 });
    assert.equal((await fetchFw({ range: 'bytes=5-' })).headers['content-range'], 'bytes 7-8/9');
    await fault({ kind: 'content-range', value: null, times: 1 });
    assert.equal((await fetchFw({ range: 'bytes=5-' })).headers['content-range'], undefined);
    await fault({ kind: 'shift', bytes: 3, times: 1 });
    assert.equal((await fetchFw({ range: 'bytes=5-' })).headers['content-range'], `bytes 8-${SIZE - 1}/${SIZE}`);
  });

  it('falls silent and goes on', async () => {
    await fault({ kind: 'stall', afterBytes: 10, ms: 150, times: 1 });
    const startMs = performance.now();
    const got = await fetchFw();
    assert.ok(performance.now() - startMs >= 140);
    assert.equal(createHash('sha256').update(got.body).digest('hex'), sha256OfContent());
  });

  it('keeps to its rate', async () => {
    await admin('POST', '/rate', { bytesPerSecond: 600_000 });
    const startMs = performance.now();
    await fetchFw();
    const tookMs = performance.now() - startMs;
    await admin('POST', '/rate', { bytesPerSecond: 0 });
    assert.ok(tookMs > 400 && tookMs < 1000, `${tookMs} ms for what should take 500`);
  });

  it('counts what it sent', async () => {
    const before = (await admin('GET', '/stats')) as Stats;
    await fetchFw();
    const now = (await admin('GET', '/stats')) as Stats;
    assert.equal(now.bytes - before.bytes, SIZE);
    assert.equal((now.bytesByPath['/fw'] ?? 0) - (before.bytesByPath['/fw'] ?? 0), SIZE);
    assert.equal(now.requests - before.requests, 1);
  });

  it('refuses a fault that it does not know', async () => {
    const reply = await fetch(`${server.adminUrl}/faults`, { method: 'POST', body: '{"kind":"magic"}' });
    assert.equal(reply.status, 400);
    assert.match(await reply.text(), /kind/);
  });
});

function sha256OfContent(): string {
  return createHash('sha256').update(content).digest('hex');
}
