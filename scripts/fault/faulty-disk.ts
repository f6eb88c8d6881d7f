/**
 * Runs programs on a disk that fails: builds the library of shim.c, gives its environment, sends it orders and reads
 * what it did. The rules are explained at the top of shim.c.
 */
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { NATIVE } from '../../firmware/native/index.js';
import { systemErrorCode } from '../../firmware/outcome/index.js';
import { PROJECT_ROOT } from '../flow/project.js';
import { eventually } from '../flow/wait.js';

/** Everything that these tests build and write. */
export const FAULT_FOLDER = join(PROJECT_ROOT, 'build/fault');

/** The sources, also for what runs transpiled elsewhere. */
const SOURCES = join(PROJECT_ROOT, 'scripts/fault');
const LIBRARY = join(FAULT_FOLDER, 'shim.so');

/** The small program that does to files what its arguments say. */
export const STEPS = join(FAULT_FOLDER, 'steps');

/** Builds the library and tries it on this Node. @returns why these tests cannot run here; undefined when they can */
export function whyNoFaults(): string | undefined {
  const built = spawnSync(join(SOURCES, 'build.sh'), { encoding: 'utf8' });
  if (built.status === 3) return built.stderr.trim();
  if (built.status !== 0) throw new Error(`the fault-injecting library cannot be built:\n${built.stderr}`);
  if (!existsSync(LIBRARY)) throw new Error(`${LIBRARY} is not there, though it has been built`);
  const disk = new FaultyDisk('probe', '');
  try {
    spawnSync(process.execPath, ['-e', ''], { env: { ...process.env, ...disk.environment } });
    // It makes its log when it is loaded. Whether it does what it should is what its tests are about.
    return disk.told.length > 0 ? undefined : 'LD_PRELOAD does not work with this Node: the power cannot be cut';
  } finally {
    disk.remove();
  }
}

/** Addons stay in node_modules. */
const LEFT_OUTSIDE = ['better-sqlite3', 'libxmljs2'];

/** Bundles a program of this folder into one file: it starts three times as fast as from its sources. @returns its path */
export function buildProgram(name: string): string {
  const arguments_ = ['--no-config', join(SOURCES, `${name}.ts`), '--format', 'esm', '--platform', 'node'];
  arguments_.push('--target', 'node20', '--out-dir', FAULT_FOLDER, '--silent');
  for (const left of LEFT_OUTSIDE) arguments_.push('--external', left);
  const built = spawnSync(join(PROJECT_ROOT, 'node_modules/.bin/tsup'), arguments_, {
    cwd: PROJECT_ROOT,
    encoding: 'utf8',
  });
  if (built.status !== 0) throw new Error(`${name} cannot be built:\n${built.stdout}${built.stderr}`);
  const bundle = [`${name}.js`, `${name}.mjs`].map((file) => join(FAULT_FOLDER, file)).find((file) => existsSync(file));
  if (bundle === undefined) throw new Error(`${name} has been built to nowhere`);
  placeNative();
  return bundle;
}

/** The part in C lies beside each program; another one may have put it there. */
function placeNative(): void {
  const file = `${NATIVE}.node`;
  try {
    symlinkSync(join(PROJECT_ROOT, 'build', file), join(FAULT_FOLDER, file));
  } catch (thrown) {
    if (systemErrorCode(thrown) !== 'EEXIST') throw thrown;
  }
}

/** A folder, or several, on a disk that fails by rules. Whoever made it removes it. */
export class FaultyDisk {
  /** For the program's files, empty at first, unless other folders are watched. */
  readonly folder: string;
  readonly #around: string;

  /**
   * @param name for the folder
   * @param rules for the next program
   * @param watched instead of `folder`: absolute, without symbolic links
   */
  constructor(
    name: string,
    public rules: string,
    private readonly watched?: readonly string[],
  ) {
    mkdirSync(FAULT_FOLDER, { recursive: true });
    this.#around = mkdtempSync(join(FAULT_FOLDER, `${name}-`));
    this.folder = join(this.#around, 'disk');
    mkdirSync(this.folder);
  }

  /** What a program's environment must have, beside the usual. */
  get environment(): Record<string, string> {
    return {
      LD_PRELOAD: LIBRARY,
      DMGW_FAULT: this.rules,
      DMGW_FAULT_FOLDERS: (this.watched ?? [this.folder]).join(':'),
      DMGW_FAULT_CONTROL: this.#control,
      DMGW_FAULT_LOG: this.#log,
      // Writes through a ring of the kernel would pass the library by.
      UV_USE_IO_URING: '0',
    };
  }

  /**
   * Runs `start` with this disk in the environment of the processes that it starts before it first waits.
   * For harnesses that hand on their own environment.
   */
  under<T>(start: () => Promise<T>): Promise<T> {
    const before = { ...process.env };
    Object.assign(process.env, this.environment);
    try {
      return start();
    } finally {
      for (const key of Object.keys(this.environment)) {
        if (before[key] === undefined) Reflect.deleteProperty(process.env, key);
        else process.env[key] = before[key];
      }
    }
  }

  /** Gives a running program another rule, and waits until it counts; after a cut, until the cut is done. */
  async tell(rule: string): Promise<void> {
    const { told } = this;
    const fd = openSync(this.#control, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      writeSync(fd, `${rule}\n`);
    } finally {
      closeSync(fd);
    }
    await eventually(
      `the disk to obey "${rule}"`,
      () => this.told.slice(told.length).some((line) => line === `did ${rule}` || line.startsWith('cut ')) || undefined,
      { everyMs: 5 },
    );
  }

  /** What has happened, one line each. */
  get told(): string[] {
    if (!existsSync(this.#log)) return [];
    return readFileSync(this.#log, 'utf8').trimEnd().split('\n');
  }

  /** What happened that this disk cannot follow: results would not count. */
  get notCovered(): string[] {
    return this.told.filter((line) => /^(not covered|error)/.test(line));
  }

  /** Why the power went; undefined when it did not, or not since `after` lines. */
  cutSince(after: number): string | undefined {
    return this.told.slice(after).find((line) => line.startsWith('cut '));
  }

  remove(): void {
    // A program that still runs may write its log or its findings here.
    rmSync(this.#around, { recursive: true, force: true, maxRetries: 5 });
    for (const folder of this.watched ?? []) rmSync(`${folder}.unsynced`, { recursive: true, force: true });
  }

  get #control(): string {
    return join(this.#around, 'control');
  }

  get #log(): string {
    return join(this.#around, 'log');
  }
}
