import { formatBytes, formatDuration } from '../../firmware/ops/index.js';

/** The rate shown is that of the last so many ms. */
const RATE_WINDOW_MS = 2_000;
/** Cells of the bar: as many as the line has room for beside the figures. */
const MOST_CELLS = 30;
const FEWEST_CELLS = 8;
const FIGURES_WIDTH = 66;
/** Not a terminal: a line each time so many percent more are there. */
const LINE_PERCENT = 10;

interface Sample {
  readonly atMs: number;
  readonly amount: number;
}

/** Progress towards a known size: redrawn in place on a terminal, else a line every few percent. */
export class ProgressBar {
  #samples: Sample[] = [];
  #first: Sample | undefined;
  #drawn = false;
  #nextPercent = LINE_PERCENT;

  constructor(
    private readonly out: NodeJS.WriteStream,
    private readonly label: string,
    private readonly total: number,
    /** How an amount reads; bytes by default. */
    private readonly format: (amount: number) => string = formatBytes,
  ) {}

  /** @param amount that is there now; repeated bytes may bring it beyond the total */
  show(amount: number): void {
    if (amount === 0) return;
    const now = { atMs: performance.now(), amount };
    this.#first ??= now;
    this.#samples = [...this.#samples.filter(({ atMs }) => now.atMs - atMs < RATE_WINDOW_MS), now];
    const percent = Math.min(100, Math.floor((amount * 100) / this.total));
    if (this.out.isTTY) {
      this.out.write(`\r\x1b[2K${this.#text(amount, percent)}`);
      this.#drawn = true;
    } else if (percent >= this.#nextPercent) {
      this.out.write(`${this.#text(amount, percent)}\n`);
      this.#nextPercent = percent - (percent % LINE_PERCENT) + LINE_PERCENT;
    }
  }

  /** Makes room for other text on the line. */
  clear(): void {
    if (this.#drawn) this.out.write('\r\x1b[2K');
    this.#drawn = false;
  }

  /** The last word: nothing is shown of it any more. */
  end(): void {
    this.clear();
    this.#samples = [];
  }

  #text(amount: number, percent: number): string {
    const room = (this.out.isTTY ? this.out.columns : Infinity) - FIGURES_WIDTH;
    const cells = Math.max(FEWEST_CELLS, Math.min(MOST_CELLS, room));
    const full = Math.floor((percent * cells) / 100);
    const bar = `[${'#'.repeat(full)}${'-'.repeat(cells - full)}]`;
    const rate = this.#perSecond(amount);
    const left = rate > 0 ? formatDuration(Math.max(0, this.total - amount) / rate) : '?';
    const done = `${this.format(amount)} of ${this.format(this.total)}`;
    return `  ${this.label} ${bar} ${String(percent).padStart(3)} %  ${done}  ${this.format(rate)}/s  ETA ${left}`;
  }

  #perSecond(amount: number): number {
    const since = this.#samples.length > 1 ? this.#samples[0] : this.#first;
    const elapsedMs = since ? performance.now() - since.atMs : 0;
    return since && elapsedMs > 0 ? ((amount - since.amount) * 1000) / elapsedMs : 0;
  }
}
