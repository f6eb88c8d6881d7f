import { execFileSync, spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { PROJECT_ROOT } from '../../flow/project.js';

const SOURCE = join(PROJECT_ROOT, 'scripts/bench/serve/client.c');
const PROGRAM = join(PROJECT_ROOT, 'build/bench/serve-client');

/** Where a server has the image. */
export interface Place {
  readonly address: string;
  readonly port: number;
  readonly path: string;
}

/** What the clients saw; `cpuMs` is their own. */
export interface Taken {
  readonly wallMs: number;
  readonly bytes: number;
  readonly replies: number;
  readonly cpuMs: number;
}

/** @throws where there is no C compiler */
export function buildClient(): void {
  mkdirSync(join(PROJECT_ROOT, 'build/bench'), { recursive: true });
  execFileSync('cc', ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-o', PROGRAM, SOURCE], { stdio: 'inherit' });
}

/** Clients that run to their end. @param words the mode and its arguments, see `client.c` */
export async function runClients(place: Place, ...words: readonly (string | number)[]): Promise<Taken> {
  const clients = new Clients(place, ...words);
  return clients.ended;
}

/** Clients that go on until they are told to stop (`loop`, `hold`). */
export class Clients {
  readonly ended: Promise<Taken>;
  /** They are at work. */
  readonly begun: Promise<unknown>;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;

  constructor({ address, port, path }: Place, ...words: readonly (string | number)[]) {
    const args = [address, port, path, ...words].map(String);
    this.#child = spawn(PROGRAM, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: this.#child.stdout });
    let last = '';
    this.begun = new Promise((resolve) => lines.once('line', resolve));
    lines.on('line', (line) => (last = line));
    const read = new Promise((resolve) => lines.once('close', resolve));
    this.ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code) => {
        if (code !== 0) reject(new Error(`the clients failed: ${args.join(' ')}`));
        else void read.then(() => resolve(JSON.parse(last) as Taken));
      });
    });
  }

  stop(): Promise<Taken> {
    this.#child.stdin.end();
    return this.ended;
  }
}
