import {
  effectiveMeta,
  Status,
  type AlertCommand,
  type Item,
  type ItemData,
  type ResultsCommand,
} from '../../../firmware/dm/index.js';

/** What a device may send in chunks: values, and the data of its alerts. */
export type Bringing = ResultsCommand | AlertCommand;

/** What an Item comes to. */
export type Taken =
  | { readonly kind: 'whole'; readonly item: Item }
  /** A chunk was buffered (213), or the object is refused with this Status; there is no value. */
  | { readonly kind: 'answer'; readonly code: number };

interface Open {
  readonly kind: Bringing['kind'];
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
  continues(command: Bringing, item: Item): boolean {
    return this.#open?.kind === command.kind && this.#open.uri === uriOf(command, item);
  }

  /** Takes an Item: a whole value, or a chunk. The caller has dropped an object that it does not go on with. */
  take(command: Bringing, item: Item): Taken {
    if (!this.#open) {
      if (!item.moreData) return { kind: 'whole', item };
      const { size } = effectiveMeta(command, item);
      if (size === undefined) return { kind: 'answer', code: Status.SIZE_REQUIRED };
      if (size > this.maxObjSize) return { kind: 'answer', code: Status.TOO_LARGE };
      this.#open = {
        kind: command.kind,
        uri: uriOf(command, item),
        first: item,
        size,
        pieces: [],
        bytes: 0,
        isText: true,
      };
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

/** Of the node that an Item is about. */
export function uriOf(command: Bringing, { source, target }: Item): string {
  const refs = command.kind === 'Results' ? (command.sourceRef ?? command.targetRef) : undefined;
  return source?.uri ?? target?.uri ?? refs ?? '';
}
