import assert from 'node:assert/strict';
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { silentLog } from './log/index.js';
import { askStatus, type StatusReport } from './ops/index.js';
import { databaseSchema } from './schema.js';
import { openTestStore } from './store/store.fixture.js';

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

const folder = mkdtempSync(join(tmpdir(), 'dmgw-main-'));
after(() => rmSync(folder, { recursive: true }));
/** As it is built: it starts in a tenth of the time that its sources take. */
const program = resolve('build/dmgw.cjs');

function dmgw(...words: string[]): Promise<Ended> {
  return run(program, words);
}

function run(program: string, words: readonly string[]): Promise<Ended> {
  return execute(process.execPath, [program, ...words]);
}

function execute(command: string, words: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

function file(name: string, value: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(value), { mode: 0o600 });
  return path;
}

const configuration = {
  stateDir: join(folder, 'state'),
  storeDir: join(folder, 'store'),
  volatile: true,
  device: { devId: 'IMEI:1', manufacturer: 'Example', model: 'R1' },
  lan: { prefixes: ['127.0.0.0/8'] },
  discovery: { backend: 'off' },
  serve: { listen: ['127.0.0.1'], port: 0 },
};

describe('the program', () => {
  it('writes to its streams and ends with the exit code', async () => {
    const bad = file('bad.json', { ...configuration, serve: { listen: ['10.0.0.1'] } });
    const [version, wrong, refused] = await Promise.all([dmgw('version'), dmgw('fly'), dmgw('run', '--config', bad)]);
    assert.equal(refused.code, 2);
    assert.match(refused.err, /^dmgw: [^\n]*bad\.json: serve\.listen\[0\]: 10\.0\.0\.1 is not [^\n]*\n$/);
    assert.equal(version.code, 0);
    assert.match(version.out, /^dmgw \S+\n$/);
    assert.deepEqual(wrong, { code: 2, out: '', err: "dmgw: unknown command 'fly'; see: dmgw help\n" });
  });

  it('ends without a word when its reader has seen enough', async () => {
    const child = spawn(process.execPath, [program, 'config', 'keys'], { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.destroy();
    let err = '';
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    assert.deepEqual([await once(child, 'close'), err], [[0, null], '']);
  });

  it('fails in one line where what it writes has no room, or not all of it', async () => {
    const full = { code: 1, out: '', err: 'dmgw: cannot write: ENOSPC: no space left on device, write\n' };
    const keys = `'${process.execPath}' '${program}' config keys`;
    assert.deepEqual(await execute('/bin/sh', ['-c', `${keys} >/dev/full`]), full);
    const limited = join(folder, 'limited');
    // One block: the file takes the beginning of what is written.
    const { code, err } = await execute('/bin/sh', ['-c', `ulimit -f 1; ${keys} >'${limited}'`]);
    assert.deepEqual([code, err], [1, 'dmgw: cannot write: EFBIG: file too large, write\n']);
    assert.ok([512, 1024].includes(statSync(limited).size));
  });
});

describe('the program without one of its addons', () => {
  const installed = join(folder, 'installed');
  const program = join(installed, 'dmgw.cjs');
  const addons = {
    'better-sqlite3': join(installed, 'node_modules/better-sqlite3/build/Release/better_sqlite3.node'),
    libxmljs2: join(installed, 'node_modules/libxmljs2/build/Release/xmljs.node'),
    'dmgw-native': join(installed, 'dmgw-native.node'),
  };
  before(() => {
    mkdirSync(installed);
    for (const name of ['dmgw.cjs', 'dmgw-main.cjs']) copyFileSync(resolve('build', name), join(installed, name));
  });
  beforeEach(() => {
    for (const file of Object.values(addons)) {
      mkdirSync(dirname(file), { recursive: true });
      const built = file.startsWith(join(installed, 'node_modules'))
        ? relative(installed, file)
        : 'build/dmgw-native.node';
      copyFileSync(resolve(built), file);
    }
    for (const name of ['better-sqlite3', 'libxmljs2'])
      copyFileSync(
        resolve('node_modules', name, 'package.json'),
        join(installed, 'node_modules', name, 'package.json'),
      );
  });

  const cases: readonly [keyof typeof addons, string, (file: string) => void, RegExp][] = [
    ['better-sqlite3', 'is missing', rmSync, /better_sqlite3\.node: cannot open shared object file/],
    ['libxmljs2', 'is empty', (file) => writeFileSync(file, ''), /xmljs\.node: file too short/],
    ['dmgw-native', 'is missing', rmSync, /dmgw-native\.node: cannot open shared object file/],
    ['dmgw-native', 'is in another folder', moveUp, /dmgw-native\.node: cannot open shared object file/],
    ['dmgw-native', 'is anything else', (file) => writeFileSync(file, 'x'.repeat(10_000)), /invalid ELF header/],
    ['dmgw-native', 'is another addon', (file) => copyFileSync(addons.libxmljs2, file), /another addon/],
  ];
  /** `require` would look there too. */
  function moveUp(file: string): void {
    renameSync(file, join(dirname(dirname(file)), basename(file)));
  }
  for (const [addon, how, damage, reason] of cases) {
    it(`says so in one line where ${addon} ${how}`, async () => {
      damage(addons[addon]);
      const config = file('addons.json', configuration);
      // OpenWrt's init script starts nothing then.
      const shown = await run(program, ['config', 'show', '--config', config]);
      assert.equal(shown.code, 2);
      const line = new RegExp(`^dmgw: ${addon} does not load on Node\\.js v[\\d.]+ \\([^\\n]*\\)\\n$`);
      assert.match(shown.err, line);
      assert.match(shown.err, reason);
      if (addon !== 'libxmljs2') {
        const started = await run(program, ['run', '--config', config]);
        assert.deepEqual(started, { code: 2, out: '', err: shown.err });
      }

      const preflight = await run(program, ['preflight', '--config', config]);
      assert.equal(preflight.code, 1);
      const failed = preflight.out.split('\n').filter((line) => line.startsWith('FAIL  addon'));
      assert.deepEqual(failed, [`FAIL  addon-${addon}: ${shown.err.slice('dmgw: '.length, -1)}`]);
    });
  }

  it(
    'ends with exit code 2 where a document needs libxmljs2, which was there before',
    { timeout: 120_000 },
    async () => {
      rmSync(addons.libxmljs2);
      // A character beyond ASCII in a name: libxml2 is asked.
      const server = createServer((_, response) => {
        response.setHeader('Content-Type', 'application/vnd.syncml.dm+xml').end('<\u00e9/>');
      });
      await once(server.listen(0, '127.0.0.1'), 'listening');
      try {
        const { port } = server.address() as AddressInfo;
        const side = { name: 'name', secret: 'secret' };
        const url = `http://127.0.0.1:${port}/`;
        const config = file('late.json', {
          ...configuration,
          accounts: [{ serverId: 'a', url, allowInsecure: true, client: side, server: side }],
          session: { startDelaySeconds: 0, jitterSeconds: 0 },
        });
        const { code, err } = await run(program, ['run', '--config', config]);
        assert.equal(code, 2, err);
        assert.match(err, /cannot go on.*libxmljs2 does not load/);
      } finally {
        server.close();
      }
    },
  );

  it('shows the versions of all, but of its part in C', async () => {
    rmSync(addons['dmgw-native']);
    const { out } = await run(program, ['version', '--json']);
    assert.match(out, /"buildTime":"20\d\d-\d\d-\d\dT[\d:.]+Z"/);
    const { addons: versions, ...told } = JSON.parse(out) as { addons: object } & Record<string, unknown>;
    const { node, modules } = process.versions;
    const [nodeAbi, arch, schema] = [modules, process.arch, databaseSchema.length];
    assert.deepEqual(
      { ...told, version: '', buildTime: '' },
      { version: '', buildTime: '', node, nodeAbi, arch, schema },
    );
    const packageVersion = (name: string): unknown =>
      (JSON.parse(readFileSync(resolve('node_modules', name, 'package.json'), 'utf8')) as { version: string }).version;
    const [sqlite, libxml] = [packageVersion('better-sqlite3'), packageVersion('libxmljs2')];
    assert.deepEqual(versions, { 'better-sqlite3': sqlite, libxmljs2: libxml, 'dmgw-native': null, mdns: null });
  });
});

it('is kept compiled with what a start runs, each time', async () => {
  const installed = join(folder, 'compiled');
  mkdirSync(installed);
  for (const name of ['dmgw.cjs', 'dmgw-main.cjs', 'dmgw-native.node']) {
    copyFileSync(resolve('build', name), join(installed, name));
  }
  symlinkSync(resolve('node_modules'), join(installed, 'node_modules'));
  const compile = async (): Promise<number> => {
    const { out, err } = await run(join(installed, 'dmgw.cjs'), ['compile']);
    assert.equal(err, '');
    return Number(/: (\d+) bytes$/m.exec(out)?.[1]);
  };
  const first = await compile();
  const second = await compile();
  assert.ok(second > first * 0.9 && second < first * 1.1, `${first} bytes, then ${second}`);
});

it('opens its control socket when what it has written is durable, and before it loads what that takes no part in', async () => {
  const told = join(folder, 'told.json');
  const hook = join(folder, 'hook.cjs');
  writeFileSync(
    hook,
    `const fs = require('fs'), { Server } = require('net'), { fdatasync } = fs, { listen } = Server.prototype;
    let begun = 0, ended = 0, loadedBeforeFlags;
    const stream = require('stream'), { setDefaultHighWaterMark } = stream;
    stream.setDefaultHighWaterMark = (...given) => {
      loadedBeforeFlags ??= process.moduleLoadList.length;
      setDefaultHighWaterMark(...given);
    };
    fs.fdatasync = (fd, done) => {
      begun += 1;
      fdatasync(fd, (failed) => setTimeout(() => { ended += 1; done(failed); }, 200));
    };
    Server.prototype.listen = function (where, ...others) {
      if (typeof where !== 'string') return listen.call(this, where, ...others);
      const loaded = process.moduleLoadList, behindFlags = loaded.slice(loadedBeforeFlags);
      fs.writeFileSync(${JSON.stringify(told)}, JSON.stringify({ begun, ended, loaded, behindFlags }));
      process.exit(7);
    };`,
  );
  const config = file('order.json', {
    ...configuration,
    accounts: [
      {
        serverId: 'srv',
        url: 'http://127.0.0.1:9',
        allowInsecure: true,
        client: { name: 'gw', secret: 's' },
        server: { secret: 's' },
      },
    ],
    stateDir: join(folder, 'order'),
    storeDir: join(folder, 'order'),
  });
  const start = async (): Promise<Record<string, unknown>> => {
    const { code, err } = await run('--require', [hook, program, 'run', '--config', config]);
    assert.equal(code, 7, err);
    return JSON.parse(readFileSync(told, 'utf8')) as Record<string, unknown>;
  };
  const { begun, ended, loaded } = await start();
  // The account, and all else.
  assert.deepEqual([begun, ended], [2, 2]);
  const late = ['crypto', 'http', 'https', 'tls', 'internal/blocklist', 'internal/fs/sync_write_stream'];
  const early = (modules: unknown): string[] =>
    (modules as string[]).filter((name) => late.includes(name.replace('NativeModule ', '')));
  assert.deepEqual(early(loaded), []);
  const added = await run(program, [
    'images',
    'add',
    file('image', 'x'),
    '--id',
    'fw',
    '--store',
    join(folder, 'order'),
  ]);
  assert.equal(added.code, 0, added.err);
  await start();
  // Node.js would compile it, see flags.ts; those before had a file to remove, and an image to take.
  const again = await start();
  assert.deepEqual(
    (again.behindFlags as string[]).filter((name) => name.startsWith('NativeModule ')),
    [],
  );
  assert.deepEqual(early(again.loaded), []);
});

describe('the daemon', () => {
  const running: ChildProcess[] = [];
  after(() => running.forEach((child) => child.kill('SIGKILL')));

  const path = file('run.json', configuration);

  /** Resolves when `status` answers. */
  async function started(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [program, 'run', '--config', path], { stdio: 'ignore' });
    running.push(child);
    const socket = join(configuration.stateDir, 'dmgw.sock');
    while (child.exitCode === null && !(await askStatus(socket)).ok) await sleep(50);
    assert.equal(child.exitCode, null, 'the daemon has ended');
    return child;
  }

  it('answers while it runs and ends with exit code 0 on SIGTERM', async () => {
    const child = await started();
    const [status, json, health] = await Promise.all([
      dmgw('status', '--config', path),
      dmgw('status', '--config', path, '--json'),
      dmgw('health', '--config', path),
    ]);
    assert.match(status.out, /^gateway +IMEI:1\n/);
    assert.equal((JSON.parse(json.out) as { processId: number }).processId, child.pid);
    assert.deepEqual([health.code, health.out.split('\n')[0]], [0, 'healthy']);
    assert.match(status.out, /\nwritten +\d/);
    for (const [words, told] of [
      [[], 'nothing tells whether the link is metered\n'],
      [['on'], 'metered (set; forgotten when the gateway ends)\n'],
      [['off'], 'not metered (set; forgotten when the gateway ends)\n'],
    ] as const) {
      assert.deepEqual(await dmgw('metered', ...words, '--config', path), { code: 0, out: told, err: '' });
    }
    assert.match((await dmgw('status', '--config', path)).out, /\nlink +not metered\n/);
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  it('goes on after SIGUSR2, and takes over from one that was killed', async () => {
    const first = await started();
    first.kill('SIGUSR2');
    // The signal is there before the question.
    assert.ok((await askStatus(join(configuration.stateDir, 'dmgw.sock'))).ok);
    assert.equal(first.exitCode, null);
    first.kill('SIGKILL');
    await once(first, 'exit');
    const second = await started();
    second.kill('SIGINT');
    assert.deepEqual(await once(second, 'exit'), [0, null]);
  });

  it('starts anew with a changed configuration on SIGHUP, and goes on with the one it has where that is wrong', async () => {
    const child = await started();
    const socket = join(configuration.stateDir, 'dmgw.sock');
    const ended = once(child, 'exit');
    const soon = async <T>(look: () => Promise<T | undefined>): Promise<T> => {
      for (;;) {
        const found = await look();
        if (found !== undefined) return found;
        assert.deepEqual([child.exitCode, child.signalCode], [null, null], 'the daemon has ended');
        await sleep(50);
      }
    };
    const answered = (fits: (status: StatusReport) => boolean): Promise<StatusReport> =>
      soon(async () => {
        const asked = await askStatus(socket);
        return asked.ok && fits(asked.value) ? asked.value : undefined;
      });
    const { startedAt } = await answered(() => true);
    try {
      const said = (text: string, times: number): Promise<true> =>
        soon(async () => (await dmgw('logs', '--socket', socket)).out.split(text).length > times || undefined);
      const { device } = configuration;
      const wrong = [
        { log: { level: 'loud' } },
        { names: { nonsense: 'x' } },
        { device: { ...device, devId: undefined, devIdFile: join(folder, 'none') } },
      ];
      for (const [index, change] of wrong.entries()) {
        file('run.json', { ...configuration, ...change });
        child.kill('SIGHUP');
        await said('not taken', index + 1);
      }
      assert.equal((await answered(() => true)).startedAt, startedAt);
      // What only a start can tell.
      const other = createServer().listen(0, '127.0.0.1');
      await once(other, 'listening');
      const { port } = other.address() as AddressInfo;
      file('run.json', { ...configuration, serve: { ...configuration.serve, port } });
      child.kill('SIGHUP');
      await said('goes on with the one before', 1);
      await answered((again) => again.startedAt !== startedAt);
      other.close();
      const side = { name: 'name', secret: 'secret' };
      const server = { serverId: 'away', url: 'http://127.0.0.1:9/', allowInsecure: true, client: side, server: side };
      file('run.json', { ...configuration, accounts: [server], session: { startDelaySeconds: 600 } });
      child.kill('SIGHUP');
      const status = await answered(({ accounts }) => accounts.length === 1);
      assert.deepEqual([status.processId, status.startedAt === startedAt], [child.pid, false]);
      // A session that has failed is told by the exit code.
      assert.deepEqual(await dmgw('session', 'now', '--wait', '--socket', socket), {
        code: 1,
        out: 'away: failed (unreachable)\n',
        err: '',
      });
    } finally {
      file('run.json', configuration);
      child.kill('SIGTERM');
    }
    assert.deepEqual(await ended, [0, null]);
  });

  it('does not start a second time on the same folders', async () => {
    const first = await started();
    const { code, err } = await dmgw('run', '--config', path);
    assert.equal(code, 1);
    assert.match(err, /dmgw: .*run\.json: .*only one dmgw may run on a state directory/);
    first.kill('SIGTERM');
    await once(first, 'exit');
  });

  it('is reset on a disk that is full', { skip: process.getuid?.() !== 0 && 'needs root, to mount one' }, async () => {
    const disk = join(folder, 'full');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk]);
    try {
      const [stateDir, socket] = [join(disk, 'state'), join(folder, 'full.sock')];
      const full = file('full.json', {
        ...configuration,
        stateDir,
        storeDir: join(disk, 'store'),
        controlSocket: socket,
      });
      const child = spawn(process.execPath, [program, 'run', '--config', full], { stdio: 'ignore' });
      running.push(child);
      while (child.exitCode === null && !(await askStatus(socket)).ok) await sleep(50);
      assert.throws(() => writeFileSync(join(disk, 'filling'), Buffer.alloc(4 * 1024 * 1024)), /ENOSPC/);
      assert.deepEqual(await dmgw('factory-reset', '--yes', '--config', full), {
        code: 0,
        out: 'everything is forgotten, the gateway has started anew\n',
        err: '',
      });
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'exit'), [0, null]);
    } finally {
      execFileSync('umount', ['-l', disk]);
    }
  });

  it('is reset by a mark where it does not run for what was provisioned, and while it runs', async () => {
    const provisioned = join(configuration.stateDir, 'provisioned.json');
    const mark = join(configuration.stateDir, 'factory-reset');
    mkdirSync(configuration.stateDir, { recursive: true });
    writeFileSync(provisioned, '{"accounts', { mode: 0o600 });
    assert.equal((await dmgw('run', '--config', path)).code, 2);
    writeFileSync(mark, '');
    const child = await started();
    assert.deepEqual([provisioned, mark].filter(existsSync), []);

    writeFileSync(provisioned, '{"accounts', { mode: 0o600 });
    assert.deepEqual(await dmgw('factory-reset', '--yes', '--config', path), {
      code: 0,
      out: 'everything is forgotten, the gateway has started anew\n',
      err: '',
    });
    assert.deepEqual([provisioned, mark].filter(existsSync), []);
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  });

  it('says that it waits to be provisioned where a reset has left too little', async () => {
    const { device, ...rest } = configuration;
    const child = await started();
    file('run.json', rest);
    writeFileSync(join(configuration.stateDir, 'provisioned.json'), JSON.stringify({ device }), { mode: 0o600 });
    const { code, out, err } = await dmgw('factory-reset', '--yes', '--config', path);
    file('run.json', configuration);
    assert.deepEqual([code, err], [0, '']);
    assert.match(
      out,
      /^everything is forgotten, the gateway waits to be provisioned \(.*run\.json: device: missing.*\)\n$/,
    );
    if (child.exitCode === null) await once(child, 'exit');
    assert.equal(child.exitCode, 2);
  });

  it('refuses the database of a newer version with exit code 2, and leaves it as it is', async () => {
    const stateDir = join(folder, 'newer-state');
    mkdirSync(stateDir);
    const database = join(stateDir, 'dmgw.db');
    const newer = [...databaseSchema, { owner: 'newer', sql: 'CREATE TABLE newer (n INTEGER)' }];
    await openTestStore({ file: database, schema: newer, log: silentLog }).close();
    const before = readFileSync(database);
    const { code, err } = await dmgw('run', '--config', file('newer.json', { ...configuration, stateDir }));
    assert.equal(code, 2, err);
    assert.match(
      err,
      /^dmgw: .*newer\.json: .*schema \d+, this version of dmgw knows \d+: install the newer version again[^\n]*\n$/m,
    );
    assert.ok(readFileSync(database).equals(before));
  });

  it('refuses folders in memory with exit code 2', { skip: !existsSync('/dev/shm') && 'no tmpfs here' }, async () => {
    const inMemory = file('memory.json', {
      ...configuration,
      storeDir: `/dev/shm/dmgw-${process.pid}`,
      volatile: false,
    });
    const { code, err } = await dmgw('run', '--config', inMemory);
    assert.equal(code, 2);
    assert.match(err, /^dmgw: .*memory\.json: st(?:ore|ate)Dir: .* is on tmpfs [^\n]*\n$/);
  });
});
