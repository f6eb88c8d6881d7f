import { effectiveMeta, type Item, type ResultsCommand, type StatusCommand } from '../../../firmware/dm/index.js';
import type { CommandIds, PlannedCommand } from './commands.js';
import type { Device } from './devices.js';
import { uriOf } from './incoming-object.js';
import { asText, textOrOctets } from './values.js';

/** Commands of the package that the device is answering. */
export class Flight {
  readonly #byRef = new Map<string, PlannedCommand>();
  readonly #commands: PlannedCommand[] = [];
  readonly #answered = new Set<PlannedCommand>();

  constructor(private readonly device: Device) {}

  /** Whether a command of the queue is under way. */
  has(planned: PlannedCommand): boolean {
    return this.#commands.includes(planned);
  }

  /**
   * @param ids what each CmdID in message `msgId` stands for; the first is the command itself, which may have been
   * launched before, with an earlier chunk
   */
  launch(msgId: string, ids: CommandIds): void {
    for (const [cmdId, planned] of ids) this.#byRef.set(`${msgId}:${cmdId}`, planned);
    const [command] = ids.values();
    if (!command || this.#commands.includes(command)) return;
    this.#commands.push(command);
    this.device.queue.sent(command);
  }

  /** A Status for one of them; that of anything else is nothing to us. */
  status({ msgRef, cmdRef, cmd, data, targetRefs, items }: StatusCommand): void {
    const planned = this.#byRef.get(`${msgRef}:${cmdRef}`);
    if (!planned) return;
    this.#answered.add(planned);
    const texts = items.flatMap((item) => (item.data === undefined ? [] : [asText(item.data)]));
    this.device.events.add('status', {
      id: planned.id,
      cmd,
      ...optionalTarget(targetRefs[0] ?? onlyTarget(planned)),
      code: Number(data),
      ...(texts.length > 0 && { items: texts }),
    });
  }

  /** A whole value among Results. Octets are told as base64, whatever the encoding of the message. */
  result(results: ResultsCommand, item: Item): void {
    const planned = this.#byRef.get(`${results.msgRef ?? ''}:${results.cmdRef}`);
    const { format, type } = effectiveMeta(results, item);
    const data = textOrOctets(item.data ?? '', format);
    const octets = typeof data !== 'string';
    this.device.events.add('results', {
      id: planned?.id ?? null,
      ...optionalTarget(uriOf(results, item) || undefined),
      value: octets ? Buffer.from(data).toString('base64') : data,
      format: octets ? 'b64' : (format ?? 'chr'),
      type: type ?? 'text/plain',
    });
  }

  /** A command that is given up: nothing more is expected of it. */
  forget(planned: PlannedCommand): void {
    const index = this.#commands.indexOf(planned);
    if (index >= 0) this.#commands.splice(index, 1);
  }

  /** The device has ended its package: what has its Status is done, and so is what it passed over in silence. */
  land(): void {
    for (const command of this.#commands) {
      this.device.queue.done(command);
      if (!this.#answered.has(command)) this.#lost(command, 'the device did not answer it');
    }
    this.#clear();
  }

  /** The device did not look at them, unless it has answered before: they wait for the next message. */
  recall(): void {
    for (const command of this.#commands) {
      if (this.#answered.has(command)) this.device.queue.done(command);
      else this.device.queue.unsent(command);
    }
    this.#clear();
  }

  /** The session broke off: what has its Status is done, the rest is sent again, a bounded number of times. */
  crash(): void {
    for (const command of this.#commands) if (this.#answered.has(command)) this.device.queue.done(command);
    for (const command of this.device.queue.takeHopeless()) this.#lost(command, 'sessions broke off at it');
    this.#clear();
  }

  #clear(): void {
    this.#byRef.clear();
    this.#commands.length = 0;
    this.#answered.clear();
  }

  #lost(planned: PlannedCommand, reason: string): void {
    reportUnanswered(this.device, planned, reason);
  }
}

/** A status event without a code: the command has ended, and no Status will come. */
export function reportUnanswered(device: Device, planned: PlannedCommand, reason: string): void {
  const { id, command } = planned;
  device.events.add('status', { id, cmd: command.kind, ...optionalTarget(onlyTarget(planned)), code: null, reason });
}

function onlyTarget({ command }: PlannedCommand): string | undefined {
  return 'items' in command && command.items.length === 1 ? command.items[0]?.target?.uri : undefined;
}

function optionalTarget(target: string | undefined): { readonly target?: string } {
  return target === undefined ? {} : { target };
}
