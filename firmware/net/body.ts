import type { IncomingMessage } from 'node:http';
import type { OnReadOpts, Socket } from 'node:net';
import type { Readable } from 'node:stream';

/** Takes the bytes of a body into memory of its own. */
export interface ByteSink {
  /** Where the next bytes may be put, or undefined for nowhere: then the sink has the reader paused, and resumes it later. */
  room(): Buffer | undefined;
  /** So many bytes stand at the start of the last room. */
  came(bytes: number): void;
  /** Told once, unless the reader was destroyed before. @param whole false: the connection broke before the announced end */
  ended(whole: boolean): void;
}

/** Brings the bytes of a body to a sink. It begins paused. */
export interface BodyReader {
  /** The bytes pass through streams: each read leaves its memory to the garbage collector. */
  readonly leavesGarbage: boolean;
  pause(): void;
  /** May bring bytes at once, from within. */
  resume(): void;
  /** The connection is closed, nothing more is told. */
  destroy(): void;
}

/** What both readers share: bytes that have come, but that the sink had no room for. */
abstract class Reader implements BodyReader {
  abstract readonly leavesGarbage: boolean;
  #waiting: Buffer[];
  #paused = true;
  /** How the body has ended; it is told once nothing waits any more. */
  #end: 'whole' | 'broken' | undefined;
  #over = false;

  /** @param waiting bytes that have come already */
  constructor(
    protected readonly sink: ByteSink,
    waiting: Buffer[] = [],
  ) {
    this.#waiting = waiting;
  }

  pause(): void {
    this.#paused = true;
    this.stopReading();
  }

  resume(): void {
    this.#paused = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) this.copy(bytes);
    this.#tell();
    if (this.#isWanted()) this.startReading();
  }

  destroy(): void {
    this.#over = true;
    this.closeConnection();
  }

  protected abstract startReading(): void;
  protected abstract stopReading(): void;
  protected abstract closeConnection(): void;

  protected get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Neither paused by the sink meanwhile, nor over. */
  #isWanted(): boolean {
    return !this.#paused && !this.#over;
  }

  /** Brings bytes that stand elsewhere; what the sink has no room for waits. @param lasting they stay as they are */
  protected copy(bytes: Buffer, lasting = true): void {
    let from = 0;
    while (from < bytes.length && !this.#over) {
      const room = this.hasWaiting ? undefined : this.sink.room();
      if (!room) {
        const rest = bytes.subarray(from);
        this.#waiting.push(lasting ? rest : Buffer.from(rest));
        return;
      }
      const copied = bytes.copy(room, 0, from);
      from += copied;
      this.sink.came(copied);
    }
  }

  /** The body is over. The first word counts. */
  protected finish(whole: boolean): void {
    this.#end ??= whole ? 'whole' : 'broken';
    this.#tell();
  }

  #tell(): void {
    if (this.#end === undefined || this.#over || this.hasWaiting) return;
    this.#over = true;
    this.sink.ended(this.#end === 'whole');
    this.closeConnection();
  }
}

/** Reads a body as the stream that it is: of any encoding of the transfer. */
export class StreamReader extends Reader {
  readonly leavesGarbage = true;

  constructor(
    private readonly body: Readable,
    sink: ByteSink,
  ) {
    super(sink);
    body.pause();
    body.on('data', (chunk: Buffer) => this.copy(chunk));
    body.on('end', () => this.finish(true));
    body.on('error', () => this.finish(false));
    body.on('close', () => this.finish(false));
    if (body.destroyed) process.nextTick(() => this.finish(false));
  }

  protected startReading(): void {
    this.body.resume();
  }

  protected stopReading(): void {
    this.body.pause();
  }

  protected closeConnection(): void {
    this.body.destroy();
  }
}

/** Bytes that are read at once while no sink says where to. */
const OWN_BUFFER_BYTES = 16 * 1024;

/**
 * A connection whose bytes go to Node's HTTP parser up to the headers of the reply, and from there straight into the
 * memory of a sink: parser and streams would copy each byte twice, into memory that is thrown away (a third of the
 * processor time of a download, and 10 MiB of its memory). For bodies with a length of their own only.
 */
export class DirectConnection {
  readonly #own = Buffer.allocUnsafe(OWN_BUFFER_BYTES);
  #socket: Socket | undefined;
  #reader: DirectReader | undefined;

  /** Goes into the options of the connection (`socket.connect` and `tls.connect`: onread). */
  readonly onread: OnReadOpts = {
    buffer: () => this.#reader?.nextRoom() ?? this.#own,
    callback: (bytes, buffer) => {
      if (this.#reader) return this.#reader.came(buffer as Buffer, bytes);
      return this.#socket?.push(Buffer.from(buffer.subarray(0, bytes))) ?? false;
    },
  };

  /** Must be called before the first byte comes. */
  use(socket: Socket): void {
    this.#socket = socket;
  }

  /**
   * From here on the bytes of this reply's body go to the sink. Nobody else must have read of it.
   * @param bytes of the body, as its Content-Length says
   */
  readInto(reply: IncomingMessage, bytes: number, sink: ByteSink): BodyReader {
    const { socket } = reply;
    // The parser ends in the middle of a body, which is nobody's business any more.
    reply.on('error', () => {});
    // What waits in the socket passes the parser first.
    socket.read();
    const first = reply.read() as Buffer | null;
    this.#reader = new DirectReader(socket, sink, first ?? Buffer.alloc(0), bytes);
    return this.#reader;
  }
}

class DirectReader extends Reader {
  readonly leavesGarbage = false;
  /** The part of the sink's memory that the next bytes are read into; undefined: they come elsewhere. */
  #lent: Buffer | undefined;

  #left: number;

  /** @param first bytes of the body that came with the headers  @param bytes of the whole body */
  constructor(
    private readonly socket: Socket,
    sink: ByteSink,
    first: Buffer,
    bytes: number,
  ) {
    super(sink, first.length > 0 ? [first] : []);
    this.#left = bytes - first.length;
    socket.on('end', () => this.finish(false));
    socket.on('error', () => this.finish(false));
    socket.on('close', () => this.finish(false));
  }

  /** @returns undefined when the sink has none */
  nextRoom(): Buffer | undefined {
    // What waits comes first. TLS brings what it has decrypted also while nothing is to be read.
    this.#lent = this.hasWaiting ? undefined : this.sink.room();
    return this.#lent;
  }

  /** @returns true: whether reading goes on is said by pause and resume */
  came(buffer: Buffer, bytes: number): true {
    // What is beyond the announced length is not of this body.
    const counted = Math.min(bytes, this.#left);
    this.#left -= counted;
    if (buffer === this.#lent) {
      if (counted > 0) this.sink.came(counted);
    } else this.copy(buffer.subarray(0, counted), false);
    if (this.#left === 0) this.finish(true);
    return true;
  }

  protected startReading(): void {
    if (this.#left === 0) this.finish(true);
    else if (this.socket.destroyed) this.finish(false);
    else this.socket.resume();
  }

  protected stopReading(): void {
    this.socket.pause();
  }

  protected closeConnection(): void {
    this.socket.destroy();
  }
}
