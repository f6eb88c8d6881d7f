/** A line of the log; or how many were gone before a reader came to them. */
export type KeptLine = { readonly line: string } | { readonly lost: number };

/** Each line takes some octets beside its text. */
const LINE_OVERHEAD = 64;

/**
 * The latest lines of the log, for those who want to see them without the system's log. Bounded: old lines give way, and
 * a reader that is too slow is told how many it has missed.
 */
export class LogRing {
  readonly #lines: string[] = [];
  #size = 0;
  /** Number of the line that comes next. */
  #next = 0;
  #waiting: (() => void)[] = [];

  /** @param maxBytes of all lines together */
  constructor(private readonly maxBytes: number) {}

  push(line: string): void {
    this.#lines.push(line);
    this.#next += 1;
    this.#size += line.length + LINE_OVERHEAD;
    while (this.#size > this.maxBytes && this.#lines.length > 1) {
      this.#size -= (this.#lines.shift()?.length ?? 0) + LINE_OVERHEAD;
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  /**
   * The last lines, and with `follow` those that come, until `signal` is aborted. Nothing is kept for a reader: it takes
   * what is there when it asks for the next one.
   */
  async *read(
    { lines, follow }: { readonly lines: number; readonly follow: boolean },
    signal: AbortSignal,
  ): AsyncGenerator<KeptLine, void, undefined> {
    let at = Math.max(this.#oldest, this.#next - lines);
    const wake = (): void => {
      for (const waiting of this.#waiting.splice(0)) waiting();
    };
    signal.addEventListener('abort', wake);
    try {
      while (!signal.aborted) {
        if (at < this.#oldest) yield { lost: this.#oldest - at };
        at = Math.max(at, this.#oldest);
        const line = this.#lines[at - this.#oldest];
        if (line !== undefined) {
          at += 1;
          yield { line };
        } else if (follow) await new Promise<void>((resolve) => this.#waiting.push(resolve));
        else return;
      }
    } finally {
      signal.removeEventListener('abort', wake);
    }
  }

  get #oldest(): number {
    return this.#next - this.#lines.length;
  }
}
