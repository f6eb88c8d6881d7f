import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import type { StoreOptions } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import { memoryCheck, processorCheck, type PreflightCheck } from './preflight.js';
import type { Program } from './index.js';
import { dmgw, idleProgram } from './terminal.fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-preflight-'));
after(() => rmSync(folder, { recursive: true }));
const stateDir = join(folder, 'state');

function configured(serve: object, more: object = {}): string {
  const file = join(folder, 'dmgw.json');
  const device = { devId: 'IMEI:1', manufacturer: 'Example', model: 'R1' };
  const base = {
    stateDir,
    storeDir: join(folder, 'store'),
    volatile: true,
    device,
    lan: { prefixes: ['127.0.0.0/8'] },
  };
  writeFileSync(file, JSON.stringify({ ...base, serve, ...more }), { mode: 0o600 });
  return file;
}

interface Found {
  readonly ready: boolean;
  readonly checks: readonly PreflightCheck[];
}

describe('preflight', () => {
  const CPUS: readonly [string, string, string, PreflightCheck['result']][] = [
    ['arm', 'Cortex-A7', 'Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva', 'ok'],
    ['arm', 'VFPv3-D16 without NEON', 'Features\t: half thumb vfp edsp vfpv3 vfpv3d16 tls', 'warning'],
    ['arm', 'ARM9 without FPU', 'Features\t: swp half thumb fastmult edsp java', 'failed'],
    ['arm', 'VFPv2 of an ARM11', 'Features\t: half thumb fastmult vfp edsp java tls', 'failed'],
    ['arm64', 'Cortex-A53', 'Features\t: fp asimd evtstrm crc32', 'ok'],
    ['mipsel', 'MT7621', 'cpu model\t\t: MIPS 1004Kc', 'failed'],
    ['x64', 'a PC', '', 'ok'],
  ];
  for (const [arch, name, info, result] of CPUS) {
    it(`says of ${name}: ${result}`, () => assert.equal(processorCheck(arch, info).result, result));
  }

  it('knows how much memory is enough', () => {
    const info = (total: number, available: number): string => `MemTotal: ${total} kB\nMemAvailable: ${available} kB\n`;
    assert.equal(memoryCheck(info(120_000, 80_000)).result, 'ok');
    assert.equal(memoryCheck(info(120_000, 30_000)).result, 'warning');
    assert.equal(memoryCheck(info(60_000, 40_000)).result, 'failed');
    assert.equal(memoryCheck('').result, 'warning');
  });

  it('passes where the gateway can run, and leaves nothing behind', async () => {
    const { code, out } = await dmgw(['preflight', '--config', configured({ listen: ['127.0.0.1'] }), '--json']);
    const found = JSON.parse(out) as Found;
    assert.deepEqual([code, found.ready], [0, true], out);
    const names = new Set(found.checks.map(({ name }) => name));
    for (const name of [
      'processor',
      'memory',
      'addon-libxmljs2',
      'addon-dmgw-native',
      'database',
      'room',
      'clock',
      'serve-port',
      'user',
    ]) {
      assert.ok(names.has(name), name);
    }
    assert.deepEqual([readdirSync(stateDir), readdirSync(join(folder, 'store'))], [[], []]);
  });

  it('fails where a port is taken, a file or folder is not what it should be, or there is no room', async () => {
    const taken = createServer().listen(0, '127.0.0.1').unref();
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const heard = createSocket('udp4').bind(0, '127.0.0.1').unref();
    await once(heard, 'listening');
    const file = join(folder, 'file');
    writeFileSync(file, '');
    const listen = ['127.0.0.1'];
    const cases: readonly [string, object, object][] = [
      ['serve-port', { listen, port }, {}],
      ['notification-port', { listen }, { notification: { enabled: true, listen, port: heard.address().port } }],
      ['folders', { listen }, { storeDir: file }],
      ['room', { listen }, { store: { freeFloorMiB: 1_048_576 } }],
      ['certificates', { listen }, { retrieve: { caFile: file } }],
      ['names', { listen }, { names: { nonsense: 'x' } }],
      ['devid', { listen }, { device: { devIdFile: '/nonexistent', manufacturer: 'm', model: 'm' } }],
      ['control-socket', { listen }, { controlSocket: join(folder, 'missing', 'socket') }],
      ['signature-keys', { listen }, { retrieve: { signatureKeys: [file] } }],
    ];
    for (const [name, serve, more] of cases) {
      const { code, out } = await dmgw(['preflight', '--config', configured(serve, more), '--json']);
      const failed = (JSON.parse(out) as Found).checks.filter(({ result }) => result === 'failed');
      assert.deepEqual([code, failed.map((check) => check.name)], [1, [name]]);
    }
    taken.close();
    heard.close();
  });

  it('warns of root and of a clock that is not set', async () => {
    const early = { ...idleProgram, buildTimeMs: Date.now() + 86_400_000 };
    const { code, out } = await dmgw(
      ['preflight', '--config', configured({ listen: ['127.0.0.1'] }), '--json'],
      undefined,
      early,
    );
    const { checks } = JSON.parse(out) as Found;
    const of = (wanted: string): string | undefined => checks.find(({ name }) => name === wanted)?.result;
    const user = process.getuid?.() === 0 ? 'warning' : 'ok';
    assert.deepEqual([code, of('clock'), of('user')], [0, 'warning', user], out);
  });

  it('warns of less room than the images may take, and of a file system without WAL; it leaves nothing behind', async () => {
    const path = configured({ listen: ['127.0.0.1'] }, { store: { quotaMiB: 1_048_576 } });
    mkdirSync(stateDir, { recursive: true });
    // The name of the WAL leads nowhere, as in the tests of the store.
    symlinkSync(join(folder, 'none', 'wal'), join(stateDir, `.dmgw-preflight-${process.pid}.db-wal`));
    const { code, out } = await dmgw(['preflight', '--config', path]);
    assert.equal(code, 0, out);
    assert.match(out, /^warn +room: [\d.]+ \w+ for images now, less than store\.quotaMiB \(1048576 MiB\)$/m);
    assert.match(out, /^warn +database: locks, but no WAL: the slower TRUNCATE journal is used$/m);
    assert.deepEqual(readdirSync(stateDir), []);
  });
});

describe('migrate', () => {
  const db = join(stateDir, 'dmgw.db');
  const first = idleProgram.schema;
  const next = { ...idleProgram, schema: [...first, { owner: 'other', sql: 'ALTER TABLE t ADD COLUMN v TEXT' }] };
  const run = async (words: readonly string[], program: Program = next): ReturnType<typeof dmgw> =>
    dmgw(['migrate', '--config', configured({ listen: ['127.0.0.1'] }), ...words], undefined, program);
  const versionOf = async (schema: StoreOptions['schema']): Promise<unknown> => {
    const store = openTestStore({ file: db, schema, log: silentLog });
    const rows = store.sql('SELECT * FROM t').all();
    await store.close();
    return rows;
  };

  it('says what would be done without doing it, then does it; a downgrade is refused', async () => {
    mkdirSync(stateDir, { recursive: true });
    assert.equal((await run([])).out, 'there is no database yet: the first start makes it\n');
    const store = openTestStore({ file: db, schema: first, log: silentLog });
    store.sql('INSERT INTO t (n) VALUES (1)').run();
    const running = await run(['--dry-run']);
    assert.equal(running.code, 1);
    assert.match(running.err, /in use by another process/);
    await store.close();

    const dry = await run(['--dry-run']);
    assert.equal(dry.out, 'schema 1 -> 2\nstep 2 (other) would be taken, and has been tried out\n');
    assert.deepEqual(await versionOf(first), [{ n: 1 }], 'the old version still opens it');
    const broken = { ...next, schema: [...first, { owner: 'other', sql: 'ALTER TABLE t ADD COLUMN n TEXT' }] };
    await assert.rejects(run(['--dry-run'], broken), /duplicate column/);

    assert.deepEqual(JSON.parse((await run(['--json'])).out), {
      from: 1,
      to: 2,
      steps: [{ number: 2, owner: 'other' }],
      done: true,
    });
    assert.deepEqual(await versionOf(next.schema), [{ n: 1, v: null }]);
    const downgrade = await run(['--dry-run'], { ...next, schema: first });
    assert.equal(downgrade.code, 2);
    assert.match(downgrade.err, /schema 2, this version of dmgw knows 1: install the newer version again/);

    const preflight = ['preflight', '--config', configured({ listen: ['127.0.0.1'] })];
    assert.match((await dmgw(preflight, undefined, next)).out, /^ok +schema: 2$/m);
    const before = await dmgw(preflight, undefined, { ...next, schema: first });
    assert.equal(before.code, 1);
    assert.match(before.out, /^FAIL +schema: the database has schema 2, this version of dmgw knows 1/m);
  });
});
