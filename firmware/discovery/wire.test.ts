import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decode, encode, type Answer, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { writeTxt } from './txt.js';
import { readMessage, TRUNCATED, writeMessages } from './wire.js';

/** As object literals are. */
const plain = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true });
const label = fc.stringMatching(/^[a-zA-Z0-9_ é-]{1,20}$/).filter((text) => text.trim() !== '');
const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
const word = fc.nat(0xffff);
const head = { name, ttl: fc.nat(0xffffffff), flush: fc.boolean(), class: fc.constant('IN' as const) };
const ipv6 = fc.ipV6().map((text) => new URL(`http://[${text}]/`).hostname.slice(1, -1));
const record: fc.Arbitrary<Answer> = fc.oneof(
  plain({ type: fc.constant('A' as const), ...head, data: fc.ipV4() }),
  plain({ type: fc.constant('AAAA' as const), ...head, data: ipv6.filter((text) => !text.startsWith('::ffff:')) }),
  plain({ type: fc.constant('PTR' as const), ...head, data: name }),
  plain({
    type: fc.constant('SRV' as const),
    ...head,
    data: plain({ priority: word, weight: word, port: word, target: name }),
  }),
  plain({
    type: fc.constant('TXT' as const),
    ...head,
    data: fc.array(
      fc.uint8Array({ maxLength: 255 }).map((octets) => Buffer.from(octets)),
      { minLength: 1, maxLength: 4 },
    ),
  }),
);
const records = fc.array(record, { maxLength: 6 });
const question = plain({
  name,
  type: fc.constantFrom('A' as const, 'PTR' as const, 'SRV' as const, 'TXT' as const, 'AAAA' as const),
  class: fc.constant('IN' as const),
});
const packet: fc.Arbitrary<Required<Packet>> = plain({
  id: word,
  type: fc.constantFrom('query' as const, 'response' as const),
  flags: fc.constantFrom(0, 1 << 9, 1 << 10),
  questions: fc.array(question, { maxLength: 4 }),
  answers: records,
  authorities: records,
  additionals: records,
});

const writeMessage = (given: Packet): Buffer => {
  const [message, ...more] = writeMessages(given, Infinity);
  assert.ok(message && more.length === 0);
  return message;
};
const read = (bytes: Buffer) => {
  const message = readMessage(bytes);
  assert.ok(message.ok, message.ok ? '' : message.error.text);
  return message.value;
};
const malformed = (bytes: Buffer, reason: RegExp): void => {
  const message = readMessage(bytes);
  assert.ok(!message.ok);
  assert.equal(message.error.code, 'malformed');
  assert.match(message.error.text, reason);
};
/** Octets of a message with these counts of questions and answers. */
const raw = (questions: number, answers: number, ...octets: number[]): Buffer =>
  Buffer.from([0, 0, 0x84, 0, 0, questions, 0, answers, 0, 0, 0, 0, ...octets]);
const word16 = (value: number): number[] => [value >> 8, value & 0xff];

describe('messages of mDNS', () => {
  it('are written as dns-packet reads them', () => {
    fc.assert(
      fc.property(packet, (given) => {
        const { id, type, flags, questions, answers, authorities, additionals } = decode(writeMessage(given));
        assert.deepEqual({ id, type, flags, questions, answers, authorities, additionals }, given);
      }),
    );
  });

  it('are cut between answers, and say of a query that more follow', () => {
    const most = 300;
    fc.assert(
      fc.property(packet, fc.array(record, { maxLength: 20 }), (given, answers) => {
        const messages = writeMessages({ ...given, answers }, most).map((bytes) => ({ bytes, ...decode(bytes) }));
        assert.deepEqual(
          messages.flatMap((message) => message.answers),
          answers,
        );
        for (const [index, message] of messages.entries()) {
          const isFirst = index === 0;
          const isLast = index === messages.length - 1;
          const { questions, authorities, additionals, answers: told = [], flags = 0, bytes } = message;
          const rest = isFirst ? [given.questions, given.authorities, given.additionals] : [[], [], []];
          assert.deepEqual([questions, authorities, additionals], rest);
          assert.ok(bytes.length <= most || told.length <= 1);
          // Not one answer less than fits.
          const next = messages[index + 1]?.answers?.[0];
          if (next) assert.ok(bytes.length + writeMessage({ answers: [next] }).length - 12 > most);
          assert.equal(flags, (given.flags ?? 0) | (isLast || given.type === 'response' ? 0 : TRUNCATED));
        }
      }),
    );
  });

  it('are read as dns-packet writes them', () => {
    fc.assert(
      fc.property(packet, ({ type, ...given }) => {
        const { isResponse, ...rest } = read(encode({ type, ...given }));
        assert.equal(isResponse, type === 'response');
        assert.deepEqual(rest, given);
      }),
    );
  });

  it('may point back to names that were there before', () => {
    // _x._tcp, then a PTR of it to a._x._tcp
    const asked = [2, 0x5f, 0x78, 4, 0x5f, 0x74, 0x63, 0x70, 0, 0, 12, 0x80, 1];
    const bytes = raw(1, 1, ...asked, 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 9, 0, 4, 1, 0x61, 0xc0, 12);
    const { questions, answers } = read(bytes);
    assert.deepEqual(questions, [{ name: '_x._tcp', type: 'PTR', class: 'IN' }]);
    assert.deepEqual(answers, [{ type: 'PTR', name: '_x._tcp', ttl: 9, class: 'IN', flush: false, data: 'a._x._tcp' }]);
  });

  it('are refused where a name points at itself or forward, is too long, or where they end too soon', () => {
    malformed(raw(1, 0, 0xc0, 12, 0, 12, 0, 1), /points forward/);
    malformed(raw(1, 0, 1, 0x61, 0xc0, 12, 0, 12, 0, 1), /points forward/);
    malformed(raw(1, 0, 0xc0, 40, 0, 12, 0, 1), /points forward/);
    malformed(raw(1, 0, 64, ...Array.from({ length: 64 }, () => 0x61), 0, 0, 12, 0, 1), /too long/);
    const long = Array.from({ length: 5 }, () => [63, ...Array.from({ length: 63 }, () => 0x61)]).flat();
    malformed(raw(1, 0, ...long, 0, 0, 12, 0, 1), /too long/);
    malformed(raw(2, 0, 1, 0x61, 0, 0, 12, 0, 1), /too soon/);
    malformed(raw(0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 200, 1), /beyond the message/);
    malformed(raw(0, 1, 0, 0, 1, 0, 1, 0, 0, 0, 9, 0, 5, 1, 2, 3, 4, 5), /another length/);
    malformed(Buffer.alloc(5), /too soon/);
  });

  it('are refused where a name leads from pointer to pointer', () => {
    // Data of a type that is left out: the root, then pointers of which each leads to the one before.
    const chained = (pointers: number): Buffer => {
      const octets = Array.from({ length: pointers - 1 }, (_, n) => word16(0xc000 | (n === 0 ? 23 : 22 + 2 * n)));
      const data = [0, ...octets.flat()];
      const left = [0, 0, 99, 0, 1, 0, 0, 0, 9, ...word16(data.length), ...data];
      return raw(0, 2, ...left, ...word16(0xc000 | (20 + 2 * pointers)), 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 1);
    };
    assert.equal(read(chained(127)).answers[0]?.name, '.');
    malformed(chained(128), /too many pointers/);
    malformed(chained(4_000), /too many pointers/);
  });

  it('may hold records that nobody here asks for: they are left out', () => {
    const given: Answer[] = [
      { type: 'CNAME', name: 'a.local', data: 'b.local' },
      { type: 'A', name: 'a.local', ttl: 5, class: 'IN', flush: true, data: '10.0.0.1' },
    ];
    assert.deepEqual(read(encode({ type: 'response', answers: given })).answers, [given[1]]);
  });

  it('may hold records and questions of another class: they are left out', () => {
    const asked = (group: number): number[] => [1, 0x61, 0, 0, 1, ...word16(group)];
    const { questions } = read(raw(4, 0, ...[1, 0x8001, 255, 3].flatMap(asked)));
    assert.equal(questions.length, 3);
    const told = (group: number): number[] => [...asked(group), 0, 0, 0, 9, 0, 4, 10, 0, 0, 1];
    const { answers } = read(raw(0, 4, ...[1, 0x8001, 255, 254].flatMap(told)));
    assert.deepEqual(
      answers.map((one) => one.type === 'A' && one.flush),
      [false, true],
    );
  });

  it('have labels that are cut between two characters, and strings that are cut where they are made', () => {
    const { questions } = read(writeMessage({ type: 'query', questions: [{ name: 'é'.repeat(40), type: 'A' }] }));
    assert.equal(questions[0]?.name, 'é'.repeat(31));
    const answer = (data: Buffer[]): Packet => ({ type: 'response', answers: [{ type: 'TXT', name: 'a', data }] });
    const [string] = writeTxt({ path: 'é'.repeat(200) });
    assert.equal(string?.toString(), `path=${'é'.repeat(125)}`);
    assert.equal(read(writeMessage(answer([string]))).answers.length, 1);
    assert.throws(() => writeMessage(answer([Buffer.alloc(256)])), /256 bytes/);
  });

  it('are read or refused, and nothing else, whatever octets they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (octets) => {
        readMessage(Buffer.from(octets));
      }),
    );
    fc.assert(
      fc.property(packet, fc.nat(), fc.nat(255), (given, at, octet) => {
        const bytes = encode(given);
        bytes[at % bytes.length] = octet;
        const message = readMessage(bytes);
        // What was read can be told again.
        if (message.ok) writeMessage({ ...given, answers: [...message.value.answers] });
      }),
    );
  });
});
