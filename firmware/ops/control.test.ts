import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { silentLog, type Logger } from '../log/index.js';
import { failure, success } from '../outcome/index.js';
import {
  askHealth,
  askMetered,
  askStatus,
  healthReport,
  openControl,
  REPORT_FORMAT,
  sendEvent,
  type ControlPorts,
  type ControlServer,
  type EventRequest,
  type MeteredReport,
  type MeteredSetting,
} from './index.js';
import { exampleStatus } from './report.fixture.js';

let metered: MeteredSetting = 'auto';
const meteredReport = (): MeteredReport => ({
  format: REPORT_FORMAT,
  set: metered,
  metered: metered === 'auto' ? null : metered === 'on',
});

const ports: ControlPorts = {
  metered: meteredReport,
  setMetered: (setting) => {
    metered = setting;
    return meteredReport();
  },
  settings: () => ({ format: REPORT_FORMAT, changed: [{ key: 'fanout.repeat', value: 2, serverId: 'srv' }] }),
  status: () => exampleStatus(),
  health: () => Promise.resolve(healthReport([{ name: 'database', ok: true, text: 'answers' }])),
  event: ({ server = 'all' }) =>
    Promise.resolve(
      server === 'nobody' ? failure('no-server', 'no account') : success({ format: REPORT_FORMAT, servers: [server] }),
    ),
};

describe('the control socket', () => {
  let folder = '';
  let path = '';
  let opened: ControlServer | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-control-'));
    path = join(folder, 'dmgw.sock');
  });
  afterEach(async () => {
    await opened?.close();
    opened = undefined;
    rmSync(folder, { recursive: true });
  });

  const open = async (withPorts = ports, log: Logger = silentLog): Promise<void> => {
    const control = await openControl(path, withPorts, log);
    assert.ok(control.ok, control.ok ? '' : control.error.text);
    opened = control.value;
  };
  const ask = (method: string, name: string): Promise<number> =>
    new Promise((resolve, reject) => {
      request({ socketPath: path, path: name, method }, (reply) => {
        reply.resume();
        resolve(reply.statusCode ?? 0);
      })
        .on('error', reject)
        .end();
    });

  it('answers with the reports', async () => {
    await open();
    assert.deepEqual(await askStatus(path), { ok: true, value: exampleStatus() });
    assert.equal((await askHealth(path)).ok, true);
  });

  it('belongs to its owner alone, and leaves the mask as it was', async () => {
    const modeOfNewFile = (name: string): number => {
      writeFileSync(join(folder, name), '');
      return statSync(join(folder, name)).mode;
    };
    const before = modeOfNewFile('before');
    await open();
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(modeOfNewFile('after'), before);
  });

  it('takes an event within its bounds, and says why it takes another not', async () => {
    await open();
    const told = await sendEvent(path, { type: 'org.example.door', data: 'ö'.repeat(2048) });
    assert.deepEqual(told, { ok: true, value: { format: REPORT_FORMAT, servers: ['all'] } });
    const refused: readonly (readonly [object, RegExp])[] = [
      [{ type: '', data: '' }, /the type is a name/],
      [{ type: 'a b', data: '' }, /the type is a name/],
      [{ type: 'a\n', data: '' }, /the type is a name/],
      [{ type: 'x'.repeat(256), data: '' }, /the type is a name/],
      [{ data: 'x' }, /the type is a name/],
      [{ type: 't', data: 'ö'.repeat(2049) }, /at most 4096 bytes/],
      [{ type: 't', data: 7 }, /text/],
      [{ type: 't', data: 'x'.repeat(20_000) }, /at most 16384 bytes/],
      [{ type: 't', data: '', server: 1 }, /ServerID/],
      [{ type: 't', data: '', server: 'nobody' }, /no account/],
    ];
    for (const [event, reason] of refused) {
      const answer = await sendEvent(path, event as EventRequest);
      assert.ok(!answer.ok && answer.error.code === 'refused', JSON.stringify(event).slice(0, 60));
      assert.match(answer.error.text, reason);
    }
    assert.equal(await ask('GET', '/event'), 405);
    assert.equal(await ask('POST', '/event'), 400);
  });

  it('takes whether the link is metered, and tells it', async () => {
    await open();
    for (const [set, told] of [
      [undefined, { set: 'auto', metered: null }],
      ['on', { set: 'on', metered: true }],
      [undefined, { set: 'on', metered: true }],
      ['off', { set: 'off', metered: false }],
      ['auto', { set: 'auto', metered: null }],
    ] as const) {
      assert.deepEqual(await askMetered(path, set), { ok: true, value: { format: REPORT_FORMAT, ...told } });
    }
    const refused = await askMetered(path, 'maybe' as MeteredSetting);
    assert.ok(!refused.ok && refused.error.code === 'refused');
    assert.equal(refused.error.text, 'metered is on, off or auto');
    assert.equal(await ask('POST', '/metered'), 400);
    assert.equal(await ask('PUT', '/metered'), 405);
  });

  it('knows no other name and no other method', async () => {
    await open();
    assert.equal(await ask('GET', '/'), 404);
    assert.equal(await ask('GET', '/constructor'), 404);
    assert.equal(await ask('POST', '/status'), 405);
  });

  it('goes on after a report that failed', async () => {
    const seen: string[] = [];
    const log: Logger = { ...silentLog, error: (text, fields) => seen.push(`${text}: ${String(fields?.reason)}`) };
    await open({ ...ports, status: () => Promise.reject(new Error('disk gone')) }, log);
    const asked = await askStatus(path);
    assert.equal(asked.ok ? '' : asked.error.code, 'broken');
    assert.deepEqual(seen, ['report failed: disk gone']);
    assert.equal((await askHealth(path)).ok, true);
  });

  it('is removed at the end, although a client still holds on', async () => {
    await open();
    const client = connect(path);
    await once(client, 'connect');
    await opened?.close();
    await opened?.close();
    assert.equal(existsSync(path), false);
    client.destroy();
  });

  it('replaces what a killed daemon left behind', async () => {
    spawnSync(process.execPath, [
      '-e',
      `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
    ]);
    assert.ok(statSync(path).isSocket());
    await open();
    assert.equal((await askStatus(path)).ok, true);
  });

  it('is not taken from a daemon that answers', async () => {
    await open();
    const second = await openControl(path, ports, silentLog);
    assert.equal(second.ok ? '' : second.error.code, 'in-use');
    assert.equal((await askStatus(path)).ok, true);
  });

  it('does not remove a file that is no socket', async () => {
    writeFileSync(path, 'precious');
    const control = await openControl(path, ports, silentLog);
    assert.equal(control.ok ? '' : control.error.code, 'not-a-socket');
    assert.equal(readFileSync(path, 'utf8'), 'precious');
  });

  it('is told to be unusable where its folder is missing', async () => {
    const control = await openControl(join(folder, 'none', 'dmgw.sock'), ports, silentLog);
    assert.equal(control.ok ? '' : control.error.code, 'unusable');
  });
});

describe('a command that asks', () => {
  let folder = '';
  let path = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'dmgw-ask-'));
    path = join(folder, 'dmgw.sock');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is told that nobody listens', async () => {
    const asked = await askStatus(path);
    assert.ok(!asked.ok);
    assert.equal(asked.error.code, 'not-running');
    assert.equal(asked.error.text, `the daemon is not running (nobody answers at ${path})`);
  });

  const replies: [string, string, string][] = [
    ['of another version', '{"format": 999}', 'other-version'],
    ['that is no JSON', 'hello', 'broken'],
    ['that is too long', `"${'x'.repeat(17 * 1024 * 1024)}"`, 'broken'],
  ];
  for (const [name, body, code] of replies) {
    it(`refuses an answer ${name}`, async () => {
      const server = createHttpServer((_, response) => response.end(body)).listen(path);
      await once(server, 'listening');
      const asked = await askStatus(path);
      assert.equal(asked.ok ? '' : asked.error.code, code);
      server.close();
      server.closeAllConnections();
    });
  }

  it('is told of a daemon that ends in the middle', async () => {
    const server = createServer((socket) => {
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"format"');
        setImmediate(() => socket.destroy());
      });
    }).listen(path);
    await once(server, 'listening');
    const asked = await askStatus(path);
    assert.equal(asked.ok ? '' : asked.error.code, 'broken');
    server.close();
  });
});
