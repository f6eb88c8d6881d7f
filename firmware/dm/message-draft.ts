import { LONG_CMD_ID, sizeOf } from './executor.js';
import type { BodyCommand, Header, Message, Part } from './message.js';
import type { Wire } from './wire.js';

/** A message of ours while it is filled, up to what the receiver takes. */
export class MessageDraft {
  readonly body: BodyCommand[] = [];
  #room: number;

  /** @param maxBytes MaxMsgSize of the receiver (DMREP: it must be respected) */
  constructor(
    private readonly header: Header,
    readonly wire: Wire,
    maxBytes: number,
  ) {
    this.#room = maxBytes - wire.envelopeSize(header);
  }

  /** Octets that are left; less than 0 where something went in all the same. */
  get room(): number {
    return this.#room;
  }

  /** CmdID of the next command. */
  get nextCmdId(): string {
    return String(this.body.length + 1);
  }

  /**
   * @param bytes `sizeOf` the part, where it is known
   * @returns whether there was room for it
   */
  addIfFits(part: Part, bytes = sizeOf(part, this.wire)): boolean {
    const fits = this.fits(part, bytes);
    if (fits) this.add(part, bytes);
    return fits;
  }

  fits(part: Part, bytes = sizeOf(part, this.wire)): boolean {
    return this.#sizeHere(bytes) <= this.#room;
  }

  /** Adds what no message may be without. */
  add(part: Part, bytes = sizeOf(part, this.wire)): void {
    this.#room -= this.#sizeHere(bytes);
    this.body.push({ cmdId: this.nextCmdId, ...part });
  }

  build(final: boolean): Message {
    return { header: this.header, body: this.body, final };
  }

  /** In both encodings a digit is an octet. */
  #sizeHere(bytes: number): number {
    return bytes - LONG_CMD_ID.length + this.nextCmdId.length;
  }
}
