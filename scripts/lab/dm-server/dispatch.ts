import { Status, type Item, type ResultsCommand, type StatusCommand, type Wire } from '../../../firmware/dm/index.js';
import { bytesOfValues, planCommand, type PlannedCommand } from './commands.js';
import type { Device } from './devices.js';
import type { Faults } from './faults.js';
import { Flight, reportUnanswered } from './flight.js';
import type { MessageBuilder } from './message-builder.js';
import { OutgoingObject, transportedBytes } from './outgoing-object.js';
import { Unsendable } from './values.js';

/** What the device takes, as it has announced. */
export interface PeerLimits {
  readonly maxMsgSize: number;
  readonly maxObjSize: number;
}

/** How a message that commands were put into goes out. */
export type Sent =
  | 'final' // the package ends with it
  | 'open' // the object goes on with the next one
  | 'nothing'; // there was no command left to send

/** An object under way, and what the device says of the chunk that went out last. */
interface Sending {
  readonly object: OutgoingObject;
  /** MsgID and CmdID of that chunk. */
  ref: string;
  /** Its Status; undefined while there is none. */
  code: number | undefined;
  /** The device told by alert 1225 that it misses the end of an object. */
  missed: boolean;
}

/** A chunk does not begin in the rest of a message that is smaller than this, in octets. */
const MIN_CHUNK_ROOM = 512;

/** Sends the commands of one device's queue in one session, and follows what becomes of each. */
export class Dispatch {
  readonly #flight: Flight;
  #sending: Sending | undefined;

  constructor(
    private readonly device: Device,
    private readonly faults: Faults,
  ) {
    this.#flight = new Flight(device);
  }

  /** The object that goes out at present, and how far it has come, in octets of its value. */
  get sending(): { readonly id: string; readonly sent: number; readonly bytes: number } | undefined {
    const object = this.#sending?.object;
    return object && { id: object.planned.id, sent: object.sent, bytes: object.bytes };
  }

  status(status: StatusCommand): void {
    const sending = this.#sending?.ref === refOf(status.msgRef, status.cmdRef) ? this.#sending : undefined;
    if (sending) sending.code = Number(status.data);
    if (sending?.code !== Status.CHUNK_ACCEPTED) this.#flight.status(status);
  }

  result(results: ResultsCommand, item: Item): void {
    this.#flight.result(results, item);
  }

  /** The device sent alert 1225. */
  endMissed(): void {
    if (this.#sending) this.#sending.missed = true;
  }

  /** The device took no notice of our last message: its commands go out again, an object from its first chunk on. */
  recall(): void {
    this.#sending = undefined;
    this.#flight.recall();
  }

  /** The session broke off: what is not answered goes out again in the next one, a bounded number of times. */
  crash(): void {
    this.#sending = undefined;
    this.#flight.crash();
  }

  /** The device has ended its package. */
  land(): void {
    this.#flight.land();
  }

  /**
   * What shall follow the last chunk: its next one, whatever the device has to say before it comes to that chunk, or
   * nothing more of it. `none`: no object is under way.
   */
  chunkAnswer(deviceFinal: boolean): 'next' | 'wait' | 'over' | 'none' {
    if (!this.#sending) return 'none';
    const { code, missed } = this.#sending;
    if (code === Status.CHUNK_ACCEPTED) return 'next';
    return code === undefined && !missed && !deviceFinal ? 'wait' : 'over';
  }

  /** The next chunk. @param msgId of the message that is being made */
  sendChunk(answer: MessageBuilder, msgId: string, limits: PeerLimits): Sent {
    const sending = this.#sending;
    if (!sending) return this.sendCommands(answer, msgId, limits);
    const { object } = sending;
    const { id } = this.device;
    const isFirst = object.sent === 0;
    if (!isFirst && this.faults.take('cut-object', id)) return this.#sendInstead(answer, msgId, limits);
    try {
      if (!isFirst && this.faults.take('command-between-chunks', id)) this.#sendBetween(answer, msgId, object.planned);
      const cmdId = answer.chunk(object);
      if (cmdId === undefined) throw new Unsendable('the MaxMsgSize of the device leaves no room for a chunk of it');
      Object.assign(sending, { ref: refOf(msgId, cmdId), code: undefined, missed: false });
      this.#flight.launch(msgId, new Map([[cmdId, object.planned]]));
    } catch (thrown) {
      this.#giveUp(object.planned, thrown);
      return this.#sendInstead(answer, msgId, limits);
    }
    if (!object.isComplete && !this.faults.take('early-final', id)) return 'open';
    this.#sending = undefined;
    return 'final';
  }

  /** The object that was under way is over: it has its Status, or will have none. */
  endObject(): void {
    const { object, code, missed } = this.#sending ?? {};
    this.#sending = undefined;
    if (!object || code !== undefined) return;
    const reason = missed ? 'the device misses the end of it (alert 1225)' : 'the device did not answer a chunk of it';
    this.#giveUp(object.planned, new Unsendable(reason));
  }

  /**
   * As many commands of the queue as the message has room for, or the first chunk of one that no message has room for.
   * @param msgId of the message that is being made
   */
  sendCommands(answer: MessageBuilder, msgId: string, limits: PeerLimits): Sent {
    let sent: Sent = 'nothing';
    for (let planned = this.#waiting(); planned; planned = this.#waiting()) {
      switch (this.#sendOne(planned, answer, msgId, limits, sent === 'nothing')) {
        case 'sent':
          sent = 'final';
          break;
        case 'begins':
          return this.sendChunk(answer, msgId, limits);
        case 'later':
          return 'final';
        case 'never':
          break;
      }
    }
    return sent;
  }

  /** The next command of the queue that is not under way. */
  #waiting(): PlannedCommand | undefined {
    return this.device.queue.next((planned) => this.#flight.has(planned));
  }

  /**
   * @param isFirst no command is in the message yet
   * @returns `begins`: it is an object, whose chunks are to be sent; `never`: it cannot be sent, which is reported
   */
  #sendOne(
    planned: PlannedCommand,
    answer: MessageBuilder,
    msgId: string,
    limits: PeerLimits,
    isFirst: boolean,
  ): 'sent' | 'later' | 'begins' | 'never' {
    try {
      const ids = answer.command(planned);
      if (ids) {
        this.#flight.launch(msgId, ids);
        return 'sent';
      }
      // What may fit into a message of its own waits for it: such an object is not split (facts 6).
      const mayFit = bytesOfValues(planned) <= limits.maxMsgSize;
      if (!isFirst && (mayFit || answer.room < MIN_CHUNK_ROOM)) return 'later';
      const object = this.#objectOf(planned, answer.wire, limits);
      this.#sending = { object, ref: '', code: undefined, missed: false };
      return 'begins';
    } catch (thrown) {
      this.#giveUp(planned, thrown);
      return 'never';
    }
  }

  /** @throws Unsendable where it may not be split, or is too long for the device */
  #objectOf(planned: PlannedCommand, wire: Wire, { maxObjSize }: PeerLimits): OutgoingObject {
    const { value, command } = planned;
    const { id } = this.device;
    if (!value || (command.kind !== 'Add' && command.kind !== 'Replace')) {
      throw new Unsendable('it is longer than the MaxMsgSize of the device');
    }
    if (transportedBytes(value, wire) > maxObjSize && !this.faults.take('ignore-max-obj-size', id)) {
      throw new Unsendable('it is longer than the MaxObjSize of the device');
    }
    const absent = this.faults.take('no-size', id) !== undefined;
    const by = this.faults.take('wrong-size', id)?.by ?? 0;
    return new OutgoingObject(planned, command, value, { absent, by });
  }

  /** Goes on as if the object were complete. */
  #sendInstead(answer: MessageBuilder, msgId: string, limits: PeerLimits): Sent {
    this.#sending = undefined;
    return this.sendCommands(answer, msgId, limits);
  }

  #sendBetween(answer: MessageBuilder, msgId: string, { id }: PlannedCommand): void {
    const between = planCommand({ cmd: 'Get', target: './DevInfo/DevId' }, () => `${id}.between`);
    const ids = answer.command(between);
    if (ids) this.#flight.launch(msgId, ids);
  }

  /** @param thrown why; what is not Unsendable is a defect and thrown again */
  #giveUp(planned: PlannedCommand, thrown: unknown): void {
    if (!(thrown instanceof Unsendable)) throw thrown;
    this.device.queue.done(planned);
    this.#flight.forget(planned);
    reportUnanswered(this.device, planned, thrown.message);
  }
}

/** What a Status names the command by that it answers. */
function refOf(msgId: string, cmdId: string): string {
  return `${msgId}:${cmdId}`;
}
