import { StoreError } from '../store/index.js';
import type { Subject, Tree, ValueSink } from '../tree/index.js';
import { Alert, Status } from './codes.js';
import { isNextMessage, statusOf, statusOfStoreError, TREE_STATUS, type Answer, type Piece } from './executor.js';
import type { AddCommand, Item, ItemData, Meta, Part, ReplaceCommand, ServerCommand } from './message.js';
import { effectiveMeta } from './syncml.js';

export interface ReceiverOptions {
  readonly tree: Tree;
  readonly subject: Subject;
  /** Largest object that is taken, in octets as transported: the MaxObjSize that the server was told. */
  readonly maxObjectBytes: number;
}

/** Commands of one message of the server. */
export interface Package {
  readonly commands: readonly ServerCommand[];
  readonly msgId: string;
  readonly final: boolean;
}

/** Executes what stands in a message beside the pieces of objects. */
export type Execute = (commands: readonly ServerCommand[], pieces: ReadonlyMap<Item, Piece>) => readonly Answer[];

type ChunkCommand = AddCommand | ReplaceCommand;

/** An object of which the last piece has not come. */
interface Receiving {
  readonly kind: ChunkCommand['kind'];
  readonly uri: string;
  /** What the first piece said of the value; the later ones need not repeat it. */
  readonly meta: Pick<Meta, 'format' | 'type'>;
  /** Octets as transported: announced, and received so far. */
  readonly size: number;
  received: number;
  readonly sink: ValueSink;
}

/** What the beginning of a message is to the object that is being received. */
interface Continued {
  readonly commands: readonly ServerCommand[];
  readonly pieces: ReadonlyMap<Item, Piece>;
  /** Holds the value of an object that is complete. */
  readonly ended?: ValueSink;
  /** The object ended without its last piece: alert 1225 about it. */
  readonly broken?: Part;
}

const NO_PIECES: ReadonlyMap<Item, Piece> = new Map();

/**
 * Receives large objects (facts 6): a value of an Add or Replace in pieces, each at the end of its message, straight into
 * the sink of its leaf. Nothing can be seen of it before the last piece, which makes it visible in the transaction of its
 * message.
 */
export class LargeObjectReceiver {
  #object: Receiving | undefined;
  #broughtBytes = 0;

  constructor(private readonly o: ReceiverOptions) {}

  /** The next message must bring the next piece of an object. */
  get isWaiting(): boolean {
    return this.#object !== undefined;
  }

  /** Octets of objects that the last message has brought. */
  get broughtBytes(): number {
    return this.#broughtBytes;
  }

  /**
   * Takes a message: the piece that it begins with, then its commands, then the piece that it ends with.
   * @param execute is called with the whole value where the last piece of one has come
   * @returns the answers in the order of the commands, and alert 1225 where an object was broken off
   */
  async take(message: Package, execute: Execute): Promise<Part[]> {
    this.#broughtBytes = 0;
    const { commands, pieces, ended, broken } = this.#object
      ? await this.#proceed(this.#object, message)
      : { commands: message.commands, pieces: NO_PIECES };
    const [before, opening] = splitOpening(commands, pieces);
    try {
      const answers: Part[] = [...(await this.#execute(before, pieces, execute)), ...(broken ? [broken] : [])];
      if (opening) answers.push(...(await this.#open(opening, message)));
      return answers;
    } finally {
      await ended?.discard();
    }
  }

  /** The session begins anew: alert 1225 about an object that is on its way, of which nothing is kept. */
  async breakOff(): Promise<Part[]> {
    return this.#object ? [await this.#breakOff(this.#object)] : [];
  }

  /** The session ends: drops what has come of an object. Idempotent. */
  async discard(): Promise<void> {
    const object = this.#object;
    this.#object = undefined;
    await object?.sink.discard();
  }

  /**
   * Executes commands, with the values of streamed leaves stored first: each in the turn of its command, because what
   * stands before it may make the node that it belongs to.
   */
  async #execute(
    commands: readonly ServerCommand[],
    pieces: ReadonlyMap<Item, Piece>,
    execute: Execute,
  ): Promise<readonly Answer[]> {
    const at = commands.findIndex(
      (one) => isChunkCommand(one) && one.items.some((item) => this.#isStreamed(item, pieces)),
    );
    const command = commands[at];
    if (!command || !isChunkCommand(command)) return execute(commands, pieces);
    const before = at === 0 ? [] : execute(commands.slice(0, at), pieces);
    const own = await this.#executeStreamed(command, pieces, execute);
    const rest = commands.slice(at + 1);
    return [...before, ...own, ...(rest.length === 0 ? [] : await this.#execute(rest, pieces, execute))];
  }

  async #executeStreamed(
    command: ChunkCommand,
    pieces: ReadonlyMap<Item, Piece>,
    execute: Execute,
  ): Promise<readonly Answer[]> {
    const stored = new Map(pieces);
    const sinks: ValueSink[] = [];
    try {
      for (const item of command.items) {
        if (this.#isStreamed(item, pieces)) stored.set(item, await this.#store(command, item, sinks));
      }
      return execute([command], stored);
    } finally {
      for (const sink of sinks) await sink.discard();
    }
  }

  /** A whole value in one message, for a leaf whose values go to a sink. */
  #isStreamed(item: Item, pieces: ReadonlyMap<Item, Piece>): boolean {
    const { target, data, moreData } = item;
    if (data === undefined || moreData || target === undefined || pieces.has(item)) return false;
    return this.o.tree.isStreamed(target.uri);
  }

  /** @param sinks gets the sink, to be discarded after the command */
  async #store(command: ChunkCommand, item: Item, sinks: ValueSink[]): Promise<Piece> {
    const { tree, subject } = this.o;
    const { format, type } = effectiveMeta(command, item);
    const data = item.data ?? '';
    const size = typeof data === 'string' ? Buffer.byteLength(data, 'utf8') : data.byteLength;
    const sink = tree.receive(subject, command.kind, item.target?.uri ?? '', { format, type, size });
    if (!sink.ok) return { code: TREE_STATUS[sink.error.code] };
    sinks.push(sink.value);
    const written = await sink.value.write(data);
    const value = written.ok ? await sink.value.end() : written;
    return value.ok ? { value: value.value } : { code: TREE_STATUS[value.error.code] };
  }

  async #proceed(object: Receiving, { commands, final }: Package): Promise<Continued> {
    const index = commands.findIndex((one) => !isNextMessage(one));
    const command = commands[index];
    // Between two pieces a message may say nothing at all.
    if (!command && !final) return { commands, pieces: NO_PIECES };
    const item = command && pieceOf(object, command);
    if (!item) return { commands, pieces: NO_PIECES, broken: await this.#breakOff(object) };
    const code = await this.#write(object, item.data ?? '');
    if (code !== Status.OK) return { commands, pieces: new Map([[item, { code }]]) };
    if (item.moreData) {
      const isAtEnd = !final && index === commands.length - 1 && itemsOf(command).length === 1;
      if (isAtEnd) return { commands, pieces: new Map([[item, { code: Status.CHUNK_ACCEPTED }]]) };
      const broken = await this.#breakOff(object);
      return { commands, pieces: new Map([[item, { code: Status.SIZE_MISMATCH }]]), broken };
    }
    const end = await this.#end(object);
    // The sink has decoded base64 on the way: octets that it gives are the value itself.
    const decoded = 'value' in end && end.value instanceof Uint8Array && { format: 'bin' };
    const whole: Item = { ...item, meta: { ...object.meta, ...decoded } };
    const items = [whole, ...itemsOf(command).slice(1)];
    const pieces = new Map([[whole, end]]);
    const completed = commands.map((one) => (one === command ? ({ ...one, items } as ChunkCommand) : one));
    return { commands: completed, pieces, ended: object.sink };
  }

  /** The first piece of an object. What stands before it in the message has been executed. */
  async #open(command: ChunkCommand, { msgId, final }: Package): Promise<Part[]> {
    const { tree, subject, maxObjectBytes } = this.o;
    const [item = {}] = command.items;
    const answer = (code: number): Answer[] => statusOf(command, code, msgId);
    const { size, format, type } = effectiveMeta(command, item);
    const uri = item.target?.uri;
    if (uri === undefined || uri === '') return answer(Status.INCOMPLETE);
    if (size === undefined) return answer(Status.SIZE_REQUIRED);
    if (size > maxObjectBytes) return answer(Status.TOO_LARGE);
    // Its package ends here, so no other piece can come.
    if (final) return [...answer(Status.SIZE_MISMATCH), noEndOfData(uri)];
    try {
      const sink = tree.receive(subject, command.kind, uri, { format, type, size });
      if (!sink.ok) return answer(TREE_STATUS[sink.error.code]);
      const meta = { ...(format !== undefined && { format }), ...(type !== undefined && { type }) };
      const object = { kind: command.kind, uri, meta, size, received: 0, sink: sink.value };
      this.#object = object;
      const code = await this.#write(object, item.data ?? '');
      return answer(code === Status.OK ? Status.CHUNK_ACCEPTED : code);
    } catch (thrown) {
      if (!(thrown instanceof StoreError)) throw thrown;
      return answer(statusOfStoreError(thrown));
    }
  }

  /** @returns 200, or the code with which the object has ended */
  async #write(object: Receiving, data: ItemData): Promise<number> {
    const bytes = typeof data === 'string' ? Buffer.byteLength(data, 'utf8') : data.byteLength;
    object.received += bytes;
    this.#broughtBytes += bytes;
    if (object.received > object.size) return this.#refuse(Status.SIZE_MISMATCH);
    const written = await object.sink.write(data);
    return written.ok ? Status.OK : this.#refuse(TREE_STATUS[written.error.code]);
  }

  async #end(object: Receiving): Promise<Piece> {
    this.#object = undefined;
    if (object.received !== object.size) return { code: Status.SIZE_MISMATCH };
    const value = await object.sink.end();
    return value.ok ? { value: value.value } : { code: TREE_STATUS[value.error.code] };
  }

  async #refuse(code: number): Promise<number> {
    await this.discard();
    return code;
  }

  async #breakOff({ uri }: Receiving): Promise<Part> {
    await this.discard();
    return noEndOfData(uri);
  }
}

/** The Item of a command that goes on with an object. One that repeats the Size means the same object. */
function pieceOf(object: Receiving, command: ServerCommand): Item | undefined {
  const [item] = itemsOf(command);
  if (command.kind !== object.kind || item?.target?.uri !== object.uri) return undefined;
  const { size = object.size } = effectiveMeta(command, item);
  return size === object.size ? item : undefined;
}

/** What a message has before the first piece of an object, which is its last Item; without one, all of it. */
function splitOpening(
  commands: readonly ServerCommand[],
  pieces: ReadonlyMap<Item, Piece>,
): readonly [readonly ServerCommand[], ChunkCommand | undefined] {
  const last = commands.at(-1);
  const item = last && itemsOf(last).at(-1);
  if ((last?.kind !== 'Add' && last?.kind !== 'Replace') || !item?.moreData || pieces.has(item)) {
    return [commands, undefined];
  }
  const others = last.items.length > 1 ? [{ ...last, items: last.items.slice(0, -1) }] : [];
  return [[...commands.slice(0, -1), ...others], { ...last, items: [item] }];
}

function isChunkCommand(command: ServerCommand): command is ChunkCommand {
  return command.kind === 'Add' || command.kind === 'Replace';
}

function itemsOf(command: ServerCommand): readonly Item[] {
  return 'items' in command ? command.items : [];
}

function noEndOfData(uri: string): Part {
  return { kind: 'Alert', data: String(Alert.NO_END_OF_DATA), items: [{ target: { uri } }] };
}
