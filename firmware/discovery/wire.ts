import type { Answer, Packet, Question, RecordType } from 'dns-packet';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import { MAX_STRING_BYTES, utf8Within } from './txt.js';

/** A message as it was read. Records and questions of other types than those below, or of another class, are left out. */
export interface Message {
  readonly id: number;
  readonly isResponse: boolean;
  /** The 16 bits behind the id. */
  readonly flags: number;
  readonly questions: readonly Question[];
  readonly answers: readonly Answer[];
  readonly authorities: readonly Answer[];
  readonly additionals: readonly Answer[];
}

/** What DNS-SD takes (RFC 6763). */
const TYPES = { A: 1, PTR: 12, TXT: 16, AAAA: 28, SRV: 33, ANY: 255 } as const;
type Type = keyof typeof TYPES;
const NAMES: ReadonlyMap<number, Type> = new Map(Object.entries(TYPES).map(([name, type]) => [type, name as Type]));

export const HEADER_BYTES = 12;
const IN = 1;
const ANY_CLASS = 255;
const RESPONSE = 0x8000;
export const TRUNCATED = 0x200;
/**
 * RFC 6762 sections 10.2 and 5.4: the highest bit of the class is no part of it. In a question it allows an answer by unicast
 * (QU), which nobody has to give: here all are answered by multicast.
 */
const FLUSH = 0x8000;
/** RFC 1035 section 3.1. */
const MAX_LABEL_BYTES = 63;
const MAX_NAME_BYTES = 255;
const POINTER = 0xc0;
/** So many labels fit a name; each may be followed by a pointer, and more pointers only take time. */
const MAX_POINTERS = 127;

/** Reads a message (RFC 1035 section 4). Fails with `malformed`. */
export function readMessage(bytes: Buffer): Outcome<Message, CodedError<'malformed'>> {
  try {
    return success(new Reader(bytes).message());
  } catch (thrown) {
    if (thrown instanceof RangeError) return failure('malformed', `no DNS message: ${thrown.message}`, thrown);
    throw thrown;
  }
}

/** Reads on from where it stands. Each step throws a RangeError beyond the end. */
class Reader {
  #at = 0;

  constructor(private readonly bytes: Buffer) {}

  message(): Message {
    const [id, flags, questions, answers, authorities, additionals] = [
      this.#word(),
      this.#word(),
      this.#word(),
      this.#word(),
      this.#word(),
      this.#word(),
    ];
    return {
      id,
      flags: flags & ~RESPONSE,
      isResponse: (flags & RESPONSE) !== 0,
      questions: this.#list(questions, () => this.#question()),
      answers: this.#list(answers, () => this.#record()),
      authorities: this.#list(authorities, () => this.#record()),
      additionals: this.#list(additionals, () => this.#record()),
    };
  }

  #list<T>(count: number, next: () => T | undefined): T[] {
    const list: T[] = [];
    for (let index = 0; index < count; index += 1) {
      const one = next();
      if (one !== undefined) list.push(one);
    }
    return list;
  }

  #question(): Question | undefined {
    const name = this.#name();
    const type = NAMES.get(this.#word());
    const group = this.#word() & ~FLUSH;
    if (!type || (group !== IN && group !== ANY_CLASS)) return undefined;
    return { name, type: type as RecordType, class: 'IN' };
  }

  #record(): Answer | undefined {
    const name = this.#name();
    const type = NAMES.get(this.#word());
    const group = this.#word();
    const flush = (group & FLUSH) !== 0;
    const ttl = this.#word() * 0x10000 + this.#word();
    const length = this.#word();
    const start = this.#at;
    const end = start + length;
    if (end > this.bytes.length) throw new RangeError('a record goes beyond the message');
    const head = { name, ttl, class: 'IN', flush } as const;
    const record = (group & ~FLUSH) === IN ? this.#data(type, head, end) : undefined;
    if (record && this.#at !== end) throw new RangeError(`the data of ${name} has another length than it says`);
    this.#at = end;
    return record;
  }

  #data(
    type: Type | undefined,
    head: { readonly name: string; readonly ttl: number; readonly class: 'IN'; readonly flush: boolean },
    end: number,
  ): Answer | undefined {
    switch (type) {
      case 'A':
        return { type, ...head, data: [...this.#octets(4)].join('.') };
      case 'AAAA':
        return { type, ...head, data: ipv6Text(this.#octets(16)) };
      case 'PTR':
        return { type, ...head, data: this.#name() };
      case 'SRV': {
        const [priority, weight, port] = [this.#word(), this.#word(), this.#word()];
        return { type, ...head, data: { priority, weight, port, target: this.#name() } };
      }
      case 'TXT': {
        const data: Buffer[] = [];
        while (this.#at < end) data.push(Buffer.from(this.#octets(this.#octet())));
        return { type, ...head, data };
      }
      case 'ANY':
      case undefined:
        return undefined;
    }
  }

  /** Labels joined by dots; `.` for the root. A pointer leads before the labels that it ends, so that none is met twice. */
  #name(): string {
    const labels: string[] = [];
    let total = 0;
    let pointers = 0;
    let before = this.#at;
    let after: number | undefined;
    for (;;) {
      const length = this.#octet();
      if (length === 0) break;
      if (length >= POINTER) {
        const target = (length - POINTER) * 256 + this.#octet();
        if (target >= before) throw new RangeError('a name points forward');
        pointers += 1;
        if (pointers > MAX_POINTERS) throw new RangeError('a name has too many pointers');
        after ??= this.#at;
        before = target;
        this.#at = target;
      } else {
        total += length + 1;
        if (length > MAX_LABEL_BYTES || total > MAX_NAME_BYTES) throw new RangeError('a name is too long');
        labels.push(this.#octets(length).toString('utf8'));
      }
    }
    if (after !== undefined) this.#at = after;
    return labels.length === 0 ? '.' : labels.join('.');
  }

  #octet(): number {
    const octet = this.bytes[this.#at];
    if (octet === undefined) throw new RangeError('it ends too soon');
    this.#at += 1;
    return octet;
  }

  #word(): number {
    return this.#octet() * 256 + this.#octet();
  }

  #octets(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.bytes.length) throw new RangeError('it ends too soon');
    const octets = this.bytes.subarray(this.#at, end);
    this.#at = end;
    return octets;
  }
}

/**
 * Writes a message; names are written in full. A record of none of the types above, or a string too long, is a defect.
 * Answers that would make it longer than `mostBytes` go into further messages, at least one into each. All of a query but
 * the last say that more follow (RFC 6762 section 7.2).
 */
export function writeMessages(packet: Packet, mostBytes: number): Buffer[] {
  const { id = 0, type, flags = 0, questions = [], answers = [], authorities = [], additionals = [] } = packet;
  const octets: number[] = [];
  const word = (value: number): void => void octets.push(...octetsOf(value));
  const name = (text: string): void => {
    for (const label of text.split('.')) {
      if (label === '') continue;
      // Longer than a label can be is only what a neighbour sent that was not UTF-8: it is nobody's name in any form.
      const bytes = utf8Within(label, MAX_LABEL_BYTES);
      octets.push(bytes.length, ...bytes);
    }
    octets.push(0);
  };
  const record = (one: Answer): void => {
    name(one.name);
    word(typeOf(one.type));
    const { ttl = 0, flush = false } = one as { readonly ttl?: number; readonly flush?: boolean };
    word(IN | (flush ? FLUSH : 0));
    word(ttl >>> 16);
    word(ttl & 0xffff);
    const lengthAt = octets.length;
    word(0);
    data(one);
    const length = octets.length - lengthAt - 2;
    octets[lengthAt] = length >> 8;
    octets[lengthAt + 1] = length & 0xff;
  };
  for (const question of questions) {
    name(question.name);
    word(typeOf(question.type));
    word(IN);
  }
  // What the first message has before and behind its answers; the further ones have nothing but answers.
  let before = octets.splice(0);
  for (const one of [...authorities, ...additionals]) record(one);
  let behind = octets.splice(0);
  let counts = [questions.length, authorities.length, additionals.length] as const;
  let told = 0;
  const messages: Buffer[] = [];
  const end = (at: number, more: number): void => {
    const header = [id, flags | (type === 'response' ? RESPONSE : more), counts[0], told, counts[1], counts[2]];
    messages.push(Buffer.from([...header.flatMap(octetsOf), ...before, ...octets.splice(0, at), ...behind]));
    before = behind = [];
    counts = [0, 0, 0];
    told = 0;
  };
  for (const answer of answers) {
    const at = octets.length;
    record(answer);
    if (told > 0 && HEADER_BYTES + before.length + octets.length + behind.length > mostBytes) end(at, TRUNCATED);
    told += 1;
  }
  end(octets.length, 0);
  return messages;

  function data(record: Answer): void {
    if (record.type === 'A') octets.push(...record.data.split('.').map(Number));
    else if (record.type === 'AAAA') octets.push(...ipv6Octets(record.data));
    else if (record.type === 'PTR') name(record.data);
    else if (record.type === 'SRV') {
      const { priority = 0, weight = 0, port, target } = record.data;
      for (const value of [priority, weight, port]) word(value);
      name(target);
    } else if (record.type === 'TXT') {
      const strings = Array.isArray(record.data) ? record.data : [record.data];
      // RFC 6763 section 6.1: a record without pairs has one empty string.
      for (const string of strings.length === 0 ? [''] : strings) {
        const bytes = Buffer.from(string as string);
        if (bytes.length > MAX_STRING_BYTES) throw new Error(`a string of ${bytes.length} bytes is not written here`);
        octets.push(bytes.length, ...bytes);
      }
    }
  }
}

function octetsOf(word: number): number[] {
  return [(word >> 8) & 0xff, word & 0xff];
}

function typeOf(name: string): number {
  const type = TYPES[name as Type] as number | undefined;
  if (type === undefined) throw new Error(`a record of type ${name} is not written here`);
  return type;
}

/** In its short form (RFC 5952). */
function ipv6Text(octets: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, index) => octets.readUInt16BE(index * 2).toString(16));
  return new URL(`http://[${groups.join(':')}]/`).hostname.slice(1, -1);
}

function ipv6Octets(address: string): number[] {
  const [head = '', tail] = new URL(`http://[${address}]/`).hostname.slice(1, -1).split('::');
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const [first, last] = [groups(head), groups(tail ?? '')];
  const all = [...first, ...Array.from({ length: 8 - first.length - last.length }, () => 0), ...last];
  return all.flatMap((group) => [group >> 8, group & 0xff]);
}
