import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Nginx } from '../../../firmware/image/nginx.fixture.js';
import { eventually } from '../../flow/wait.js';
import type { Place } from './client.js';

/** A server whose cost is measured. */
export interface Contender {
  readonly name: string;
  readonly place: Place;
  /** Its processes now; undefined where it makes one for each connection, whose CPU time nobody sees in the end. */
  processes(): readonly number[] | undefined;
  close(): Promise<void>;
}

/** Debian's packages of the other servers, and the program that shows each is there. */
const PACKAGES = [
  ['nginx-light', 'nginx'],
  ['lighttpd', 'lighttpd'],
  ['busybox', 'busybox'],
] as const;

const WHERE = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Installs what is missing, where apt and root are there. @throws with the names when they cannot be installed */
export function installServers(): void {
  const missing = PACKAGES.filter(([, program]) => find(program) === undefined).map(([name]) => name);
  if (missing.length === 0) return;
  process.stderr.write(`installing ${missing.join(', ')}\n`);
  try {
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (cause) {
    throw new Error(`missing: ${missing.join(', ')}; install them (here it takes root and apt-get)`, { cause });
  }
}

/** nginx with one worker. @param file that it serves */
export async function nginx(file: string, sendfile: boolean): Promise<Contender> {
  const server = new Nginx(
    ({ folder, ports: [port] }) => `access_log off; sendfile ${sendfile ? 'on' : 'off'}; tcp_nopush on;
server { listen 127.0.0.1:${port} backlog=511; root ${folder}/www; }`,
  );
  symlinkSync(file, join(server.folder, 'www/image'));
  await server.start();
  return {
    name: sendfile ? 'nginx' : 'nginx, read and write',
    place: { address: '127.0.0.1', port: server.ports[0], path: '/image' },
    processes: () => childrenOf(server.pid),
    close: () => server.close(),
  };
}

export async function lighttpd(file: string, folder: string): Promise<Contender> {
  const port = await freePort();
  const www = contentFolder(file, folder);
  const configFile = join(folder, 'lighttpd.conf');
  writeFileSync(
    configFile,
    `server.document-root = "${www}"
server.bind = "127.0.0.1"
server.port = ${port}
server.max-fds = 4096
`,
  );
  const child = spawn(find('lighttpd') ?? 'lighttpd', ['-D', '-f', configFile], { stdio: 'ignore' });
  return started('lighttpd', child, port, () => [child.pid ?? 0]);
}

/** Debian's busybox: a process for each connection. */
export async function busybox(file: string, folder: string): Promise<Contender> {
  const port = await freePort();
  const www = contentFolder(file, folder);
  const args = ['httpd', '-f', '-p', `127.0.0.1:${port}`, '-h', www];
  const child = spawn(find('busybox') ?? 'busybox', args, { stdio: 'ignore' });
  return started('busybox httpd', child, port, () => undefined);
}

function contentFolder(file: string, folder: string): string {
  const www = join(folder, 'www');
  mkdirSync(www, { recursive: true });
  const link = join(www, 'image');
  if (!existsSync(link)) symlinkSync(file, link);
  return www;
}

async function started(
  name: string,
  child: ChildProcess,
  port: number,
  processes: Contender['processes'],
): Promise<Contender> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  await eventually(`${name} to listen`, async () => ((await takesConnections(port)) ? true : undefined));
  return {
    name,
    place: { address: '127.0.0.1', port, path: '/image' },
    processes,
    close: async () => {
      kill();
      process.off('exit', kill);
      await ended;
    },
  };
}

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((text) => text !== '')
    .map(Number);
}

function find(program: string): string | undefined {
  return WHERE.map((folder) => join(folder, program)).find((file) => existsSync(file));
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

function takesConnections(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(socket.destroy().destroyed));
    socket.once('error', () => resolve(false));
  });
}
