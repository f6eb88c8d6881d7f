import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { CONTENT, rowsFor, TYPE, validatorsAt, type Row } from './conformance.fixture.js';
import { NO_NGINX, Nginx } from './nginx.fixture.js';
import { requestOf } from './wire.fixture.js';

/** nginx serves the file of the conformance table as it does by default. */
const nginx = new Nginx(
  ({ folder, ports: [port] }) => `access_log off; types { ${TYPE} bin; }
  server { listen 127.0.0.1:${port}; root ${folder}/www; }`,
);
const file = join(nginx.folder, 'www/scomo/fw.bin');

/** Its strong entity tag, and the seconds of its Last-Modified. */
async function validators(): Promise<{ etag: string; seconds: number }> {
  const { head } = await ask('HEAD /scomo/fw.bin HTTP/1.0');
  return {
    etag: /^ETag: (.*)$/im.exec(head)?.[1]?.trim() ?? assert.fail(head),
    seconds: Math.floor(statSync(file).mtimeMs / 1000),
  };
}

/** Sends one request alone. Status 0: no HTTP answer at all. */
async function ask(lines: string): Promise<{ status: number; head: string; body: Buffer }> {
  const chunks: Buffer[] = [];
  await new Promise<void>((resolve) => {
    const socket = connect(nginx.ports[0], '127.0.0.1', () => socket.write(Buffer.from(requestOf(lines), 'latin1')));
    let quiet = setTimeout(() => socket.destroy(), 500);
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      clearTimeout(quiet);
      quiet = setTimeout(() => socket.destroy(), isWhole(Buffer.concat(chunks), lines) ? 0 : 500);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(quiet);
      resolve();
    });
  });
  const bytes = Buffer.concat(chunks);
  const end = bytes.indexOf('\r\n\r\n');
  const head = bytes.subarray(0, end < 0 ? bytes.length : end).toString('latin1');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  return { status, head, body: end < 0 ? Buffer.alloc(0) : bytes.subarray(end + 4) };
}

function isWhole(bytes: Buffer, lines: string): boolean {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return false;
  if (/^HTTP\/1\.1 (?:204|304)/.test(bytes.toString('latin1', 0, 12))) return true;
  const length = /^content-length: (\d+)$/im.exec(bytes.subarray(0, end).toString('latin1'))?.[1];
  return lines.startsWith('HEAD') || (length !== undefined && bytes.length >= end + 4 + Number(length));
}

/** Where the two may differ, and why we do as we do. A row that differs and does not stand here fails the test. */
const REASONS: readonly (readonly [why: string, rows: readonly string[]])[] = [
  ['Range is defined for GET only (RFC 9110 §14.2)', ['HEAD ignores Range', 'HEAD ignores an unsatisfiable Range']],
  ['OPTIONS is answered (§9.3.7)', ['OPTIONS', 'OPTIONS of the server', 'OPTIONS has no conditions']],
  [
    'what is no method of ours is 501, whatever its letters (§9.1)',
    ['a method that nobody knows', 'a method in lower case'],
  ],
  ['another version is 505, whatever is asked in it (§15.6.6)', ['HTTP/2']],
  ['a last byte beyond all numbers is beyond the end (§14.1.2)', ['a range to a number beyond all']],
  [
    'what is no set of ranges is ignored: the client gets what it needs; nginx refuses (§14.2 allows both)',
    ['a backward range', 'a negative number', 'a hexadecimal number', 'one of three is nonsense'],
  ],
  ['the grammar has no space there, and one Range only (§14.1.1, §5.3)', ['space in a range', 'two Range fields']],
  ['empty elements of a list are skipped (§5.6.1.2)', ['empty elements']],
  [
    'so many parts are no use to a client: one whole costs less (§17.15)',
    ['300 ranges, more than allowed', 'one part too many', '700 single bytes'],
  ],
  [
    'ranges that overlap or touch are joined (§15.3.7.2)',
    ['ranges that touch', 'ranges that overlap', 'some that overlap, some not'],
  ],
  ['If-Match goes before If-Unmodified-Since (§13.2.2)', ['If-Match hides If-Unmodified-Since']],
  ['a later date is not modified either (§13.1.3); nginx compares exactly', ['If-Modified-Since later']],
  [
    'paths are looked up as they are: nothing is decoded, joined or normalised',
    ['two slashes', 'dots that lead back', 'an encoded slash', 'an encoded NUL', 'a fragment'],
  ],
  [
    'what is no image is not found, whatever else it may be',
    [
      'the root',
      'the folder',
      'the absolute form without path',
      'the absolute form without authority',
      'the absolute form with a user',
    ],
  ],
  [
    'a field value that is no Host is refused (RFC 9112 §3.2); nginx looks less closely',
    [
      'a Host with a user',
      'a Host with two ports',
      'a Host with a word for a port',
      'an IPv6 Host without brackets',
      'an IPv6 Host that does not end',
    ],
  ],
  ['whoever names no host means the only one that there is (RFC 9112 §3.3)', ['an empty Host']],
  ['request line and fields have one limit together', ['a path beyond the headers', 'headers beyond their limit']],
  ['a field value has no control characters (§5.5)', ['a control in a header']],
  ['HTTP/0.9 is not spoken', ['no version']],
  ['nobody is asked for content that is not needed', ['an expectation to continue']],
];

after(() => nginx.close());

describe('the conformance table against nginx', { skip: NO_NGINX, timeout: 120_000 }, () => {
  before(async () => {
    mkdirSync(dirname(file));
    writeFileSync(file, CONTENT);
    await nginx.start();
  });

  it('differs where a reason is given, and nowhere else', async (t) => {
    const { etag, seconds } = await validators();
    const rows = rowsFor(validatorsAt(etag, seconds));
    const differing: string[] = [];
    for (const row of rows) {
      const { lines, expected, name } = row;
      const { status, head, body } = await ask(lines);
      if (status === expected.status && sameContent(row, head, body)) continue;
      differing.push(name);
      const why = REASONS.find(([, names]) => names.includes(name))?.[0] ?? '';
      const theirs = status === 0 ? 'no HTTP' : `${status}${contentOf(head)}`;
      t.diagnostic(`${name.padEnd(36)} ours ${expected.status}  nginx ${theirs.padEnd(24)} ${why}`);
    }
    t.diagnostic(`${differing.length} of ${rows.length} requests are answered otherwise`);
    const explained = REASONS.flatMap(([, names]) => names);
    assert.deepEqual(
      differing.filter((name) => !explained.includes(name)),
      [],
      'differs without a reason',
    );
    assert.deepEqual(
      explained.filter((name) => !differing.includes(name)),
      [],
      'has a reason, but does not differ',
    );
  });

  it('has these fields more and less', async (t) => {
    const { etag, seconds } = await validators();
    const [whole] = rowsFor(validatorsAt(etag, seconds));
    const { head } = await ask(whole!.lines);
    const theirs = [...head.matchAll(/^([\w-]+):/gm)].map((field) => field[1]!.toLowerCase());
    const ours = [...Object.keys(whole!.expected.headers), 'date', 'connection'];
    const more = ours.filter((name) => !theirs.includes(name)).sort();
    const less = theirs.filter((name) => !ours.includes(name)).sort();
    t.diagnostic(`only ours: ${more.join(', ')}; only nginx's: ${less.join(', ')}`);
    assert.deepEqual([more, less], [['cache-control', 'content-disposition', 'repr-digest'], ['server']]);
  });
});

/** True when nginx sends the same bytes of the content: one range or the whole; of several, as many parts. */
function sameContent({ expected: { spans = [], status }, lines }: Row, head: string, body: Buffer): boolean {
  if (lines.startsWith('HEAD') || status >= 300 || spans.length === 0) return true;
  const [first] = spans;
  if (spans.length === 1 && first) return body.equals(CONTENT.subarray(first[0], first[1] + 1));
  const boundary = /boundary=(\S+)/.exec(head)?.[1] ?? assert.fail(head);
  return body.toString('latin1').split(`\r\n--${boundary}\r\n`).length - 1 === spans.length;
}

function contentOf(head: string): string {
  if (/^content-type: multipart/im.test(head)) return ' multipart';
  const range = /^content-range: (\S+ \S+)/im.exec(head)?.[1];
  return range === undefined ? '' : ` ${range}`;
}
