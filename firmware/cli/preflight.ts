import { createSocket } from 'node:dgram';
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import {
  preparePlaces,
  readSignatureKeys,
  readTlsFiles,
  resolveDevId,
  type Configuration,
  type LoadedConfiguration,
} from '../config/index.js';
import { silentLog } from '../log/index.js';
import { parseNames } from '../mo/index.js';
import { ADDONS, loadAddon } from '../native/index.js';
import { askStatus, formatBytes, printable } from '../ops/index.js';
import { describeThrown, type CodedError, type Outcome } from '../outcome/index.js';
import { openStore, rehearseMigration, StoreError } from '../store/index.js';
import { ownUid, present, withConfiguration } from './ask.js';
import type { Command, Program } from './command.js';
import { ExitCode } from './exit.js';
import { DATABASE } from './migrate.js';

/** What was looked at. A warning says that the gateway runs, but not as well as it could. */
export interface PreflightCheck {
  /** Stable, for scripts. */
  readonly name: string;
  readonly result: 'ok' | 'warning' | 'failed';
  readonly text: string;
}

export const PREFLIGHT_COMMAND: Command = {
  name: 'preflight',
  summary: 'whether this board can run the gateway (exit code)',
  details: `Looks at processor, memory, addons, DevId, folders and their file systems (as the database needs them), its
schema, room, ports, clock, user and rights. Makes missing folders; leaves nothing else behind. Where the daemon runs, its
folders and ports are not tried. Exit code 0: it can; 1: something has failed.`,
  options: ['config', 'board', 'json'],
  run: (call) =>
    withConfiguration(call, async (loaded) => {
      const checks = await preflight(loaded, call.program);
      const ready = checks.every(({ result }) => result !== 'failed');
      await present(call, { ready, checks }, render(checks, ready));
      return ready ? ExitCode.done : ExitCode.failed;
    }),
};

const MARK = { ok: 'ok  ', warning: 'warn', failed: 'FAIL' } as const;

function render(checks: readonly PreflightCheck[], ready: boolean): string {
  const lines = checks.map(({ name, result, text }) => `${MARK[result]}  ${printable(name)}: ${printable(text)}`);
  return `${[ready ? 'this board can run the gateway' : 'this board cannot run the gateway', ...lines].join('\n')}\n`;
}

/** Everything that can be looked at before a start. */
export async function preflight(
  { configuration }: LoadedConfiguration,
  { buildTimeMs, schema }: Program,
): Promise<PreflightCheck[]> {
  const runs = (await askStatus(configuration.controlSocket)).ok;
  const checks = [
    processorCheck(process.arch, readOr('/proc/cpuinfo')),
    memoryCheck(readOr('/proc/meminfo')),
    ...addonChecks(),
    outcomeCheck('devid', resolveDevId(configuration.device), (devId) => devId),
    outcomeCheck('names', parseNames(configuration.names), () => 'known'),
    outcomeCheck('certificates', readTlsFiles(configuration, ownUid()), () => 'readable'),
    outcomeCheck('signature-keys', readSignatureKeys(configuration), (keys) => `${keys.length}`),
    clockCheck(Date.now(), buildTimeMs),
    userCheck(configuration),
  ];
  if (runs) return [...checks, passed('daemon', 'runs: its folders and ports are not tried')];
  const places = outcomeCheck('folders', preparePlaces(configuration), () => 'there and writable');
  if (places.result === 'failed') return [...checks, places];
  return [
    ...checks,
    places,
    socketCheck(configuration),
    fileSystemCheck('state-file-system', configuration.stateDir),
    fileSystemCheck('store-file-system', configuration.storeDir),
    databaseCheck(configuration.stateDir),
    schemaCheck(configuration.stateDir, schema),
    roomCheck(configuration),
    ...(await portChecks(configuration)),
  ];
}

/** Node.js for 32-bit ARM needs VFPv3 or better; hashing an image is a matter of NEON. */
export function processorCheck(arch: string, cpuInfo: string): PreflightCheck {
  const name = 'processor';
  const features = new Set((/^Features\s*:(.*)$/m.exec(cpuInfo)?.[1] ?? '').trim().split(/\s+/));
  if (arch === 'arm') {
    if (!['vfpv3', 'vfpv4', 'vfpd32', 'vfpv3d16'].some((feature) => features.has(feature))) {
      return failed(name, 'this ARM has no FPU (VFPv3): Node.js does not run on it');
    }
    if (!features.has('neon')) return warned(name, 'arm with VFP but without NEON: images are hashed slowly');
  }
  if (arch.startsWith('mips')) return failed(name, `${arch}: the addons are not built for it`);
  return passed(name, arch);
}

const MIB = 1024 * 1024;
/** The gateway takes some 55 MiB, of which most is the program's own and shared; below this the rest of a router does not fit. */
const LEAST_TOTAL_BYTES = 96 * MIB;
const LEAST_AVAILABLE_BYTES = 48 * MIB;

/** Memory in all, and what is available now (proc_meminfo(5)). */
export function memoryCheck(memInfo: string): PreflightCheck {
  const bytes = (key: string): number | undefined => {
    const kib = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(memInfo)?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  };
  const [total, available] = [bytes('MemTotal'), bytes('MemAvailable')];
  if (total === undefined || available === undefined) return warned('memory', 'the system does not tell');
  const text = `${formatBytes(total)}, ${formatBytes(available)} available`;
  if (total < LEAST_TOTAL_BYTES)
    return failed('memory', `${text}; at least ${formatBytes(LEAST_TOTAL_BYTES)} are needed`);
  if (available < LEAST_AVAILABLE_BYTES) {
    return warned('memory', `${text}; the gateway takes up to ${formatBytes(LEAST_AVAILABLE_BYTES)}`);
  }
  return passed('memory', text);
}

function addonChecks(): PreflightCheck[] {
  return ADDONS.map((addon) => {
    try {
      loadAddon(addon);
      return passed(`addon-${addon}`, 'loads');
    } catch (thrown) {
      return failed(`addon-${addon}`, describeThrown(thrown));
    }
  });
}

function clockCheck(nowMs: number, buildTimeMs: number): PreflightCheck {
  if (nowMs >= buildTimeMs) return passed('clock', new Date(nowMs).toISOString());
  const text = `${new Date(nowMs).toISOString()} is before the build; https and windows wait until it is set`;
  return warned('clock', text);
}

function userCheck({ controlSocket }: Configuration): PreflightCheck {
  const folder = dirname(controlSocket);
  try {
    if (existsSync(folder)) accessSync(folder, constants.W_OK);
  } catch {
    return failed('user', `user ${ownUid()} may not write in ${folder}, where the control socket goes`);
  }
  return ownUid() === 0
    ? warned('user', 'root: the gateway needs no rights of root, give it a user of its own')
    : passed('user', `uid ${ownUid()}`);
}

/** Its folder may be one of those that a start makes. */
function socketCheck({ controlSocket }: Configuration): PreflightCheck {
  const folder = dirname(controlSocket);
  return existsSync(folder)
    ? passed('control-socket', controlSocket)
    : failed('control-socket', `the folder ${folder}, where the control socket goes, is not there`);
}

/** What a file must survive to be an image or a database: written, flushed, renamed over another one, read back. */
function fileSystemCheck(name: string, folder: string): PreflightCheck {
  const probe = join(folder, `.dmgw-preflight-${process.pid}`);
  try {
    const beganMs = performance.now();
    for (const [file, text] of [
      [probe, 'old'],
      [`${probe}.new`, 'new'],
    ] as const) {
      const fd = openSync(file, 'wx', 0o600);
      writeSync(fd, text);
      fsyncSync(fd);
      closeSync(fd);
    }
    const flushMs = (performance.now() - beganMs) / 2;
    renameSync(`${probe}.new`, probe);
    const folderFd = openSync(folder, 'r');
    fsyncSync(folderFd);
    closeSync(folderFd);
    if (readFileSync(probe, 'utf8') !== 'new') return failed(name, `${folder}: a renamed file has its old content`);
    if ((statSync(probe).mode & 0o077) !== 0)
      return warned(name, `${folder}: the file system keeps no rights of files`);
    return passed(name, `${folder}: a flush takes ${flushMs.toFixed(1)} ms`);
  } catch (thrown) {
    return failed(name, `${folder}: ${describeThrown(thrown)}`);
  } finally {
    for (const file of [probe, `${probe}.new`]) rmSync(file, { force: true });
  }
}

/** A database of its own beside the gateway's: locks, journal, real write. */
function databaseCheck(folder: string): PreflightCheck {
  const name = 'database';
  const file = join(folder, `.dmgw-preflight-${process.pid}.db`);
  try {
    const store = openStore({ file, schema: [], log: silentLog, cacheKib: 64 });
    void store.close();
    return store.journal === 'wal'
      ? passed(name, 'locks, WAL')
      : warned(name, 'locks, but no WAL: the slower TRUNCATE journal is used');
  } catch (thrown) {
    // There is nobody else who could have locked it.
    const isRefused = thrown instanceof StoreError && thrown.code === 'locked';
    return failed(name, isRefused ? `${folder}: the file system has no locks` : describeThrown(thrown));
  } finally {
    for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${file}${suffix}`, { force: true });
  }
}

/** Whether the gateway's own database can be taken over: not one of a newer version. */
function schemaCheck(folder: string, schema: Program['schema']): PreflightCheck {
  const name = 'schema';
  const file = join(folder, DATABASE);
  try {
    if (!existsSync(file)) return passed(name, 'no database yet');
    const { from, to } = rehearseMigration({ file, schema });
    return passed(name, from === to ? `${to}` : `${from}, which a start brings to ${to}`);
  } catch (thrown) {
    return failed(name, describeThrown(thrown));
  }
}

function roomCheck({ storeDir, store: { quotaMiB, freeFloorMiB } }: Configuration): PreflightCheck {
  const { bavail, bsize } = statfsSync(storeDir);
  const free = bavail * bsize;
  const usable = free - freeFloorMiB * MIB;
  if (usable <= 0) return failed('room', `${formatBytes(free)} free in storeDir, less than store.freeFloorMiB`);
  const text = `${formatBytes(usable)} for images`;
  if (quotaMiB * MIB <= usable) return passed('room', text);
  return warned('room', `${text} now, less than store.quotaMiB (${quotaMiB} MiB)`);
}

async function portChecks({ serve, notification }: Configuration): Promise<PreflightCheck[]> {
  const tcp = serve.listen.map((address) => tryPort('serve-port', 'TCP', address, serve.port));
  const udp = notification.enabled ? notification.listen : [];
  return Promise.all([
    ...tcp,
    ...udp.map((address) => tryPort('notification-port', 'UDP', address, notification.port)),
  ]);
}

function tryPort(name: string, kind: 'TCP' | 'UDP', address: string, port: number): Promise<PreflightCheck> {
  return new Promise((resolve) => {
    const at = `${kind} ${port} on ${address}`;
    const isFree = (close: (done: () => void) => void): void => close(() => resolve(passed(name, `${at} is free`)));
    const isNot = (thrown: Error): void => resolve(failed(name, `${at}: ${describeThrown(thrown)}`));
    if (kind === 'TCP') {
      const server = createServer().once('error', isNot);
      server.listen({ host: address, port }, () => isFree((done) => server.close(() => done())));
    } else {
      const socket = createSocket({ type: address.includes(':') ? 'udp6' : 'udp4' }).once('error', isNot);
      socket.bind({ address, port }, () => isFree((done) => socket.close(done)));
    }
  });
}

function outcomeCheck<T>(name: string, outcome: Outcome<T, CodedError>, textOf: (value: T) => string): PreflightCheck {
  return outcome.ok ? passed(name, textOf(outcome.value)) : failed(name, outcome.error.text);
}

function readOr(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // the system does not tell
  }
}

function passed(name: string, text: string): PreflightCheck {
  return { name, result: 'ok', text };
}

function warned(name: string, text: string): PreflightCheck {
  return { name, result: 'warning', text };
}

function failed(name: string, text: string): PreflightCheck {
  return { name, result: 'failed', text };
}
