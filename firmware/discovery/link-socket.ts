import type { RemoteInfo, Socket, SocketOptions } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Answer, DecodedPacket, Packet, Question, RecordType } from 'dns-packet';
import multicastDns from 'multicast-dns';
import type { Logger } from '../log/index.js';
import { describeThrown } from '../outcome/index.js';
import type { LinkBudget } from './budget.js';
import type { Link } from './links.js';

/** RFC 6762 section 3. */
export const MDNS_PORT = 5353;
const GROUP = { 4: '224.0.0.251', 6: 'ff02::fb' } as const;

/** Section 17: no message is larger, whatever the link can carry. */
const MAX_MESSAGE_BYTES = 9_000;

/** A DNS header. */
const HEADER_BYTES = 12;

/** Records in one message. A message of so many is hostile, or for nobody here. */
const MAX_RECORDS = 256;

/** What we send fits one Ethernet frame with IPv6 and UDP headers (section 17). */
const MAX_SENT_BYTES = 1_440;

export interface Query {
  readonly questions: readonly Question[];
  /** Known answers. */
  readonly answers: readonly Answer[];
  /** More known answers follow (section 7.2). */
  readonly truncated: boolean;
  /** Of the resolver that is no mDNS host (section 6.7): it wants its answer by unicast. */
  readonly legacy: boolean;
  readonly id: number;
  /** Proposed records of one that probes. */
  readonly proposed: readonly Answer[];
}

/** `dgram.createSocket`. */
export type OpenSocket = (options: SocketOptions) => Socket;

export interface LinkSocketListener {
  query(query: Query, from: RemoteInfo, socket: LinkSocket): void;
  response(records: readonly Answer[]): void;
}

/**
 * Multicast DNS on one link and one address family: the socket, and who is listened to. The wire format is dns-packet's.
 *
 * Bound to the group's address, so that nothing that is sent to one of the gateway's own addresses is heard: from the
 * WAN nobody can reach it. IPv6 is bound to the link by its zone. For IPv4 the kernel hands over what comes on any joined
 * link, hence the check of the source.
 */
export class LinkSocket {
  #mdns: multicastDns.MulticastDNS | undefined;
  readonly #sending = new Set<Promise<void>>();
  #complained = false;

  constructor(
    private readonly link: Link,
    private readonly family: 4 | 6,
    private readonly budget: LinkBudget,
    private readonly listener: LinkSocketListener,
    private readonly log: Logger,
    private readonly openSocket: OpenSocket,
  ) {}

  open(): void {
    const zone = `%${this.link.name}`;
    const socket = this.openSocket({ type: `udp${this.family}`, reuseAddr: true, ipv6Only: this.family === 6 });
    const mdns = multicastDns({
      socket,
      type: `udp${this.family}`,
      ip: GROUP[this.family],
      bind: this.family === 4 ? GROUP[4] : `${GROUP[6]}${zone}`,
      interface: this.family === 4 ? (this.link.address4 ?? '') : `::${zone}`,
      port: MDNS_PORT,
    });
    this.#mdns = mdns;
    // The package decodes whatever comes. Here it is asked first who sends, and how much.
    const decoders = socket.listeners('message') as ((bytes: Buffer, from: RemoteInfo) => void)[];
    socket.removeAllListeners('message');
    socket.on('message', (bytes, from) => {
      if (!this.#admits(bytes, from)) return;
      this.budget.look(() => {
        for (const decode of decoders) decode(bytes, from);
      });
    });
    mdns.on('error', (error) => this.#complain('cannot listen for mDNS', error));
    mdns.on('warning', (error) => this.log.debug('mDNS message or socket at fault', { reason: describeThrown(error) }));
    mdns.on('query', (packet, from) => {
      this.listener.query(asQuery(packet, from), from, this);
    });
    mdns.on('response', ({ answers = [], additionals = [] }) => {
      this.listener.response([...answers, ...additionals]);
    });
  }

  /** Sends by multicast, in as many messages as it takes; all but the last say that more follow. */
  sendQuery(questions: readonly Question[], known: readonly Answer[] = [], proposed: readonly Answer[] = []): void {
    const [first = [], ...more] = inMessages(known, questionBytes(questions) + recordBytes(proposed));
    this.#send({
      type: 'query',
      flags: more.length > 0 ? TRUNCATED : 0,
      questions: [...questions],
      answers: first,
      authorities: [...proposed],
    });
    for (const [index, answers] of more.entries()) {
      this.#send({ type: 'query', flags: index < more.length - 1 ? TRUNCATED : 0, questions: [], answers });
    }
  }

  /** Sends by multicast, in as many messages as it takes. */
  sendResponse(answers: readonly Answer[]): void {
    for (const part of inMessages(answers, 0)) {
      if (part.length > 0) this.#send({ type: 'response', flags: AUTHORITATIVE, answers: part });
    }
  }

  /** Answers a resolver that is no mDNS host, to its own port (section 6.7); what does not fit is left out. */
  sendUnicast(id: number, questions: readonly Question[], answers: readonly Answer[], to: RemoteInfo): void {
    const [first = []] = inMessages(answers, questionBytes(questions));
    const packet: Packet = { id, type: 'response', flags: AUTHORITATIVE, questions: [...questions], answers: first };
    this.#send(packet, { address: to.address, port: to.port });
  }

  /** Waits for what is being sent: goodbyes are. */
  async close(): Promise<void> {
    const mdns = this.#mdns;
    this.#mdns = undefined;
    if (!mdns) return;
    await Promise.all(this.#sending);
    await new Promise<void>((resolve) => mdns.destroy(resolve));
  }

  #send(packet: Packet, to?: { readonly address: string; readonly port: number }): void {
    const mdns = this.#mdns;
    if (!mdns) return;
    const sending = new Promise<void>((resolve) => {
      mdns.send(packet, to, (error) => {
        if (error) this.#complain('cannot send mDNS', error);
        else this.#complained = false;
        resolve();
      });
    }).then(() => void this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  /** A link that is down fails each time: said once. */
  #complain(text: 'cannot listen for mDNS' | 'cannot send mDNS', error: Error): void {
    if (this.#complained || !this.#mdns) return;
    this.#complained = true;
    this.log.warn(text, { interface: this.link.name, family: this.family, reason: describeThrown(error) });
  }

  #admits(bytes: Buffer, from: RemoteInfo): boolean {
    if (bytes.length < HEADER_BYTES || bytes.length > MAX_MESSAGE_BYTES) return false;
    if (!this.#isOnLink(from.address) || !this.budget.admits(from.address, bytes.length)) return false;
    const isResponse = (bytes.readUInt8(2) & 0x80) !== 0;
    // Section 11: only mDNS hosts answer. Section 18: other opcodes and codes of errors are ignored.
    if (isResponse && from.port !== MDNS_PORT) return false;
    if ((bytes.readUInt8(2) & 0x78) !== 0 || (bytes.readUInt8(3) & 0x0f) !== 0) return false;
    let records = 0;
    for (let at = 4; at < HEADER_BYTES; at += 2) records += bytes.readUInt16BE(at);
    return records > 0 && records <= MAX_RECORDS;
  }

  #isOnLink(address: string): boolean {
    const zone = address.split('%')[1];
    if (isIPv6(address) && zone !== undefined && zone !== this.link.name) return false;
    return this.link.neighbours.contains(address);
  }
}

const AUTHORITATIVE = 1 << 10;
const TRUNCATED = 1 << 9;

/** The types of dns-packet do not have it, its code does. */
export const ANY = 'ANY' as RecordType;

function asQuery(packet: DecodedPacket, from: RemoteInfo): Query {
  const { questions = [], answers = [], authorities = [], flags = 0, id = 0 } = packet;
  return {
    questions,
    answers,
    truncated: (flags & TRUNCATED) !== 0,
    legacy: from.port !== MDNS_PORT,
    id,
    proposed: authorities,
  };
}

/** The package writes names in full: this is what they take. */
function recordBytes(records: readonly Answer[]): number {
  return records.reduce((sum, record) => sum + Buffer.byteLength(record.name) + 12 + dataBytes(record), 0);
}

function dataBytes(record: Answer): number {
  if (record.type === 'PTR') return Buffer.byteLength(record.data) + 2;
  if (record.type === 'SRV') return Buffer.byteLength(record.data.target) + 8;
  if (record.type === 'TXT') {
    const strings = Array.isArray(record.data) ? record.data : [record.data];
    return strings.reduce((sum, string) => sum + Buffer.byteLength(string) + 1, 2);
  }
  return 18;
}

function questionBytes(questions: readonly Question[]): number {
  return questions.reduce((sum, { name }) => sum + Buffer.byteLength(name) + 6, 0);
}

/** Cuts records into lists that fit a message each; at least one list. @param taken bytes of the first message */
function inMessages(records: readonly Answer[], taken: number): Answer[][] {
  const parts: Answer[][] = [[]];
  let room = MAX_SENT_BYTES - HEADER_BYTES - taken;
  for (const record of records) {
    const bytes = recordBytes([record]);
    if (bytes > room && (parts.at(-1)?.length ?? 0) > 0) {
      parts.push([]);
      room = MAX_SENT_BYTES - HEADER_BYTES;
    }
    parts.at(-1)?.push(record);
    room -= bytes;
  }
  return parts;
}
