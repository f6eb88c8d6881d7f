import { effectiveMeta, Status, type Item, type ItemData, type ResultsCommand } from '../../../firmware/dm/index.js';

/** What an Item of Results comes to. */
export type Taken =
  | { readonly kind: 'whole'; readonly item: Item }
  /** A chunk was buffered (213), or the object is refused with this Status; there is no value. */
  | { readonly kind: 'answer'; readonly code: number };

interface Open {
  readonly uri: string;
  readonly first: Item;
  /** As announced. */
  readonly size: number;
  readonly pieces: Buffer[];
  bytes: number;
  isText: boolean;
}

/** A value that a device sends in chunks (facts 6): at most one at a time, and never longer than our MaxObjSize. */
export class IncomingObject {
  #open: Open | undefined;

  constructor(private readonly maxObjSize: number) {}

  /** URI of the object that is not complete; undefined when there is none. */
  get open(): string | undefined {
    return this.#open?.uri;
  }

  /** Octets that have come of it. */
  get bytes(): number {
    return this.#open?.bytes ?? 0;
  }

  /** Forgets what has come of an object that will not be completed. */
  drop(): void {
    this.#open = undefined;
  }

  /** Whether an Item goes on with the object that is open. */
  continues(results: ResultsCommand, item: Item): boolean {
    return this.#open?.uri === uriOf(results, item);
  }

  /** Takes an Item of Results: a whole value, or a chunk. The caller has dropped an object that it does not go on with. */
  take(results: ResultsCommand, item: Item): Taken {
    if (!this.#open) {
      if (!item.moreData) return { kind: 'whole', item };
      const { size } = effectiveMeta(results, item);
      if (size === undefined) return { kind: 'answer', code: Status.SIZE_REQUIRED };
      if (size > this.maxObjSize) return { kind: 'answer', code: Status.TOO_LARGE };
      this.#open = { uri: uriOf(results, item), first: item, size, pieces: [], bytes: 0, isText: true };
    }
    const object = this.#open;
    add(object, item.data ?? '');
    const isLast = !item.moreData;
    if (object.bytes > object.size || (isLast && object.bytes < object.size)) {
      this.drop();
      return { kind: 'answer', code: Status.SIZE_MISMATCH };
    }
    if (!isLast) return { kind: 'answer', code: Status.CHUNK_ACCEPTED };
    this.drop();
    const whole = Buffer.concat(object.pieces);
    return { kind: 'whole', item: { ...object.first, data: object.isText ? whole.toString('utf8') : whole } };
  }
}

/** Size counts what stands in the message: text as UTF-8, base64 as it is. */
function add(object: Open, data: ItemData): void {
  const piece = typeof data === 'string' ? Buffer.from(data, 'utf8') : Buffer.from(data);
  object.bytes += piece.byteLength;
  object.isText &&= typeof data === 'string';
  if (object.bytes <= object.size) object.pieces.push(piece);
}

/** Of the node whose value an Item of Results is. */
export function uriOf({ sourceRef, targetRef }: ResultsCommand, { source, target }: Item): string {
  return source?.uri ?? target?.uri ?? sourceRef ?? targetRef ?? '';
}
