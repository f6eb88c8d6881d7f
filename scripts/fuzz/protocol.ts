/** What the worker tells the one who watches it, line by line. */
export type WorkerLine =
  | { readonly kind: 'progress'; readonly inputs: number }
  | { readonly kind: 'fault'; readonly fault: string; readonly file: string; readonly seed: number }
  | { readonly kind: 'figures'; readonly figures: FuzzFigures };

export interface FuzzFigures {
  /** Messages and datagrams that were handed over. */
  readonly inputs: number;
  readonly datagrams: number;
  readonly sessions: number;
  /** Sessions that ended as they should, in spite of all. */
  readonly completed: number;
  /** Messages that could be read, so that their commands were answered. */
  readonly understood: number;
  /** Statuses that the gateway gave, by command and code: `Get 404`. */
  readonly statuses: Readonly<Record<string, number>>;
  /** Answers that libwbxml has read too; null where it is not installed. */
  readonly checkedByLibwbxml: number | null;
  /** From the message to the answer, in ms. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** After the warm-up, and in the end, both after a garbage collection, in bytes. */
  readonly heap: Growth;
  readonly rssAnon: Growth;
}

export interface Growth {
  readonly firstBytes: number;
  readonly lastBytes: number;
  /** By the line of least squares through all samples. */
  readonly growthBytes: number;
}

/** Growth that is none, from the end of the warm-up to the end of the run: the figures of a run scatter by less. */
export const HEAP_GROWTH_BYTES = 3 * 1024 * 1024;
export const RSS_ANON_GROWTH_BYTES = 8 * 1024 * 1024;

/**
 * The pulse of the worker: two 32-bit numbers in a file, the count of inputs, and 1 while the gateway has one at work.
 * A file survives whatever the worker does, and needs nobody to listen while it does it.
 */
export const PULSE_BYTES = 8;

export function writePulse(into: Buffer, inputs: number, atWork: boolean): void {
  into.writeUInt32LE(inputs >>> 0, 0);
  into.writeUInt32LE(atWork ? 1 : 0, 4);
}

export function readPulse(from: Buffer): { readonly inputs: number; readonly atWork: boolean } {
  return { inputs: from.readUInt32LE(0), atWork: from.readUInt32LE(4) === 1 };
}
