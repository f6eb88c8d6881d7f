import { readFileSync } from 'node:fs';

/** Memory of the gateway, in bytes. RssAnon is what its own data takes; the rest of RSS is mapped program text. */
export interface MemoryFigures {
  /** Before the first command. */
  readonly idleRssAnonBytes: number;
  readonly peakRssAnonBytes: number;
  /** The kernel's own high-water mark (VmHWM). */
  readonly peakRssBytes: number;
}

const SAMPLE_MS = 50;

/** Watches the memory of a process from outside, by /proc (proc_pid_status(5)). */
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

  /** Ends the watch. */
  stop(): MemoryFigures {
    this.#sample();
    clearInterval(this.#timer);
    return { idleRssAnonBytes: this.#idle, peakRssAnonBytes: this.#peakAnon, peakRssBytes: this.#peakRss };
  }

  /** @returns RssAnon now; 0 when the process has gone */
  #sample(): number {
    let status: string;
    try {
      status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    } catch {
      return 0;
    }
    const bytesOf = (key: string): number => {
      return Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
    };
    const anonymous = bytesOf('RssAnon');
    this.#peakAnon = Math.max(this.#peakAnon, anonymous);
    this.#peakRss = Math.max(this.#peakRss, bytesOf('VmHWM'));
    return anonymous;
  }
}
