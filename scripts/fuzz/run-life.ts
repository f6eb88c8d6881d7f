import assert from 'node:assert/strict';
import { Bench } from '../../firmware/conversations/bench.js';
import {
  unwrapPush,
  verifyTrigger,
  wireOf,
  WIRES,
  type Carrier,
  type Encoding,
  type Message,
} from '../../firmware/dm/index.js';
import { failure, success } from '../../firmware/outcome/index.js';
import { StoreError } from '../../firmware/store/index.js';
import { AnswerCheck, MAX_MSG_SIZE } from './answers.js';
import { realNotifications } from './corpus.js';
import { write } from './encodings.js';
import { meta, syncml } from './elements.js';
import type { FuzzMessage, Life } from './life.js';

/** What a run is told of, message by message. */
export interface Observer {
  /** An input is about to be handed over. */
  readonly input: (kind: 'message' | 'datagram') => void;
  /** It could be read: its commands must be answered. */
  readonly understood: () => void;
  /** The gateway has answered a message, or ended the session, after so many ms. */
  readonly took: (ms: number) => void;
  /** A message of the gateway. */
  readonly answer: (encoding: Encoding, octets: Uint8Array) => void;
  readonly status: (command: string, code: string) => void;
  readonly ended: (completed: boolean) => void;
}

/** A polite server ends a session after so many messages of its own, whether everything has been said or not. */
const MOST_POLITE_MESSAGES = 300;

/** What the gateway says when a single answer is longer than the server's MaxMsgSize: it cannot be sent. */
const LEFT_OUT = /too long for the server/;

const NOTIFICATIONS = realNotifications().map((octets) => Buffer.from(octets));

/**
 * Lives a life: each message and each datagram goes the whole way of the client, on a real database.
 * @param bench holds its sessions; another one in tests alone
 * @throws AssertionError where the gateway does not behave, and whatever it throws itself
 */
export async function runLife(life: Life, observer: Observer, bench = new Bench(life.settings)): Promise<void> {
  let check = new AnswerCheck();
  bench.onWarning = (text) => {
    if (LEFT_OUT.test(text)) check.leftOut = true;
  };
  try {
    for (const octets of life.datagrams) {
      observer.input('datagram');
      receive(bench, octets);
    }
    for (const messages of life.sessions) {
      check = new AnswerCheck();
      const server = new Server(messages, check, observer);
      const end = await bench.run(server, MAX_MSG_SIZE);
      server.ended();
      if (end === 'completed') check.completed();
      observer.ended(end === 'completed');
    }
  } catch (thrown) {
    // A disk that takes no writes ends the process sooner or later, and so this life.
    if (!(thrown instanceof StoreError && life.settings.some(([key]) => key === 'disk'))) throw thrown;
  } finally {
    await bench.close();
  }
}

/** What is taken for a notification of the server is, octet by octet, one that it has made. */
function receive(bench: Bench, datagram: Uint8Array): void {
  const unwrapped = unwrapPush(datagram);
  if (!unwrapped.ok) return;
  const trigger = verifyTrigger(unwrapped.value, bench.accounts);
  if (!trigger.ok) return;
  const genuine = NOTIFICATIONS.some((one) => one.equals(Buffer.from(unwrapped.value)));
  assert.ok(genuine, `a forged notification was taken: ${Buffer.from(unwrapped.value).toString('hex')}`);
}

/** Says what it was given, then whatever brings the session to its end. */
class Server implements Carrier {
  #next = 0;
  #polite = 0;
  #handedOverMs: number | undefined;

  constructor(
    private readonly messages: readonly FuzzMessage[],
    private readonly check: AnswerCheck,
    private readonly observer: Observer,
  ) {}

  post: Carrier['post'] = (_, body, mediaType) => {
    this.ended();
    const { encoding } = wireOf(mediaType);
    this.observer.answer(encoding, body);
    const said = this.check.clientSays(encoding, body);
    for (const command of said.body) if (command.kind === 'Status') this.observer.status(command.cmd, command.data);
    const given = this.messages[this.#next];
    this.#next += 1;
    if (!given && this.#polite === MOST_POLITE_MESSAGES) {
      return Promise.resolve(failure('bad-url', 'the server has had enough'));
    }
    const reply = given ?? this.#politeReply(said, encoding);
    const understood = this.check.serverSays(reply.encoding, reply.octets);
    if (understood) this.check.limit(understood);
    if (given) {
      if (understood) this.observer.understood();
      this.observer.input('message');
      this.#handedOverMs = performance.now();
    }
    const contentType = WIRES[reply.encoding].mediaType;
    return Promise.resolve(success({ status: 200, contentType, body: reply.octets }));
  };

  close(): void {}

  /** The gateway has done with the message that it was given last. */
  ended(): void {
    if (this.#handedOverMs !== undefined) this.observer.took(performance.now() - this.#handedOverMs);
    this.#handedOverMs = undefined;
  }

  /** Lets the gateway say the rest of its package, or ends the session. */
  #politeReply({ header, final, body }: Message, encoding: Encoding): FuzzMessage {
    this.#polite += 1;
    const asked = body.some((command) => command.kind === 'Alert' && command.data === '1222');
    // Asked for more, the gateway had nothing else to say: the package that has no Final so far can end.
    const silent = this.#polite > 1 && body.every((one) => one.kind === 'Status' && TO_ASKING.has(one.cmd));
    const goOn = syncml('Alert', [syncml('CmdID', '2'), syncml('Data', '1222')]);
    const octets = write(
      encoding,
      syncml('SyncML', [
        syncml('SyncHdr', [
          syncml('VerDTD', '1.2'),
          syncml('VerProto', 'DM/1.2'),
          syncml('SessionID', header.sessionId),
          syncml('MsgID', String(POLITE_MSG_IDS + this.#polite)),
          syncml('Target', [syncml('LocURI', header.source.uri)]),
          syncml('Source', [syncml('LocURI', header.target.uri)]),
          meta({}),
        ]),
        syncml('SyncBody', [
          syncml('Status', [
            syncml('CmdID', '1'),
            syncml('MsgRef', header.msgId),
            syncml('CmdRef', '0'),
            syncml('Cmd', 'SyncHdr'),
            syncml('Data', '212'),
          ]),
          ...(final || asked || silent ? [syncml('Final')] : [goOn]),
        ]),
      ]),
    );
    return { encoding, octets };
  }
}

/** What a message that only asks for more gets a Status for. */
const TO_ASKING: ReadonlySet<string> = new Set(['SyncHdr', 'Alert']);

/** Larger than the MsgID of any message that was given, except for one that means to be. */
const POLITE_MSG_IDS = 1_000_000;
