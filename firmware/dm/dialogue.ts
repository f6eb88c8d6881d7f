import type { Clock } from '../clock/index.js';
import { parseXml, type DocumentLimits } from '../codec/index.js';
import type { Logger } from '../log/index.js';
import { failure, type CodedError, type Outcome } from '../outcome/index.js';
import type { Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';
import type { Account, Accounts } from './accounts.js';
import { MIME_XML } from './codes.js';
import type { Message } from './message.js';
import type { Outbox } from './outbox.js';
import type { SessionResult, SessionRunner, SessionTrigger } from './scheduler.js';
import { ClientSession, type SessionStep } from './session.js';
import { decodeMessage, encodeXml } from './syncml.js';
import type { DmTransport } from './transport.js';

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
  });
  const fields = { server_id: serverId, session_id: sessionId };
  let step: SessionStep = session.open();
  while (step.kind === 'send') {
    // What the message tells must survive a power cut before the server hears it.
    await options.store.durable();
    const reply = await exchange(options, step.message, step.url, transport, signal);
    if (!reply.ok) {
      log.warn('session broken off', { ...fields, code: reply.error.code, reason: reply.error.text });
      return { end: 'failed', alertsUnsent: false };
    }
    step = session.receive(reply.value);
  }
  await options.store.durable();
  if (step.kind === 'failed') {
    log.warn('session failed', { ...fields, code: step.failure, reason: step.text });
    return { end: 'failed', alertsUnsent: false };
  }
  log.info('session completed', fields);
  return { end: 'completed', alertsUnsent: options.outbox.hasUnsent(serverId) };
}

/** Sends one message, the identical one again after a transport failure, and decodes the answer. */
async function exchange(
  options: DialogueOptions,
  message: Message,
  url: string,
  transport: Carrier,
  signal: AbortSignal,
): Promise<Outcome<Message, CodedError>> {
  const body = encodeXml(message);
  let outcome: Outcome<Message, CodedError> = failure('aborted', 'the gateway stops');
  for (let sends = 1; sends <= SENDS_PER_MESSAGE && !signal.aborted; sends += 1) {
    const reply = await transport.post(url, body, MIME_XML, { maxReplyBytes: options.maxMsgSize, signal });
    if (reply.ok) return decode(reply.value.body, options.maxMsgSize);
    outcome = reply;
    if (!RESENDABLE.has(reply.error.code)) break;
    if (sends < SENDS_PER_MESSAGE) await options.clock.sleep(RESEND_DELAY_MS * sends, signal);
  }
  return outcome;
}

/** Failures of the transport after which the same message may be sent again in the same session. */
const RESENDABLE: ReadonlySet<string> = new Set(['broken', 'timeout', 'unreachable']);

function decode(body: Uint8Array, maxBytes: number): Outcome<Message, CodedError> {
  const limits: DocumentLimits = { maxBytes, maxDepth: MAX_DEPTH, maxElements: MAX_ELEMENTS };
  const root = parseXml(body, limits);
  return root.ok ? decodeMessage(root.value) : root;
}

/** Chosen by the client when it opens the session itself; unlikely to repeat. */
function newSessionId(randomBytes: (count: number) => Uint8Array): string {
  const [high = 0, low = 0] = randomBytes(2);
  return Math.max(1, high * 256 + low)
    .toString(16)
    .toUpperCase();
}
