import type ChildProcess from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../clock/index.js';
import { loadOutside } from '../native/index.js';
import type { BridgeCommand, BridgeNews } from './bridge-protocol.js';

/** A helper that does not end by itself when it is asked to waits for a daemon that stands still. */
const END_WITHIN_MS = 1_000;

export interface DaemonLinkOptions {
  /** Program and arguments of the helper, see `runBridge`. */
  readonly command: readonly string[];
  readonly clock: Clock;
  readonly onNews: (news: BridgeNews) => void;
  /** It has ended, asked or not; once. */
  readonly onEnd: (reason: string) => void;
}

/** The helper process that speaks with the daemon, from its start to its end. */
export class DaemonLink {
  readonly #child: ChildProcess.ChildProcessByStdio<Writable, Readable, null>;
  readonly #ended: Promise<void>;

  constructor(private readonly options: DaemonLinkOptions) {
    const [program = '', ...args] = options.command;
    // What C libraries print on standard error is not for our log; an end by a signal is told.
    const { spawn } = loadOutside('node:child_process') as typeof ChildProcess;
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => end(`the helper does not start: ${error.message}`));
      this.#child.once('exit', (code, signal) => end(signal === null ? `exit code ${code}` : `signal ${signal}`));
      const end = (reason: string): void => {
        resolve();
        options.onEnd(reason);
      };
    });
    this.#child.stdin.on('error', () => {}); // its end is told by itself
    let rest = '';
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const news = readNews(line);
        if (news) options.onNews(news);
      }
    });
  }

  send(command: BridgeCommand): void {
    if (this.#child.stdin.writable) this.#child.stdin.write(`${JSON.stringify(command)}\n`);
  }

  /** At once: it may wait for a daemon that stands still. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  /** Lets it end, and what it has announced with it. */
  async close(): Promise<void> {
    this.#child.stdin.end();
    const timer = this.options.clock.after(END_WITHIN_MS, () => this.kill());
    await this.#ended;
    timer.cancel();
  }
}

/** Undefined for the half of a line that a killed helper leaves. */
function readNews(line: string): BridgeNews | undefined {
  try {
    return JSON.parse(line) as BridgeNews;
  } catch {
    return undefined;
  }
}
