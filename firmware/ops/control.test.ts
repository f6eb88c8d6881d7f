import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { silentLog, type Logger } from '../log/index.js';
import { failure, success } from '../outcome/index.js';
import {
  askHealth,
  askMetered,
  askStatus,
  follow,
  healthReport,
  openControl,
  operate,
  pagesOf,
  REPORT_FORMAT,
  sendEvent,
  type Asked,
  type ControlPorts,
  type ControlServer,
  type EventRequest,
  type MeteredReport,
  type MeteredSetting,
} from './index.js';
import { refusingPorts } from './ports.fixture.js';
import { exampleStatus } from './report.fixture.js';

let metered: MeteredSetting = 'auto';
const meteredReport = (): MeteredReport => ({
  format: REPORT_FORMAT,
  set: metered,
  metered: metered === 'auto' ? null : metered === 'on',
});

const ports: ControlPorts = {
  ...refusingPorts,
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

  it('holds what an operation is asked to its form, and says why it refuses', async () => {
    const added = failure('exists', "an image 'a' exists");
    await open({ ...ports, operations: { ...refusingPorts.operations, 'images/add': () => added } });
    const refused: readonly (readonly [Asked<'images/add'>, string])[] = [
      [{ id: 'a', uri: 'http://x/' }, "an image 'a' exists"],
      [{ id: '', uri: 'http://x/' }, 'id: expected text of 1 to 255 characters'],
      [{ id: 'a', uri: 'x'.repeat(9000) }, 'uri: expected text of 1 to 8192 characters'],
      [{ id: 'a', uri: 'x'.repeat(20_000) }, 'a request has at most 16384 bytes'],
      [{ id: 'a', uri: 'u', other: 1 } as Asked<'images/add'>, 'other: unknown key'],
      [[] as unknown as Asked<'images/add'>, 'the request: expected an object { ... }'],
    ];
    for (const [asked, text] of refused) {
      const answer = await operate(path, 'images/add', asked);
      assert.deepEqual(answer.ok ? undefined : [answer.error.code, answer.error.text], ['refused', text]);
    }
  });

  it('gives a list in pages, and what comes piece by piece as it comes', async () => {
    const names = Array.from({ length: 5 }, (_, n) => ({ name: `n${n}`, format: 'chr' }));
    const ls: ControlPorts['operations']['tree/ls'] = ({ after }) => {
      const from = names.findIndex(({ name }) => name === after) + 1;
      const rows = names.slice(from, from + 2);
      return success({ rows, next: from + 2 < names.length ? (rows.at(-1)?.name ?? null) : null });
    };
    async function* lines(): AsyncGenerator<{ line: string }> {
      for (const line of 'abc') yield await Promise.resolve({ line });
    }
    const logs = (): ReturnType<ControlPorts['streams']['logs']> => success(lines());
    await open({
      ...ports,
      operations: { ...refusingPorts.operations, 'tree/ls': ls },
      streams: { ...refusingPorts.streams, logs },
    });
    const sizes: number[] = [];
    for await (const page of pagesOf(path, 'tree/ls', { uri: '.' })) sizes.push(page.ok ? page.value.length : -1);
    assert.deepEqual(sizes, [2, 2, 1]);
    const seen: unknown[] = [];
    const take = (item: object): Promise<void> => Promise.resolve(void seen.push(item));
    assert.equal((await follow(path, 'logs', { follow: true, lines: 1 }, take)).ok, true);
    assert.deepEqual(seen, [{ line: 'a' }, { line: 'b' }, { line: 'c' }]);
  });

  it('takes no more from a source than its reader takes, and ends it when the reader leaves', async () => {
    let made = 0;
    const left = new AbortController();
    const logs: ControlPorts['streams']['logs'] = (_, signal) => {
      signal.addEventListener('abort', () => left.abort());
      return success(
        (async function* () {
          while (!signal.aborted) yield await Promise.resolve({ line: `${(made += 1)}`.padEnd(10_000) });
        })(),
      );
    };
    await open({ ...ports, streams: { ...refusingPorts.streams, logs } });
    const reader = connect(path);
    const body = '{"follow":true,"lines":0}';
    reader.write(`POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await once(reader, 'readable');
    let before = -1;
    while (before !== made) {
      before = made;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(made < 200, `${made} pieces of 10 kB were made for a reader that takes none`);
    reader.destroy();
    await once(left.signal, 'abort');
  });

  it('keeps places for others when many follow', async () => {
    const logs: ControlPorts['streams']['logs'] = (_, signal) =>
      success(
        (async function* () {
          yield { line: 'a' };
          await once(signal, 'abort');
        })(),
      );
    await open({ ...ports, streams: { ...refusingPorts.streams, logs } });
    const over: ReturnType<typeof follow>[] = [];
    for (let n = 0; n < 8; n += 1) {
      await new Promise<void>((resolve) => {
        over.push(
          follow(path, 'logs', { follow: true, lines: 0 }, () => {
            resolve();
            return Promise.resolve();
          }),
        );
      });
    }
    const ninth = await follow(path, 'logs', { follow: true, lines: 0 }, () => Promise.resolve());
    assert.equal(ninth.ok ? '' : ninth.error.text, '8 such commands are running already');
    assert.equal((await askStatus(path)).ok, true);
    await opened?.close();
    for (const ended of await Promise.all(over)) assert.equal(ended.ok ? '' : ended.error.code, 'broken');
  });

  it('is open to its group where the configuration says so', async () => {
    const control = await openControl(path, ports, silentLog, 'group');
    assert.ok(control.ok);
    opened = control.value;
    assert.equal(statSync(path).mode & 0o777, 0o660);
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

  it('leaves no timer behind: there is a new one after each reload', async () => {
    const timers = new Set<number>();
    let isOver = false;
    const hook = createHook({
      init: (id, type) => {
        if (type === 'Timeout' && !isOver) timers.add(id);
      },
      destroy: (id) => timers.delete(id),
    }).enable();
    try {
      await open();
      assert.ok((await askStatus(path)).ok);
      await opened?.close();
      isOver = true;
      await eventually('the end of every timer', () => timers.size === 0);
    } finally {
      hook.disable();
    }
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
