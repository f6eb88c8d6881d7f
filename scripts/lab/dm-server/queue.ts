import type { PlannedCommand } from './commands.js';

interface Queued {
  readonly planned: PlannedCommand;
  /** Messages that carried it and were not answered. */
  sends: number;
}

/** A command that so many sessions broke off at is given up: it may be the reason. */
const MAX_SENDS = 3;

/** Commands that wait for a device. One is done when its Status has arrived; until then a broken session sends it again. */
export class CommandQueue {
  #commands: Queued[] = [];

  get length(): number {
    return this.#commands.length;
  }

  add(commands: readonly PlannedCommand[]): void {
    this.#commands.push(...commands.map((planned) => ({ planned, sends: 0 })));
  }

  /** The first command that is not under way. */
  next(isUnderWay: (planned: PlannedCommand) => boolean): PlannedCommand | undefined {
    return this.#commands.find(({ planned }) => !isUnderWay(planned))?.planned;
  }

  sent(planned: PlannedCommand): void {
    const queued = this.#commands.find((one) => one.planned === planned);
    if (queued) queued.sends += 1;
  }

  /** It stays and waits, as if it had not been sent: the device took no notice of it. */
  unsent(planned: PlannedCommand): void {
    const queued = this.#commands.find((one) => one.planned === planned);
    if (queued) queued.sends -= 1;
  }

  done(planned: PlannedCommand): void {
    this.#commands = this.#commands.filter((one) => one.planned !== planned);
  }

  /** Takes out those that were sent too often without an answer. */
  takeHopeless(): PlannedCommand[] {
    const hopeless = this.#commands.filter((one) => one.sends >= MAX_SENDS);
    this.#commands = this.#commands.filter((one) => one.sends < MAX_SENDS);
    return hopeless.map(({ planned }) => planned);
  }
}
