import type { Logger } from '../log/index.js';
import { nextState, type TransitionTable } from '../machine/index.js';
import type { Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';
import type { Account, Accounts } from './accounts.js';
import { Alert, Status, VER_DTD, VER_PROTO } from './codes.js';
import {
  answerAlert,
  executeCommands,
  LONG_CMD_ID,
  reference,
  refuseCommands,
  sizeOf,
  type Answer,
} from './executor.js';
import type { BodyCommand, Header, Message, ServerCommand, StatusCommand } from './message.js';
import { alertCommand, type Outbox, type WaitingAlert } from './outbox.js';
import { ClientProof, ServerProof } from './proof.js';
import type { Wire } from './wire.js';

export interface SessionOptions {
  readonly account: Account;
  readonly accounts: Accounts;
  readonly tree: Tree;
  readonly store: Store;
  readonly outbox: Outbox;
  readonly log: Logger;
  /** DevInfo/DevId: Source of every message. */
  readonly deviceId: string;
  readonly sessionId: string;
  /** True when a notification opened the session (alert 1200), false for one of our own (1201). */
  readonly serverInitiated: boolean;
  /** The notification was made with the default nonce: both sides use it for this session's first digests (DMSEC). */
  readonly defaultNonce: boolean;
  /** Largest message that we accept, in octets; announced to the server. */
  readonly maxMsgSize: number;
  /** In what the first message goes out. */
  readonly wire: Wire;
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
  | { readonly kind: 'send'; readonly message: Message; readonly url: string; readonly wire: Wire }
  | { readonly kind: 'completed' }
  | { readonly kind: 'failed'; readonly failure: SessionFailure; readonly text: string };

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

/** Answers that wait, in octets as they would be sent: a server must let us answer before it asks for more. */
const MAX_OWED_BYTES = 4 * 1024 * 1024;

/** A MsgID is a small decimal number; it is repeated in each Status, so a longer one would multiply. */
const MAX_MSG_ID_LENGTH = 10;

/** A server that has not told its MaxMsgSize yet is spared alerts beyond this: its first message must reach it. */
const FIRST_MESSAGE_BYTES = 8 * 1024;

/** A peer that announces less cannot be talked to: the SyncHdr alone takes this much. */
const MIN_PEER_MESSAGE_BYTES = 1024;

/**
 * The client's side of one DM session (DMPRO packages 1 to 4), without I/O: messages of the server in, messages to
 * send out. Whoever drives it calls `store.durable()` before a message leaves.
 */
export class ClientSession {
  readonly #clientProof: ClientProof;
  readonly #serverProof: ServerProof;
  /** Alerts that went out, by the MsgID and CmdID under which they did. */
  readonly #offered = new Map<string, number>();
  /** The server's Status for them, until it has proved who it is. */
  readonly #alertStatus = new Map<string, number>();
  #phase: Phase = 'opening';
  #wire: Wire;
  #msgId = 0;
  #lastServerMsgId = '';
  #url: string;
  #peerMaxMsgSize: number | undefined;
  #owed: Answer[] = [];
  #owedBytes = 0;
  /** Alerts of package 1 that wait for their message. */
  #queued: WaitingAlert[] = [];
  #headerStatus: Omit<StatusCommand, 'cmdId'> | undefined;
  /** The package of the server that we answer has ended. */
  #serverFinal = true;
  /** Our last message ended our package. */
  #sentFinal = true;
  /** Our last message said nothing but alert 1222. */
  #askedForMore = false;
  #aborted = false;
  /** Our last message was a refusal: whatever the server answers, the session has ended so. */
  #ending: SessionStep | undefined;

  constructor(private readonly options: SessionOptions) {
    this.#url = options.account.url;
    this.#wire = options.wire;
    this.#clientProof = new ClientProof(options.account, options.defaultNonce);
    this.#serverProof = new ServerProof(options.account, options.defaultNonce, options.randomBytes);
  }

  /** Package 1. */
  open(): SessionStep {
    return this.#send(this.#packageOne());
  }

  /**
   * The server's answer to the message that was sent last.
   * @param wire in what it came: the next message goes out so
   */
  receive(message: Message, wire = this.#wire): SessionStep {
    this.#speak(wire);
    const wrong = this.#ending ?? this.#checkHeader(message.header);
    if (wrong) return wrong;
    this.#lastServerMsgId = message.header.msgId;
    // Between two messages of our package the server only asks for the rest (alert 1222, without Final): no new package.
    this.#serverFinal = message.final || (this.#serverFinal && !this.#sentFinal);
    const peerMax = message.header.meta?.maxMsgSize;
    if (peerMax !== undefined) this.#peerMaxMsgSize = Math.max(peerMax, MIN_PEER_MESSAGE_BYTES);

    const commands = message.body.filter(isCommand);
    const statuses = message.body.filter((command) => command.kind === 'Status');
    const ours = this.#readHeaderStatus(statuses);
    if (ours.kind === 'failed') return this.#fail(ours.failure, ours.text);
    const server = this.#serverProof.check(message.header, commands.length > 0 || ours.kind === 'challenged');
    if (server === 'failed') return this.#fail('server-not-authenticated', 'the server could not prove itself');
    // A message that was challenged has not been processed: what it says of our alerts says nothing.
    if (ours.kind !== 'challenged') this.#noteAlerts(statuses);
    if (this.#serverProof.proven) {
      this.#clientProof.persist(this.options.accounts);
      this.#settleAlerts();
    }
    if (this.#owedBytes > MAX_OWED_BYTES)
      return this.#fail('endless', 'the server does not let us answer its commands');
    this.#headerStatus = this.#statusForHeader(message.header);
    this.#answer(commands);
    if (this.#aborted) return this.#fail('aborted-by-server', 'the server ended the session by alert 1223');
    if (ours.kind === 'challenged') {
      this.#move('challenged');
      return this.#send(this.#packageOne());
    }
    if (ours.kind === 'accepted') this.#move('accepted');
    return this.#next(commands.length > 0);
  }

  #speak(wire: Wire): void {
    if (wire === this.#wire) return;
    this.#wire = wire;
    this.#owedBytes = this.#owed.reduce((sum, answer) => sum + sizeOf(answer, wire), 0);
  }

  #next(hadCommands: boolean): SessionStep {
    const silent = this.#owed.length === 0 && this.#queued.length === 0 && !hadCommands;
    // Asked for the rest of its package, a server that says nothing has nothing more to say (facts 16: Final is missing).
    if (silent && (this.#serverFinal || this.#askedForMore)) {
      this.#move('ended');
      if (this.#serverProof.proven) {
        this.#serverProof.persist(this.options.accounts, false);
        this.#countSilentRefusals();
        return { kind: 'completed' };
      }
      return this.#fail('server-not-authenticated', 'the server ended the session without proving itself');
    }
    this.#move('commands');
    return this.#send(this.#packageThree());
  }

  #checkHeader(header: Header): SessionStep | undefined {
    const { sessionId } = this.options;
    if (header.sessionId !== sessionId || !this.#isNext(header.msgId)) {
      return this.#fail('wrong-session', 'the answer has another SessionID, or a MsgID that was there before');
    }
    if (header.verDtd !== VER_DTD) return this.#refuseVersion(header, Status.DTD_VERSION, VER_DTD);
    if (header.verProto !== VER_PROTO) return this.#refuseVersion(header, Status.PROTOCOL_VERSION, VER_PROTO);
    if (header.respUri !== undefined) {
      // DMREP: RespURI must be obeyed; a server may move within its own origin only.
      const target = URL.canParse(header.respUri, this.#url) ? new URL(header.respUri, this.#url) : undefined;
      if (target?.origin !== new URL(this.options.account.url).origin) {
        return this.#fail('foreign-resp-uri', 'RespURI leads away from the server of the account');
      }
      this.#url = target.href;
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
    const status = { ...newHeaderStatus(header, code), cmdId: '1', items: [{ data: supported }] };
    this.#ending = this.#fail('wrong-version', text);
    const message = { header: this.#nextHeader(), body: [status], final: true };
    return { kind: 'send', message, url: this.#url, wire: this.#wire };
  }

  /** The Status for the header of our last message: accepted, challenged, or the end. */
  #readHeaderStatus(
    statuses: readonly StatusCommand[],
  ): { kind: 'none' | 'accepted' | 'challenged' } | { kind: 'failed'; failure: SessionFailure; text: string } {
    const status = statuses.find((one) => one.cmdRef === '0' && one.msgRef === String(this.#msgId));
    if (!status) return { kind: 'none' };
    const code = Number(status.data);
    if (code === Status.INVALID_CREDENTIALS || code === Status.AUTHENTICATION_REQUIRED) {
      const answer = this.#clientProof.challenged(status.chal);
      if (answer === 'answerable') return { kind: 'challenged' };
      return { kind: 'failed', failure: 'authentication-failed', text: answer };
    }
    if (!(code >= 100 && code < 300)) {
      return {
        kind: 'failed',
        failure: 'refused-by-server',
        text: `the server refused the session with Status ${status.data}`,
      };
    }
    this.#clientProof.accepted(code, status.chal);
    return { kind: 'accepted' };
  }

  #noteAlerts(statuses: readonly StatusCommand[]): void {
    for (const { cmd, msgRef, cmdRef, data } of statuses) {
      const sent = `${msgRef}:${cmdRef}`;
      if (cmd === 'Alert' && this.#offered.has(sent)) this.#alertStatus.set(sent, Number(data));
    }
  }

  /** DMPRO 8.7: an alert is done when its Status is 2xx; everything else is offered again in a later session. */
  #settleAlerts(): void {
    const { store, outbox, log } = this.options;
    if (this.#alertStatus.size === 0) return;
    store.transaction(() => {
      for (const [sent, code] of this.#alertStatus) {
        const alertId = this.#offered.get(sent);
        if (alertId === undefined) continue;
        this.#offered.delete(sent);
        if (code >= 200 && code < 300) outbox.delivered(alertId);
        else {
          outbox.refused(alertId);
          log.warn('the server did not take an alert', { alert: alertId, status: code });
        }
      }
    });
    this.#alertStatus.clear();
  }

  /** A server that ends the session without a Status for an alert, or before it let us offer it, has not taken it. */
  #countSilentRefusals(): void {
    const untaken = [...this.#offered.values(), ...this.#queued.map(({ id }) => id)];
    for (const alertId of untaken) this.options.outbox.refused(alertId);
  }

  #statusForHeader(header: Header): Omit<StatusCommand, 'cmdId'> {
    const { code, chal } = this.#serverProof.verdict();
    return { ...newHeaderStatus(header, code), ...(chal && { chal }) };
  }

  #answer(commands: readonly ServerCommand[]): void {
    const { tree, store, account, log } = this.options;
    const msgRef = this.#lastServerMsgId;
    if (commands.some(aborts)) {
      this.#aborted = true;
      return;
    }
    if (!this.#serverProof.proven) {
      this.#owe(refuseCommands(commands, this.#serverProof.verdict().code, msgRef));
      return;
    }
    const subject = { serverId: account.serverId };
    const room = this.#roomForAnswers();
    const wire = this.#wire;
    const answers = executeCommands(commands, { tree, store, subject, msgRef, log, wire, room, onAlert: answerAlert });
    // Asked for the rest of our package, we say so first (facts 3.3).
    if (!this.#sentFinal && commands.every(isNextMessage)) this.#owe(answers, 0);
    else this.#owe(this.#fitting(answers));
  }

  #owe(answers: readonly Answer[], at = this.#owed.length): void {
    this.#owed.splice(at, 0, ...answers);
    for (const answer of answers) this.#owedBytes += sizeOf(answer, this.#wire);
  }

  /** A value that fits into no message of the peer is refused: 413 instead of 200 and Results. */
  #fitting(answers: readonly Answer[]): Answer[] {
    const fitting: Answer[] = [];
    for (const answer of answers) {
      if (answer.kind === 'Results' && sizeOf(answer, this.#wire) > this.#roomForAnswers()) {
        const status = fitting.findLastIndex((one) => one.kind === 'Status' && one.cmdRef === answer.cmdRef);
        const refused = fitting[status];
        if (refused?.kind === 'Status') fitting[status] = { ...refused, data: String(Status.TOO_LARGE) };
      } else {
        fitting.push(answer);
      }
    }
    return fitting;
  }

  #packageOne(): Message {
    const { serverInitiated, tree, outbox, account } = this.options;
    const header = this.#nextHeader();
    this.#offered.clear();
    this.#alertStatus.clear();
    this.#queued = outbox.waiting(account.serverId, MAX_ALERTS_PER_SESSION);
    const body: BodyCommand[] = [];
    if (this.#headerStatus) body.push({ ...this.#headerStatus, cmdId: '1' });
    const code = serverInitiated ? Alert.SERVER_INITIATED : Alert.CLIENT_INITIATED;
    const opening = [
      { kind: 'Alert', cmdId: '', data: String(code), items: [] },
      { kind: 'Replace', cmdId: '', items: deviceInfoItems(tree) },
    ] as const;
    this.#addAnswers(
      body,
      this.#roomIn(header, [...body, ...opening.map((part) => ({ ...part, cmdId: LONG_CMD_ID }))]),
    );
    for (const part of opening) body.push({ ...part, cmdId: nextId(body) });
    this.#addAlerts(body, this.#roomIn(header, body));
    return { header, body, final: this.#owed.length === 0 && this.#queued.length === 0 };
  }

  /** As much as the peer's MaxMsgSize allows; Final when nothing is left to say and the server has ended its package. */
  #packageThree(): Message {
    const header = this.#nextHeader();
    const body: BodyCommand[] = [];
    if (this.#headerStatus) body.push({ ...this.#headerStatus, cmdId: '1' });
    const room = this.#addAnswers(body, this.#roomIn(header, body), true);
    if (this.#owed.length === 0) this.#addAlerts(body, room, true);
    const done = this.#owed.length === 0 && this.#queued.length === 0;
    // DMPRO: a receiver with nothing else to say asks for the rest of the server's package.
    this.#askedForMore = !this.#serverFinal && done && body.length === 1;
    if (this.#askedForMore) body.push({ kind: 'Alert', cmdId: '2', data: String(Alert.NEXT_MESSAGE), items: [] });
    return { header, body, final: done && this.#serverFinal };
  }

  /**
   * Adds the owed answers that fit.
   * @param onlyHere no later message has more room: what does not even fit alone is left out, so that there is always
   *   progress
   * @returns the room that is left
   */
  #addAnswers(body: BodyCommand[], room: number, onlyHere = false): number {
    for (let next = this.#owed[0]; next; next = this.#owed[0]) {
      let command = { ...next, cmdId: nextId(body) };
      let size = this.#wire.sizeOf(command);
      if (size > room) {
        if (!onlyHere || !body.every(isAboutMessages)) break;
        command = command.kind === 'Status' ? { ...command, targetRefs: [], sourceRefs: [] } : command;
        size = this.#wire.sizeOf(command);
      }
      this.#owed.shift();
      this.#owedBytes -= sizeOf(next, this.#wire);
      if (size > room) {
        this.options.log.warn('an answer is too long for the server', { cmd_ref: next.cmdRef, bytes: size });
        continue;
      }
      body.push(command);
      room -= size;
    }
    return room;
  }

  /** The same for the alerts of package 1. One that fits into no message counts as refused. */
  #addAlerts(body: BodyCommand[], room: number, onlyHere = false): void {
    for (let next = this.#queued[0]; next; next = this.#queued[0]) {
      const command = alertCommand(next, Alert.GENERIC, nextId(body));
      const size = this.#wire.sizeOf(command);
      if (size > room && !(onlyHere && body.every(isAboutMessages))) break;
      this.#queued.shift();
      if (size > room) {
        this.options.log.warn('an alert is too long for the server', { alert: next.id, bytes: size });
        this.options.outbox.refused(next.id);
        continue;
      }
      this.#offered.set(`${this.#msgId}:${command.cmdId}`, next.id);
      body.push(command);
      room -= size;
    }
  }

  #nextHeader(): Header {
    this.#msgId += 1;
    return this.#header();
  }

  #header(): Header {
    const { deviceId, sessionId, account, maxMsgSize } = this.options;
    const cred = this.#clientProof.cred();
    return {
      verDtd: VER_DTD,
      verProto: VER_PROTO,
      sessionId,
      msgId: String(this.#msgId),
      target: { uri: this.#url },
      source: { uri: deviceId, ...(account.client.name !== '' && { name: account.client.name }) },
      ...(cred && { cred }),
      meta: { maxMsgSize },
    };
  }

  /** Octets that the peer's MaxMsgSize leaves in a message with this header and body (DMREP: it must be respected). */
  #roomIn(header: Header, body: readonly BodyCommand[]): number {
    const limit = this.#peerMaxMsgSize ?? (this.#lastServerMsgId === '' ? FIRST_MESSAGE_BYTES : Infinity);
    return limit - this.#wire.envelopeSize(header) - body.reduce((sum, command) => sum + this.#wire.sizeOf(command), 0);
  }

  /** The same for a message of package 3 with nothing in it but what every one may have to say. */
  #roomForAnswers(): number {
    const headerStatus = this.#headerStatus ? [{ ...this.#headerStatus, cmdId: '1' }] : [];
    return this.#roomIn(this.#header(), [...headerStatus, ASKED_FOR_MORE]);
  }

  #send(message: Message): SessionStep {
    if (this.#msgId > MAX_MESSAGES) return this.#fail('endless', `the session has more than ${MAX_MESSAGES} messages`);
    if (this.#headerStatus) this.#serverProof.persist(this.options.accounts, true);
    this.#sentFinal = message.final;
    return { kind: 'send', message, url: this.#url, wire: this.#wire };
  }

  #fail(failure: SessionFailure, text: string): SessionStep {
    if (this.#phase !== 'ended') this.#move('ended');
    return { kind: 'failed', failure, text };
  }

  #move(event: PhaseEvent): void {
    this.#phase = nextState<Phase, PhaseEvent>(PHASES, this.#phase, event, 'dm session');
  }
}

function nextId(body: readonly BodyCommand[]): string {
  return String(body.length + 1);
}

function newHeaderStatus(header: Header, code: number): Omit<StatusCommand, 'cmdId'> {
  return {
    kind: 'Status',
    msgRef: header.msgId,
    cmdRef: '0',
    cmd: 'SyncHdr',
    targetRefs: reference(header.target),
    sourceRefs: reference(header.source),
    data: String(code),
    items: [],
  };
}

/** The longest Status of an alert 1222 amid our package. */
const ASKED_FOR_MORE: StatusCommand = {
  kind: 'Status',
  cmdId: '2',
  msgRef: '9'.repeat(MAX_MSG_ID_LENGTH),
  cmdRef: '99',
  cmd: 'Alert',
  targetRefs: [],
  sourceRefs: [],
  data: '200',
  items: [],
};

/** Status of the SyncHdr, or of an alert 1222: in every message of a package, so no later one has more room. */
function isAboutMessages(command: BodyCommand): boolean {
  return command.kind === 'Status' && (command.cmd === 'SyncHdr' || command.cmd === 'Alert');
}

function isNextMessage(command: ServerCommand): boolean {
  return command.kind === 'Alert' && Number(command.data) === Alert.NEXT_MESSAGE;
}

/** Alert 1223, also where it stands in a Sequence or an Atomic. */
function aborts(command: ServerCommand): boolean {
  if ('commands' in command) return command.commands.some(aborts);
  return command.kind === 'Alert' && Number(command.data) === Alert.SESSION_ABORT;
}

/** What must be answered. A Status is never answered, not even a malformed one. */
function isCommand(command: BodyCommand): command is ServerCommand {
  if (command.kind === 'Unusable') return command.name !== 'Status' && command.name !== 'Results';
  return command.kind !== 'Status' && command.kind !== 'Results';
}

/** DMPRO: all DevInfo leaves go to the server in package 1, as Source, not Target. */
function deviceInfoItems(
  tree: Tree,
): { source: { uri: string }; meta: { format: string; type: string }; data: string }[] {
  const names = tree.get('local', './DevInfo');
  if (!names.ok) throw new Error('the tree has no DevInfo');
  return String(names.value.data)
    .split('/')
    .flatMap((name) => {
      const uri = `./DevInfo/${name}`;
      const leaf = tree.get('local', uri);
      if (!leaf.ok || leaf.value.format === 'node') return [];
      return [
        { source: { uri }, meta: { format: leaf.value.format, type: leaf.value.type }, data: String(leaf.value.data) },
      ];
    });
}
