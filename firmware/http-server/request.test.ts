import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RequestReader, type HttpRequest, type Refusal } from './request.js';

const HEADER_BYTES = 512;

type Heard = Omit<HttpRequest, 'fields'> & { readonly fields: Readonly<Record<string, string>> };

/** What is heard of bytes that come in these pieces, to the first refusal. */
function hear(pieces: readonly Buffer[]): (Heard | Refusal)[] {
  const reader = new RequestReader(HEADER_BYTES);
  const heard: (Heard | Refusal)[] = [];
  for (const piece of pieces) {
    reader.push(piece);
    for (let next = reader.next(); next !== undefined; next = reader.next()) {
      heard.push(typeof next === 'number' ? next : { ...next, fields: Object.fromEntries(next.fields) });
      if (typeof next === 'number') return heard;
    }
  }
  return heard;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

function hearOne(text: string): Heard | Refusal | undefined {
  return hear([bytes(text)])[0];
}

const GET = 'GET /a HTTP/1.1\r\nHost: x\r\n\r\n';
const first = (line: string): string => `${line}\r\nHost: x\r\n\r\n`;
const lined = (lines: string): string => `GET /a HTTP/1.1\r\nHost: x\r\n${lines}\r\n\r\n`;

describe('a request', () => {
  it('is its method, target, version and fields', () => {
    assert.deepEqual(hearOne(lined('RANGE:\t bytes=0-1 \t\r\nX-Y_z!: \xe9\r\nEmpty:')), {
      method: 'GET',
      target: '/a',
      fields: { host: 'x', range: 'bytes=0-1', 'x-y_z!': '\xe9', empty: '' },
      isPersistent: true,
    });
  });

  it('joins what comes twice', () => {
    const heard = hearOne(lined('Range: a\r\nrange: b'));
    assert.deepEqual(typeof heard === 'object' && heard.fields, { host: 'x', range: 'a, b' });
  });

  const persistence: readonly (readonly [lines: string, is: boolean])[] = [
    ['X: y', true],
    ['Connection: close', false],
    ['Connection: x,\tClose , y', false],
    ['Connection: closed', true],
    ['Connection: x\r\nConnection: close', false],
    ['Content-Length: 0', true],
    ['Content-Length: 1', false],
    ['Transfer-Encoding: chunked', false],
    ['Transfer-Encoding: gzip, chunked', false],
    ['Expect: 100-continue', false],
    ['Expect: wonders', true],
  ];
  for (const [lines, is] of persistence) {
    it(`with ${JSON.stringify(lines)} is ${is ? '' : 'not '}followed by another`, () => {
      const heard = hearOne(lined(lines));
      assert.equal(typeof heard === 'object' && heard.isPersistent, is);
    });
  }

  it('of HTTP/1.0 is followed by another only where the client asks for that', () => {
    const is = (lines: string): unknown => {
      const heard = hearOne(`GET / HTTP/1.0\r\n${lines}\r\n`);
      return typeof heard === 'object' && heard.isPersistent;
    };
    assert.deepEqual([is(''), is('Connection: keep-alive\r\n')], [false, true]);
  });

  const host = (value: string): string => `Host: ${value}\r\n`;
  const goodHosts = [
    'x:80',
    'x:',
    'a-b.c_1.',
    'f%c3%bcr',
    "!$&'()*+,;=~",
    '192.168.1.1:80',
    '[fd::1]:80',
    '[fe80::1%25br0]',
    '',
  ];
  const badHosts = [
    'x/y',
    'x y',
    'x@y',
    'x:y',
    'x:8:8',
    'fd::1',
    '[fd::1',
    '[fd::1]x',
    '[]',
    '%zz',
    'x%',
    'x?',
    '"x"',
    '\xfc',
  ];
  const hosts: readonly (readonly [lines: string, last: 'never' | '1.0' | '1.1'])[] = [
    ['', '1.0'],
    ...goodHosts.map((value) => [host(value), '1.1'] as const),
    ...badHosts.map((value) => [host(value), 'never'] as const),
    [host('x').repeat(2), 'never'],
    [host('').repeat(2), 'never'],
  ];
  for (const [lines, last] of hosts) {
    const until = { never: 'in no version', '1.0': 'in HTTP/1.0 only', '1.1': 'in HTTP/1.1 too' }[last];
    it(`with ${JSON.stringify(lines)} for its Host is one ${until}`, () => {
      for (const target of ['/a', 'http://y/a', '*'])
        for (const version of ['1.0', '1.1']) {
          const heard = hearOne(`GET ${target} HTTP/${version}\r\n${lines}\r\n`);
          assert.equal(typeof heard === 'object' ? 200 : heard, last !== 'never' && version <= last ? 200 : 400);
        }
    });
  }

  const longest = 'x'.repeat(HEADER_BYTES - 'GET /a HTTP/1.1\r\nHost: x\r\nX: \r\n'.length + 2);
  const refused: readonly (readonly [name: string, sent: string, status: Refusal])[] = [
    ['LF alone', 'GET /a HTTP/1.1\nHost: x\n\n', 400],
    ['LF alone in the middle', lined('X: x\nY: y'), 400],
    ['LF alone, so far', 'GET /a HTTP/1.1\r\nHost: x\n', 400],
    ['CR alone', lined('X: a\rb'), 400],
    ['two CRs', lined('X: a\r'), 400],
    ['NUL in the target', first('GET /\0 HTTP/1.1'), 400],
    ['NUL in a value', lined('X: a\0b'), 400],
    ['NUL, so far', 'GET /\0', 400],
    ['DEL', lined('X: \x7f'), 400],
    ['a folded field', lined('X: a\r\n b'), 400],
    ['a tab for a fold', lined('X: a\r\n\tb'), 400],
    ['space before the colon', lined('X : a'), 400],
    ['a field without a name', lined(': a'), 400],
    ['a field without a colon', lined('X'), 400],
    ['a name that is no token', lined('X(y): a'), 400],
    ['space before the first field', lined(' X: a'), 400],
    ['no version', first('GET /a'), 400],
    ['no target', first('GET HTTP/1.1'), 400],
    ['two spaces', first('GET  /a HTTP/1.1'), 400],
    ['a space at the end of the line', first('GET /a HTTP/1.1 '), 400],
    ['a target beyond ASCII', first('GET /\xe9 HTTP/1.1'), 400],
    ['a method in lower case', first('get /a HTTP/1.1'), 501],
    ['a method that nobody knows', first('FETCH /a HTTP/1.1'), 501],
    ['CONNECT', first('CONNECT x:80 HTTP/1.1'), 501],
    ['the protocol in lower case', first('GET /a http/1.1'), 400],
    ['HTTP/2', first('GET /a HTTP/2.0'), 505],
    ['HTTP/1.2', first('GET /a HTTP/1.2'), 505],
    ['HTTP/0.9', first('GET /a HTTP/0.9'), 505],
    ['HTTP/1.10', first('GET /a HTTP/1.10'), 400],
    ['two lengths', lined('Content-Length: 1\r\nContent-Length: 1'), 400],
    ['a list of lengths', lined('Content-Length: 1, 1'), 400],
    ['no length', lined('Content-Length:'), 400],
    ['a signed length', lined('Content-Length: +1'), 400],
    ['a length after another blank', lined('Content-Length: \xa01'), 400],
    ['a length and an encoding', lined('Content-Length: 0\r\nTransfer-Encoding: chunked'), 400],
    ['an encoding behind chunks', lined('Transfer-Encoding: chunked , gzip'), 400],
    ['chunks twice', lined('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'), 400],
    ['a byte too many', lined(`X: ${longest}x`), 431],
    ['a line that does not end', `GET /${'x'.repeat(HEADER_BYTES + 100)}`, 431],
  ];
  for (const [name, sent, status] of refused) {
    it(`is none with ${name}: ${status}`, () => assert.deepEqual(hear([bytes(sent)]), [status]));
  }

  it('may have as many bytes as are allowed, and empty lines before it', () => {
    assert.equal(typeof hearOne(lined(`X: ${longest}`)), 'object');
    assert.equal(typeof hearOne(`\r\n\r\n\r\n${lined(`X: ${longest}`)}`), 'object');
  });
});

describe('what had to be thrown away', () => {
  it('has nothing behind it: what follows would begin anywhere', () => {
    const reader = new RequestReader(HEADER_BYTES);
    reader.push(bytes(GET + '\r\n'.repeat(HEADER_BYTES) + GET));
    reader.keep();
    assert.equal(typeof reader.next(), 'object');
    assert.equal(reader.next(), 400);
  });
});

describe('the same requests', () => {
  const texts = [
    GET,
    GET + GET + lined('Range: bytes=0-1') + GET,
    `\r\n${GET}\r\n\r\n${GET}`,
    `${GET}GET /b HTTP/3.0\r\nX: y\r\n\r\n${GET}`,
    ...['X: a\rb', 'X: a\nb', 'X : a', 'Content-Length: x', 'Transfer-Encoding: chunked, x'].map(
      (lines) => `${GET}${lined(lines)}${GET}`,
    ),
    `${GET}\0${GET}`,
    `${GET}\r\r\n${GET}`,
    `GET / HTTP/1.1\r\nX: ${'y'.repeat(600)}\r\n\r\n`,
    `\r\n\r\nGET / HTTP/1.1\r\nHost: ${'y'.repeat(512 - 24)}\r\n\r\n${GET}`,
    `\r\n\r\nGET / HTTP/1.1\r\nHost: ${'y'.repeat(512 - 23)}\r\n\r\n${GET}`,
  ];
  it('are heard wherever their bytes are cut', () => {
    for (const text of texts) {
      const all = bytes(text);
      const whole = hear([all]);
      assert.ok(whole.length > 0);
      for (let at = 0; at <= all.length; at += 1) {
        assert.deepEqual(hear([all.subarray(0, at), all.subarray(at)]), whole, `${JSON.stringify(text)} at ${at}`);
      }
      assert.deepEqual(hear([...all].map((byte) => Buffer.of(byte))), whole, `${JSON.stringify(text)}, byte by byte`);
    }
  });

  it('are heard from the most hostile bytes, whatever the pieces: nothing is thrown, and little is held', () => {
    let state = 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      return (state >>> 8) % below;
    };
    const words = [
      'GET ',
      '/a',
      ' HTTP/1.1',
      '\r\n',
      '\r\n\r\n',
      '\n',
      '\r',
      ':',
      ' ',
      '\t',
      'Host',
      'x',
      '\0',
      '\xff',
      ',',
      'Content-Length: 3\r\n',
      GET,
    ];
    for (let round = 0; round < 3_000; round += 1) {
      const text =
        (random(2) === 0 ? 'GET /a HTTP/1.1\r\n' : '') +
        Array.from({ length: random(40) }, () => words[random(words.length)]).join('');
      const all = bytes(text);
      const pieces: Buffer[] = [];
      for (let at = 0; at < all.length;) {
        const length = 1 + random(30);
        pieces.push(all.subarray(at, at + length));
        at += length;
      }
      assert.deepEqual(hear(pieces), hear([all]), JSON.stringify(text));
    }
  });

  it('take time in proportion to their bytes', () => {
    const blanks = ' '.repeat(60_000);
    const started = performance.now();
    for (const lines of [
      `X:${blanks}\x01`,
      `X:${blanks}a${blanks}`,
      `Connection: ${blanks}x`,
      `Transfer-Encoding: chunked${blanks}x`,
    ]) {
      const reader = new RequestReader(200_000);
      reader.push(bytes(lined(lines)));
      reader.next();
    }
    assert.ok(performance.now() - started < 1_000);
  });
});

describe('what is held', () => {
  it('is no more than a head may have; what was thrown away makes what is left the last', () => {
    const reader = new RequestReader(HEADER_BYTES);
    const count = Math.floor((HEADER_BYTES + 4) / GET.length);
    reader.push(bytes(GET.repeat(1_000)));
    reader.keep();
    for (let heard = 1; heard <= count; heard += 1) {
      assert.equal(typeof reader.next(), 'object');
      assert.equal(reader.isLast, heard === count);
    }
    assert.equal(reader.next(), undefined);
  });

  it('is nothing when all has been heard, or only empty lines came', () => {
    const reader = new RequestReader(HEADER_BYTES);
    for (const text of [GET, '\r\n', '\r\n\r\n']) {
      reader.push(bytes(text));
      while (reader.next() !== undefined);
      assert.deepEqual([reader.hasBegun, reader.isLast], [false, false]);
    }
  });
});
