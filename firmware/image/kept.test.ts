/** Which bytes of a refused retrieval a new ImageURI goes on from: real sockets. */
import assert from 'node:assert/strict';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { systemClock } from '../clock/index.js';
import { openHouse, pattern, removeFolder, serveFile, sha256, startOrigin, type Behaviour } from './fixture.js';
import type { ResultCode } from './image.js';
import { Progress } from './progress.js';

const CONTENT = pattern(300_001);
const CUT = 100_000;
const SHA = sha256(CONTENT);
const OTHER_SHA = sha256(Buffer.from('other'));

const STRONG = { etag: '"v1"' };
const WEAK = { etag: 'W/"v1"' };
const NONE = { etag: '' };
const date = (ms: number): string => new Date(Date.UTC(2026, 0, 1) + ms).toUTCString();
const DATED = { etag: '', headers: { 'Last-Modified': date(0), Date: date(3_600_000) } };

interface Row {
  readonly name: string;
  /** Validators of the file. */
  readonly file: Parameters<typeof serveFile>[1];
  /** The Digest while the first bytes come in, and the one that is set before the new URL. */
  readonly digest?: string;
  readonly laterDigest?: string;
  /** The new URL, from the old one; another path or query is served as the old one is. */
  readonly next: (url: string, elsewhere: string) => string;
  /** What is asked for then: the rest, under this condition, or the whole. */
  readonly asks: 'whole' | { readonly ifRange: string | undefined };
}

const query = (url: string): string => `${url}?token=2`;
const elsewhere = (_: string, other: string): string => other;

const refuse: Behaviour = (_, response) => void response.writeHead(403).end();

const ROWS: readonly Row[] = [
  { name: 'another query, a strong ETag', file: STRONG, next: query, asks: { ifRange: '"v1"' } },
  { name: 'another query, a weak ETag', file: WEAK, next: query, asks: 'whole' },
  { name: 'another query, no validator', file: NONE, next: query, asks: 'whole' },
  { name: 'another query, a strong Last-Modified', file: DATED, next: query, asks: 'whole' },
  { name: 'the same URL, a strong Last-Modified', file: DATED, next: (url) => url, asks: { ifRange: date(0) } },
  { name: 'the same URL, no validator', file: NONE, next: (url) => url, asks: 'whole' },
  {
    name: 'another query, no validator, the same Digest',
    file: NONE,
    digest: SHA,
    next: query,
    asks: { ifRange: undefined },
  },
  { name: 'another path, a strong ETag', file: STRONG, next: (url) => `${url}.new`, asks: 'whole' },
  { name: 'another host, a strong ETag', file: STRONG, next: elsewhere, asks: 'whole' },
  { name: 'another host, the same Digest', file: STRONG, digest: SHA, next: elsewhere, asks: { ifRange: undefined } },
  {
    name: 'another host, the same Digest in its other form',
    file: STRONG,
    digest: SHA,
    laterDigest: `sha-256=:${Buffer.from(SHA, 'hex').toString('base64')}:`,
    next: elsewhere,
    asks: { ifRange: undefined },
  },
  { name: 'another host, a Digest that came later', file: STRONG, laterDigest: SHA, next: elsewhere, asks: 'whole' },
  {
    name: 'another host, another Digest',
    file: STRONG,
    digest: OTHER_SHA,
    laterDigest: SHA,
    next: elsewhere,
    asks: 'whole',
  },
];

describe('after a refusal in the middle, a new ImageURI with', () => {
  for (const row of ROWS) {
    it(`${row.name}: asks for ${row.asks === 'whole' ? 'the whole' : 'the rest'}`, () => play(row));
  }
});

async function play({ file, digest, laterDigest, next, asks }: Row): Promise<void> {
  const origin = await startOrigin((request, response, count) =>
    (count === 1 ? serveFile(CONTENT, { ...file, cutAfter: CUT }) : refuse)(request, response, count),
  );
  const other = await startOrigin(serveFile(CONTENT, file));
  const house = openHouse();
  try {
    await house.downloader.start();
    const { id } = house.add('a', origin.url, digest);
    const refused = await house.until(id, 'needs-uri');
    assert.equal(refused.received, CUT);
    assert.deepEqual(
      house.events.map(({ kind }) => kind),
      ['needs-uri'],
    );
    assert.equal(statSync(join(house.folder, 'partial', String(id))).size, CUT);

    origin.behave = serveFile(CONTENT, file);
    house.store.transaction(() => {
      if (laterDigest !== undefined) house.catalog.setLeaf(id, 'digest', laterDigest, 's');
      house.catalog.setLeaf(id, 'imageUri', next(origin.url, other.url), 's');
    });
    assert.equal(house.catalog.byId(id)?.received, asks === 'whole' ? 0 : CUT);
    assert.equal((await house.until(id, 'available')).blob, SHA);
    const last = [...origin.seen, ...other.seen].at(-1);
    const expected = asks === 'whole' ? [undefined, undefined] : [`bytes=${CUT}-`, asks.ifRange];
    assert.deepEqual([last?.headers.range, last?.headers['if-range']], expected);
    assert.equal(house.catalog.byId(id)?.wanBytes, asks === 'whole' ? CUT + CONTENT.length : CONTENT.length);
    assert.ok(!existsSync(join(house.folder, 'partial', String(id))));
  } finally {
    await house.close();
    await Promise.all([origin.close(), other.close()]);
    removeFolder(house.folder);
  }
}

it('bytes of two servers, joined under a Digest, have no validator: the next request shows that of neither', async () => {
  const origin = await startOrigin((request, response, count) =>
    (count === 1 ? serveFile(CONTENT, { ...STRONG, cutAfter: CUT }) : refuse)(request, response, count),
  );
  const other = await startOrigin((request, response, count) =>
    serveFile(CONTENT, { etag: '"other"', ...(count === 1 && { cutAfter: CUT }) })(request, response, count),
  );
  const house = openHouse();
  try {
    await house.downloader.start();
    const { id } = house.add('a', origin.url, SHA);
    await house.until(id, 'needs-uri');
    house.catalog.setLeaf(id, 'imageUri', other.url, 's');
    assert.equal((await house.until(id, 'available')).blob, SHA);
    assert.deepEqual(
      other.seen.map(({ headers }) => [headers.range, headers['if-range']]),
      [
        [`bytes=${CUT}-`, undefined],
        [`bytes=${2 * CUT}-`, undefined],
      ],
    );
  } finally {
    await house.close();
    await Promise.all([origin.close(), other.close()]);
    removeFolder(house.folder);
  }
});

describe('what has come in of an image', () => {
  const keeps: Readonly<Record<Exclude<ResultCode, 'ok'>, boolean>> = {
    unresolved: true,
    unreachable: true,
    unavailable: true,
    broken: true,
    'server-error': true,
    unauthorized: true,
    expired: true,
    'not-found': true,
    refused: true,
    tls: true,
    'bad-url': true,
    'address-refused': true,
    cancelled: false,
    'captive-portal': false,
    'bad-reply': false,
    'descriptor-invalid': false,
    'descriptor-version': false,
    'descriptor-mismatch': false,
    'content-refused': false,
    clock: false,
    window: false,
    metered: false,
    'no-room': false,
    disk: false,
    'digest-mismatch': false,
    'signature-mismatch': false,
  };
  it('is kept for another request after a failure of the way or the server, and given up after one of the image', async () => {
    const house = openHouse();
    try {
      const progress = new Progress(house.catalog.table, systemClock(0));
      for (const [code, isKept] of Object.entries(keeps) as [Exclude<ResultCode, 'ok'>, boolean][]) {
        const { id, retrieval } = house.add(code, 'http://127.0.0.1:1/');
        const key = { id, generation: retrieval.generation };
        progress.attempting(key, false);
        progress.fromZero(key, {
          source: 'http://127.0.0.1:1/',
          descriptor: undefined,
          validator: '"v1"',
          total: 9,
          contentType: undefined,
        });
        progress.durable(key, 5, 5, true);
        progress.failed(key, code, 'failed');
        assert.equal(house.catalog.byId(id)?.received, isKept ? 5 : 0, code);
      }
    } finally {
      await house.close();
      removeFolder(house.folder);
    }
  });
});
