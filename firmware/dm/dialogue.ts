import type { Clock } from '../clock/index.js';
import type { DocumentLimits } from '../codec/index.js';
import type { Logger } from '../log/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';
import type { Account, Accounts } from './accounts.js';
import type { Outbox } from './outbox.js';
import type { SessionResult, SessionRunner, SessionTrigger } from './scheduler.js';
import { ServerAddress } from './server-address.js';
import { ClientSession, type Received, type SessionStep } from './session.js';
import type { DmTransport, TransportError, TransportReply } from './transport.js';
import { wbxmlWire, wireOf, WIRES, xmlWire, type Wire } from './wire.js';
import type { SendStep } from './writer.js';

export interface DialogueOptions {
  readonly accounts: Accounts;
  readonly tree: Tree;
  readonly store: Store;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly log: Logger;
  readonly deviceId: string;
  /** Largest message accepted from a server, in octets. */
  readonly maxMsgSize: number;
  /** Largest object accepted from a server, in octets as transported. */
  readonly maxObjSize: number;
  readonly randomBytes: (count: number) => Uint8Array;
  /** Opens the connections of one session. */
  readonly connect: (account: Account) => Carrier;
  /** Whether a server may send its sessions to another host, by RespURI or a redirect. Default: to none. */
  readonly mayMoveTo?: (serverId: string, hostname: string) => boolean;
}

/** What carries the messages of one session. */
export type Carrier = Pick<DmTransport, 'post' | 'close'>;

/** The identical message is sent so often in all when the transport fails (facts 1.4). */
const SENDS_PER_MESSAGE = 3;
const RESEND_DELAY_MS = 1000;

/** Redirects followed for one message. */
const MAX_REDIRECTS = 3;

/** The gateway stops amid a session: so long it tries to tell the server. */
const ABORT_TIMEOUT_MS = 2000;

/** A message of DM nests less than this; TNDS inside is text. */
const MAX_DEPTH = 64;
const MAX_ELEMENTS = 50_000;

/** Makes the function that holds whole sessions: messages out, answers in, until one side has nothing more to say. */
export function createSessionRunner(options: DialogueOptions): SessionRunner {
  return async (serverId, trigger, signal) => {
    const account = options.accounts.byServerId(serverId);
    if (!account) return { end: 'failed', alertsUnsent: false };
    const transport = options.connect(account);
    const address = new ServerAddress(account.url, (host) => options.mayMoveTo?.(serverId, host) ?? false);
    try {
      return await new Dialogue(options, account, transport, address, signal).hold(trigger);
    } finally {
      transport.close();
    }
  };
}

/** One session with one server. */
class Dialogue {
  constructor(
    private readonly o: DialogueOptions,
    private readonly account: Account,
    private readonly transport: Carrier,
    private readonly address: ServerAddress,
    private readonly signal: AbortSignal,
  ) {}

  async hold(trigger: SessionTrigger): Promise<SessionResult> {
    const { o, account, address } = this;
    const notified = trigger.kind === 'notification';
    const sessionId = notified ? trigger.sessionId : newSessionId(o.randomBytes);
    const session = new ClientSession({
      ...o,
      account,
      address,
      sessionId,
      serverInitiated: notified,
      defaultNonce: notified && trigger.defaultNonce,
      wire: WIRES[account.encoding],
    });
    let result: SessionResult;
    try {
      result = await this.#converse(session, { server_id: account.serverId, session_id: sessionId });
      if (this.signal.aborted) await this.#tellAbort(session);
    } finally {
      await session.close();
    }
    // Of a session that failed too: an alert that the server has taken must not come again.
    await o.store.durable();
    return result;
  }

  async #converse(session: ClientSession, fields: Readonly<Record<string, string>>): Promise<SessionResult> {
    const { log, store, outbox, accounts } = this.o;
    const { serverId } = this.account;
    let spoken = this.account.encoding;
    let step: SessionStep = session.open();
    while (step.kind === 'send') {
      // What the message tells must survive a power cut before the server hears it.
      await store.durable();
      const reply = await this.#exchange(step);
      if (!reply.ok) {
        log.warn('session broken off', { ...fields, code: reply.error.code, reason: reply.error.text });
        return failed(reply.error);
      }
      const { encoding } = reply.value.wire;
      if (encoding !== spoken) accounts.setEncoding(serverId, encoding);
      spoken = encoding;
      step = await session.receive(reply.value);
    }
    if (step.kind === 'failed') {
      log.warn('session failed', { ...fields, code: step.failure, reason: step.text });
      return failed({ code: step.failure });
    }
    log.info('session completed', fields);
    return { end: 'completed', alertsUnsent: outbox.hasUnsent(serverId) };
  }

  /** Sends one message and decodes the answer. */
  async #exchange(step: SendStep): Promise<Outcome<Received, CodedError | TransportError>> {
    let reply = await this.#deliver(step, step.wire);
    // A server that does not read what we wrote is tried with the other encoding, once: later it has read one of them.
    if (!reply.ok && reply.error.status === HTTP_UNSUPPORTED_TYPE && step.message.header.msgId === '1') {
      reply = await this.#deliver(step, step.wire === xmlWire ? wbxmlWire : xmlWire);
    }
    if (!reply.ok) return reply;
    const { contentType, body, hmac } = reply.value;
    const wire = wireOf(contentType);
    const { maxMsgSize } = this.o;
    const limits: DocumentLimits = { maxBytes: maxMsgSize, maxDepth: MAX_DEPTH, maxElements: MAX_ELEMENTS };
    const message = wire.decode(body, limits);
    return message.ok ? success({ message: message.value, wire, body, ...(hmac !== undefined && { hmac }) }) : message;
  }

  /** The identical message again after a failure of the transport, and to where the server redirects it. */
  async #deliver(step: SendStep, wire: Wire): Promise<Outcome<TransportReply, TransportError>> {
    const body = wire === step.wire ? step.message.octets : wire.encode(step.message);
    const hmac = step.sign?.(body);
    const options = {
      maxReplyBytes: this.o.maxMsgSize,
      signal: this.signal,
      ...(hmac !== undefined && { hmac }),
    };
    let { url } = step;
    let redirects = 0;
    let outcome: Outcome<TransportReply, TransportError> = failure('aborted', 'the gateway stops');
    for (let sends = 1; sends <= SENDS_PER_MESSAGE && !this.signal.aborted;) {
      outcome = await this.transport.post(url, body, wire.mediaType, options);
      if (outcome.ok) break;
      const { code } = outcome.error;
      const target = code === 'redirect' && redirects < MAX_REDIRECTS && this.#redirected(url, outcome.error);
      if (target) {
        redirects += 1;
        url = target;
        continue;
      }
      if (!RESENDABLE.has(code)) break;
      if (sends < SENDS_PER_MESSAGE) await this.o.clock.sleep(RESEND_DELAY_MS * sends, this.signal);
      sends += 1;
    }
    return outcome;
  }

  /**
   * Where a redirect may lead us. A message is a POST that 301 and 302 must not turn into a GET, so they are followed as
   * 308 and 307 (RFC 9110 §15.4); 303 asks for a GET, which is no message.
   */
  #redirected(from: string, { status, location = '' }: TransportError): string | undefined {
    if (status === undefined || !FOLLOWED_REDIRECTS.has(status)) return undefined;
    const target = this.address.resolve(location, from);
    if (target !== undefined && PERMANENT_REDIRECTS.has(status)) this.address.move(target);
    return target;
  }

  /** Best effort: the session ends the same without it. */
  async #tellAbort(session: ClientSession): Promise<void> {
    const step = session.abort();
    if (!step) return;
    const body = step.message.octets;
    const hmac = step.sign?.(body);
    const ended = new AbortController();
    const timer = this.o.clock.after(ABORT_TIMEOUT_MS, () => ended.abort());
    await this.transport.post(step.url, body, step.wire.mediaType, {
      maxReplyBytes: this.o.maxMsgSize,
      signal: ended.signal,
      ...(hmac !== undefined && { hmac }),
    });
    timer.cancel();
  }
}

const HTTP_UNSUPPORTED_TYPE = 415;

const FOLLOWED_REDIRECTS: ReadonlySet<number> = new Set([301, 302, 307, 308]);
const PERMANENT_REDIRECTS: ReadonlySet<number> = new Set([301, 308]);

/** Failures of the transport after which the same message may be sent again in the same session. */
const RESENDABLE: ReadonlySet<string> = new Set(['broken', 'timeout', 'unreachable']);

function failed({
  code,
  retryAfterSeconds,
}: Pick<TransportError, 'retryAfterSeconds'> & { code: string }): SessionResult {
  const wait = retryAfterSeconds !== undefined && { retryAfterMs: retryAfterSeconds * 1000 };
  return { end: 'failed', alertsUnsent: false, failure: code, ...wait };
}

/** Chosen by the client when it opens the session itself; unlikely to repeat. */
function newSessionId(randomBytes: (count: number) => Uint8Array): string {
  const [high = 0, low = 0] = randomBytes(2);
  return Math.max(1, high * 256 + low)
    .toString(16)
    .toUpperCase();
}
