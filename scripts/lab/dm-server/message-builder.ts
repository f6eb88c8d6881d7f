import type {
  BodyCommand,
  Header,
  Message,
  Meta,
  ServerCommand,
  StatusCommand,
  Wire,
} from '../../../firmware/dm/index.js';
import { bytesOfValues, numberCommand, type CommandIds, type PlannedCommand } from './commands.js';
import type { OutgoingObject } from './outgoing-object.js';

/** A Status without its number in a message. */
export type DueStatus = Omit<StatusCommand, 'cmdId'>;

/** An answer of the server, filled command by command up to the size that the device takes. */
export class MessageBuilder {
  readonly #body: BodyCommand[] = [];
  readonly #due: DueStatus[] = [];
  #size: number;
  #nextCmdId = 1;

  /**
   * @param answered header of the message that this one answers
   * @param wire in which it goes out
   * @param maxBytes MaxMsgSize of the device
   */
  constructor(
    private readonly header: Header,
    private readonly answered: Header,
    readonly wire: Wire,
    private readonly maxBytes: number,
  ) {
    this.#size = wire.envelope(header).bytes;
  }

  /** Statuses for which this message had no room: they go into the next one. */
  get due(): readonly DueStatus[] {
    return this.#due;
  }

  /** Octets that are left. */
  get room(): number {
    return this.maxBytes - this.#size;
  }

  headerStatus(code: number, chal: Meta | undefined, items: StatusCommand['items'] = []): void {
    const { target, source } = this.answered;
    const refs = { targetRefs: [target.uri], sourceRefs: [source.uri] };
    // It comes first, and every message has room for it.
    this.#add({ ...this.#status('0', 'SyncHdr', code), ...refs, ...(chal && { chal }), items }, 1);
  }

  /** Status of a command of the device. */
  status(command: BodyCommand, code: number): void {
    if ('noResp' in command && command.noResp) return;
    const [item, ...more] = 'items' in command ? command.items : [];
    const only = more.length === 0 ? item : undefined;
    this.dueStatus({
      ...this.#status(command.cmdId, command.kind === 'Unusable' ? command.name : command.kind, code),
      targetRefs: only?.target ? [only.target.uri] : [],
      sourceRefs: only?.source ? [only.source.uri] : [],
    });
  }

  /** A Status that an earlier message had no room for, or a new one: behind those that wait already. */
  dueStatus(status: DueStatus): void {
    const fits = this.wire.sizeOf(status, String(this.#nextCmdId)) <= this.room;
    if (fits && this.#due.length === 0) this.#add(status, 1);
    else this.#due.push(status);
  }

  /** An Alert of the server's own. */
  alert(code: number, brokenUri?: string): void {
    const items = brokenUri === undefined ? [] : [{ source: { uri: brokenUri } }];
    this.#add({ kind: 'Alert', data: String(code), items }, 1);
  }

  /**
   * Adds a command if the message still has room for it.
   * @returns what each of its CmdIDs stands for; undefined when it does not fit
   * @throws Unsendable
   */
  command(planned: PlannedCommand): CommandIds | undefined {
    if (bytesOfValues(planned) > this.maxBytes) return undefined;
    const { command, ids } = numberCommand(planned, this.#nextCmdId);
    if (this.wire.sizeOf(command, command.cmdId) > this.room) return undefined;
    this.#add(command, ids.size);
    return ids;
  }

  /**
   * Adds the next chunk of an object, as large as there is room.
   * @returns its CmdID; undefined when there is no room
   * @throws Unsendable
   */
  chunk(object: OutgoingObject): string | undefined {
    const cmdId = String(this.#nextCmdId);
    const command = object.chunk(cmdId, this.room, this.wire);
    if (command) this.#add(command, 1);
    return command && cmdId;
  }

  /** @param final whether the package ends with this message, unless something is still due */
  build(final: boolean): Message {
    return { header: this.header, body: this.#body, final: final && this.#due.length === 0 };
  }

  #status(cmdRef: string, cmd: string, code: number): DueStatus {
    const { msgId: msgRef } = this.answered;
    return { kind: 'Status', msgRef, cmdRef, cmd, targetRefs: [], sourceRefs: [], data: String(code), items: [] };
  }

  #add(command: Unnumbered<ServerCommand | StatusCommand>, cmdIds: number): void {
    const numbered = this.#numbered(command);
    this.#body.push(numbered);
    this.#size += this.wire.sizeOf(numbered, numbered.cmdId);
    this.#nextCmdId += cmdIds;
  }

  #numbered(command: Unnumbered<ServerCommand | StatusCommand>): BodyCommand {
    return { ...command, cmdId: String(this.#nextCmdId) };
  }
}

/** A command of any kind whose CmdID does not count. */
type Unnumbered<C> = C extends { readonly cmdId: string } ? Omit<C, 'cmdId'> : never;
