import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_NONCE } from './auth.js';
import {
  UiMode,
  buildNotification,
  parseNotification,
  isSameSession,
  sessionIdNumber,
  sessionIdText,
  unwrapPush,
  verifyNotification,
  wrapWsp,
  type Notification,
  type NotificationFields,
} from './notification.js';

const NONCE = Uint8Array.from({ length: 16 }, (_, index) => index);
const SECRET = 'srvSecret1';
const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

const A: NotificationFields = {
  version: 11,
  uiMode: UiMode.BACKGROUND,
  initiator: 'server',
  sessionId: 0x1234,
  serverId: 'dmserver',
  vendor: new Uint8Array(),
};
const C: NotificationFields = { ...A, version: 12, uiMode: UiMode.NOT_SPECIFIED, sessionId: 5 };
const VECTOR_A = hex('13064ee6f4ad913d9949092bc462ab58 02d8000000123408646d736572766572');
const VECTOR_Q = hex('1ab0f7847d167c17bca25d744d0b107b 02d8000000123408646d736572766572');

function parsed(bytes: Uint8Array): Notification {
  const outcome = parseNotification(bytes);
  assert.ok(outcome.ok);
  return outcome.value;
}

describe('Package#0 of the facts, section 15.2', () => {
  const trigger = '02d8000000123408646d736572766572';
  const vectors: readonly (readonly [string, NotificationFields, Uint8Array, string, string])[] = [
    ['A', A, NONCE, '13064ee6f4ad913d9949092bc462ab58', trigger],
    ['B', A, DEFAULT_NONCE, 'c2f41916a51da279efdc2b028a707a27', trigger],
    ['C', C, NONCE, '4ae66243b8cc6c939b8f33e5040ee1f0', '0308000000000508646d736572766572'],
    ['D', { ...A, vendor: hex('0102') }, NONCE, '2313393dcc671b86d11d0813b6bb2bb1', `${trigger}0102`],
    ['E', A, new Uint8Array(), '75bc108795c58c51320134bd4ebb95e7', trigger],
    ['Q', A, Buffer.from('0x00000000'), '1ab0f7847d167c17bca25d744d0b107b', trigger],
  ];
  for (const [name, fields, nonce, digest, expectedTrigger] of vectors) {
    it(`${name} is built to the octet`, () => {
      assert.equal(Buffer.from(buildNotification(fields, SECRET, nonce)).toString('hex'), digest + expectedTrigger);
    });
  }

  it('A is read', () => {
    const { digest, trigger: octets, vendor, ...fields } = parsed(VECTOR_A);
    const { vendor: none, ...expected } = A;
    assert.deepEqual(fields, expected);
    assert.deepEqual([vendor.byteLength, none.byteLength], [0, 0]);
    assert.equal(Buffer.concat([digest, octets]).toString('hex'), VECTOR_A.toString('hex'));
  });
  it('C is refused for its version', () => {
    const outcome = parseNotification(buildNotification(C, SECRET, NONCE));
    assert.equal(!outcome.ok && outcome.error.code, 'unknown-version');
  });
  it('A is proved by the stored nonce, B by the default one, Q and a changed octet by none', () => {
    assert.equal(verifyNotification(parsed(VECTOR_A), SECRET, NONCE), 'stored-nonce');
    const b = parsed(buildNotification(A, SECRET, DEFAULT_NONCE));
    assert.equal(verifyNotification(b, SECRET, NONCE), 'default-nonce');
    assert.equal(verifyNotification(parsed(VECTOR_Q), SECRET, NONCE), 'none');
    assert.equal(verifyNotification(parsed(VECTOR_A), 'other', NONCE), 'none');
    const changed = Buffer.from(VECTOR_A);
    changed[22]! ^= 1;
    assert.equal(verifyNotification(parsed(changed), SECRET, NONCE), 'none');
  });

  const firstOctets: readonly (readonly [UiMode, 'client' | 'server', string])[] = [
    [0, 'client', '02c0000000'],
    [0, 'server', '02c8000000'],
    [1, 'client', '02d0000000'],
    [1, 'server', '02d8000000'],
    [2, 'client', '02e0000000'],
    [2, 'server', '02e8000000'],
    [3, 'client', '02f0000000'],
    [3, 'server', '02f8000000'],
  ];
  for (const [uiMode, initiator, expected] of firstOctets) {
    it(`ui-mode ${uiMode} by the ${initiator} is ${expected}`, () => {
      const built = buildNotification({ ...A, uiMode, initiator }, SECRET, NONCE);
      assert.equal(Buffer.from(built.subarray(16, 21)).toString('hex'), expected);
      const read = parsed(built);
      assert.deepEqual([read.uiMode, read.initiator], [uiMode, initiator]);
    });
  }
});

describe('parseNotification', () => {
  it('refuses A cut at every length, without reading beyond it', () => {
    for (let length = 0; length < VECTOR_A.length; length += 1) {
      const outcome = parseNotification(VECTOR_A.subarray(0, length));
      assert.equal(!outcome.ok && outcome.error.code, length < 25 ? 'too-short' : 'truncated', `at ${length}`);
    }
  });
  const altered = (at: number, octet: number): Buffer => {
    const copy = Buffer.from(VECTOR_A);
    copy[at] = octet;
    return copy;
  };
  const cases: readonly (readonly [string, Uint8Array, string])[] = [
    ['a server identifier of length 0', altered(23, 0), 'no-server-id'],
    ['a server identifier beyond the end', altered(23, 9), 'truncated'],
    ['a server identifier that is not UTF-8', altered(24, 0xff), 'bad-server-id'],
    ['version 10', altered(17, 0x98), 'unknown-version'],
  ];
  for (const [name, bytes, code] of cases) {
    it(`refuses ${name}`, () => {
      const outcome = parseNotification(bytes);
      assert.equal(!outcome.ok && outcome.error.code, code);
    });
  }
  it('ignores the future-use bits', () => {
    assert.equal(parsed(altered(20, 0xff)).sessionId, 0x1234);
    assert.equal(parsed(altered(17, 0xdf)).uiMode, UiMode.BACKGROUND);
  });
});

describe('buildNotification', () => {
  const wrong: readonly (readonly [string, Partial<NotificationFields>])[] = [
    ['version', { version: 1024 }],
    ['session id', { sessionId: 0x10000 }],
    ['empty server identifier', { serverId: '' }],
    ['long server identifier', { serverId: 'x'.repeat(256) }],
  ];
  for (const [name, field] of wrong) {
    it(`throws for a ${name} that does not fit`, () => {
      assert.throws(() => buildNotification({ ...A, ...field }, SECRET, NONCE), RangeError);
    });
  }
});

describe('session id', () => {
  const pairs = [
    [0x1234, '1234'],
    [0x000a, 'A'],
    [0xffff, 'FFFF'],
  ] as const;
  for (const [id, text] of pairs) {
    it(`${id} is ${text} and back`, () => {
      assert.equal(sessionIdText(id), text);
      assert.equal(sessionIdNumber(text), id);
    });
  }
  it('is compared as a number', () => {
    assert.equal(sessionIdNumber('0000a'), 10);
    assert.equal(sessionIdNumber('ffff'), 0xffff);
    for (const text of ['', '10000', 'G', '0x1', ' 1']) assert.equal(sessionIdNumber(text), undefined, text);
    for (const text of ['ABCD', 'abcd', 'aBcD']) assert.ok(isSameSession('ABCD', text), text);
    assert.ok(isSameSession('A', '000a'));
    assert.ok(isSameSession('session-7', 'session-7'));
    for (const text of ['', 'ABCE', 'ABCD0', 'session-8']) assert.ok(!isSameSession('ABCD', text), text);
    assert.ok(!isSameSession('session-7', 'session-8'));
  });
});

describe('WSP push', () => {
  it('wraps A to the octet', () => {
    assert.equal(Buffer.from(wrapWsp(VECTOR_A, 1)).toString('hex'), `010603c4af87${VECTOR_A.toString('hex')}`);
  });

  const media = Buffer.from('application/vnd.syncml.notification\0').toString('hex');
  const newMedia = Buffer.from('Application/vnd.syncml.dm.notification;a=b\0').toString('hex');
  const application = Buffer.from('x-wap-application:syncml.dm\0').toString('hex');
  const headerName = Buffer.from('X-Wap-Application-Id\0').toString('hex');
  const length = (text: string): string => (text.length / 2).toString(16).padStart(2, '0');
  const pushOf = (pdu: string, headers: string, headersLen = length(headers)): Buffer =>
    Buffer.concat([hex(`2a${pdu}${headersLen}${headers}`), VECTOR_A]);
  const padding = Buffer.from(`x-filler\0${'y'.repeat(120)}\0`).toString('hex');
  const longHeaders = `c4${padding}af87`;
  const accepted: readonly (readonly [string, Uint8Array])[] = [
    ['bare', VECTOR_A],
    ['as the facts have it', wrapWsp(VECTOR_A, 255)],
    ['a ConfirmedPush', pushOf('07', 'c4af87')],
    ['the content type as text', pushOf('06', `${media}af87`)],
    ['the newer content type with parameters', pushOf('06', `${newMedia}af87`)],
    ['the content type length-prefixed with parameters', pushOf('06', '03c481eaaf87')],
    ['the content type length-prefixed as text', pushOf('06', `1f${length(media)}${media}af87`)],
    ['the application id as text', pushOf('06', `c4af${application}`)],
    ['the application id as a long integer', pushOf('06', 'c4af0107')],
    ['header name and application id as text', pushOf('06', `c4${headerName}${application}`)],
    ['further headers before and behind', pushOf('06', `c4b4818d0203e8af87${Buffer.from('x-a\0b\0').toString('hex')}`)],
    ['no application id', pushOf('06', 'c4')],
    [
      'a length of headers in two octets',
      pushOf('06', longHeaders, `81${(longHeaders.length / 2 - 128).toString(16).padStart(2, '0')}`),
    ],
    ['a length of headers with leading zeros', pushOf('06', 'c4af87', '8003')],
  ];
  for (const [name, datagram] of accepted) {
    it(`is unwrapped: ${name}`, () => {
      const outcome = unwrapPush(datagram);
      assert.ok(outcome.ok, name);
      assert.equal(Buffer.from(outcome.value).toString('hex'), VECTOR_A.toString('hex'));
    });
  }

  it('is refused for another application', () => {
    for (const headers of ['c4af84', `c4af${Buffer.from('x-wap-application:wml.ua\0').toString('hex')}`]) {
      const outcome = unwrapPush(pushOf('06', headers));
      assert.equal(!outcome.ok && outcome.error.code, 'other-application');
    }
  });

  /** Nothing that fits the bare layout either: the octet that would be the identifier's length is beyond the end. */
  const never = Buffer.alloc(40, 0xff);
  const refused: readonly (readonly [string, Uint8Array])[] = [
    ['nothing', new Uint8Array()],
    ['noise', never],
    ['headers beyond the end', Buffer.concat([hex('01067fc4af87'), never])],
    ['a length of headers that does not end', Buffer.concat([hex('0106ffffffffffff'), never])],
    ['text without its NUL', Buffer.concat([hex('010603616263'), never])],
    ['a push that carries no Package#0', hex('010603c4af8700')],
  ];
  for (const [name, datagram] of refused) {
    it(`is refused: ${name}`, () => {
      const outcome = unwrapPush(datagram);
      assert.equal(!outcome.ok && outcome.error.code, 'not-a-notification');
    });
  }

  it('finds no other octets than the Package#0 in a push cut at every length', () => {
    const whole = wrapWsp(VECTOR_A, 1);
    for (let length = 0; length < whole.length; length += 1) {
      const outcome = unwrapPush(whole.subarray(0, length));
      if (outcome.ok) assert.notDeepEqual(outcome.value, VECTOR_A);
    }
  });
});

describe('any octets', () => {
  it('are parsed and unwrapped without an exception', () => {
    const wspLike = fc
      .tuple(fc.constantFrom(6, 7), fc.uint8Array({ maxLength: 60 }))
      .map(([pdu, rest]) => Uint8Array.from([1, pdu, ...rest]));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), wspLike), (octets) => {
        parseNotification(octets);
        unwrapPush(octets);
      }),
      { numRuns: 5000 },
    );
  });
  it('what was built is read and proved, bare and wrapped', () => {
    const fields = fc.record<NotificationFields>({
      version: fc.constant(11),
      uiMode: fc.constantFrom(0, 1, 2, 3),
      initiator: fc.constantFrom('client', 'server'),
      sessionId: fc.nat(0xffff),
      serverId: fc
        .string({ minLength: 1, maxLength: 60, unit: 'grapheme' })
        .filter((id) => Buffer.byteLength(id) < 256),
      vendor: fc.uint8Array({ maxLength: 50 }),
    });
    fc.assert(
      fc.property(fields, fc.string(), fc.uint8Array({ maxLength: 32 }), (wanted, secret, nonce) => {
        const push = unwrapPush(wrapWsp(buildNotification(wanted, secret, nonce), 7));
        assert.ok(push.ok);
        const read = parsed(push.value);
        for (const key of ['version', 'uiMode', 'initiator', 'sessionId', 'serverId'] as const) {
          assert.equal(read[key], wanted[key]);
        }
        assert.deepEqual(Uint8Array.from(read.vendor), wanted.vendor);
        assert.equal(verifyNotification(read, secret, nonce) === 'none', false);
        assert.equal(verifyNotification(read, `${secret}x`, nonce), 'none');
      }),
      { numRuns: 1000 },
    );
  });
});
