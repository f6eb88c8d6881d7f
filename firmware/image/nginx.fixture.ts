/** For tests and benchmarks: a real nginx, with a configuration of their own. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Where Debian puts it is not on every user's path. */
const program = ['nginx', '/usr/sbin/nginx'].find((name) => spawnSync(name, ['-v']).status === 0);

/** Why what needs nginx is skipped; false where it is not. */
export const NO_NGINX: string | false = program === undefined && 'nginx is not installed';

/** From its start to an open port: a machine may be busy. */
const START_WITHIN_MS = 10_000;

export interface NginxPlaces {
  /** Of its files; `www` in it is there for content. */
  readonly folder: string;
  /** Two that were free. */
  readonly ports: readonly [number, number];
}

/** What stands in the block `http` beside the folders. */
export type HttpBlock = (places: NginxPlaces) => string;

/** A master and one worker, in a process group of their own. */
export class Nginx implements NginxPlaces {
  readonly folder = mkdtempSync(join(tmpdir(), 'dmgw-nginx-'));
  readonly ports: [number, number] = [0, 0];
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(private block: HttpBlock) {
    mkdirSync(join(this.folder, 'www'));
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Starts it on the ports that it had, or on free ones, and waits until it takes connections. */
  async start(): Promise<void> {
    if (this.ports[0] === 0) this.ports.splice(0, 2, ...(await freePorts()));
    this.#configure();
    const child = spawn(program ?? 'nginx', ['-c', this.#conf, '-e', join(this.folder, 'error.log')], {
      stdio: 'ignore',
      detached: true,
    });
    this.#child = child;
    process.once('exit', this.#killNow);
    this.#ended = new Promise((resolve) => child.once('exit', resolve));
    const deadlineMs = performance.now() + START_WITHIN_MS;
    while (!(await takesConnections(this.ports[0]))) {
      if (child.exitCode !== null || performance.now() > deadlineMs) throw new Error('nginx does not start');
      await sleep(10);
    }
  }

  /**
   * SIGHUP: a new worker, with this configuration. The old one breaks its connections off.
   * @returns when the old one has gone
   */
  async reload(block: HttpBlock = this.block): Promise<void> {
    this.block = block;
    this.#configure();
    const old = this.#workers();
    this.#child?.kill('SIGHUP');
    while (this.#workers().some((pid) => old.includes(pid)) || this.#workers().length === 0) await sleep(5);
  }

  /** SIGKILL, to the master and its worker. */
  async kill(): Promise<void> {
    this.#killNow();
    process.off('exit', this.#killNow);
    await this.#ended;
  }

  /** Ends it and removes its files. */
  async close(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  readonly #killNow = (): void => {
    const child = this.#child;
    if (child?.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
  };

  #workers(): string[] {
    return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8')
      .split(' ')
      .filter((pid) => pid !== '');
  }

  get #conf(): string {
    return join(this.folder, 'nginx.conf');
  }

  #configure(): void {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${this.folder}/${name};`,
    );
    // As root the worker would be a user who may not read the folder.
    const user = process.getuid?.() === 0 ? 'user root;' : '';
    writeFileSync(
      this.#conf,
      `daemon off; ${user} worker_processes 1; worker_shutdown_timeout 10ms; pid ${this.folder}/pid; events {}
http { ${temporary.join(' ')}
${this.block(this)}
}`,
    );
  }
}

async function freePorts(): Promise<[number, number]> {
  const open = () =>
    new Promise<ReturnType<typeof createServer>>((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
    });
  const servers = await Promise.all([open(), open()]);
  const [one, other] = servers.map((server) => (server.address() as AddressInfo).port);
  for (const server of servers) server.close();
  return [one ?? 0, other ?? 0];
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
