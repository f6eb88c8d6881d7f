import type { ItemCommand, PlannedCommand } from './commands.js';
import type { Wire } from '../../../firmware/dm/index.js';
import { asItemData, type Value } from './values.js';

/** Where a chunk of base64 text, and one that becomes base64 text in XML, may end (facts 6). */
const BASE64_TEXT = 4;
const BASE64_OCTETS = 3;

/** What is wrong, on purpose, with the Size of the first chunk. */
export interface SizeFault {
  /** No Size at all. */
  readonly absent: boolean;
  /** Octets beside the truth. */
  readonly by: number;
}

/**
 * A value that goes out in chunks, one with each message (facts 6). Holds the place that it has come to, and nothing of
 * the value.
 */
export class OutgoingObject {
  #sent = 0;

  constructor(
    readonly planned: PlannedCommand,
    private readonly command: ItemCommand,
    private readonly value: Value,
    private readonly fault: SizeFault,
  ) {}

  /** Octets of the value in the chunks so far. */
  get sent(): number {
    return this.#sent;
  }

  get bytes(): number {
    return this.value.bytes;
  }

  get isComplete(): boolean {
    return this.#sent === this.value.bytes;
  }

  /**
   * The next chunk: as much as fits.
   * @param room octets that the command may add to the message
   * @returns undefined when not even the smallest one fits
   * @throws Unsendable when the value cannot be read
   */
  chunk(cmdId: string, room: number, wire: Wire): ItemCommand | undefined {
    const piece = this.value.read(this.#sent, Math.max(0, room));
    const make = (bytes: number): ItemCommand => this.#command(cmdId, piece.subarray(0, bytes), wire);
    const overhead = wire.sizeOf(make(0), cmdId);
    for (let bytes = this.#cut(piece, piece.byteLength, wire); bytes > 0;) {
      const command = make(bytes);
      const size = wire.sizeOf(command, cmdId);
      if (size <= room) {
        this.#sent += bytes;
        return command;
      }
      // What the encoding makes of this piece tells how much of it will fit.
      const fitting = Math.floor((bytes * (room - overhead)) / (size - overhead));
      bytes = this.#cut(piece, Math.min(fitting, bytes - 1), wire);
    }
    return undefined;
  }

  /** The last place at or before `bytes` where a chunk may end. */
  #cut(piece: Buffer, bytes: number, wire: Wire): number {
    if (this.#sent + bytes === this.value.bytes) return bytes;
    if (this.value.kind === 'octets') return wire.encoding === 'xml' ? bytes - (bytes % BASE64_OCTETS) : bytes;
    if (this.#format === 'b64') return bytes - (bytes % BASE64_TEXT);
    // One octet more than the piece is not known: its last character may go on.
    let end = Math.min(bytes, piece.byteLength - 1);
    while (end > 0 && isContinuation(piece[end])) end -= 1;
    return end;
  }

  get #format(): string | undefined {
    return this.command.items[0]?.meta?.format;
  }

  #command(cmdId: string, piece: Buffer, wire: Wire): ItemCommand {
    const { command } = this;
    const [item] = command.items;
    const isFirst = this.#sent === 0;
    const isLast = this.#sent + piece.byteLength === this.value.bytes;
    const size = isFirst && !this.fault.absent && { size: transportedBytes(this.value, wire) + this.fault.by };
    return {
      ...command,
      cmdId,
      items: [
        {
          ...item,
          meta: { ...item?.meta, ...size },
          data: asItemData(this.value, piece),
          ...(!isLast && { moreData: true }),
        },
      ],
    };
  }
}

/** Octets of a value as it stands in messages: this is what Size counts (facts 6). */
export function transportedBytes({ kind, bytes }: Value, wire: Wire): number {
  return kind === 'octets' && wire.encoding === 'xml' ? BASE64_TEXT * Math.ceil(bytes / BASE64_OCTETS) : bytes;
}

/** An octet of UTF-8 that is not the first of its character. */
function isContinuation(octet: number | undefined): boolean {
  return octet !== undefined && (octet & 0xc0) === 0x80;
}
