import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  AUTH_TYPE,
  DEFAULT_NONCE,
  challengeMeta,
  formatHmac,
  macOf,
  makeCred,
  newNonce,
  parseHmac,
  readChallenge,
  schemeOf,
  verifyCred,
  verifyMac,
  type CredScheme,
} from './auth.js';

const octets = (first: number, last: number): Uint8Array =>
  Uint8Array.from({ length: last - first + 1 }, (_, index) => first + index);
const FIRST_NONCE = octets(0x00, 0x0f);
const SECOND_NONCE = octets(0x10, 0x1f);
const XML_BODY = Buffer.from('<SyncML xmlns="SYNCML:SYNCML1.2"></SyncML>');
const WBXML_BODY = Buffer.from(
  '03a4016a006d6c7103312e3200017203444d2f312e32000165033132333400015b033200016e5703687474703a2f2f732f646d0001' +
    '0167570375726e3a783a31000101016b694b033100015c033100014c033000014a0353796e6348647200014f03323132000101624b' +
    '033200015c033100014c03330001546757032e2f410001015a0001470363687200015303746578742f706c61696e00010100004f03' +
    '686900010101120101',
  'hex',
);

describe('credentials of the facts, section 15.1', () => {
  const vectors: readonly (readonly [string, CredScheme, string, string, Uint8Array, string])[] = [
    ['basic', 'basic', 'Bruce2', 'OhBehave', DEFAULT_NONCE, 'QnJ1Y2UyOk9oQmVoYXZl'],
    ['md5, published', 'md5', 'Bruce2', 'OhBehave', Buffer.from('Nonce'), 'Zz6EivR3yeaaENcRN6lpAQ=='],
    ['md5, first nonce', 'md5', 'gw001', 'gwSecret1', FIRST_NONCE, '3B9MdA+Ta1j0G6NZ+a0+Uw=='],
    ['md5, following nonce', 'md5', 'gw001', 'gwSecret1', SECOND_NONCE, 'b0yQoYkugy9LzMC1P2fHFQ=='],
    ['md5, default nonce', 'md5', 'gw001', 'gwSecret1', DEFAULT_NONCE, 'MzsoDo81mmNfPwBq0uJBcA=='],
    ['md5, server', 'md5', 'dmserver', 'srvSecret1', FIRST_NONCE, 'O61bQ3DG8T3xFOi5UdZpbA=='],
    ['md5, server, following nonce', 'md5', 'dmserver', 'srvSecret1', SECOND_NONCE, '0arNro9Qpyp4PkkHiBtTlQ=='],
  ];
  for (const [name, scheme, user, secret, nonce, expected] of vectors) {
    it(`${name}: makes the text and accepts it`, () => {
      const cred = makeCred(scheme, user, secret, nonce);
      assert.deepEqual(cred, { meta: { format: 'b64', type: AUTH_TYPE[scheme] }, data: expected });
      assert.ok(verifyCred(cred, scheme, user, secret, nonce));
    });
  }

  it('mac over an XML body and over a WBXML body', () => {
    assert.equal(macOf('gw001', 'gwSecret1', FIRST_NONCE, XML_BODY), 'qItN+JRd1LYb0No34U25kA==');
    assert.equal(macOf('gw001', 'gwSecret1', FIRST_NONCE, WBXML_BODY), 'uUxc5cr2JJFTNubBcTDqmg==');
  });
});

describe('verifyCred', () => {
  const good = makeCred('md5', 'gw001', 'gwSecret1', FIRST_NONCE);
  const verify = (cred: typeof good, secret = 'gwSecret1', nonce = FIRST_NONCE): boolean =>
    verifyCred(cred, 'md5', 'gw001', secret, nonce);

  it('accepts line breaks, missing padding and a type in other letters', () => {
    assert.ok(verify({ ...good, data: ' 3B9MdA+Ta1j0\r\n G6NZ+a0+Uw' }));
    assert.ok(verify({ ...good, meta: { type: 'SYNCML:AUTH-MD5' } }));
  });
  it('refuses another secret, nonce, name, scheme, an empty proof and an unknown type', () => {
    assert.ok(!verify(good, 'gwSecret2'));
    assert.ok(!verify(good, 'gwSecret1', SECOND_NONCE));
    assert.ok(!verifyCred(good, 'md5', 'gw002', 'gwSecret1', FIRST_NONCE));
    assert.ok(!verify(makeCred('basic', 'gw001', 'gwSecret1', FIRST_NONCE)));
    assert.ok(!verify({ ...good, data: '' }));
    assert.ok(!verify({ ...good, meta: { type: 'syncml:auth-sha' } }));
    assert.ok(!verify({ ...good, meta: {} }));
  });
});

describe('challenge', () => {
  it('carries the nonce for md5 and MAC, none for basic', () => {
    assert.deepEqual(challengeMeta('md5', SECOND_NONCE), {
      format: 'b64',
      type: 'syncml:auth-md5',
      nextNonce: 'EBESExQVFhcYGRobHB0eHw==',
    });
    assert.deepEqual(challengeMeta('basic', SECOND_NONCE), { format: 'b64', type: 'syncml:auth-basic' });
    for (const scheme of ['md5', 'mac'] as const) {
      const read = readChallenge(challengeMeta(scheme, SECOND_NONCE));
      assert.deepEqual({ ...read, nonce: [...(read?.nonce ?? [])] }, { scheme, nonce: [...SECOND_NONCE] });
    }
  });
  it('is undefined for an unknown scheme, and has no nonce where none or an endless one was given', () => {
    assert.equal(readChallenge({ type: 'syncml:auth-x509' }), undefined);
    assert.equal(readChallenge({}), undefined);
    assert.deepEqual(readChallenge({ type: 'syncml:auth-md5' }), { scheme: 'md5' });
    assert.deepEqual(readChallenge({ type: 'syncml:auth-md5', nextNonce: 'QUFB'.repeat(500) }), { scheme: 'md5' });
  });
  it('knows schemes in any case of letters', () => {
    assert.equal(schemeOf('syncml:auth-mac'), 'mac');
    assert.equal(schemeOf('SyncML:Auth-Basic'), 'basic');
    assert.equal(schemeOf(undefined), undefined);
  });
  it('takes nonces of 16 octets from the given randomness', () => {
    assert.deepEqual(
      newNonce((count) => octets(1, count)),
      octets(1, 16),
    );
  });
});

describe('x-syncml-hmac', () => {
  const mac = 'qItN+JRd1LYb0No34U25kA==';
  const accepted: readonly (readonly [string, string])[] = [
    ['as the standard writes it', `algorithm=MD5, username="gw001", mac=${mac}`],
    ['other order, no spaces, no algorithm', `mac=${mac},username="gw001"`],
    ['spaces everywhere, unquoted name, quoted mac', ` username = gw001 , mac = "${mac}" , ALGORITHM = md5 `],
  ];
  for (const [name, header] of accepted) {
    it(`is read: ${name}`, () => {
      const read = parseHmac(header);
      assert.deepEqual(read, { name: 'gw001', mac });
      assert.ok(verifyMac(read, 'gw001', 'gwSecret1', FIRST_NONCE, XML_BODY));
    });
  }
  it('comes back as it was written, with quotes and commas in the name', () => {
    const strange = { name: 'a "b", \\c', mac };
    assert.deepEqual(parseHmac(formatHmac(strange)), strange);
  });
  const refused: readonly (readonly [string, string])[] = [
    ['without mac', 'username="gw001"'],
    ['without name', `mac=${mac}`],
    ['another algorithm', `algorithm=SHA256, username="gw001", mac=${mac}`],
    ['an open quote', `mac=${mac}, username="gw001`],
    ['no parameters', 'hello'],
    ['longer than is read', `username="${'x'.repeat(2000)}", mac=${mac}`],
    ['nothing', ''],
  ];
  for (const [name, header] of refused) it(`is refused: ${name}`, () => assert.equal(parseHmac(header), undefined));

  it('accepts the mac as base64 of hexadecimal text', () => {
    const hex = Buffer.from(mac, 'base64').toString('hex');
    for (const text of [hex, hex.toUpperCase()]) {
      const received = { name: 'gw001', mac: Buffer.from(text).toString('base64') };
      assert.ok(verifyMac(received, 'gw001', 'gwSecret1', FIRST_NONCE, XML_BODY));
    }
  });
  it('refuses a changed body, another nonce, another name', () => {
    const changed = Buffer.from(XML_BODY);
    changed[10]! ^= 1;
    assert.ok(!verifyMac({ name: 'gw001', mac }, 'gw001', 'gwSecret1', FIRST_NONCE, changed));
    assert.ok(!verifyMac({ name: 'gw001', mac }, 'gw001', 'gwSecret1', SECOND_NONCE, XML_BODY));
    assert.ok(!verifyMac({ name: 'gw002', mac }, 'gw001', 'gwSecret1', FIRST_NONCE, XML_BODY));
  });
});
