import type { Clock } from '../clock/index.js';
import type { DocumentLimits } from '../codec/index.js';
import type { Logger } from '../log/index.js';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';
import type { Account, Accounts } from './accounts.js';
import type { Message } from './message.js';
import type { Outbox } from './outbox.js';
import type { SessionResult, SessionRunner, SessionTrigger } from './scheduler.js';
import { ClientSession, type SessionStep } from './session.js';
import type { DmTransport, TransportError, TransportReply } from './transport.js';
import { wireOf, WIRES, wbxmlWire, xmlWire, type Wire } from './wire.js';

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
  readonly randomBytes: (count: number) => Uint8Array;
  /** Opens the connections of one session. */
  readonly connect: (account: Account) => Carrier;
}

/** What carries the messages of one session. */
export type Carrier = Pick<DmTransport, 'post' | 'close'>;

/** The identical message is sent so often in all when the transport fails (facts 1.4). */
const SENDS_PER_MESSAGE = 3;
const RESEND_DELAY_MS = 1000;

/** A message of DM nests less than this; TNDS inside is text. */
const MAX_DEPTH = 64;
const MAX_ELEMENTS = 50_000;

/** Makes the function that holds whole sessions: messages out, answers in, until one side has nothing more to say. */
export function createSessionRunner(options: DialogueOptions): SessionRunner {
  return async (serverId, trigger, signal) => {
    const account = options.accounts.byServerId(serverId);
    if (!account) return { end: 'failed', alertsUnsent: false };
    const transport = options.connect(account);
    try {
      return await holdSession(options, account, trigger, transport, signal);
    } finally {
      transport.close();
    }
  };
}

async function holdSession(
  options: DialogueOptions,
  account: Account,
  trigger: SessionTrigger,
  transport: Carrier,
  signal: AbortSignal,
): Promise<SessionResult> {
  const { log } = options;
  const { serverId } = account;
  const notified = trigger.kind === 'notification';
  const sessionId = notified ? trigger.sessionId : newSessionId(options.randomBytes);
  const session = new ClientSession({
    ...options,
    account,
    sessionId,
    serverInitiated: notified,
    defaultNonce: notified && trigger.defaultNonce,
    wire: WIRES[account.encoding],
  });
  const fields = { server_id: serverId, session_id: sessionId };
  let step: SessionStep = session.open();
  let spoken = account.encoding;
  while (step.kind === 'send') {
    // What the message tells must survive a power cut before the server hears it.
    await options.store.durable();
    const reply = await exchange(options, step, transport, signal);
    if (!reply.ok) {
      log.warn('session broken off', { ...fields, code: reply.error.code, reason: reply.error.text });
      return { end: 'failed', alertsUnsent: false };
    }
    const { message, wire } = reply.value;
    if (wire.encoding !== spoken) options.accounts.setEncoding(serverId, wire.encoding);
    spoken = wire.encoding;
    step = session.receive(message, wire);
  }
  await options.store.durable();
  if (step.kind === 'failed') {
    log.warn('session failed', { ...fields, code: step.failure, reason: step.text });
    return { end: 'failed', alertsUnsent: false };
  }
  log.info('session completed', fields);
  return { end: 'completed', alertsUnsent: options.outbox.hasUnsent(serverId) };
}

type SendStep = Extract<SessionStep, { kind: 'send' }>;

interface Received {
  readonly message: Message;
  /** In what it came. */
  readonly wire: Wire;
}

/** Sends one message, the identical one again after a transport failure, and decodes the answer. */
async function exchange(
  options: DialogueOptions,
  step: SendStep,
  transport: Carrier,
  signal: AbortSignal,
): Promise<Outcome<Received, CodedError>> {
  let reply = await deliver(options, step, step.wire, transport, signal);
  // A server that does not read what we wrote is tried with the other encoding, once: later it has read one of them.
  if (!reply.ok && reply.error.status === HTTP_UNSUPPORTED_TYPE && step.message.header.msgId === '1') {
    reply = await deliver(options, step, step.wire === xmlWire ? wbxmlWire : xmlWire, transport, signal);
  }
  if (!reply.ok) return reply;
  const wire = wireOf(reply.value.contentType);
  const limits: DocumentLimits = { maxBytes: options.maxMsgSize, maxDepth: MAX_DEPTH, maxElements: MAX_ELEMENTS };
  const message = wire.decode(reply.value.body, limits);
  return message.ok ? success({ message: message.value, wire }) : message;
}

const HTTP_UNSUPPORTED_TYPE = 415;

async function deliver(
  options: DialogueOptions,
  { message, url }: SendStep,
  wire: Wire,
  transport: Carrier,
  signal: AbortSignal,
): Promise<Outcome<TransportReply, TransportError>> {
  const body = wire.encode(message);
  let outcome: Outcome<TransportReply, TransportError> = failure('aborted', 'the gateway stops');
  for (let sends = 1; sends <= SENDS_PER_MESSAGE && !signal.aborted; sends += 1) {
    outcome = await transport.post(url, body, wire.mediaType, { maxReplyBytes: options.maxMsgSize, signal });
    if (outcome.ok || !RESENDABLE.has(outcome.error.code)) break;
    if (sends < SENDS_PER_MESSAGE) await options.clock.sleep(RESEND_DELAY_MS * sends, signal);
  }
  return outcome;
}

/** Failures of the transport after which the same message may be sent again in the same session. */
const RESENDABLE: ReadonlySet<string> = new Set(['broken', 'timeout', 'unreachable']);

/** Chosen by the client when it opens the session itself; unlikely to repeat. */
function newSessionId(randomBytes: (count: number) => Uint8Array): string {
  const [high = 0, low = 0] = randomBytes(2);
  return Math.max(1, high * 256 + low)
    .toString(16)
    .toUpperCase();
}
