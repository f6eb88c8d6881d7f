import {
  Alert,
  effectiveMeta,
  Status,
  VER_DTD,
  VER_PROTO,
  type AlertCommand,
  type BodyCommand,
  type Header,
  type Item,
  type Message,
  type ResultsCommand,
  type StatusCommand,
  type Wire,
} from '../../../firmware/dm/index.js';
import { DeviceCheck, type Sealed, type Verdict } from './device-check.js';
import type { Device } from './devices.js';
import { Dispatch, type PeerLimits } from './dispatch.js';
import type { Faults } from './faults.js';
import { IncomingObject, type Bringing } from './incoming-object.js';
import { MessageBuilder, type DueStatus } from './message-builder.js';
import { OwnProof } from './own-proof.js';
import { asText } from './values.js';

export interface SessionSettings {
  /** Largest message that the server takes, announced to the device. */
  readonly maxMsgSize: number;
  /** Longest value that it takes in chunks, announced to the device. */
  readonly maxObjSize: number;
  readonly faults: Faults;
  /** URI that the device must send its next message to; undefined: the same as before. */
  readonly respUri: string | undefined;
}

/** A message with all that came with it. */
export interface Received extends Omit<Sealed, 'header'> {
  readonly message: Message;
}

export type SessionEndReason =
  | 'completed'
  | 'refused' // the device could not prove itself
  | 'not-trusted' // the device does not accept the server's credentials
  | 'aborted' // by the device, alert 1223
  | 'wrong-version'
  | 'superseded' // the device has begun another one
  | 'timeout'
  | 'stopped';

/** A device that announces less cannot be talked to. */
const MIN_PEER_MESSAGE_BYTES = 1024;

/**
 * The server's side of one DM session (facts 3), without I/O but for the files of large values: a message of the device
 * in, the answer out. The device gets the commands of its queue, package by package.
 */
export class ServerSession {
  #ended: SessionEndReason | undefined;
  readonly #check: DeviceCheck;
  readonly #proof: OwnProof | undefined;
  readonly #dispatch: Dispatch | undefined;
  #msgId = 0;
  #limits: PeerLimits = { maxMsgSize: Number.POSITIVE_INFINITY, maxObjSize: Number.POSITIVE_INFINITY };
  #started = false;
  readonly #incoming: IncomingObject;
  /** Statuses for which the last message had no room. */
  #due: readonly DueStatus[] = [];
  /** Our package goes on: the last message was without Final, and not to ask for the rest of the device's package. */
  #unfinished = false;
  /** Our last message said nothing but alert 1222. */
  #askedForMore = false;

  /** @param device undefined: no account has this Source */
  constructor(
    readonly sessionId: string,
    private readonly device: Device | undefined,
    defaultNonce: boolean,
    private readonly settings: SessionSettings,
  ) {
    this.#check = new DeviceCheck(device, defaultNonce);
    this.#proof = device && new OwnProof(device, defaultNonce, settings.faults);
    this.#dispatch = device && new Dispatch(device, settings.faults);
    this.#incoming = new IncomingObject(settings.maxObjSize);
  }

  get ended(): SessionEndReason | undefined {
    return this.#ended;
  }

  /** The object that goes out at present. */
  get sending(): Dispatch['sending'] {
    return this.#dispatch?.sending;
  }

  /** Ends the session from outside; commands without an answer go back to the queue. Nothing happens when it has ended. */
  end(reason: SessionEndReason): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#drop();
    this.device?.events.add('session-end', { sessionId: this.sessionId, reason });
  }

  /**
   * Answers a message. The caller has checked that it is the next one of this session.
   * @param wire in which the answer will go out
   */
  receive(received: Received, wire: Wire): Message {
    const { message } = received;
    const { header } = message;
    const wrongVersion = versionStatus(header);
    if (wrongVersion !== undefined) return this.#refuseVersion(header, wrongVersion, wire);
    const { maxMsgSize, maxObjSize } = header.meta ?? {};
    this.#limits = {
      maxMsgSize: Math.max(maxMsgSize ?? this.#limits.maxMsgSize, MIN_PEER_MESSAGE_BYTES),
      maxObjSize: maxObjSize ?? this.#limits.maxObjSize,
    };

    const forced = this.device && this.settings.faults.take('challenge', this.device.id) !== undefined;
    const verdict = this.#check.check({ header, ...received }, forced ?? false);
    this.#reportCheck(verdict, header, received.hmac);
    const trust = this.#proof?.answered(this.#statusForUs(message), verdict.accepted) ?? 'nothing';
    const { device } = this;
    const dispatch = this.#dispatch;
    if (!verdict.accepted || !device || !dispatch) return this.#refuse(message, verdict, wire);
    // Once new nonces are agreed on, the default one counts nowhere any more (facts 5.8).
    device.resynchronising.clear();
    if (trust !== 'nothing') device.events.add('auth', { side: 'server', result: trust, sessionId: this.sessionId });
    // The device has executed nothing: what it answered 401 or 407 is sent again.
    if (trust === 'again' || trust === 'refused') this.#recall();

    const answer = this.#begin(header, true, wire);
    answer.headerStatus(verdict.code, verdict.chal);
    for (const status of this.#due) answer.dueStatus(status);
    if (this.#takeBody(device, dispatch, message, answer)) {
      this.end('aborted');
      return answer.build(true);
    }
    if (trust === 'refused') {
      answer.alert(Alert.SESSION_ABORT);
      this.end('not-trusted');
      return answer.build(true);
    }
    // Asked for the rest of its package, a device that says nothing has nothing more to say (facts 16: Final is missing).
    const deviceFinal = message.final || (this.#askedForMore && message.body.every(saysNothing));
    this.#askedForMore = false;
    return answer.build(this.#goOn(dispatch, deviceFinal, answer));
  }

  /** `x-syncml-hmac` for the octets of the answer; undefined where none is in use. */
  hmac(body: Uint8Array): string | undefined {
    return this.#proof?.hmac(body);
  }

  /**
   * What the server itself has to say, behind its Statuses.
   * @returns whether its package ends with this message
   */
  #goOn(dispatch: Dispatch, deviceFinal: boolean, answer: MessageBuilder): boolean {
    this.#due = answer.due;
    if (this.#due.length > 0) {
      this.#unfinished = true;
      return false;
    }
    const chunk = dispatch.chunkAnswer(deviceFinal);
    const isTheirs = chunk === 'none' && !deviceFinal && !this.#unfinished;
    if (chunk === 'wait' || isTheirs || this.#incoming.open !== undefined) {
      // DMPRO: exactly this asks for the rest of the device's package, or of its object.
      answer.alert(Alert.NEXT_MESSAGE);
      this.#askedForMore = true;
      return false;
    }
    if (chunk === 'over') dispatch.endObject();
    // Some clients end every message with Final: an object goes on all the same (facts 16).
    if (deviceFinal && chunk !== 'next') dispatch.land();
    this.#unfinished = false;
    if (this.#ended) return true;
    const msgId = String(this.#msgId);
    const sent =
      chunk === 'next'
        ? dispatch.sendChunk(answer, msgId, this.#limits)
        : dispatch.sendCommands(answer, msgId, this.#limits);
    if (sent === 'nothing') {
      dispatch.land();
      this.end('completed');
    }
    this.#unfinished = sent === 'open';
    return sent !== 'open';
  }

  #begin(answered: Header, peerProven: boolean, wire: Wire): MessageBuilder {
    this.#msgId += 1;
    const { settings } = this;
    const cred = this.#proof?.cred(peerProven);
    const name = this.#proof?.name;
    const header: Header = {
      verDtd: VER_DTD,
      verProto: VER_PROTO,
      sessionId: this.sessionId,
      msgId: String(this.#msgId),
      target: { uri: answered.source.uri },
      source: { uri: answered.target.uri, ...(name !== undefined && { name }) },
      ...(settings.respUri !== undefined && { respUri: settings.respUri }),
      ...(cred && { cred }),
      meta: { maxMsgSize: settings.maxMsgSize, maxObjSize: settings.maxObjSize },
    };
    return new MessageBuilder(header, answered, wire, this.#limits.maxMsgSize);
  }

  #refuseVersion(header: Header, code: number, wire: Wire): Message {
    const answer = this.#begin(header, false, wire);
    // DMREP: the Item lists what is supported instead.
    answer.headerStatus(code, undefined, [{ data: code === Status.DTD_VERSION ? VER_DTD : VER_PROTO }]);
    this.end('wrong-version');
    return answer.build(true);
  }

  /** Statuses with the code of the challenge for every command; nothing is looked at. */
  #refuse({ header, body }: Message, verdict: Verdict, wire: Wire): Message {
    this.#drop();
    const answer = this.#begin(header, false, wire);
    answer.headerStatus(verdict.code, verdict.chal);
    for (const command of body) {
      if (command.kind !== 'Status' && command.kind !== 'Results') answer.status(command, verdict.code);
    }
    if (verdict.last) this.end('refused');
    return answer.build(true);
  }

  /** Everything under way is void: it begins again, with the next message or in the next session. */
  #drop(): void {
    this.#dispatch?.crash();
    this.#forget();
  }

  /** The device took no notice of our last message: its commands go out again, an object from its first chunk on. */
  #recall(): void {
    this.#dispatch?.recall();
    this.#forget();
  }

  #forget(): void {
    this.#incoming.drop();
    this.#due = [];
  }

  #reportCheck({ accepted, checked, code }: Verdict, { cred }: Header, hmac: string | undefined): void {
    const { device, sessionId } = this;
    if (!checked) return;
    const scheme = hmac === undefined ? (cred?.meta.type ?? null) : AUTH_MAC;
    const result = accepted ? 'accepted' : scheme === null ? 'missing' : 'refused';
    device?.events.add('auth', { side: 'client', result, code, scheme, sessionId });
  }

  #statusForUs({ body }: Message): StatusCommand | undefined {
    return body
      .filter((command) => command.kind === 'Status')
      .find(({ cmdRef, msgRef }) => cmdRef === '0' && msgRef === String(this.#msgId));
  }

  /** @returns true when the device aborts the session */
  #takeBody(device: Device, dispatch: Dispatch, { body, final }: Message, answer: MessageBuilder): boolean {
    let aborted = false;
    const before = this.#incoming.open === undefined ? undefined : this.#incoming.bytes;
    for (const command of body) {
      switch (command.kind) {
        case 'Status':
          dispatch.status(command);
          break;
        case 'Results':
          this.#takeResults(dispatch, command, answer);
          break;
        case 'Alert':
          if (Number(command.data) === Alert.SESSION_ABORT) aborted = true;
          answer.status(command, this.#takeAlert(device, dispatch, command, answer));
          break;
        case 'Replace':
          answer.status(command, takeDevInfo(device, command.items));
          break;
        case 'Unusable':
          answer.status(command, command.reason === 'unused' ? Status.NOT_IMPLEMENTED : Status.BAD_REQUEST);
          break;
        case 'Add':
        case 'Atomic':
        case 'Copy':
        case 'Delete':
        case 'Exec':
        case 'Get':
        case 'Sequence':
          // DMREP: a client sends nothing but Replace, Alert, Results and Status.
          answer.status(command, Status.NOT_ALLOWED);
          break;
      }
    }
    if (final && this.#incoming.bytes === before) this.#breakOff(answer);
    return aborted;
  }

  /** Facts 2.4: Results have a Status only where it is not 200; a chunk has its 213. */
  #takeResults(dispatch: Dispatch, results: ResultsCommand, answer: MessageBuilder): void {
    const { whole, code } = this.#assemble(results, answer);
    for (const item of whole) dispatch.result(results, item);
    if (code !== undefined) answer.status({ ...results, items: results.items.slice(-1) }, code);
  }

  /** The whole values among the Items of a command, and the Status of one that is not whole. */
  #assemble(command: Bringing, answer: MessageBuilder): { readonly whole: readonly Item[]; readonly code?: number } {
    const whole: Item[] = [];
    let code: number | undefined;
    for (const item of command.items) {
      if (this.#incoming.open !== undefined && !this.#incoming.continues(command, item)) this.#breakOff(answer);
      const taken = this.#incoming.take(command, item);
      if (taken.kind === 'whole') whole.push(taken.item);
      else ({ code } = taken);
    }
    return { whole, ...(code !== undefined && { code }) };
  }

  /** Facts 6: what comes instead of the next chunk ends the object, and the device is told so. */
  #breakOff(answer: MessageBuilder): void {
    answer.alert(Alert.NO_END_OF_DATA, this.#incoming.open);
    this.#incoming.drop();
  }

  #takeAlert(device: Device, dispatch: Dispatch, alert: AlertCommand, answer: MessageBuilder): number {
    const code = Number(alert.data);
    switch (code) {
      case Alert.SERVER_INITIATED:
      case Alert.CLIENT_INITIATED:
        // A package 1 that is repeated after a challenge opens no second session.
        if (!this.#started) device.events.add('session-start', { sessionId: this.sessionId, alert: code });
        this.#started = true;
        return Status.OK;
      case Alert.NO_END_OF_DATA:
        dispatch.endMissed();
        device.events.add('alert', {
          alert: code,
          source: alert.items[0]?.source?.uri ?? alert.items[0]?.target?.uri ?? null,
          sessionId: this.sessionId,
        });
        return Status.OK;
      case Alert.NEXT_MESSAGE:
      case Alert.SESSION_ABORT:
        return Status.OK;
      case Alert.CLIENT_EVENT:
      case Alert.GENERIC:
        return this.#takeEvent(device, alert, code, answer);
      default:
        return alert.data === undefined ? Status.INCOMPLETE : Status.NOT_SUPPORTED;
    }
  }

  #takeEvent(device: Device, alert: AlertCommand, code: number, answer: MessageBuilder): number {
    if (alert.items.length === 0) return Status.INCOMPLETE;
    const { whole, code: ofChunk } = this.#assemble(alert, answer);
    if (whole.length === 0 && ofChunk !== undefined) return ofChunk;
    const refusal = this.settings.faults.take('alert-status', device.id);
    for (const item of whole) {
      const { type, format, mark } = effectiveMeta(alert, item);
      device.events.add('alert', {
        alert: code,
        type: type ?? null,
        format: format ?? null,
        mark: mark ?? 'informational',
        source: item.source?.uri ?? null,
        target: item.target?.uri ?? null,
        correlator: alert.correlator ?? null,
        data: item.data === undefined ? null : asText(item.data),
        status: refusal?.status ?? Status.OK,
        sessionId: this.sessionId,
      });
    }
    return ofChunk ?? refusal?.status ?? Status.OK;
  }
}

/** Meta Type of the scheme that stands in no Cred, for events. */
const AUTH_MAC = 'syncml:auth-MAC';

/** What every message of a package may have to say about messages. */
function saysNothing(command: BodyCommand): boolean {
  if (command.kind === 'Status') return command.cmdRef === '0' || command.cmd === 'Alert';
  return command.kind === 'Alert' && Number(command.data) === Alert.NEXT_MESSAGE;
}

/** 505 or 513 for a version that is not DM 1.2. */
function versionStatus({ verDtd, verProto }: Header): number | undefined {
  if (verDtd !== VER_DTD) return Status.DTD_VERSION;
  return verProto === VER_PROTO ? undefined : Status.PROTOCOL_VERSION;
}

const DEV_INFO = /^(?:\.\/)?DevInfo\/(.+)$/;

/** Keeps the values of DevInfo; a device may replace nothing else on a server. */
function takeDevInfo(device: Device, items: readonly Item[]): number {
  if (items.length === 0) return Status.INCOMPLETE;
  const devInfo: Record<string, string> = {};
  for (const { source, target, data } of items) {
    const name = DEV_INFO.exec(source?.uri ?? target?.uri ?? '')?.[1];
    if (name === undefined) return Status.NOT_ALLOWED;
    devInfo[name] = data === undefined ? '' : asText(data);
  }
  device.devInfo = devInfo;
  device.events.add('devinfo', { devInfo });
  return Status.OK;
}
