import type { Logger } from '../log/index.js';
import { nextState, type TransitionTable } from '../machine/index.js';
import type { Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';
import type { Account, Accounts } from './accounts.js';
import { Alert, Status, VER_DTD, VER_PROTO } from './codes.js';
import { answerAlert, executeCommands, refuseCommands, type Answer } from './executor.js';
import type { BodyCommand, Header, Message, ServerCommand, StatusCommand } from './message.js';
import { alertCommand, type Outbox } from './outbox.js';
import { ClientProof, ServerProof } from './proof.js';
import { encodedSize, envelopeSize } from './syncml.js';

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
  | 'endless'; // more messages than a session may have

/** What to do after a message of the server. */
export type SessionStep =
  | { readonly kind: 'send'; readonly message: Message; readonly url: string }
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

/** Generic alerts put into package 1; the rest goes into the next session. */
const MAX_ALERTS_PER_SESSION = 20;

/** Messages that we send in one session. A server that asks for more is broken or hostile. */
const MAX_MESSAGES = 10_000;

/** A peer that announces less cannot be talked to: the SyncHdr alone takes this much. */
const MIN_PEER_MESSAGE_BYTES = 1024;

/**
 * The client's side of one DM session (DMPRO packages 1 to 4), without I/O: messages of the server in, messages to
 * send out. Whoever drives it calls `store.durable()` before a message leaves.
 */
export class ClientSession {
  readonly #clientProof: ClientProof;
  readonly #serverProof: ServerProof;
  readonly #offered = new Map<string, number>();
  #phase: Phase = 'opening';
  #msgId = 0;
  #lastServerMsgId = '';
  #url: string;
  #peerMaxMsgSize: number | undefined;
  #owed: Answer[] = [];
  #headerStatus: Omit<StatusCommand, 'cmdId'> | undefined;
  #serverFinal = true;
  #aborted = false;

  constructor(private readonly options: SessionOptions) {
    this.#url = options.account.url;
    this.#clientProof = new ClientProof(options.account, options.defaultNonce);
    this.#serverProof = new ServerProof(options.account, options.defaultNonce, options.randomBytes);
  }

  /** Package 1. */
  open(): SessionStep {
    return this.#send(this.#packageOne());
  }

  /** The server's answer to the message that was sent last. */
  receive(message: Message): SessionStep {
    const wrong = this.#checkHeader(message.header);
    if (wrong) return wrong;
    this.#lastServerMsgId = message.header.msgId;
    this.#serverFinal = message.final;
    const peerMax = message.header.meta?.maxMsgSize;
    if (peerMax !== undefined) this.#peerMaxMsgSize = Math.max(peerMax, MIN_PEER_MESSAGE_BYTES);

    const commands = message.body.filter(isCommand);
    const statuses = message.body.filter((command) => command.kind === 'Status');
    const ours = this.#readHeaderStatus(statuses);
    if (ours.kind === 'failed') return this.#fail(ours.failure, ours.text);
    const server = this.#serverProof.check(message.header, commands.length > 0 || ours.kind === 'challenged');
    if (server === 'failed') return this.#fail('server-not-authenticated', 'the server could not prove itself');
    if (this.#serverProof.proven) {
      this.#clientProof.persist(this.options.accounts);
      this.#settleAlerts(statuses);
    }
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

  #next(hadCommands: boolean): SessionStep {
    if (this.#owed.length === 0 && !hadCommands && this.#serverFinal) {
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
    if (header.verDtd !== VER_DTD || header.verProto !== VER_PROTO) {
      return this.#fail('wrong-version', `the server speaks ${header.verProto} with DTD ${header.verDtd}, not DM/1.2`);
    }
    if (header.sessionId !== sessionId || header.msgId === this.#lastServerMsgId) {
      return this.#fail('wrong-session', 'the answer has another SessionID, or a MsgID that was there before');
    }
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
    if (code >= 300) {
      return {
        kind: 'failed',
        failure: 'refused-by-server',
        text: `the server refused the session with Status ${code}`,
      };
    }
    this.#clientProof.accepted(code, status.chal);
    return { kind: 'accepted' };
  }

  /** DMPRO 8.7: an alert is done when its Status is 2xx; everything else is offered again in a later session. */
  #settleAlerts(statuses: readonly StatusCommand[]): void {
    const { store, outbox, log } = this.options;
    store.transaction(() => {
      for (const status of statuses) {
        const reference = `${status.msgRef}:${status.cmdRef}`;
        const alertId = this.#offered.get(reference);
        if (alertId === undefined || status.cmd !== 'Alert') continue;
        this.#offered.delete(reference);
        const code = Number(status.data);
        if (code >= 200 && code < 300) outbox.delivered(alertId);
        else {
          outbox.refused(alertId);
          log.warn('the server did not take an alert', { alert: alertId, status: code });
        }
      }
    });
  }

  /** A server that ends the session without a Status for an alert has not taken it. */
  #countSilentRefusals(): void {
    for (const alertId of this.#offered.values()) this.options.outbox.refused(alertId);
  }

  #statusForHeader(header: Header): Omit<StatusCommand, 'cmdId'> {
    const { code, chal } = this.#serverProof.verdict();
    return {
      kind: 'Status',
      msgRef: header.msgId,
      cmdRef: '0',
      cmd: 'SyncHdr',
      targetRefs: [header.target.uri],
      sourceRefs: [header.source.uri],
      ...(chal && { chal }),
      data: String(code),
      items: [],
    };
  }

  #answer(commands: readonly ServerCommand[]): void {
    const { tree, store, account } = this.options;
    const msgRef = this.#lastServerMsgId;
    const aborts = commands.some((command) => command.kind === 'Alert' && Number(command.data) === Alert.SESSION_ABORT);
    if (aborts) {
      this.#aborted = true;
      return;
    }
    if (!this.#serverProof.proven) {
      this.#owed.push(...refuseCommands(commands, this.#serverProof.verdict().code, msgRef));
      return;
    }
    const subject = { serverId: account.serverId };
    const answers = executeCommands(commands, { tree, store, subject, msgRef, onAlert: answerAlert });
    this.#owed.push(...this.#fitting(answers));
  }

  /** A value that fits into no message of the peer is refused: 413 instead of 200 and Results. */
  #fitting(answers: readonly Answer[]): Answer[] {
    const fitting: Answer[] = [];
    for (const answer of answers) {
      if (answer.kind === 'Results' && encodedSize({ ...answer, cmdId: '99999' }) > this.#roomForAnswers()) {
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
    const owed = this.#owed;
    this.#owed = [];
    this.#offered.clear();
    const body: BodyCommand[] = [];
    const nextId = (): string => String(body.length + 1);
    if (this.#headerStatus) body.push({ ...this.#headerStatus, cmdId: nextId() });
    for (const answer of owed) body.push({ ...answer, cmdId: nextId() });
    body.push({
      kind: 'Alert',
      cmdId: nextId(),
      data: String(serverInitiated ? Alert.SERVER_INITIATED : Alert.CLIENT_INITIATED),
      items: [],
    });
    body.push({ kind: 'Replace', cmdId: nextId(), items: deviceInfoItems(tree) });
    let room = this.#roomIn(header, body);
    for (const alert of outbox.waiting(account.serverId, MAX_ALERTS_PER_SESSION)) {
      const command = alertCommand(alert, Alert.GENERIC, nextId());
      room -= encodedSize(command);
      if (room < 0) break;
      this.#offered.set(`${this.#msgId}:${command.cmdId}`, alert.id);
      body.push(command);
    }
    return { header, body, final: true };
  }

  /** As many of the owed answers as the peer's MaxMsgSize allows; Final when none is left and the server has ended its package. */
  #packageThree(): Message {
    const header = this.#nextHeader();
    const body: BodyCommand[] = [];
    if (this.#headerStatus) body.push({ ...this.#headerStatus, cmdId: '1' });
    let room = this.#roomIn(header, body);
    for (let next = this.#owed[0]; next; next = this.#owed[0]) {
      const command = { ...next, cmdId: String(body.length + 1) };
      room -= encodedSize(command);
      if (room < 0) break;
      body.push(command);
      this.#owed.shift();
    }
    const final = this.#owed.length === 0 && this.#serverFinal;
    // DMPRO: a receiver with nothing else to say asks for the rest of the server's package.
    if (!this.#serverFinal && body.length === 1 && this.#owed.length === 0) {
      body.push({ kind: 'Alert', cmdId: '2', data: String(Alert.NEXT_MESSAGE), items: [] });
    }
    return { header, body, final };
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
    if (this.#peerMaxMsgSize === undefined) return Infinity;
    return this.#peerMaxMsgSize - envelopeSize(header) - body.reduce((sum, command) => sum + encodedSize(command), 0);
  }

  /** The same for a message of package 3 that carries nothing else yet. */
  #roomForAnswers(): number {
    return this.#roomIn(this.#header(), this.#headerStatus ? [{ ...this.#headerStatus, cmdId: '1' }] : []);
  }

  #send(message: Message): SessionStep {
    if (this.#msgId > MAX_MESSAGES) return this.#fail('endless', `the session has more than ${MAX_MESSAGES} messages`);
    if (this.#headerStatus) this.#serverProof.persist(this.options.accounts, true);
    return { kind: 'send', message, url: this.#url };
  }

  #fail(failure: SessionFailure, text: string): SessionStep {
    if (this.#phase !== 'ended') this.#move('ended');
    return { kind: 'failed', failure, text };
  }

  #move(event: PhaseEvent): void {
    this.#phase = nextState<Phase, PhaseEvent>(PHASES, this.#phase, event, 'dm session');
  }
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
