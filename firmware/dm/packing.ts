import type { Logger } from '../log/index.js';
import { Chunker, isDivisible, transportedSize } from './chunker.js';
import { Alert, Status } from './codes.js';
import type { MessageDraft } from './message-draft.js';
import type { BodyCommand, Part, StatusCommand } from './message.js';
import { alertPart, type Outbox, type WaitingAlert } from './outbox.js';
import type { Wire, Written } from './wire.js';

/** Answers that wait, in octets as they would be sent: a server must let us answer before it asks for more. */
const MAX_OWED_BYTES = 4 * 1024 * 1024;

/** Something that waits for its message. */
interface Waiting {
  readonly part: Part;
  /** In the wire of now. */
  readonly written: Written;
  /** What the part tells, where it is an alert of the outbox. */
  readonly alert?: WaitingAlert;
}

/** A value that goes out in pieces. */
interface Sending {
  readonly chunker: Chunker;
  readonly alert: WaitingAlert | undefined;
  /** MsgID and CmdID of the piece that went out last. */
  readonly piece: string;
}

/** The message that is filled now. */
interface Filling {
  readonly draft: MessageDraft;
  readonly msgId: number;
  /** Octets that a part may have in a message with nothing else but what stands in every one. */
  readonly aloneBytes: number;
}

export interface AlertAnswer {
  readonly alert: WaitingAlert;
  /** Status code. */
  readonly code: number;
}

/**
 * What the gateway has to say in a session, packed into messages that the server takes: first what is owed to its
 * commands, in order, then the alerts of package 1. A value that fits into no message goes out as a large object, in
 * pieces that each end their message (facts 6).
 */
export class Packing {
  #owed: Waiting[] = [];
  #owedBytes = 0;
  /** Alerts of package 1 that wait for their message. */
  #queued: WaitingAlert[] = [];
  /** Alerts that went out, by the MsgID and CmdID under which they did. */
  readonly #offered = new Map<string, WaitingAlert>();
  #sending: Sending | undefined;
  /** Largest object that the server takes (MaxObjSize). */
  #maxObjectBytes = Infinity;

  constructor(
    private readonly outbox: Outbox,
    private readonly log: Logger,
    private wire: Wire,
  ) {}

  /** Nothing is left to say. */
  get isEmpty(): boolean {
    return this.#owed.length === 0 && this.#queued.length === 0 && !this.#sending;
  }

  /** More waits than a server may let us owe. */
  get isOverfull(): boolean {
    return this.#owedBytes > MAX_OWED_BYTES;
  }

  /** @param maxObjectBytes MaxObjSize of the server, where it has named one */
  limit(maxObjectBytes: number | undefined): void {
    this.#maxObjectBytes = maxObjectBytes ?? this.#maxObjectBytes;
  }

  /**
   * Changes the wire, except within a value whose first piece has told its Size in another.
   * @returns the wire of the next message
   */
  speak(wire: Wire): Wire {
    if (wire === this.wire || this.#sending) return this.wire;
    this.wire = wire;
    this.#measure(this.#owed);
    return wire;
  }

  /**
   * Answers to commands of the server. A value beyond its MaxObjSize is refused: 413 instead of 200 and Results.
   * @param first before everything that waits
   */
  owe(answers: readonly Part[], first = false): void {
    this.#push(this.#maxObjectBytes === Infinity ? answers : this.#acceptable(answers), first);
  }

  #acceptable(answers: readonly Part[]): Part[] {
    const acceptable: Part[] = [];
    for (const answer of answers) {
      if (answer.kind !== 'Results' || !this.#exceeds(answer)) {
        acceptable.push(answer);
        continue;
      }
      const status = acceptable.findLastIndex((one) => one.kind === 'Status' && one.cmdRef === answer.cmdRef);
      const refused = acceptable[status];
      if (refused?.kind === 'Status') acceptable[status] = { ...refused, data: String(Status.TOO_LARGE) };
    }
    return acceptable;
  }

  /** Package 1 is made anew: these alerts go with it, and none that went out before was processed. */
  offer(alerts: readonly WaitingAlert[]): void {
    // What is left of the last opening goes with a new one.
    if (this.#owed.length > 0) this.#measure(this.#owed.filter(({ part }) => part.kind !== 'Replace'));
    this.#offered.clear();
    this.#queued = [...alerts];
    if (this.#sending?.alert) this.#sending = undefined;
  }

  /** What the server says of our alerts, and of the last piece of a value. @returns the alerts with their Status */
  answered(statuses: readonly StatusCommand[]): AlertAnswer[] {
    return statuses.flatMap(({ cmd, msgRef, cmdRef, data }) => {
      const ref = `${msgRef}:${cmdRef}`;
      const code = Number(data);
      if (this.#sending?.piece === ref && !(code >= 200 && code < 300)) this.#giveUp(code);
      const alert = cmd === 'Alert' ? this.#offered.get(ref) : undefined;
      if (!alert) return [];
      this.#offered.delete(ref);
      return [{ alert, code }];
    });
  }

  /** Alert 1225 of the server: the value that is on its way has no end for it. */
  breakOff(): void {
    if (this.#sending) this.#giveUp(Alert.NO_END_OF_DATA);
  }

  /** Alerts of package 1 that have got no Status. */
  unanswered(): WaitingAlert[] {
    return [...this.#offered.values(), ...(this.#sending?.alert ? [this.#sending.alert] : []), ...this.#queued];
  }

  /**
   * The first message of package 1: before its opening the answers that fit, behind it the alerts. A challenge may bring a
   * MaxMsgSize that is less than the opening of the repeated package: that goes out in several messages then.
   */
  fillFirst(draft: MessageDraft, msgId: number, opening: readonly Part[], aloneBytes: number): void {
    const parts = opening.map((part) => ({ part, written: this.wire.write(part) }));
    if (!draft.fitsAll(parts.map(({ written }) => written))) {
      const [alert, ...deviceInfo] = opening;
      if (alert) draft.add(alert);
      this.#push(deviceInfo, true);
      return this.fill(draft, msgId, aloneBytes);
    }
    const reserved = parts.reduce((sum, { written }) => sum + written.bytes, 0);
    for (let next = this.#owed[0]; next && next.written.bytes <= draft.room - reserved; next = this.#owed[0]) {
      draft.add(next.part, next.written);
      this.#shift(next);
    }
    for (const { part, written } of parts) draft.add(part, written);
    for (let next = this.#nextAlert(); next && draft.fits(next.written); next = this.#nextAlert()) {
      this.#add({ draft, msgId, aloneBytes: 0 }, next);
    }
  }

  /** Puts in as much as the message takes, and at least one part, so that there is always progress. */
  fill(draft: MessageDraft, msgId: number, aloneBytes: number): void {
    const filling = { draft, msgId, aloneBytes };
    if (this.#sending) {
      this.#placeOwed(filling, ({ part }) => isAboutMessages(part));
      if (this.#sendPiece(filling, this.#sending) || !isAlone(draft)) return;
      this.#giveUp(Status.TOO_LARGE);
    }
    if (!this.#placeOwed(filling)) return;
    for (let next = this.#nextAlert(); next; next = this.#nextAlert()) {
      if (!this.#place(filling, next)) return;
    }
  }

  /** @returns false when the message is full */
  #placeOwed(filling: Filling, which: (waiting: Waiting) => boolean = () => true): boolean {
    for (let next = this.#owed[0]; next && which(next); next = this.#owed[0]) {
      if (!this.#place(filling, next)) return false;
    }
    return true;
  }

  /** @returns false when the message is full */
  #place(filling: Filling, waiting: Waiting): boolean {
    const { draft, aloneBytes } = filling;
    const { part, written } = waiting;
    if (draft.fits(written)) {
      this.#add(filling, waiting);
      return true;
    }
    const alone = isAlone(draft);
    if (!alone && written.bytes <= aloneBytes) return false;
    if ((part.kind === 'Results' || part.kind === 'Replace') && part.items.length > 1) {
      this.#shift(waiting);
      this.#push(separate(part), true);
      return true;
    }
    if (isDivisible(part) && !this.#exceeds(part)) {
      const sending = { chunker: new Chunker(part, this.wire), alert: waiting.alert, piece: '' };
      if (this.#sendPiece(filling, sending)) {
        this.#shift(waiting);
        return false;
      }
    }
    if (!alone) return false;
    this.#shift(waiting);
    this.#addShortened(draft, waiting);
    return true;
  }

  #add({ draft, msgId }: Filling, waiting: Waiting): void {
    if (waiting.alert) this.#offered.set(`${msgId}:${draft.nextCmdId}`, waiting.alert);
    draft.add(waiting.part, waiting.written);
    this.#shift(waiting);
  }

  /** @returns whether there was room; the piece ends the message then */
  #sendPiece({ draft, msgId }: Filling, { chunker, alert }: Sending): boolean {
    const piece = `${msgId}:${draft.nextCmdId}`;
    const sent = chunker.addTo(draft, isAlone(draft));
    if (sent === 'none') return false;
    this.#sending = sent === 'more' ? { chunker, alert, piece } : undefined;
    if (sent === 'last' && alert) this.#offered.set(piece, alert);
    return true;
  }

  /** What does not even fit alone: a Status goes without what explains it, anything else is left out. */
  #addShortened(draft: MessageDraft, { part, written, alert }: Waiting): void {
    if (part.kind === 'Status') {
      if (draft.addIfFits({ ...part, items: [] })) return;
      if (draft.addIfFits({ ...part, items: [], targetRefs: [], sourceRefs: [] })) return;
    }
    this.log.warn('an answer or alert is too long for the server', { kind: part.kind, bytes: written.bytes });
    if (alert) this.outbox.refused(alert.id);
  }

  #giveUp(code: number): void {
    this.log.warn('the server does not take a value in pieces', { code });
    if (this.#sending?.alert) this.outbox.refused(this.#sending.alert.id);
    this.#sending = undefined;
  }

  #exceeds(part: Part): boolean {
    return (
      this.#maxObjectBytes !== Infinity && isDivisible(part) && transportedSize(part, this.wire) > this.#maxObjectBytes
    );
  }

  #nextAlert(): Waiting | undefined {
    const [alert] = this.#queued;
    if (!alert) return undefined;
    const part = alertPart(alert);
    return { part, written: this.wire.write(part), alert };
  }

  #push(parts: readonly Part[], first = false): void {
    const later = first ? this.#owed.splice(0) : [];
    for (const part of parts) {
      const written = this.wire.write(part);
      this.#owed.push({ part, written });
      this.#owedBytes += written.bytes;
    }
    if (later.length > 0) this.#owed = this.#owed.concat(later);
  }

  /** These alone are owed, as they are in the wire of now. */
  #measure(owed: readonly Waiting[]): void {
    this.#owed = [];
    this.#owedBytes = 0;
    this.#push(owed.map(({ part }) => part));
  }

  #shift(waiting: Waiting): void {
    if (waiting.alert) this.#queued.shift();
    else {
      this.#owed.shift();
      this.#owedBytes -= waiting.written.bytes;
    }
  }
}

/** Status of the SyncHdr, or of an alert 1222: in every message of a package, so no later one has more room. */
function isAboutMessages(part: Part | BodyCommand): boolean {
  return part.kind === 'Status' && (part.cmd === 'SyncHdr' || part.cmd === 'Alert');
}

function isAlone({ body }: MessageDraft): boolean {
  return body.length <= 2 && body.every(isAboutMessages);
}

/** The same command, one for each Item. */
function separate(command: Extract<Part, { kind: 'Results' | 'Replace' }>): Part[] {
  return command.items.map((item) => ({ ...command, items: [item] }));
}
