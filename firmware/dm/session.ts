import type { Logger } from '../log/index.js';
import { nextState, type TransitionTable } from '../machine/index.js';
import type { Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';
import type { Accounts } from './accounts.js';
import { Alert, Status, VER_DTD, VER_PROTO } from './codes.js';
import { answerAlert, executeCommands, isAnswer, isNextMessage, refuseCommands } from './executor.js';
import type { WrittenMessage } from './message-draft.js';
import type { BodyCommand, Header, Message, ServerCommand, StatusCommand } from './message.js';
import { isSameSession } from './notification.js';
import { openingParts } from './opening.js';
import type { Outbox } from './outbox.js';
import { Packing, type AlertAnswer } from './packing.js';
import { ClientProof, ServerProof, type Evidence } from './proof.js';
import { LargeObjectReceiver } from './receiver.js';
import type { Wire } from './wire.js';
import { MAX_MSG_ID_LENGTH, MessageWriter, type SendStep, type WriterOptions } from './writer.js';

export interface SessionOptions extends WriterOptions {
  readonly accounts: Accounts;
  readonly tree: Tree;
  readonly store: Store;
  readonly outbox: Outbox;
  readonly log: Logger;
  /** True when a notification opened the session (alert 1200), false for one of our own (1201). */
  readonly serverInitiated: boolean;
  /** The notification was made with the default nonce: both sides use it for this session's first digests (DMSEC). */
  readonly defaultNonce: boolean;
  readonly randomBytes: (count: number) => Uint8Array;
}

export type SessionFailure =
  | 'authentication-failed' // the server does not accept our credentials
  | 'server-not-authenticated' // the server could not prove itself
  | 'refused-by-server' // another error Status for our header
  | 'aborted-by-server' // alert 1223
  | 'wrong-session' // the answer belongs to another session
  | 'wrong-version'
  | 'foreign-resp-uri' // RespURI leads to another server
  | 'endless'; // more messages than a session may have, or more commands than the server lets us answer

/** What to do after a message of the server. */
export type SessionStep =
  | SendStep
  | { readonly kind: 'completed' }
  | { readonly kind: 'failed'; readonly failure: SessionFailure; readonly text: string };

/** A message of the server as it came. */
export interface Received extends Pick<Evidence, 'body' | 'hmac'> {
  readonly message: Message;
  readonly wire: Wire;
}

type Phase = 'opening' | 'managing' | 'ended';
type PhaseEvent = 'challenged' | 'accepted' | 'commands' | 'ended';

/** Setup phase (packages 1 and 2, again after a challenge), then packages 3 and 4 as long as there is an answer owed. */
const PHASES = {
  opening: { challenged: 'opening', accepted: 'managing', commands: 'opening', ended: 'ended' },
  managing: { challenged: 'opening', accepted: 'managing', commands: 'managing', ended: 'ended' },
  ended: {},
} as const satisfies TransitionTable<Phase, PhaseEvent>;

/** Generic alerts offered in package 1; the rest goes into the next session. */
const MAX_ALERTS_PER_SESSION = 20;

/** Messages that we send in one session. A server that asks for more is broken or hostile. */
const MAX_MESSAGES = 10_000;

/** A message that has brought so much of a large object has been worth an answer, which does not count. */
const MIN_PIECE_BYTES = 1024;

/**
 * The client's side of one DM session (DMPRO packages 1 to 4), without I/O: messages of the server in, messages to
 * send out. Whoever drives it calls `store.durable()` before a message leaves, and `close` at the end.
 */
export class ClientSession {
  readonly #clientProof: ClientProof;
  readonly #serverProof: ServerProof;
  readonly #writer: MessageWriter;
  readonly #packing: Packing;
  readonly #receiver: LargeObjectReceiver;
  /** What the server has said of our alerts, until it has proved who it is. */
  #alertAnswers: AlertAnswer[] = [];
  #phase: Phase = 'opening';
  /** Messages that count against MAX_MESSAGES. */
  #counted = 0;
  #lastServerMsgId = '';
  /** The package of the server that we answer has ended. */
  #serverFinal = true;
  /** Our last message ended our package. */
  #sentFinal = true;
  /** Our last message asked for the rest of the server's package. */
  #askedForMore = false;
  /** Our last message was a refusal: whatever the server answers, the session has ended so. */
  #ending: SessionStep | undefined;

  constructor(private readonly o: SessionOptions) {
    const { account, defaultNonce, tree, outbox, log, wire, maxObjSize } = o;
    this.#clientProof = new ClientProof(account, defaultNonce);
    this.#serverProof = new ServerProof(account, defaultNonce, o.randomBytes);
    this.#writer = new MessageWriter(o, this.#clientProof);
    this.#packing = new Packing(outbox, log, wire);
    const subject = { serverId: account.serverId };
    this.#receiver = new LargeObjectReceiver({ tree, subject, maxObjectBytes: maxObjSize });
  }

  /** Package 1. */
  open(): SessionStep {
    return this.#send(this.#packageOne());
  }

  /** The server's answer to the message that was sent last: the next message goes out in its encoding. */
  async receive({ message, wire, body, hmac }: Received): Promise<SessionStep> {
    const { header } = message;
    const wrong = this.#ending ?? this.#checkHeader(header);
    if (wrong) return wrong;
    this.#lastServerMsgId = header.msgId;
    this.#writer.wire = this.#packing.speak(wire);
    // Between two messages of our package the server only asks for the rest (alert 1222, without Final): no new package.
    this.#serverFinal = message.final || (this.#serverFinal && !this.#sentFinal);
    this.#writer.limit(header.meta?.maxMsgSize);
    this.#packing.limit(header.meta?.maxObjSize);

    const commands = message.body.filter(isCommand);
    const statuses = message.body.filter((command) => command.kind === 'Status');
    const ours = this.#readHeaderStatus(statuses);
    if (ours.kind === 'failed') return this.#fail(ours.failure, ours.text);
    const evidence = { header, body, ...(hmac !== undefined && { hmac }) };
    const server = this.#serverProof.check(evidence, commands.length > 0 || ours.kind === 'challenged');
    if (server === 'failed') return this.#fail('server-not-authenticated', 'the server could not prove itself');
    // A message that was challenged has not been processed: what it says of our alerts says nothing.
    if (ours.kind !== 'challenged' && this.#serverProof.mayVouch) {
      this.#alertAnswers.push(...this.#packing.answered(statuses));
    }
    if (this.#serverProof.proven) {
      this.#clientProof.persist(this.o.accounts);
      this.#settleAlerts();
    }
    if (this.#packing.isOverfull) return this.#fail('endless', 'the server does not let us answer its commands');
    const verdict = this.#serverProof.verdict();
    this.#writer.answer(header, verdict.code, verdict.chal);
    if (this.#serverProof.mayVouch && commands.some((one) => says(one, Alert.SESSION_ABORT))) {
      return this.#fail('aborted-by-server', 'the server ended the session by alert 1223');
    }
    await this.#answer(commands, message.final);
    if (ours.kind === 'challenged') {
      this.#packing.owe(await this.#receiver.breakOff());
      this.#move('challenged');
      return this.#send(this.#packageOne());
    }
    if (ours.kind === 'accepted') this.#move('accepted');
    return this.#next(commands.length > 0);
  }

  /**
   * The gateway stops amid the session: its last message, alert 1223 (facts 3.6). Undefined where the server does not
   * know of a session. Nothing more is to be sent, whatever it answers.
   */
  abort(): SendStep | undefined {
    if (this.#phase === 'ended' || !this.#writer.wasAnswered) return undefined;
    this.#move('ended');
    const draft = this.#writer.begin();
    draft.add({ kind: 'Alert', data: String(Alert.SESSION_ABORT), items: [] });
    return this.#writer.step(draft.build(true));
  }

  /** To be called at the end, however it came: keeps the nonces, drops what has come of a large object. Idempotent. */
  async close(): Promise<void> {
    await this.#receiver.discard();
    // First, as what it forgets must be forgotten even where the database fails.
    this.#serverProof.close(this.o.accounts);
    this.#clientProof.close(this.o.accounts);
  }

  #next(hadCommands: boolean): SessionStep {
    const silent = this.#packing.isEmpty && !hadCommands;
    // Asked for the rest of its package, a server that says nothing has nothing more to say (facts 16: Final is missing).
    if (silent && (this.#serverFinal || this.#askedForMore)) {
      if (!this.#serverProof.proven) {
        return this.#fail('server-not-authenticated', 'the server ended the session without proving itself');
      }
      this.#move('ended');
      // A server that ends the session without a Status for an alert, or before it let us offer it, has not taken it.
      for (const { id } of this.#packing.unanswered()) this.o.outbox.refused(id);
      return { kind: 'completed' };
    }
    this.#move('commands');
    return this.#send(this.#packageThree());
  }

  #checkHeader(header: Header): SessionStep | undefined {
    const { sessionId, address } = this.o;
    if (!isSameSession(header.sessionId, sessionId) || !this.#isNext(header.msgId)) {
      return this.#fail('wrong-session', 'the answer has another SessionID, or a MsgID that was there before');
    }
    if (header.verDtd !== VER_DTD) return this.#refuseVersion(header, Status.DTD_VERSION, VER_DTD);
    if (header.verProto !== VER_PROTO) return this.#refuseVersion(header, Status.PROTOCOL_VERSION, VER_PROTO);
    // DMREP: RespURI must be obeyed.
    if (header.respUri !== undefined && !address.move(header.respUri)) {
      return this.#fail('foreign-resp-uri', 'RespURI leads away from the server of the account');
    }
    return undefined;
  }

  /** DMREP: MsgID grows from message to message. */
  #isNext(msgId: string): boolean {
    if (msgId.length > MAX_MSG_ID_LENGTH || msgId === this.#lastServerMsgId) return false;
    return !(Number(msgId) <= Number(this.#lastServerMsgId));
  }

  /** DMREP: Status 505 or 513 for the SyncHdr, its Item names the supported version; then the session is over. */
  #refuseVersion(header: Header, code: number, supported: string): SessionStep {
    const text = `the server speaks ${header.verProto} with DTD ${header.verDtd}, not DM/1.2`;
    this.#writer.answer(header, code, undefined, [{ data: supported }]);
    this.#ending = this.#fail('wrong-version', text);
    return this.#writer.step(this.#writer.begin().build(true));
  }

  /** The Status for the header of our last message: accepted, challenged, or the end. */
  #readHeaderStatus(
    statuses: readonly StatusCommand[],
  ): { kind: 'none' | 'accepted' | 'challenged' } | { kind: 'failed'; failure: SessionFailure; text: string } {
    const status = statuses.find((one) => one.cmdRef === '0' && one.msgRef === String(this.#writer.msgId));
    if (!status) return { kind: 'none' };
    const code = Number(status.data);
    if (code === Status.INVALID_CREDENTIALS || code === Status.AUTHENTICATION_REQUIRED) {
      const answer = this.#clientProof.challenged(status.chal);
      if (answer === 'answerable') return { kind: 'challenged' };
      return { kind: 'failed', failure: 'authentication-failed', text: answer };
    }
    if (!(code >= 100 && code < 300)) {
      const text = `the server refused the session with Status ${status.data}`;
      return { kind: 'failed', failure: 'refused-by-server', text };
    }
    this.#clientProof.accepted(code, status.chal);
    return { kind: 'accepted' };
  }

  /** DMPRO 8.7: an alert is done when its Status is 2xx; everything else is offered again in a later session. */
  #settleAlerts(): void {
    const { store, outbox, log } = this.o;
    if (this.#alertAnswers.length === 0) return;
    store.transaction(() => {
      for (const { alert, code } of this.#alertAnswers) {
        if (!outbox.answered(alert, code)) {
          log.warn('the server did not take an alert', { alert: alert.id, status: code });
        }
      }
    });
    this.#alertAnswers = [];
  }

  async #answer(commands: readonly ServerCommand[], final: boolean): Promise<void> {
    const { tree, store, account, log } = this.o;
    const msgRef = this.#lastServerMsgId;
    if (!this.#serverProof.proven) {
      this.#packing.owe(refuseCommands(commands, this.#serverProof.verdict().code, msgRef));
      return;
    }
    if (commands.some((one) => says(one, Alert.NO_END_OF_DATA))) this.#packing.breakOff();
    const context = {
      tree,
      store,
      log,
      msgRef,
      wire: this.#writer.wire,
      onAlert: answerAlert,
      subject: { serverId: account.serverId },
      room: () => this.#writer.roomForAnswers(),
    };
    const answers = await this.#receiver.take({ commands, msgId: msgRef, final }, (some, pieces) =>
      executeCommands(some, { pieces, ...context }),
    );
    // Asked for the rest of our package, we say so first (facts 3.3).
    this.#packing.owe(answers, !this.#sentFinal && commands.every(isNextMessage));
  }

  #packageOne(): WrittenMessage {
    const { serverInitiated, tree, outbox, account } = this.o;
    const draft = this.#writer.begin();
    this.#alertAnswers = [];
    this.#packing.offer(outbox.waiting(account.serverId, MAX_ALERTS_PER_SESSION));
    const opening = openingParts(tree, serverInitiated);
    this.#packing.fillFirst(draft, this.#writer.msgId, opening, this.#writer.roomForAnswers(draft));
    return draft.build(this.#packing.isEmpty);
  }

  /** As much as the peer's MaxMsgSize allows; Final when nothing is left to say and the server has ended its package. */
  #packageThree(): WrittenMessage {
    const draft = this.#writer.begin();
    this.#packing.fill(draft, this.#writer.msgId, this.#writer.roomForAnswers(draft));
    const done = this.#packing.isEmpty;
    // DMPRO: a receiver with nothing else to say asks for the rest of the server's package, or of its large object.
    const onlyHeader = draft.body.length === 1;
    this.#askedForMore = done && !this.#serverFinal && (onlyHeader || this.#receiver.isWaiting);
    if (this.#askedForMore) draft.addIfFits({ kind: 'Alert', data: String(Alert.NEXT_MESSAGE), items: [] });
    return draft.build(done && this.#serverFinal);
  }

  #send(message: WrittenMessage): SessionStep {
    if (this.#receiver.broughtBytes < MIN_PIECE_BYTES) this.#counted += 1;
    if (this.#counted > MAX_MESSAGES) {
      return this.#fail('endless', `the session has more than ${MAX_MESSAGES} messages`);
    }
    this.#serverProof.verdictLeaves(this.o.accounts);
    this.#sentFinal = message.final;
    return this.#writer.step(message);
  }

  #fail(failure: SessionFailure, text: string): SessionStep {
    if (this.#phase !== 'ended') this.#move('ended');
    return { kind: 'failed', failure, text };
  }

  #move(event: PhaseEvent): void {
    this.#phase = nextState<Phase, PhaseEvent>(PHASES, this.#phase, event, 'dm session');
  }
}

/** Whether a command is this Alert, or holds it (in a Sequence or an Atomic). */
function says(command: ServerCommand, alert: number): boolean {
  if ('commands' in command) return command.commands.some((inner) => says(inner, alert));
  return command.kind === 'Alert' && Number(command.data) === alert;
}

/** What must be answered. A Status is never answered, not even a malformed one. */
function isCommand(command: BodyCommand): command is ServerCommand {
  if (command.kind === 'Unusable') return !isAnswer(command);
  return command.kind !== 'Status' && command.kind !== 'Results';
}
