import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, it } from 'node:test';
import { PROGRAMS } from '../../flow/project.js';

/** Without a secret of the server no notification verifies. */
const CREDENTIALS = { client: { scheme: 'none' }, server: { scheme: 'none', secret: 's' } };

describe('the parties as processes', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lab-'));
  const children: ChildProcess[] = [];
  const write = (name: string, value: unknown): string => {
    const file = join(folder, name);
    writeFileSync(file, JSON.stringify(value));
    return file;
  };
  const start = async (entry: string, configs: readonly string[]) => {
    const args = [entry, ...configs.flatMap((file) => ['--config', file])];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    const errors: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text: string) => errors.push(text));
    const lines = createInterface(child.stdout);
    const exited = once(child, 'exit');
    const line = await Promise.race([once(lines, 'line'), exited.then(() => ['{}'])]);
    return { child, exited, errors, ready: JSON.parse(String(line[0])) as Record<string, unknown> };
  };
  const device = (name: string, address: string, url: string): string =>
    write(`${name}.json`, {
      deviceId: name,
      bindAddress: address,
      udpPort: 0,
      stateDir: join(folder, name),
      imageDir: join(folder, name, 'images'),
      logFile: join(folder, `${name}.log`),
      server: { url, serverId: 's', ...CREDENTIALS },
    });

  after(() => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });

  it('say when they are ready, do their work, and end by SIGTERM or by the admin API', async () => {
    const server = await start(PROGRAMS.dmServer, [
      write('server.json', {
        serverId: 's',
        logFile: join(folder, 'server.log'),
        accounts: ['one', 'two'].map((deviceId) => ({ deviceId, ...CREDENTIALS })),
      }),
    ]);
    assert.equal(server.ready.ready, true);
    const url = String(server.ready.url);
    const ends = await start(PROGRAMS.endDevice, [device('one', '127.88.0.1', url), device('two', '127.88.0.2', url)]);
    const admin = String(server.ready.adminUrl);
    for (const { deviceId, address, udpPort } of ends.ready.devices as {
      deviceId: string;
      address: string;
      udpPort: number;
    }[]) {
      const body = JSON.stringify({ send: { host: address, port: udpPort } });
      await fetch(`${admin}/devices/${deviceId}/notification`, { method: 'POST', body });
      const reply = await fetch(`${admin}/devices/${deviceId}/events?wait=5000`);
      const { events } = (await reply.json()) as { events: { kind: string }[] };
      assert.equal(events[0]?.kind, 'session-start');
    }
    ends.child.kill('SIGTERM');
    assert.deepEqual(await ends.exited, [0, null]);
    await fetch(`${admin}/stop`, { method: 'POST' });
    assert.deepEqual(await server.exited, [0, null]);
  });

  it('refuse a wrong configuration with one line', async () => {
    const server = await start(PROGRAMS.dmServer, [write('bad.json', { serverId: 's', logFile: 'x', accounts: 3 })]);
    assert.deepEqual(await server.exited, [2, null]);
    assert.match(server.errors.join(''), /^dm-server: .*bad\.json: accounts: .*\n$/);
  });
});
