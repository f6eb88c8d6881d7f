import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eventually } from '../flow/wait.js';
import { FAULT_FOLDER } from './faulty-disk.js';

/** How long an event loop was held up, in ms. */
export interface LoopDelays {
  readonly median: number;
  readonly p99: number;
  readonly longest: number;
}

/** Runs in the measured process: measures while the file `begin` is there, and then writes `result`. */
const program = (begin: string, result: string): string => `
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
const meter = monitorEventLoopDelay({ resolution: 2 });
let began = false;
setInterval(() => {
  const asked = existsSync(${JSON.stringify(begin)});
  if (asked && !began) { meter.reset(); meter.enable(); }
  else if (!asked && began) {
    meter.disable();
    writeFileSync(${JSON.stringify(`${result}.draft`)}, JSON.stringify([50, 99, 100].map((part) => meter.percentile(part) / 1e6)));
    renameSync(${JSON.stringify(`${result}.draft`)}, ${JSON.stringify(result)});
  }
  began = asked;
}, 50).unref();
`;

/** Measures the event loop of another Node.js process, which is started with `nodeFlags`. */
export class LoopMeter {
  readonly #folder: string;

  /** @param name of its folder, which `remove` removes */
  constructor(name: string) {
    this.#folder = join(FAULT_FOLDER, `loop-${name}-${process.pid}`);
    mkdirSync(this.#folder, { recursive: true });
    writeFileSync(this.#program, program(this.#begin, this.#result));
  }

  get nodeFlags(): readonly string[] {
    return ['--import', this.#program];
  }

  begin(): void {
    rmSync(this.#result, { force: true });
    writeFileSync(this.#begin, '');
  }

  /** @returns what it was since `begin` */
  async end(): Promise<LoopDelays> {
    rmSync(this.#begin);
    const found = await eventually('the figures of the event loop', () =>
      existsSync(this.#result) ? readFileSync(this.#result, 'utf8') : undefined,
    );
    const [median = 0, p99 = 0, longest = 0] = JSON.parse(found) as number[];
    return { median, p99, longest };
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #program(): string {
    return join(this.#folder, 'meter.mjs');
  }

  get #begin(): string {
    return join(this.#folder, 'begin');
  }

  get #result(): string {
    return join(this.#folder, 'result');
  }
}
