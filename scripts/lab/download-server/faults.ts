import type { Fault } from './admin-messages.js';

/** A fault that is due for one request. */
type Due<K extends Fault['kind']> = Extract<Fault, { kind: K }>;

/** The faults that were asked for and have not been used up. */
export class Faults {
  #pending: { fault: Fault; left: number }[] = [];

  add(fault: Fault): void {
    this.#pending.push({ fault, left: fault.times ?? Infinity });
  }

  clear(): void {
    this.#pending = [];
  }

  /** The faults for the next request of this path; each counts one use. */
  take(path: string): RequestFaults {
    const due = this.#pending.filter(({ fault }) => fault.path === '*' || fault.path === path);
    for (const entry of due) entry.left -= 1;
    this.#pending = this.#pending.filter(({ left }) => left > 0);
    return new RequestFaults(due.map(({ fault }) => fault));
  }
}

/** Where a body ends or pauses other than by its length. */
export interface Stop {
  /** Offset in the file. */
  readonly at: number;
  readonly fault: Due<'cut'> | Due<'cut-at'> | Due<'stall'>;
}

/** The faults of one request. */
export class RequestFaults {
  constructor(private readonly due: readonly Fault[]) {}

  /** The first of this kind. */
  find<K extends Fault['kind']>(kind: K): Due<K> | undefined {
    return this.due.find((fault): fault is Due<K> => fault.kind === kind);
  }

  /** Kinds of all, for the log. */
  get kinds(): string[] {
    return this.due.map(({ kind }) => kind);
  }

  /** The first stop of a body that begins at `start`, if it lies before `end`. */
  stop(start: number, end: number): Stop | undefined {
    const stops: Stop[] = this.due.flatMap((fault): Stop[] => {
      if (fault.kind === 'cut' || fault.kind === 'stall') return [{ at: start + fault.afterBytes, fault }];
      if (fault.kind !== 'cut-at') return [];
      const next = fault.offsets.filter((offset) => offset >= start).sort((a, b) => a - b)[0];
      return next === undefined ? [] : [{ at: next, fault }];
    });
    return stops.filter(({ at }) => at < end).sort((a, b) => a.at - b.at)[0];
  }
}

/** A cut at an offset happens once: the offset is struck off. */
export function useUp(fault: Due<'cut-at'>, offset: number): void {
  fault.offsets.splice(fault.offsets.indexOf(offset), 1);
}
