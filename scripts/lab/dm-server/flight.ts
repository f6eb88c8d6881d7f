import { effectiveMeta, type Item, type ResultsCommand, type StatusCommand } from '../../../firmware/dm/index.js';
import type { PlannedCommand } from './commands.js';
import type { Device } from './devices.js';

/** Commands of the package that the device is answering. */
export class Flight {
  readonly #byRef = new Map<string, PlannedCommand>();
  readonly #commands: PlannedCommand[] = [];
  readonly #answered = new Set<PlannedCommand>();

  constructor(private readonly device: Device) {}

  /** @param ids what each CmdID in message `msgId` stands for; the first is the command itself */
  launch(msgId: string, ids: ReadonlyMap<string, PlannedCommand>): void {
    for (const [cmdId, planned] of ids) this.#byRef.set(`${msgId}:${cmdId}`, planned);
    const [command] = ids.values();
    if (!command) return;
    this.#commands.push(command);
    this.device.queue.sent(command);
  }

  /** A Status for one of them; that of anything else is nothing to us. */
  status({ msgRef, cmdRef, cmd, data, targetRefs, items }: StatusCommand): void {
    const planned = this.#byRef.get(`${msgRef}:${cmdRef}`);
    if (!planned) return;
    this.#answered.add(planned);
    const texts = items.flatMap((item) => (item.data === undefined ? [] : [String(item.data)]));
    this.device.events.add('status', {
      id: planned.id,
      cmd,
      ...optionalTarget(targetRefs[0] ?? onlyTarget(planned)),
      code: Number(data),
      ...(texts.length > 0 && { items: texts }),
    });
  }

  results(results: ResultsCommand): void {
    const planned = this.#byRef.get(`${results.msgRef ?? ''}:${results.cmdRef}`);
    for (const item of results.items) {
      const { format, type } = effectiveMeta(results, item);
      this.device.events.add('results', {
        id: planned?.id ?? null,
        ...optionalTarget(resultsUri(results, item)),
        value: item.data === undefined ? '' : String(item.data),
        format: format ?? 'chr',
        type: type ?? 'text/plain',
      });
    }
  }

  /** The device has ended its package: what has its Status is done, and so is what it passed over in silence. */
  land(): void {
    for (const command of this.#commands) {
      this.device.queue.done(command);
      if (!this.#answered.has(command)) this.#lost(command, 'the device did not answer it');
    }
    this.#clear();
  }

  /** The device did not look at them: they wait for the next message. */
  recall(): void {
    for (const command of this.#commands) this.device.queue.unsent(command);
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

function resultsUri({ sourceRef, targetRef }: ResultsCommand, { source, target }: Item): string | undefined {
  return source?.uri ?? target?.uri ?? sourceRef ?? targetRef;
}

function optionalTarget(target: string | undefined): { readonly target?: string } {
  return target === undefined ? {} : { target };
}
