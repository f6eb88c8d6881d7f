import { randomUUID } from 'node:crypto';
import { closeSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cpuMsOf } from '../bench/proc.js';
import { Child } from '../flow/child.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { PULSE_BYTES, readPulse, type FuzzFigures, type WorkerLine } from './protocol.js';

/** Longest work on one message, in ms of the processor: a machine that is busy with other things is not a hang. */
export const HANG_MS = 2_000;
/** Longest wait for an answer without work: nothing that the client does while it fuzzes takes time. */
const STANDSTILL_MS = 60_000;
const LOOK_EVERY_MS = 100;

export type FuzzResult =
  | { readonly ok: true; readonly figures: FuzzFigures }
  /** `file` holds the life that failed, to be put among the regressions. */
  | { readonly ok: false; readonly fault: string; readonly file: string };

/** Where failed lives are put. */
const FUZZ_FOLDER = join(PROJECT_ROOT, 'build/fuzz');

/** The process that does the work. */
const WORKER = fileURLToPath(import.meta.resolve('./worker.js'));

/** Fuzzes in a process of its own and watches over it. */
export function fuzz(
  inputs: number,
  seed: number,
  onProgress: (inputs: number) => void = () => {},
): Promise<FuzzResult> {
  return watch(WORKER, ['run', String(inputs), String(seed)], onProgress);
}

/** Lives recorded lives again. */
export function replay(files: readonly string[]): Promise<FuzzResult> {
  return watch(WORKER, ['replay', ...files]);
}

/** Runs a worker to its end, or ends it. @param program that speaks as protocol.ts says; worker.ts but in tests */
export async function watch(
  program: string,
  [mode = '', ...args]: readonly string[],
  onProgress: (inputs: number) => void = () => {},
): Promise<FuzzResult> {
  const folder = mkdtempSync(join(existsSync(IN_MEMORY) ? IN_MEMORY : tmpdir(), 'dmgw-fuzz-'));
  let result: FuzzResult | undefined;
  const worker = new Child({
    name: 'fuzz worker',
    command: [process.execPath, ...NODE_FLAGS, program, mode, folder, ...args],
    logFile: join(folder, 'log'),
    onLine: (text) => {
      const line = JSON.parse(text) as WorkerLine;
      if (line.kind === 'progress') onProgress(line.inputs);
      else if (line.kind === 'figures') result = { ok: true, figures: line.figures };
      else result = { ok: false, fault: line.fault, file: keep(line.file, folder) };
    },
  });
  await worker.ready();
  const pulse = new Pulse(join(folder, 'pulse'), worker.pid);
  let hang: string | undefined;
  const timer = setInterval(() => {
    hang ??= pulse.hang();
    if (hang !== undefined) void worker.kill();
  }, LOOK_EVERY_MS);
  const { code, signal } = await worker.ended;
  await worker.drained;
  clearInterval(timer);
  if (hang !== undefined || (result === undefined && existsSync(join(folder, 'life.json')))) {
    const fault = hang ?? worker.describe(`died with ${signal ?? `exit code ${code ?? 'none'}`}`);
    result = { ok: false, fault, file: keep(join(folder, 'life.json'), folder) };
  }
  const failure = result ? undefined : worker.describe('ended without a result');
  rmSync(folder, { recursive: true });
  if (!result) throw new Error(failure);
  return result;
}

const NODE_FLAGS = ['--expose-gc', '--v8-pool-size=1', ...process.execArgv];

/** Databases are opened by the hundred, and nothing here is about their disk. */
const IN_MEMORY = '/dev/shm';

/** Puts a failed life where it stays; a recorded one is there already. @returns its name relative to the project */
function keep(file: string, folder: string): string {
  if (!file.startsWith(folder)) return relative(PROJECT_ROOT, file);
  mkdirSync(FUZZ_FOLDER, { recursive: true });
  const kept = join(FUZZ_FOLDER, `life-${randomUUID().slice(0, 8)}.json`);
  copyFileSync(file, kept);
  return relative(PROJECT_ROOT, kept);
}

/** Watches how long the worker has been at one input. */
class Pulse {
  readonly #buffer = Buffer.alloc(PULSE_BYTES);
  #inputs = -1;
  #sinceMs = 0;
  #sinceCpuMs = 0;

  constructor(
    private readonly file: string,
    private readonly pid: number,
  ) {}

  /** What to say of a hang, undefined while there is none. */
  hang(): string | undefined {
    const { inputs, atWork } = this.#read();
    const cpuMs = cpuMsOf(this.pid);
    if (cpuMs === undefined) return undefined;
    if (inputs !== this.#inputs || !atWork) {
      this.#inputs = inputs;
      this.#sinceMs = performance.now();
      this.#sinceCpuMs = cpuMs;
      return undefined;
    }
    const standstill = performance.now() - this.#sinceMs > STANDSTILL_MS;
    if (cpuMs - this.#sinceCpuMs <= HANG_MS && !standstill) return undefined;
    return `input ${inputs} hangs: ${cpuMs - this.#sinceCpuMs} ms of processor time without an answer`;
  }

  #read(): ReturnType<typeof readPulse> {
    const fd = openSync(this.file, 'r');
    readSync(fd, this.#buffer, 0, PULSE_BYTES, 0);
    closeSync(fd);
    return readPulse(this.#buffer);
  }
}
