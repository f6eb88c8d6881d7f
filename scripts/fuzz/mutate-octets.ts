import fc from 'fast-check';

/** One change of a message as octets: which, where, and two numbers that say how. */
export interface OctetMutation {
  readonly kind: OctetMutationKind;
  readonly at: number;
  readonly how: number;
  readonly length: number;
}

export type OctetMutationKind = keyof typeof CHANGES;

type Change = (octets: Buffer, mutation: OctetMutation, donor: Buffer) => Buffer;

/** Integers of WBXML that are long, huge, or badly ended. */
const INTEGERS = [
  '00',
  '01',
  '7f',
  '8100',
  '818000',
  '83ffff7f',
  '87ffffff7f',
  '8fffffff7f',
  '8080808080',
  'ffffffffffff',
].map((hex) => Buffer.from(hex, 'hex'));
/** What changes the code page, refers to the string table, starts an opaque or a tag of another kind. */
const TOKENS = ['0000', '0001', '0002', '00ff', '8300', '8305', '83ffff7f', 'c300', 'c305', 'c38fffffff7f', '0241']
  .concat(['0200', '028fffffff7f', '04', '43', '44', 'c0', '80', '01', '0101', '40', '8b', '3d', '7d'])
  .map((hex) => Buffer.from(hex, 'hex'));
/** Headers with other string tables, public identifiers and charsets. */
const HEADERS = [
  '03a4016a00',
  '03a4016a0361620000',
  '0300006a1d2d2f2f53594e434d4c2f2f4454442053796e634d4c20312e322f2f454e',
]
  .concat([
    '0300056a00',
    '0301046a00',
    '03a4016a8fffffff7f',
    '00a4016a00',
    '03a4010400',
    '039f536a00',
    '04a4016a00',
    '03a4',
  ])
  .map((hex) => Buffer.from(hex, 'hex'));
/** Pieces that XML readers stumble over. */
const MARKUP = [
  '<![CDATA[',
  ']]>',
  '<!--',
  '-->',
  '<?xml version="1.0" encoding="UTF-16"?>',
  '<!DOCTYPE SyncML [',
  '&lol;',
]
  .concat([
    '<!ENTITY a SYSTEM "file:///etc/passwd">',
    '&#0;',
    '&#x110000;',
    '\ufeff',
    '<a',
    '</',
    '/>',
    ' xmlns="',
    '\0',
  ])
  .concat(['<x:y/>', '<Item>'.repeat(70), '<a '.repeat(20)])
  .map((text) => Buffer.from(text));

const CHANGES = {
  flip: (octets, { at, how }) => {
    const changed = Buffer.from(octets);
    const place = at % Math.max(1, changed.length);
    if (changed.length > 0) changed[place] = (changed[place] ?? 0) ^ (1 << (how % 8));
    return changed;
  },
  set: (octets, { at, how }) => {
    const changed = Buffer.from(octets);
    if (changed.length > 0) changed[at % changed.length] = how & 0xff;
    return changed;
  },
  cut: (octets, { at, length }) => put(octets, at, length, Buffer.alloc(0)),
  end: (octets, { at }) => octets.subarray(0, at % (octets.length + 1)),
  insert: (octets, { at, how, length }) => put(octets, at, 0, Buffer.alloc(length % 40, how & 0xff)),
  double: (octets, { at, length }) => {
    const start = at % (octets.length + 1);
    return put(octets, at, 0, octets.subarray(start, start + length));
  },
  splice: (octets, { at, how, length }, donor) => {
    const start = how % (donor.length + 1);
    return put(octets, at, length, donor.subarray(start, start + length));
  },
  // The beginning of one message and the end of another.
  graft: (octets, { at, how }, donor) =>
    Buffer.concat([octets.subarray(0, at % (octets.length + 1)), donor.subarray(how % (donor.length + 1))]),
  integer: (octets, { at, how }) => put(octets, at, 1, pick(INTEGERS, how)),
  token: (octets, { at, how, length }) => put(octets, at, length % 2, pick(TOKENS, how)),
  header: (octets, { how, length }) => put(octets, 0, length % 2 === 0 ? 5 : 0, pick(HEADERS, how)),
  // The string table grows over the body, or the body begins inside it.
  table: (octets, { how }) => put(octets, 4, 1, Buffer.of(how & 0x7f)),
  markup: (octets, { at, how }) => put(octets, at, 0, pick(MARKUP, how)),
} as const satisfies Record<string, Change>;

/** Any changes of octets, seldom many. */
export const octetMutations: fc.Arbitrary<readonly OctetMutation[]> = fc.array(
  fc.record({
    kind: fc.constantFrom(...(Object.keys(CHANGES) as OctetMutationKind[])),
    at: fc.nat(65_535),
    how: fc.nat(65_535),
    length: fc.nat(200),
  }),
  { minLength: 1, maxLength: 4 },
);

/** The octets with the changes made, one after the other. @param donor another message, of which parts are taken */
export function mutateOctets(octets: Uint8Array, mutations: readonly OctetMutation[], donor: Uint8Array): Uint8Array {
  return mutations.reduce<Buffer>((changed, mutation) => {
    const change: Change = CHANGES[mutation.kind];
    return change(changed, mutation, Buffer.from(donor));
  }, Buffer.from(octets));
}

/** With `length` octets from `at` on replaced. */
function put(octets: Buffer, at: number, length: number, part: Uint8Array): Buffer {
  const start = at % (octets.length + 1);
  return Buffer.concat([octets.subarray(0, start), part, octets.subarray(start + length)]);
}

function pick(list: readonly Buffer[], how: number): Buffer {
  return list[how % list.length] ?? Buffer.alloc(0);
}
