import { createHash } from 'node:crypto';
import { sessionIdNumber, WIRES, type Message, type Wire } from '../../../firmware/dm/index.js';
import type { Devices } from './devices.js';
import { ServerSession, type Received, type SessionEndReason, type SessionSettings } from './session.js';

/** An answer as it leaves. */
export interface Answer {
  readonly message: Message;
  readonly bytes: Uint8Array;
  readonly wire: Wire;
  /** `x-syncml-hmac` for these octets. */
  readonly hmac: string | undefined;
}

interface Entry {
  readonly session: ServerSession;
  msgId: string;
  bodyDigest: string;
  /** The answer to the message that came last. */
  answer: Answer | undefined;
  lastMs: number;
}

export type Answered =
  | { readonly kind: 'answer' | 'resent'; readonly answer: Answer }
  /** An older message than the last one: its answer is gone. */
  | { readonly kind: 'out-of-order' };

/** Peers whose sessions are remembered; the one that was silent longest gives way. */
const MAX_PEERS = 10_000;

/** The answer of a session that has ended is kept so long for a device that missed it. */
const KEEP_ENDED_MS = 30_000;

/** Sessions by Source and SessionID, whatever connection a message comes on. A device has one session at a time. */
export class Sessions {
  readonly #entries = new Map<string, Entry>();

  constructor(
    private readonly devices: Devices,
    private readonly settings: Omit<SessionSettings, 'respUri'>,
    private readonly respUri: ((sessionId: string) => string) | undefined,
    private readonly timeoutMs: number,
  ) {}

  /**
   * Answers a message: the next one of its session, a repeated one, or the first of a new session.
   * @param wire in which it came, and is answered
   */
  receive(received: Received, wire: Wire): Answered {
    const { message, body } = received;
    const { sessionId, msgId, source } = message.header;
    const bodyDigest = createHash('sha256').update(body).digest('base64');
    let entry = this.#entries.get(source.uri);
    if (entry?.answer && this.#isRepetition(entry, source.uri, { sessionId, msgId, bodyDigest })) {
      entry.lastMs = performance.now();
      return { kind: 'resent', answer: this.#faulty(entry.session, source.uri, entry.answer) };
    }
    if (!entry || entry.session.sessionId !== sessionId || msgId === '1') {
      entry?.session.end('superseded');
      entry = this.#open(source.uri, sessionId);
    } else if (Number(msgId) <= Number(entry.msgId)) {
      return { kind: 'out-of-order' };
    }
    const spoken = this.settings.faults.take('other-encoding', source.uri) ? otherThan(wire) : wire;
    const answer = encode(entry.session, entry.session.receive(received, spoken), spoken);
    Object.assign(entry, { msgId, bodyDigest, answer, lastMs: performance.now() });
    return { kind: 'answer', answer: this.#faulty(entry.session, source.uri, answer) };
  }

  /** The sessions that run, by device, and the large object that each of them sends. */
  running(): { readonly deviceId: string; readonly sessionId: string; readonly sending: ServerSession['sending'] }[] {
    return [...this.#entries]
      .filter(([, { session }]) => session.ended === undefined)
      .map(([deviceId, { session }]) => ({ deviceId, sessionId: session.sessionId, sending: session.sending }));
  }

  /** Ends sessions that fell silent and forgets what is no longer needed; to be called now and then. */
  sweep(): void {
    const now = performance.now();
    for (const [uri, { session, lastMs }] of this.#entries) {
      const keepMs = session.ended === undefined ? this.timeoutMs : KEEP_ENDED_MS;
      if (now - lastMs < keepMs) continue;
      session.end('timeout');
      this.#entries.delete(uri);
    }
  }

  endAll(reason: SessionEndReason): void {
    for (const { session } of this.#entries.values()) session.end(reason);
  }

  /**
   * A repeated MsgID gets the stored answer again (facts 1.4). MsgID 1 may also begin a new session under the same
   * SessionID, by a client that always takes the same: it is a repetition only if it says the same, and nothing new
   * waits for the device.
   */
  #isRepetition(
    entry: Entry,
    deviceId: string,
    message: { readonly sessionId: string; readonly msgId: string; readonly bodyDigest: string },
  ): boolean {
    if (message.sessionId !== entry.session.sessionId || message.msgId !== entry.msgId) return false;
    if (message.msgId !== '1') return true;
    const waits = (this.devices.get(deviceId)?.queue.length ?? 0) > 0;
    return message.bodyDigest === entry.bodyDigest && (entry.session.ended === undefined || !waits);
  }

  /** The answer, or what a fault makes of it for this time. */
  #faulty(session: ServerSession, deviceId: string, answer: Answer): Answer {
    const { faults } = this.settings;
    const { message, wire } = answer;
    if (faults.take('garbage', deviceId)) {
      const bytes = answer.bytes.subarray(0, Math.floor(answer.bytes.byteLength / 2));
      return { ...answer, bytes, hmac: session.hmac(bytes) };
    }
    if (!faults.take('wrong-session', deviceId)) return answer;
    const { header } = message;
    return encode(session, { ...message, header: { ...header, sessionId: `9${header.sessionId}` } }, wire);
  }

  #open(deviceId: string, sessionId: string): Entry {
    const device = this.devices.get(deviceId);
    const defaultNonce = device?.resynchronising.has(sessionIdNumber(sessionId) ?? 0) ?? false;
    const settings = { ...this.settings, respUri: this.respUri?.(sessionId) };
    const entry: Entry = {
      session: new ServerSession(sessionId, device, defaultNonce, settings),
      msgId: '',
      bodyDigest: '',
      answer: undefined,
      lastMs: performance.now(),
    };
    this.#entries.delete(deviceId);
    this.#entries.set(deviceId, entry);
    if (this.#entries.size > MAX_PEERS) this.#forgetOldest();
    return entry;
  }

  #forgetOldest(): void {
    const [oldest] = this.#entries;
    if (!oldest) return;
    oldest[1].session.end('timeout');
    this.#entries.delete(oldest[0]);
  }
}

function encode(session: ServerSession, message: Message, wire: Wire): Answer {
  const bytes = wire.encode(message);
  return { message, bytes, wire, hmac: session.hmac(bytes) };
}

function otherThan(wire: Wire): Wire {
  return WIRES[wire.encoding === 'xml' ? 'wbxml' : 'xml'];
}
