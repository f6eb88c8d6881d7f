import {
  Alert,
  effectiveMeta,
  sessionIdNumber,
  Status,
  VER_DTD,
  VER_PROTO,
  type AlertCommand,
  type BodyCommand,
  type Header,
  type Item,
  type Message,
  type StatusCommand,
} from '../../../firmware/dm/index.js';
import { DeviceCheck, type Verdict } from './device-check.js';
import type { Device } from './devices.js';
import type { Faults } from './faults.js';
import { Flight, reportUnanswered } from './flight.js';
import { MessageBuilder } from './message-builder.js';
import { OwnProof } from './own-proof.js';

export interface SessionSettings {
  /** Largest message that the server takes, announced to the device. */
  readonly maxMsgSize: number;
  readonly faults: Faults;
  /** URI that the device must send its next message to; undefined: the same as before. */
  readonly respUri: string | undefined;
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
 * The server's side of one DM session (facts 3), without I/O: a message of the device in, the answer out. The device
 * gets the commands of its queue, package by package.
 */
export class ServerSession {
  #ended: SessionEndReason | undefined;
  readonly #check: DeviceCheck;
  readonly #proof: OwnProof | undefined;
  readonly #flight: Flight | undefined;
  #msgId = 0;
  #peerMaxMsgSize = Number.POSITIVE_INFINITY;
  #started = false;

  /** @param device undefined: no account has this Source */
  constructor(
    readonly sessionId: string,
    private readonly device: Device | undefined,
    defaultNonce: boolean,
    private readonly settings: SessionSettings,
  ) {
    this.#check = new DeviceCheck(device, defaultNonce);
    this.#proof = device && new OwnProof(device, defaultNonce);
    this.#flight = device && new Flight(device);
  }

  get ended(): SessionEndReason | undefined {
    return this.#ended;
  }

  /** Ends the session from outside; commands without an answer go back to the queue. Nothing happens when it has ended. */
  end(reason: SessionEndReason): void {
    if (this.#ended) return;
    this.#ended = reason;
    this.#flight?.crash();
    this.device?.events.add('session-end', { sessionId: this.sessionId, reason });
  }

  /** Answers a message. The caller has checked that it is the next one of this session. */
  receive(message: Message): Message {
    const { header } = message;
    const wrongVersion = versionStatus(header);
    if (wrongVersion !== undefined) return this.#refuseVersion(header, wrongVersion);
    const announced = header.meta?.maxMsgSize;
    if (announced !== undefined) this.#peerMaxMsgSize = Math.max(announced, MIN_PEER_MESSAGE_BYTES);

    const forced = this.device && this.settings.faults.take('challenge', this.device.id) !== undefined;
    const verdict = this.#check.check(header, forced ?? false);
    this.#reportCheck(verdict, header);
    const trust = this.#proof?.answered(this.#statusForUs(message), verdict.accepted) ?? 'nothing';
    const { device } = this;
    if (!verdict.accepted || !device) return this.#refuse(message, verdict);
    device.resynchronising.delete(sessionIdNumber(this.sessionId) ?? 0);
    if (trust !== 'nothing') device.events.add('auth', { side: 'server', result: trust, sessionId: this.sessionId });
    // The device has executed nothing: what it answered 401 or 407 is sent again.
    if (trust === 'again' || trust === 'refused') this.#flight?.recall();

    const answer = this.#begin(header, true);
    answer.headerStatus(verdict.code, verdict.chal);
    if (this.#takeBody(device, message.body, answer)) {
      this.end('aborted');
      return answer.build(true);
    }
    if (trust === 'refused') {
      answer.alert(Alert.SESSION_ABORT);
      this.end('not-trusted');
      return answer.build(true);
    }
    if (!message.final) {
      // DMPRO: exactly this asks for the rest of the device's package.
      answer.alert(Alert.NEXT_MESSAGE);
      return answer.build(false);
    }
    this.#flight?.land();
    if (!this.#sendCommands(device, answer)) this.end('completed');
    return answer.build(true);
  }

  #begin(answered: Header, peerProven: boolean): MessageBuilder {
    this.#msgId += 1;
    const { settings, device } = this;
    const wrong = (): boolean =>
      device !== undefined && settings.faults.take('wrong-credentials', device.id) !== undefined;
    const cred = this.#proof?.cred(peerProven, wrong);
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
      meta: { maxMsgSize: settings.maxMsgSize },
    };
    return new MessageBuilder(header, answered, this.#peerMaxMsgSize);
  }

  #refuseVersion(header: Header, code: number): Message {
    const answer = this.#begin(header, false);
    // DMREP: the Item lists what is supported instead.
    answer.headerStatus(code, undefined, [{ data: code === Status.DTD_VERSION ? VER_DTD : VER_PROTO }]);
    this.end('wrong-version');
    return answer.build(true);
  }

  /** Statuses with the code of the challenge for every command; nothing is looked at. */
  #refuse({ header, body }: Message, verdict: Verdict): Message {
    this.#flight?.crash();
    const answer = this.#begin(header, false);
    answer.headerStatus(verdict.code, verdict.chal);
    for (const command of body) {
      if (command.kind !== 'Status' && command.kind !== 'Results') answer.status(command, verdict.code);
    }
    if (verdict.last) this.end('refused');
    return answer.build(true);
  }

  #reportCheck({ accepted, checked, code }: Verdict, { cred }: Header): void {
    const { device, sessionId } = this;
    if (!checked) return;
    const result = accepted ? 'accepted' : cred ? 'refused' : 'missing';
    device?.events.add('auth', { side: 'client', result, code, scheme: cred?.meta.type ?? null, sessionId });
  }

  #statusForUs({ body }: Message): StatusCommand | undefined {
    return body
      .filter((command) => command.kind === 'Status')
      .find(({ cmdRef, msgRef }) => cmdRef === '0' && msgRef === String(this.#msgId));
  }

  /** @returns true when the device aborts the session */
  #takeBody(device: Device, body: readonly BodyCommand[], answer: MessageBuilder): boolean {
    let aborted = false;
    for (const command of body) {
      switch (command.kind) {
        case 'Status':
          this.#flight?.status(command);
          break;
        case 'Results':
          if (command.items.some(({ moreData }) => moreData)) answer.status(command, Status.TOO_LARGE);
          else this.#flight?.results(command);
          break;
        case 'Alert':
          if (Number(command.data) === Alert.SESSION_ABORT) aborted = true;
          answer.status(command, this.#takeAlert(device, command));
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
    return aborted;
  }

  #takeAlert(device: Device, alert: AlertCommand): number {
    const code = Number(alert.data);
    switch (code) {
      case Alert.SERVER_INITIATED:
      case Alert.CLIENT_INITIATED:
        // A package 1 that is repeated after a challenge opens no second session.
        if (!this.#started) device.events.add('session-start', { sessionId: this.sessionId, alert: code });
        this.#started = true;
        return Status.OK;
      case Alert.NEXT_MESSAGE:
      case Alert.SESSION_ABORT:
      case Alert.NO_END_OF_DATA:
        return Status.OK;
      case Alert.CLIENT_EVENT:
      case Alert.GENERIC:
        return this.#takeEvent(device, alert, code);
      default:
        return alert.data === undefined ? Status.INCOMPLETE : Status.NOT_SUPPORTED;
    }
  }

  #takeEvent(device: Device, alert: AlertCommand, code: number): number {
    if (alert.items.length === 0) return Status.INCOMPLETE;
    const refusal = this.settings.faults.take('alert-status', device.id);
    for (const item of alert.items) {
      const { type, format, mark } = effectiveMeta(alert, item);
      device.events.add('alert', {
        alert: code,
        type: type ?? null,
        format: format ?? null,
        mark: mark ?? 'informational',
        source: item.source?.uri ?? null,
        target: item.target?.uri ?? null,
        correlator: alert.correlator ?? null,
        data: item.data === undefined ? null : String(item.data),
        status: refusal?.status ?? Status.OK,
        sessionId: this.sessionId,
      });
    }
    return refusal?.status ?? Status.OK;
  }

  /** As many commands as the message has room for. @returns whether there was one */
  #sendCommands(device: Device, answer: MessageBuilder): boolean {
    if (this.#ended) return false;
    let sent = 0;
    for (;;) {
      const planned = device.queue.peek(sent);
      if (!planned) return sent > 0;
      const ids = answer.command(planned);
      if (ids) {
        this.#flight?.launch(String(this.#msgId), ids);
        sent += 1;
      } else if (sent > 0) {
        return true;
      } else {
        // Alone it does not fit either, and only large objects may be split.
        device.queue.done(planned);
        reportUnanswered(device, planned, 'it is longer than the MaxMsgSize of the device');
      }
    }
  }
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
    devInfo[name] = data === undefined ? '' : String(data);
  }
  device.devInfo = devInfo;
  device.events.add('devinfo', { devInfo });
  return Status.OK;
}
