import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { tailOf } from './json-lines.js';

export interface ChildOptions {
  /** For messages: `gateway`, `end device 3`. */
  readonly name: string;
  readonly command: readonly string[];
  /** Takes standard error, and standard output behind the ready line. Appended to. */
  readonly logFile: string;
  /** Folder of a cgroup in which the process runs. */
  readonly cgroup?: string;
  /** Told of each line of standard output behind the ready line, instead of the log. */
  readonly onLine?: (line: string) => void;
}

/** How a process ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** After SIGTERM, in ms: the gateway stops within 5 s. */
const STOP_WITHIN_MS = 6_000;

/** Processes that run: none of them outlives this one. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/**
 * A process of the lab, in a process group of its own: Ctrl-C at the terminal reaches only the one who started it, who
 * then ends the others in order. When that one is killed, the kernel kills them (PR_SET_PDEATHSIG, through setpriv).
 */
export class Child {
  readonly ended: Promise<ChildEnd>;
  /** All that it wrote on standard output has been read; only once `ready()` was called. */
  drained: Promise<void> = Promise.resolve();
  readonly #child: ChildProcess;
  #over: ChildEnd | undefined;
  #asked = false;

  constructor(private readonly options: ChildOptions) {
    const [program = '', ...args] = commandOf(options);
    const log = openSync(options.logFile, 'a', 0o600);
    this.#child = spawn(program, args, { detached: true, stdio: ['ignore', 'pipe', log] });
    closeSync(log);
    running.add(this.#child);
    this.ended = new Promise((resolve) => {
      const end = (over: ChildEnd): void => {
        running.delete(this.#child);
        this.#over = over;
        resolve(over);
      };
      this.#child.once('exit', (code, signal) => end({ code, signal }));
      this.#child.once('error', (thrown) => {
        appendFileSync(options.logFile, `${thrown.message}\n`);
        end({ code: null, signal: null });
      });
    });
  }

  get name(): string {
    return this.options.name;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#over === undefined;
  }

  /** It ended, and nobody asked it to. */
  get hasDied(): boolean {
    return this.#over !== undefined && !this.#asked;
  }

  /** The first line of standard output, which is JSON. @throws when the process ends first, or after 20 s; it has ended then */
  async ready(): Promise<Record<string, unknown>> {
    const { logFile, onLine = (text: string) => appendFileSync(logFile, `${text}\n`) } = this.options;
    const lines = createInterface({ input: this.#child.stdout as Readable });
    this.drained = new Promise((resolve) => lines.once('close', resolve));
    const line = new Promise<string>((resolve) => {
      let first = true;
      lines.on('line', (text) => {
        if (first) resolve(text);
        else onLine(text);
        first = false;
      });
    });
    const slow = new Promise<undefined>((resolve) => setTimeout(resolve, 20_000, undefined).unref());
    const found = await Promise.race([line, this.ended, slow]);
    if (typeof found !== 'string') {
      await this.kill();
      throw new Error(this.describe('is not ready'));
    }
    return JSON.parse(found) as Record<string, unknown>;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it at once and waits for the end. */
  async kill(): Promise<void> {
    this.#asked = true;
    this.#child.kill('SIGKILL');
    await this.ended;
  }

  /** Asks it to end and waits; kills it when it does not. */
  async stop(): Promise<ChildEnd> {
    this.#asked = true;
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_WITHIN_MS);
    this.#child.kill('SIGTERM');
    const end = await this.ended;
    clearTimeout(late);
    return end;
  }

  /** What happened, how the process ended, and the end of its log. */
  describe(what: string): string {
    const over = this.#over;
    const end = over ? ` (ended with ${over.signal ?? `exit code ${over.code ?? 'none'}`})` : '';
    return `${this.name} ${what}${end}; the end of ${this.options.logFile}:\n${tailOf(this.options.logFile, 15)}`;
  }
}

const SETPRIV = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));

function commandOf({ command, cgroup }: ChildOptions): readonly string[] {
  const tied = SETPRIV === undefined ? command : [SETPRIV, '--pdeathsig', 'KILL', ...command];
  if (cgroup === undefined) return tied;
  return ['/bin/sh', '-c', 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, ...tied];
}
