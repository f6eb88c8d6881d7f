import { formatBytes, formatDuration, printable } from '../ops/index.js';
import type { Terminal } from './terminal.js';

/** Where something stands that takes a while. */
export interface Step {
  /** In front of the bar: what it is, what it does. */
  readonly label: string;
  readonly done: number;
  /** Undefined while unknown. */
  readonly total?: number | undefined;
  /** Said in place of numbers of bytes: `3 of 5 reacted`. */
  readonly text?: string;
}

const BAR_CHARACTERS = 24;

/** The rate is an average over so long. */
const RATE_OVER_MS = 5000;

/**
 * Shows how far something is. On a screen it is one line that is written over; elsewhere a line when the label changes,
 * and none for the numbers, so that a log stays short.
 */
export class ProgressLine {
  #written = '';
  #label = '';
  #samples: { readonly atMs: number; readonly done: number }[] = [];

  /** @param nowMs a clock that does not jump */
  constructor(
    private readonly terminal: Terminal,
    private readonly nowMs: () => number = () => performance.now(),
  ) {}

  async show(step: Step): Promise<void> {
    if (!this.terminal.isScreen) {
      if (step.label === this.#label) return;
      this.#label = step.label;
      await this.terminal.write(`${printable(step.label)}\n`);
      return;
    }
    const line = this.#line(step).slice(0, Math.max(1, this.terminal.columns - 1));
    if (line === this.#written) return;
    this.#written = line;
    // To the start of the line, the text, and nothing behind it (ECMA-48: CR, EL).
    await this.terminal.write(`\r${line}\u001b[K`);
  }

  /** The line stays as it is; what follows stands below it. */
  async end(): Promise<void> {
    if (this.#written !== '') await this.terminal.write('\n');
    this.#written = '';
  }

  #line({ label, done, total, text }: Step): string {
    const share = total === undefined || total === 0 ? undefined : Math.min(1, done / total);
    const filled = Math.round((share ?? 0) * BAR_CHARACTERS);
    const bar = `[${'#'.repeat(filled)}${'-'.repeat(BAR_CHARACTERS - filled)}]`;
    const percent = share === undefined ? '  ? %' : `${String(Math.floor(share * 100)).padStart(3)} %`;
    return [printable(label), bar, percent, text ?? this.#bytes(done, total)].join(' ');
  }

  #bytes(done: number, total: number | undefined): string {
    const rate = this.#rate(done);
    const known = total === undefined ? formatBytes(done) : `${formatBytes(done)} of ${formatBytes(total)}`;
    if (rate <= 0) return known;
    const left = total === undefined ? '' : `, ${formatDuration((total - done) / rate)} left`;
    return `${known}, ${formatBytes(rate)}/s${left}`;
  }

  /** Bytes per second, lately. */
  #rate(done: number): number {
    const atMs = this.nowMs();
    this.#samples = [...this.#samples.filter((one) => atMs - one.atMs <= RATE_OVER_MS), { atMs, done }];
    const [first] = this.#samples;
    return first === undefined || atMs === first.atMs ? 0 : ((done - first.done) * 1000) / (atMs - first.atMs);
  }
}
