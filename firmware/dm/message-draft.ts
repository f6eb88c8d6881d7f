import type { BodyCommand, Header, Message, Part } from './message.js';
import { LONG_CMD_ID, type Wire, type Written } from './wire.js';

/** A message, and its octets. */
export interface WrittenMessage extends Message {
  readonly octets: Uint8Array;
}

/** A message of ours while it is filled, up to what the receiver takes. */
export class MessageDraft {
  readonly body: BodyCommand[] = [];
  readonly #envelope: Written;
  #commands = '';
  #room: number;

  /** @param maxBytes MaxMsgSize of the receiver (DMREP: it must be respected) */
  constructor(
    private readonly header: Header,
    readonly wire: Wire,
    maxBytes: number,
  ) {
    this.#envelope = wire.envelope(header);
    this.#room = maxBytes - this.#envelope.bytes;
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
   * @param written the part, where it is known
   * @returns whether there was room for it
   */
  addIfFits(part: Part, written = this.wire.write(part)): boolean {
    const fits = this.fits(written);
    if (fits) this.add(part, written);
    return fits;
  }

  fits(written: Written): boolean {
    return this.#sizeHere(written) <= this.#room;
  }

  /** @param parts whose CmdIDs are as long as the next one */
  fitsAll(parts: readonly Written[]): boolean {
    return parts.reduce((sum, written) => sum + this.#sizeHere(written), 0) <= this.#room;
  }

  /** Adds what no message may be without. */
  add(part: Part, written = this.wire.write(part)): void {
    const cmdId = this.nextCmdId;
    this.#room -= this.#sizeHere(written);
    this.#commands += written.before + cmdId + written.after;
    this.body.push({ cmdId, ...part });
  }

  build(final: boolean): WrittenMessage {
    const { before, after } = this.#envelope;
    const octets = this.wire.octetsOf(before + this.#commands + (final ? this.wire.final : '') + after);
    return { header: this.header, body: this.body, final, octets };
  }

  /** In both encodings a digit is an octet. */
  #sizeHere({ bytes }: Written): number {
    return bytes - LONG_CMD_ID.length + this.nextCmdId.length;
  }
}
