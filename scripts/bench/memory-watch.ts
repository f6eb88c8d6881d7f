import { memoryOf } from './proc.js';

/** Memory of a process over a while, in bytes. */
export interface MemoryFigures {
  /** Before the first command. */
  readonly idleRssAnonBytes: number;
  readonly peakRssAnonBytes: number;
  /** The kernel's own high-water mark (VmHWM). */
  readonly peakRssBytes: number;
}

const SAMPLE_MS = 50;

/** Watches the memory of a process from outside. */
export class MemoryWatch {
  #idle = 0;
  #peakAnon = 0;
  #peakRss = 0;
  readonly #timer: NodeJS.Timeout;

  constructor(private readonly pid: number) {
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#timer.unref();
  }

  /** The process has settled and has nothing to do: this is its idle figure. */
  markIdle(): void {
    this.#idle = this.#sample();
  }

  /** The most of RssAnon so far. */
  get peakRssAnonBytes(): number {
    return this.#peakAnon;
  }

  /** Ends the watch. */
  stop(): MemoryFigures {
    this.#sample();
    clearInterval(this.#timer);
    return { idleRssAnonBytes: this.#idle, peakRssAnonBytes: this.#peakAnon, peakRssBytes: this.#peakRss };
  }

  /** @returns RssAnon now; 0 when the process has gone */
  #sample(): number {
    const memory = memoryOf(this.pid);
    if (!memory) return 0;
    this.#peakAnon = Math.max(this.#peakAnon, memory.rssAnonBytes);
    this.#peakRss = Math.max(this.#peakRss, memory.peakRssBytes);
    return memory.rssAnonBytes;
  }
}
