import {
  xmlWire,
  type BodyCommand,
  type Header,
  type Message,
  type Meta,
  type ServerCommand,
  type StatusCommand,
} from '../../../firmware/dm/index.js';
import { numberCommand, type PlannedCommand } from './commands.js';

/** An answer of the server, filled command by command up to the size that the device takes. */
export class MessageBuilder {
  readonly #body: BodyCommand[] = [];
  #size: number;
  #nextCmdId = 1;

  /**
   * @param answered header of the message that this one answers
   * @param maxBytes MaxMsgSize of the device
   */
  constructor(
    private readonly header: Header,
    private readonly answered: Header,
    private readonly maxBytes: number,
  ) {
    this.#size = xmlWire.envelopeSize(header);
  }

  headerStatus(code: number, chal: Meta | undefined, items: StatusCommand['items'] = []): void {
    const { target, source } = this.answered;
    this.#status('0', 'SyncHdr', code, { targetRefs: [target.uri], sourceRefs: [source.uri], chal, items });
  }

  /** Status of a command of the device. */
  status(command: BodyCommand, code: number): void {
    if ('noResp' in command && command.noResp) return;
    const [item, ...more] = 'items' in command ? command.items : [];
    const only = more.length === 0 ? item : undefined;
    this.#status(command.cmdId, command.kind === 'Unusable' ? command.name : command.kind, code, {
      targetRefs: only?.target ? [only.target.uri] : [],
      sourceRefs: only?.source ? [only.source.uri] : [],
    });
  }

  /** An Alert of the server's own, without Items. */
  alert(code: number): void {
    this.#add({ kind: 'Alert', cmdId: String(this.#nextCmdId), data: String(code), items: [] }, 1);
  }

  /**
   * Adds a command if the message still has room for it.
   * @returns what each of its CmdIDs stands for; undefined when it does not fit
   */
  command(planned: PlannedCommand): ReadonlyMap<string, PlannedCommand> | undefined {
    const { command, ids } = numberCommand(planned, this.#nextCmdId);
    if (this.#size + xmlWire.sizeOf(command) > this.maxBytes) return undefined;
    this.#add(command, ids.size);
    return ids;
  }

  build(final: boolean): Message {
    return { header: this.header, body: this.#body, final };
  }

  #status(
    cmdRef: string,
    cmd: string,
    code: number,
    more: {
      targetRefs: readonly string[];
      sourceRefs: readonly string[];
      chal?: Meta | undefined;
      items?: StatusCommand['items'];
    },
  ): void {
    this.#add(
      {
        kind: 'Status',
        cmdId: String(this.#nextCmdId),
        msgRef: this.answered.msgId,
        cmdRef,
        cmd,
        targetRefs: more.targetRefs,
        sourceRefs: more.sourceRefs,
        ...(more.chal && { chal: more.chal }),
        data: String(code),
        items: more.items ?? [],
      },
      1,
    );
  }

  #add(command: ServerCommand | StatusCommand, cmdIds: number): void {
    this.#body.push(command);
    this.#size += xmlWire.sizeOf(command);
    this.#nextCmdId += cmdIds;
  }
}
