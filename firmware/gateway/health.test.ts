/** What OEM tooling asks of the whole gateway: `GET /health`, and the problems of its status. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { startInstalled } from './gateway.fixture.js';
import { askHealth, askStatus, type HealthReport } from '../ops/index.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-health-'));
const closings: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closings.reverse()) await close();
  rmSync(folder, { recursive: true });
});

const NO_MOUNT = process.getuid?.() !== 0 && 'needs root, to mount a file system';

const base = {
  volatile: true,
  device: { devId: 'IMEI:1', manufacturer: 'Example', model: 'R1' },
  lan: { prefixes: ['127.0.1.0/24'] },
};

/** @returns the control socket of a gateway with these sections */
async function start(name: string, sections: object, buildTimeMs = 0): Promise<string> {
  const home = join(folder, name);
  const configuration = { ...base, stateDir: join(home, 'state'), storeDir: join(home, 'store'), ...sections };
  const { gateway, socket } = await startInstalled({ file: `${home}.json`, configuration, buildTimeMs });
  closings.push(() => gateway.close());
  return socket;
}

async function health(socket: string): Promise<HealthReport> {
  const asked = await askHealth(socket);
  assert.ok(asked.ok, asked.ok ? '' : asked.error.text);
  return asked.value;
}

describe('the health of the gateway', () => {
  it('has a check for each part, which says how it is', async () => {
    const socket = await start('well', {
      serve: { listen: ['127.0.1.1'], port: 0 },
      notification: { enabled: true, listen: ['127.0.1.1'], port: 0 },
      discovery: { backend: 'off' },
    });
    const { healthy, checks } = await health(socket);
    const told = Object.fromEntries(checks.map(({ name, text }) => [name, text.replace(/:\d+$/, '')]));
    assert.deepEqual(told, {
      database: 'journal wal',
      storage: 'images can be stored',
      serve: 'listening on 127.0.1.1',
      clock: 'set',
      session: 'there is no account of a DM Server',
      notification: 'listening on 127.0.1.1',
      discovery: 'off',
    });
    assert.ok(healthy && checks.every(({ ok }) => ok));
  });

  it('tells that the database has no room left, and that it has again', { skip: NO_MOUNT }, async () => {
    const disk = join(folder, 'full');
    mkdirSync(disk);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', disk]);
    const socket = await start('full', { serve: { listen: ['127.0.1.1'], port: 0 }, discovery: { backend: 'off' } });
    closings.push(() => Promise.resolve(void execFileSync('umount', ['-l', disk])));
    const database = async (): Promise<boolean | undefined> =>
      (await health(socket)).checks.find(({ name }) => name === 'database')?.ok;
    assert.equal(await database(), true);
    const filling = join(disk, 'filling');
    assert.throws(() => writeFileSync(filling, Buffer.alloc(8 * 1024 * 1024)), /ENOSPC/);
    assert.equal(await database(), false);
    rmSync(filling);
    assert.equal(await database(), true);
  });

  it('tells what is wrong, in the status too', async () => {
    const side = { name: 'name', secret: 'secret' };
    const url = 'http://127.0.0.1:1/';
    const socket = await start(
      'unwell',
      {
        accounts: [{ serverId: 'away', url, allowInsecure: true, client: side, server: side }],
        session: { startDelaySeconds: 0, jitterSeconds: 0, retryFirstSeconds: 1, retryMaxSeconds: 1 },
        store: { freeFloorMiB: 1_048_576 },
        serve: { interfaces: ['none'] },
        discovery: { backend: 'builtin' },
      },
      Date.now() + 365 * 86_400_000,
    );
    const expected = {
      storage: 'less free than store.freeFloorMiB',
      serve: 'no address in the LAN yet',
      clock: 'before the date of the build',
      session: 'away cannot be reached',
      discovery: 'builtin has no interface in the LAN',
    };
    const { healthy, checks } = await eventually(
      'three sessions to fail',
      async () => {
        const report = await health(socket);
        return report.checks.some(({ name, ok }) => name === 'session' && !ok) ? report : undefined;
      },
      { timeoutMs: 60_000 },
    );
    const wrong = checks.filter(({ ok }) => !ok).map(({ name, text }) => [name, text]);
    assert.deepEqual([healthy, Object.fromEntries(wrong)], [false, expected]);
    const status = await askStatus(socket);
    assert.ok(status.ok);
    assert.deepEqual(
      status.value.problems.map(({ code, text }) => [code, text]),
      wrong,
    );
  });
});
