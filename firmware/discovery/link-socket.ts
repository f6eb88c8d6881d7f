import type { RemoteInfo, Socket, SocketOptions } from 'node:dgram';
import type { Answer, Packet, Question, RecordType } from 'dns-packet';
import type { Clock, TimerHandle } from '../clock/index.js';
import type { Logger } from '../log/index.js';
import { ipFamily } from '../net/index.js';
import { describeThrown } from '../outcome/index.js';
import type { LinkBudget } from './budget.js';
import type { Link } from './links.js';
import { HEADER_BYTES, readMessage, TRUNCATED, writeMessages, type Message } from './wire.js';

/** RFC 6762 section 3. */
export const MDNS_PORT = 5353;
const GROUP = { 4: '224.0.0.251', 6: 'ff02::fb' } as const;

/** Section 17: no message is larger, whatever the link can carry. */
const MAX_MESSAGE_BYTES = 9_000;

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
  /** A datagram was not looked at, because more came than the budget allows. */
  missed(): void;
}

/**
 * Multicast DNS on one link and one address family: the socket, and who is listened to.
 *
 * Bound to the group's address, so that nothing that is sent to one of the gateway's own addresses is heard: from the
 * WAN nobody can reach it. IPv6 is bound to the link by its zone. For IPv4 the kernel hands over what comes on any joined
 * link, hence the check of the source.
 */
export class LinkSocket {
  #socket: Socket | undefined;
  /** Whether it can send. */
  #bound: Promise<boolean> = Promise.resolve(false);
  #joining: TimerHandle | undefined;
  readonly #sending = new Set<Promise<void>>();
  #complained = false;

  constructor(
    private readonly link: Link,
    private readonly family: 4 | 6,
    private readonly budget: LinkBudget,
    private readonly listener: LinkSocketListener,
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly openSocket: OpenSocket,
  ) {}

  open(): void {
    const zone = `%${this.link.name}`;
    const socket = this.openSocket({ type: `udp${this.family}`, reuseAddr: true, ipv6Only: this.family === 6 });
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      // Before it is read it is asked who sends, and how much.
      if (this.#admits(bytes, from)) this.budget.look(from.address, () => this.#take(bytes, from));
    });
    this.#bound = new Promise((resolve) => {
      socket.on('error', (error) => {
        this.#complain('cannot listen for mDNS', error);
        resolve(false);
      });
      const group = this.family === 4 ? GROUP[4] : `${GROUP[6]}${zone}`;
      socket.bind(MDNS_PORT, group, () => {
        this.#join(socket, this.family === 4 ? (this.link.address4 ?? '') : `::${zone}`);
        resolve(true);
      });
    });
  }

  /** Tries again and again: a link may be up before its address can be used. */
  #join(socket: Socket, own: string): void {
    if (this.#socket !== socket) return;
    try {
      socket.setMulticastTTL(255); // section 11
      socket.setMulticastInterface(own);
      socket.addMembership(GROUP[this.family], own);
    } catch (thrown) {
      this.log.debug('cannot join mDNS', { interface: this.link.name, reason: describeThrown(thrown) });
      this.#joining = this.clock.after(JOIN_AGAIN_MS, () => this.#join(socket, own));
    }
  }

  /** Sends by multicast, in as many messages as it takes; all but the last say that more follow. */
  sendQuery(questions: readonly Question[], known: readonly Answer[] = [], proposed: readonly Answer[] = []): void {
    this.#send({ type: 'query', questions: [...questions], answers: [...known], authorities: [...proposed] });
  }

  /** Sends by multicast, in as many messages as it takes. */
  sendResponse(answers: readonly Answer[]): void {
    if (answers.length > 0) this.#send({ type: 'response', flags: AUTHORITATIVE, answers: [...answers] });
  }

  /** Answers a resolver that is no mDNS host, to its own port (section 6.7); what does not fit is left out. */
  sendUnicast(id: number, questions: readonly Question[], answers: readonly Answer[], to: RemoteInfo): void {
    const packet: Packet = {
      id,
      type: 'response',
      flags: AUTHORITATIVE,
      questions: [...questions],
      answers: [...answers],
    };
    this.#send(packet, to);
  }

  /** Waits for what is being sent: goodbyes are. */
  async close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#joining?.cancel();
    if (!socket) return;
    await Promise.all(this.#sending);
    await new Promise<void>((resolve) => socket.close(() => resolve()));
  }

  /** @param resolver who gets the first message alone; undefined: all go to the group */
  #send(packet: Packet, resolver?: RemoteInfo): void {
    const socket = this.#socket;
    if (!socket) return;
    const { address, port } = resolver ?? { address: GROUP[this.family], port: MDNS_PORT };
    const sendOne = (bytes: Buffer): Promise<void> =>
      new Promise((resolve) => {
        socket.send(bytes, port, address, (error) => {
          if (error) this.#complain('cannot send mDNS', error);
          else this.#complained = false;
          resolve();
        });
      });
    const sending = this.#bound
      .then((canSend) => {
        if (!canSend) return;
        const messages = writeMessages(packet, MAX_SENT_BYTES);
        return Promise.all(messages.slice(0, resolver && 1).map(sendOne));
      })
      .catch((thrown: unknown) => this.#complain('cannot send mDNS', thrown))
      .then(() => void this.#sending.delete(sending));
    this.#sending.add(sending);
  }

  #take(bytes: Buffer, from: RemoteInfo): void {
    const read = readMessage(bytes);
    if (!read.ok) {
      this.log.debug('mDNS message at fault', { from: from.address, reason: read.error.text });
      return;
    }
    const { answers, additionals } = read.value;
    if (read.value.isResponse) this.listener.response([...answers, ...additionals]);
    else this.listener.query(asQuery(read.value, from), from, this);
  }

  /** A link that is down fails each time: said once. */
  #complain(text: 'cannot listen for mDNS' | 'cannot send mDNS', error: unknown): void {
    if (this.#complained || !this.#socket) return;
    this.#complained = true;
    this.log.warn(text, { interface: this.link.name, family: this.family, reason: describeThrown(error) });
  }

  #admits(bytes: Buffer, from: RemoteInfo): boolean {
    if (bytes.length < HEADER_BYTES || bytes.length > MAX_MESSAGE_BYTES) return false;
    if (!this.#isOnLink(from.address)) return false;
    if (!this.budget.admits(from.address, bytes.length)) {
      this.listener.missed();
      return false;
    }
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
    if (ipFamily(address) === 6 && zone !== undefined && zone !== this.link.name) return false;
    return this.link.neighbours.contains(address);
  }
}

/** A membership that could not be had is asked for again. */
const JOIN_AGAIN_MS = 5_000;

const AUTHORITATIVE = 1 << 10;

/** The types of dns-packet do not have it. */
export const ANY = 'ANY' as RecordType;

function asQuery({ questions, answers, authorities, flags, id }: Message, from: RemoteInfo): Query {
  return {
    questions,
    answers,
    truncated: (flags & TRUNCATED) !== 0,
    legacy: from.port !== MDNS_PORT,
    id,
    proposed: authorities,
  };
}
