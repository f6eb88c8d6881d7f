/** The downloader against a real nginx: how it limits, refuses, encodes, ends in the middle and changes its files. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { makeCertificate, NO_CERTIFICATES } from '../net/certificate.fixture.js';
import { Credentials, type HttpAccess, type TlsIdentity } from '../net/index.js';
import { openHouse, pattern, removeFolder, sha256, type House } from './fixture.js';
import type { ResultCode } from './image.js';
import { Nginx, NO_NGINX, type HttpBlock } from './nginx.fixture.js';
import type { ImageState } from './states.js';

const V1 = pattern(1_000_003);
/** Of another length, as most versions are. */
const V2 = pattern(900_001, 1);
const OLD = new Date('2026-01-01T00:00:00Z');
const SECRET = 'nginx-signs-with-this';
const DAY_S = 86_400;

/** The first request for the file gets a part of it, then next to nothing; one with Range gets all at once. */
const SLOW_AT_FIRST = 'limit_rate_after 200k; limit_rate $rate;';
/** The links of secure_link: a digest over time and path, with a secret. */
const SIGNED = 'secure_link $arg_md5,$arg_expires; secure_link_md5 "$secure_link_expires$uri SECRET";';
const REFUSING = 'if ($secure_link = "") { return 403; } if ($secure_link = "0") { return 410; }';

function link(path: string, secret: string, expires: number): string {
  const md5 = createHash('md5').update(`${expires}${path} ${secret}`).digest('base64url');
  return `${path}?md5=${md5}&expires=${expires}`;
}

const nowS = (): number => Math.floor(Date.now() / 1000);

/** Both ports serve `www`; TLS on the second one where there is a certificate. What is asked is logged. */
const site =
  (location: string, server = ''): HttpBlock =>
  ({ folder, ports: [plain, secure] }) => `
  log_format asked '$status $http_range $http_if_range'; access_log ${folder}/access.log asked;
  map $http_range $rate { default 0; "" 10k; }
  types { application/x-firmware bin; text/html html; }
  server {
    listen 127.0.0.1:${plain};
    ${certificate ? `listen 127.0.0.1:${secure} ssl; ssl_certificate ${folder}/cert; ssl_certificate_key ${folder}/key;` : ''}
    root ${folder}/www; sendfile on; ${server}
    location / { ${location} }
  }`;

let certificate: TlsIdentity | undefined;
let stranger: TlsIdentity | undefined;

interface Row {
  readonly name: string;
  readonly block: HttpBlock;
  /** Default the file, by http. */
  readonly url?: (nginx: Nginx) => string;
  readonly digest?: string;
  readonly access?: (nginx: Nginx) => Partial<HttpAccess>;
  /** What happens once a part of the file is here. */
  readonly inTheMiddle?: (nginx: Nginx, house: House, id: number) => unknown;
  /** What happens once the image is in this state, before it comes to its end. */
  readonly at?: ImageState;
  readonly then?: (nginx: Nginx, house: House, id: number) => unknown;
  readonly ends: ImageState;
  readonly result: ResultCode;
  readonly content?: Buffer;
  /** Bytes are kept of an image that does not come. */
  readonly keeps?: true;
  /** As nginx logs them, with N for the byte where a range begins, E for an entity tag, D for a date. */
  readonly asked: readonly string[];
  /** The same request may have come several times in a row: it stands once. */
  readonly repeated?: true;
  readonly needsTls?: true;
}

const file = ({ folder }: Nginx): string => join(folder, 'www/fw.bin');
const replaceFile = (nginx: Nginx, content: Buffer): void => {
  writeFileSync(`${file(nginx)}.new`, content);
  renameSync(`${file(nginx)}.new`, file(nginx));
};
const overTls = ({ ports: [, secure] }: Nginx): string => `https://localhost:${secure}/fw.bin`;
const ownCa = (): Partial<HttpAccess> => (certificate ? { ca: certificate.cert } : {});
const whole = (content: Buffer) => ({ ends: 'available', result: 'ok', content }) as const;
const reload = (nginx: Nginx): Promise<void> => nginx.reload();
const put = (house: House, id: number, url: string): void => {
  assert.ok(house.catalog.setLeaf(id, 'imageUri', url, 's').ok);
};
const at = ({ ports: [plain] }: Nginx, path: string): string => `http://127.0.0.1:${plain}${path}`;

const ROWS: readonly Row[] = [
  { name: 'nothing wrong', block: site(''), ...whole(V1), asked: ['200 - -'] },
  { name: 'a rate limit', block: site('limit_rate_after 300k; limit_rate 400k;'), ...whole(V1), asked: ['200 - -'] },
  {
    name: 'a reload that ends its connections',
    block: site(SLOW_AT_FIRST),
    inTheMiddle: reload,
    ...whole(V1),
    asked: ['200 - -', '206 bytes=N- E'],
  },
  {
    name: 'a kill, and some time without it',
    block: site(SLOW_AT_FIRST),
    inTheMiddle: (nginx) => nginx.kill(),
    at: 'waiting',
    then: (nginx) => nginx.start(),
    ...whole(V1),
    asked: ['206 bytes=N- E'],
  },
  {
    name: 'another file by the next request',
    block: site(SLOW_AT_FIRST),
    inTheMiddle: (nginx) => {
      replaceFile(nginx, V2);
      return nginx.reload();
    },
    ...whole(V2),
    asked: ['200 - -', '200 bytes=N- E'],
  },
  {
    name: 'a file that is cut short while it is sent, then another',
    block: site('sendfile_max_chunk 64k; limit_rate_after 300k; limit_rate 100k;'),
    inTheMiddle: (nginx) => {
      truncateSync(file(nginx), 1000);
      replaceFile(nginx, V2);
      return nginx.reload(site(''));
    },
    ...whole(V2),
    asked: ['200 - -', '200 bytes=N- E'],
  },
  {
    name: 'another file of the same length and time, found out by the Digest: nginx gives it the same entity tag',
    block: site(SLOW_AT_FIRST),
    digest: sha256(pattern(V1.length, 2)),
    inTheMiddle: (nginx) => {
      replaceFile(nginx, pattern(V1.length, 2));
      utimesSync(file(nginx), OLD, OLD);
      return nginx.reload(site(''));
    },
    ...whole(pattern(V1.length, 2)),
    asked: ['200 - -', '206 bytes=N- E', '200 - -'],
  },
  {
    name: 'no ranges',
    block: site(`${SLOW_AT_FIRST} max_ranges 0;`),
    inTheMiddle: reload,
    ...whole(V1),
    asked: ['200 - -', '200 bytes=N- E'],
  },
  {
    name: 'no entity tag, and an old date',
    block: site(`${SLOW_AT_FIRST} etag off;`),
    inTheMiddle: reload,
    ...whole(V1),
    asked: ['200 - -', '206 bytes=N- D'],
  },
  {
    name: 'no entity tag, and a date of just now',
    block: site(`${SLOW_AT_FIRST} etag off;`),
    inTheMiddle: (nginx) => nginx.reload(site('etag off;')),
    url: (nginx) => {
      utimesSync(file(nginx), new Date(), new Date());
      return at(nginx, '/fw.bin');
    },
    ...whole(V1),
    asked: ['200 - -', '200 - -'],
  },
  {
    name: 'a body that is changed on the way: no length, no validator',
    block: site(`${SLOW_AT_FIRST} sub_filter_types *; sub_filter_once off; sub_filter no-such-text x;`),
    inTheMiddle: (nginx) => nginx.reload(site('')),
    ...whole(V1),
    asked: ['200 - -', '200 - -'],
  },
  { name: 'gzip, for those who ask', block: site('gzip on; gzip_types *;'), ...whole(V1), asked: ['200 - -'] },
  {
    name: 'gzip for everybody',
    block: site('gzip_static always;'),
    ends: 'failed',
    result: 'bad-reply',
    asked: ['200 - -'],
  },
  {
    name: 'a link that is not good any more in the middle, then another link to the same file',
    block: site(`${SIGNED.replace('SECRET', SECRET)} ${REFUSING} ${SLOW_AT_FIRST}`),
    url: (nginx) => at(nginx, link('/fw.bin', SECRET, nowS() + DAY_S)),
    inTheMiddle: (nginx) => nginx.reload(site(`${SIGNED.replace('SECRET', 'other')} ${REFUSING}`)),
    at: 'needs-uri',
    then: (nginx, house, id) => {
      assert.ok((house.catalog.byId(id)?.received ?? 0) > 0);
      assert.deepEqual(
        house.events.map(({ kind, image }) => [kind, image.result]),
        [['needs-uri', 'unauthorized']],
      );
      put(house, id, at(nginx, link('/fw.bin', 'other', nowS() + DAY_S)));
    },
    ...whole(V1),
    asked: ['200 - -', '403 bytes=N- E', '206 bytes=N- E'],
  },
  {
    name: 'a link that has expired',
    block: site(`${SIGNED.replace('SECRET', SECRET)} ${REFUSING}`),
    url: (nginx) => at(nginx, link('/fw.bin', SECRET, nowS() - 1)),
    ends: 'needs-uri',
    result: 'expired',
    asked: ['410 - -'],
  },
  {
    name: 'a file that only some may have',
    block: site('auth_basic firmware; auth_basic_user_file htpasswd;'),
    ends: 'needs-uri',
    result: 'unauthorized',
    asked: ['401 - -'],
  },
  {
    name: 'a file that we may have',
    block: site('auth_basic firmware; auth_basic_user_file htpasswd;'),
    access: (nginx) => {
      const credentials = Credentials.of([{ origin: at(nginx, ''), scheme: 'basic', name: 'dmgw', secret: SECRET }]);
      return credentials.ok ? { credentials: credentials.value } : {};
    },
    ...whole(V1),
    asked: ['200 - -'],
  },
  {
    name: 'too much to do, for now',
    block: site('add_header Retry-After 600 always; return 503;'),
    at: 'waiting',
    then: async (nginx, house) => {
      await nginx.reload(site(''));
      house.downloader.retryNow();
    },
    ...whole(V1),
    asked: ['503 - -', '200 - -'],
  },
  {
    name: 'a backend that is gone, for now',
    block: site('proxy_pass http://127.0.0.1:1;'),
    at: 'waiting',
    then: (nginx) => nginx.reload(site('')),
    ...whole(V1),
    asked: ['502 - -', '200 - -'],
    repeated: true,
  },
  {
    name: 'nothing to say',
    block: site('return 444;'),
    ends: 'failed',
    result: 'broken',
    asked: Array<string>(4).fill('444 - -'),
  },
  {
    name: 'a redirect in circles',
    block: site('return 302 /fw.bin;'),
    ends: 'failed',
    result: 'bad-url',
    asked: Array<string>(6).fill('302 - -'),
  },
  {
    name: 'a login page instead of the file, in the middle',
    block: site(SLOW_AT_FIRST),
    inTheMiddle: (nginx) => {
      writeFileSync(join(nginx.folder, 'www/login.html'), '<!doctype html><title>Log in</title>');
      return nginx.reload(site('rewrite ^ /login.html break;'));
    },
    ends: 'waiting',
    result: 'captive-portal',
    keeps: true,
    asked: ['200 - -', '200 bytes=N- E'],
    repeated: true,
  },
  {
    name: 'https with an authority of its own, and a reload in the middle',
    block: site(SLOW_AT_FIRST),
    url: overTls,
    access: ownCa,
    inTheMiddle: reload,
    ...whole(V1),
    asked: ['200 - -', '206 bytes=N- E'],
    needsTls: true,
  },
  {
    name: 'https with a certificate of another authority',
    block: site(''),
    url: overTls,
    access: () => (stranger ? { ca: stranger.cert } : {}),
    ends: 'failed',
    result: 'tls',
    asked: [],
    needsTls: true,
  },
  {
    name: 'a redirect from http to https',
    block: (places) =>
      site('', `if ($scheme = http) { return 301 https://localhost:${places.ports[1]}$request_uri; }`)(places),
    access: ownCa,
    ...whole(V1),
    asked: ['301 - -', '200 - -'],
    needsTls: true,
  },
  {
    name: 'a redirect from https to http',
    block: (places) =>
      site('', `if ($scheme = https) { return 302 http://127.0.0.1:${places.ports[0]}$request_uri; }`)(places),
    url: overTls,
    access: ownCa,
    ends: 'failed',
    result: 'bad-url',
    asked: ['302 - -'],
    needsTls: true,
  },
];

before(() => {
  if (NO_CERTIFICATES !== false) return;
  certificate = makeCertificate('localhost');
  stranger = makeCertificate('localhost');
});

describe('nginx with', { skip: NO_NGINX, concurrency: 4, timeout: 120_000 }, () => {
  for (const row of ROWS) {
    it(`${row.name}: ${row.ends}, ${row.result}`, { skip: row.needsTls && NO_CERTIFICATES }, () => play(row));
  }
});

async function play(row: Row): Promise<void> {
  const nginx = new Nginx(row.block);
  writeFileSync(file(nginx), V1);
  utimesSync(file(nginx), OLD, OLD);
  writeFileSync(`${file(nginx)}.gz`, gzipSync(V1));
  writeFileSync(join(nginx.folder, 'htpasswd'), `dmgw:{PLAIN}${SECRET}\n`);
  if (certificate) {
    writeFileSync(join(nginx.folder, 'cert'), certificate.cert);
    writeFileSync(join(nginx.folder, 'key'), certificate.key);
  }
  let house: House | undefined;
  try {
    await nginx.start();
    const access = row.access?.(nginx);
    house = openHouse({
      downloader: {
        idleTimeoutMs: 20_000,
        // A row that ends in a pause has a long one.
        backoff: row.ends === 'waiting' ? { firstMs: 5, maxMs: 600_000 } : { firstMs: 50, maxMs: 400 },
        access: { allowAddress: () => true, ...access },
      },
    });
    await house.downloader.start();
    const { id } = house.add('a', row.url?.(nginx) ?? at(nginx, '/fw.bin'), row.digest);
    if (row.inTheMiddle) {
      while (house.downloader.wanBytes === 0) await sleep(5);
      await row.inTheMiddle(nginx, house, id);
    }
    if (row.at) await house.until(id, row.at);
    await row.then?.(nginx, house, id);
    while (row.ends === 'waiting' && house.catalog.byId(id)?.result !== row.result) {
      house.downloader.retryNow();
      await sleep(20);
    }
    const image = await house.until(id, row.ends);
    await house.close();
    assert.equal(image.result, row.result, image.resultText);
    if (row.content) assert.ok(readFileSync(join(house.folder, 'blobs', sha256(row.content))).equals(row.content));
    else assert.equal(image.received > 0, row.keeps === true);
    const asked = askedOf(nginx);
    const shown = row.repeated ? asked.filter((line, index) => line !== asked[index - 1]) : asked;
    assert.deepEqual(shown, row.asked);
  } finally {
    await house?.close();
    await nginx.close();
    if (house) removeFolder(house.folder);
  }
}

function askedOf({ folder }: Nginx): string[] {
  return readFileSync(join(folder, 'access.log'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      line
        .replace(/bytes=[1-9]\d*-/, 'bytes=N-')
        .replace(/(\\x22|")[0-9a-f]+-[0-9a-f]+\1$/, 'E')
        .replace(/\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/, 'D'),
    );
}
