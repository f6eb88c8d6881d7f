import type { AlertCommand, Item, ItemData, Part, ResultsCommand } from './message.js';
import type { MessageDraft } from './message-draft.js';
import type { Wire } from './wire.js';

/** A command whose one Item carries a value: it may go out in pieces (facts 6). */
export type Divisible = Omit<ResultsCommand, 'cmdId'> | Omit<AlertCommand, 'cmdId'>;

/** Whether a part that fits into no message may be cut: it has one Item with data. */
export function isDivisible(part: Part): part is Divisible {
  if (part.kind !== 'Results' && part.kind !== 'Alert') return false;
  return part.items.length === 1 && dataOf(part) !== undefined;
}

/** Octets of the value as it is transported: its Size. */
export function transportedSize(part: Divisible, wire: Wire): number {
  return sizeOfData(transportedItem(part, wire).data ?? '');
}

/** A piece that is smaller is not worth a message that has begun with something else. */
const MIN_PIECE_BYTES = 128;

/**
 * A large object on its way out: one value as chunks, each the last command of its message, each as long as the message
 * has room. Base64 is cut between groups of four characters, text never within a character.
 */
export class Chunker {
  readonly #item: Item;
  readonly #data: ItemData;
  /** Units (characters or octets) that have gone out. */
  #sent = 0;

  constructor(
    private readonly part: Divisible,
    wire: Wire,
  ) {
    this.#item = transportedItem(part, wire);
    this.#data = this.#item.data ?? '';
  }

  /**
   * Adds the next piece to the message.
   * @param alone nothing else stands in the message but what stands in every one: a short piece is better than none
   * @returns `last` with the end of the value; `none` when there is no room
   */
  addTo(draft: MessageDraft, alone: boolean): 'more' | 'last' | 'none' {
    const rest = this.#data.length - this.#sent;
    if (draft.addIfFits(this.#chunk(rest))) return 'last';
    const length = this.#longest(draft);
    if (length === 0 || (!alone && length < MIN_PIECE_BYTES)) return 'none';
    draft.add(this.#chunk(length));
    this.#sent += length;
    return 'more';
  }

  /** Units of the longest piece that fits. */
  #longest(draft: MessageDraft): number {
    let fits = 0;
    let tooMany = Math.min(this.#data.length - this.#sent, Math.max(0, draft.room)) + 1;
    while (tooMany - fits > 1) {
      const middle = Math.floor((fits + tooMany) / 2);
      if (draft.fits(draft.wire.write(this.#chunk(middle)))) fits = middle;
      else tooMany = middle;
    }
    return this.#wholeUnits(fits);
  }

  #wholeUnits(length: number): number {
    if (typeof this.#data !== 'string') return length;
    if (this.#item.meta?.format === 'b64') return length - (length % 4);
    const splits = isHighSurrogate(this.#data.charCodeAt(this.#sent + length - 1));
    return splits ? length - 1 : length;
  }

  #chunk(length: number): Divisible {
    const end = this.#sent + length;
    const data =
      typeof this.#data === 'string' ? this.#data.slice(this.#sent, end) : this.#data.subarray(this.#sent, end);
    const { meta, ...item } = this.#item;
    const size = this.#sent === 0 && { size: sizeOfData(this.#data) };
    const more = end < this.#data.length && { moreData: true };
    return { ...this.part, items: [{ ...item, meta: { ...meta, ...size }, data, ...more }] };
  }
}

function dataOf({ items }: Divisible): ItemData | undefined {
  return items[0]?.data;
}

/** The Item with its value as it stands in messages, so that pieces of it do too. */
function transportedItem({ items: [item = {}] }: Divisible, wire: Wire): Item {
  if (item.data === undefined) return item;
  const { format, data } = wire.transported(item.meta?.format, item.data);
  return { ...item, meta: { ...item.meta, ...(format !== undefined && { format }) }, data };
}

function sizeOfData(data: ItemData): number {
  return typeof data === 'string' ? Buffer.byteLength(data, 'utf8') : data.byteLength;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
