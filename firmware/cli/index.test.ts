import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { silentLog } from '../log/index.js';
import { healthReport, openControl, REPORT_FORMAT, type ControlPorts, type LogLine } from '../ops/index.js';
import { refusingPorts } from '../ops/ports.fixture.js';
import { exampleStatus } from '../ops/report.fixture.js';
import { success } from '../outcome/index.js';
import { commandReference } from './index.js';
import { dmgw, RecordingTerminal } from './terminal.fixture.js';

const folder = mkdtempSync(join(tmpdir(), 'dmgw-cli-'));
after(() => rmSync(folder, { recursive: true }));

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
  serve: { listen: ['127.0.0.1'], port: 0 },
};

/** A daemon of these ports, and what refuses all else. @returns its socket */
async function answering(ports: Partial<ControlPorts>): Promise<{ socket: string; close: () => Promise<void> }> {
  const socket = join(folder, `${randomUUID()}.sock`);
  const control = await openControl(socket, { ...refusingPorts, ...ports }, silentLog);
  assert.ok(control.ok);
  return { socket, close: () => control.value.close() };
}

describe('the command line', () => {
  const IMAGES = ['list', 'show', 'add', 'fetch', 'pin', 'unpin', 'remove', 'verify']
    .map((word) => `images ${word}`)
    .join(', ');
  const WRONG: [string[], string][] = [
    [['fly'], "dmgw: unknown command 'fly'; see: dmgw help\n"],
    [['\u001b[2Jfly'], "dmgw: unknown command '?[2Jfly'; see: dmgw help\n"],
    [['config'], "dmgw: 'config' is not complete: config check, config show, config keys; see: dmgw help\n"],
    [['status', '--verbose'], "dmgw: unknown option '--verbose'; see: dmgw help\n"],
    [['run', '--json'], "dmgw: 'run' takes no --json; see: dmgw help\n"],
    [['--json'], 'dmgw: a command is missing; see: dmgw help\n'],
    [['event'], "dmgw: 'event' needs TYPE; see: dmgw help\n"],
    [['metered', 'maybe'], "dmgw: 'metered' takes on, off or auto, not 'maybe'; see: dmgw help\n"],
    [['event', 'a', 'b', 'c'], "dmgw: 'event' takes no 'c'; see: dmgw help\n"],
    [['event', 'a', '--board'], "dmgw: '--board' needs a value; see: dmgw help\n"],
    [['status', '--config'], "dmgw: '--config' needs a value; see: dmgw help\n"],
    [['constructor'], "dmgw: unknown command 'constructor'; see: dmgw help\n"],
    [['help', 'toString'], "dmgw: unknown command 'toString'; see: dmgw help\n"],
    [['images', 'fly', '--help'], `dmgw: unknown command 'images fly': ${IMAGES}; see: dmgw help\n`],
    [
      ['images', 'add', '--id', 'a', '--uri', 'http://192.0.2.1/a', '--store', folder],
      "dmgw: 'images add' takes --store with FILE only: nothing is fetched into it; see: dmgw help images add\n",
    ],
    ...['', ' 1', '0x10', '1e3', '1.0', '9'.repeat(17)].flatMap((number): [string[], string][] => [
      [
        ['images', 'add', 'file', '--id', 'a', `--priority=${number}`],
        'dmgw: --priority takes a whole number; see: dmgw help images add\n',
      ],
      [['logs', `--lines=${number}`], 'dmgw: --lines takes a whole number from 0 to 10000; see: dmgw help logs\n'],
    ]),
    [['logs', '--lines=-1'], 'dmgw: --lines takes a whole number from 0 to 10000; see: dmgw help logs\n'],
  ];
  for (const [words, line] of WRONG) {
    it(`refuses '${words.join(' ')}' with one line and exit code 2`, async () => {
      assert.deepEqual(await dmgw(words), { code: 2, out: '', err: line });
    });
  }

  it('helps', async () => {
    const [alone, help, about, version] = await Promise.all([
      dmgw([]),
      dmgw(['help']),
      dmgw(['help', 'config', 'check']),
      dmgw(['version', '--json']),
    ]);
    assert.equal(alone.code, 0);
    assert.match(alone.out, /usage: dmgw COMMAND[^]*exit codes:/);
    assert.equal(help.out, alone.out);
    assert.match(about.out, /^dmgw config check: .*\n\nusage: dmgw config check \[--config FILE\]/);
    assert.equal(typeof (JSON.parse(version.out) as { version: unknown }).version, 'string');
  });

  it('helps with a group of commands', async () => {
    const group = await dmgw(['help', 'images']);
    assert.deepEqual([group.code, group.err], [0, '']);
    assert.match(group.out, /^usage: dmgw images COMMAND \[OPTIONS\]\n\n {2}images list +the images[^]*\nexit codes:/);
    const names = group.out.split('\n').flatMap((line) => /^ {2}(images .*?) {2}/.exec(line)?.[1] ?? []);
    assert.equal(names.join(', '), IMAGES);
    assert.match(group.out, /\n {2}help images COMMAND {2}more about a command\n/);
    for (const words of [
      ['images', '--help'],
      ['image', '-h'],
    ])
      assert.deepEqual(await dmgw(words), group);
  });

  it('shows the format of a node, beside that of the answer', async () => {
    const format = (uri: string): string => (uri === '.' ? 'node' : 'chr');
    const operations: ControlPorts['operations'] = {
      ...refusingPorts.operations,
      'tree/get': ({ uri }) => success({ uri, nodeFormat: format(uri), value: uri === '.' ? null : 'R1' }),
    };
    const { socket, close } = await answering({ operations });
    const get = (...words: string[]): ReturnType<typeof dmgw> => dmgw(['tree', 'get', ...words, '--socket', socket]);
    const [node, leaf, json] = await Promise.all([get('.'), get('./DevInfo/Mod'), get('./DevInfo/Mod', '--json')]);
    await close();
    assert.deepEqual([node.out, leaf.out], ['(node)\n', 'R1\n']);
    const shown = { uri: './DevInfo/Mod', nodeFormat: 'chr', value: 'R1', format: REPORT_FORMAT };
    assert.deepEqual(JSON.parse(json.out), shown);
  });

  it('tells beside the lines of the log how many a slow reader has missed', async () => {
    async function* items(): AsyncGenerator<LogLine> {
      for (const item of [{ line: 'a' }, { lost: 3 }, { line: 'e\u001b[2J' }]) yield await Promise.resolve(item);
    }
    const { socket, close } = await answering({ streams: { ...refusingPorts.streams, logs: () => success(items()) } });
    const [text, json] = await Promise.all([
      dmgw(['logs', '-f', '--socket', socket]),
      dmgw(['logs', '-f', '--json', '--socket', socket]),
    ]);
    await close();
    assert.deepEqual(text, { code: 0, out: 'a\ne?[2J\n', err: 'dmgw: 3 lines are not kept any more\n' });
    const lines = json.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    assert.deepEqual(lines, [{ line: 'a' }, { lost: 3 }, { line: 'e\u001b[2J' }]);
  });

  it('says that the gateway has ended where it does so amid what is followed', async () => {
    async function* untilAborted(signal: AbortSignal): AsyncGenerator<LogLine> {
      yield { line: 'a' };
      await once(signal, 'abort');
    }
    const logs: ControlPorts['streams']['logs'] = (_, signal) => success(untilAborted(signal));
    const { socket, close } = await answering({ streams: { ...refusingPorts.streams, logs } });
    const terminal = new RecordingTerminal();
    const ended = dmgw(['logs', '-f', '--socket', socket], terminal);
    while (terminal.out === '') await new Promise((resolve) => setTimeout(resolve, 5));
    await close();
    assert.deepEqual(await ended, { code: 1, out: 'a\n', err: `dmgw: the daemon at ${socket} has ended\n` });
  });

  it('ends the wait for a session when the gateway starts anew, which knows nothing of it', async () => {
    const before = exampleStatus();
    const looks = [before, { ...before, accounts: [], startedAt: '2026-03-01T10:00:01.000Z' }];
    const operations: ControlPorts['operations'] = {
      ...refusingPorts.operations,
      'session/now': () => success({ servers: [{ serverId: 'srv', ended: 1, state: 'due' }] }),
    };
    const { socket, close } = await answering({ operations, status: () => looks.shift() ?? before });
    const ended = await dmgw(['session', 'now', '--wait', '--socket', socket]);
    await close();
    const err = 'dmgw: the gateway has started anew before the session ended: ask once more\n';
    assert.deepEqual(ended, { code: 1, out: '', err });
  });

  const bad = { ...configuration, serve: { listen: ['10.0.0.1'] } };
  for (const command of ['status', 'health', 'config check']) {
    it(`refuses a wrong configuration in '${command}' with one line and exit code 2`, async () => {
      const path = file('bad.json', bad);
      const ended = await dmgw([...command.split(' '), '--config', path]);
      const expected = 'expected an address of the gateway inside lan.prefixes (127.0.0.0/8)';
      const err = `dmgw: ${path}: serve.listen[0]: 10.0.0.1 is not an address of the LAN; ${expected}\n`;
      assert.deepEqual(ended, { code: 2, out: '', err });
    });
  }

  it('refuses names of nodes that are not right in what checks a configuration', async () => {
    const path = file('names.json', { ...configuration, names: { nonsense: 'x' } });
    for (const command of ['check', 'show']) {
      const { code, err } = await dmgw(['config', command, '--config', path]);
      assert.deepEqual([code, err.split('\n').length], [2, 2], err);
      assert.match(err, /^dmgw: .*names\.json: .*nonsense/);
    }
  });

  it('checks and shows a right configuration', async () => {
    const path = file('right.json', configuration);
    const [check, show] = await Promise.all([
      dmgw(['config', 'check', '--config', path]),
      dmgw(['config', 'show', '--config', path]),
    ]);
    assert.deepEqual(check, { code: 0, out: `${path}: ok\n`, err: '' });
    assert.match(show.out, /^KEY +VALUE +FROM\n/);
    assert.match(show.out, new RegExp(`\nserve\\.port +0 +${path}\n`));
    assert.match(show.out, /\nsession\.idleTimeoutSeconds +30 +default\n/);
    const json = await dmgw(['config', 'show', '--config', path, '--json']);
    const values = new Map(
      (JSON.parse(json.out) as { key: string; value: unknown }[]).map(({ key, value }) => [key, value]),
    );
    const keys = ['serve.port', 'volatile', 'serve.listen', 'device.devId'];
    assert.deepEqual(
      keys.map((key) => values.get(key)),
      [0, true, ['127.0.0.1'], 'IMEI:1'],
    );
  });

  it('shows what a DM Server has set in place of the configuration, or that it cannot', async () => {
    const changed = [
      { key: 'fanout.repeat', value: 2, serverId: 'srv' },
      { key: 'retrieve.windows', value: ['22:00-06:00'], serverId: 'srv' },
    ];
    const { socket, close } = await answering({ settings: () => ({ format: REPORT_FORMAT, changed }) });
    const secret = { secret: 's' };
    const server = {
      serverId: 'srv',
      url: 'https://s.example/dm',
      administrator: true,
      client: secret,
      server: secret,
    };
    const path = file('administered.json', { ...configuration, accounts: [server] });
    const running = await dmgw(['config', 'show', '--config', path, '--socket', socket]);
    await close();
    assert.match(running.out, /\nfanout\.repeat +2 +DM Server srv\n/);
    assert.match(running.out, /\nretrieve\.windows +\["22:00-06:00"\] +DM Server srv\n/);
    assert.match(running.out, /\nfanout\.intervalSeconds +2 +default\n/);
    assert.equal(running.err, '');
    const idle = await dmgw(['config', 'show', '--config', path, '--socket', socket]);
    assert.match(idle.out, /\nfanout\.repeat +4 +default\n/);
    assert.match(idle.err, /^dmgw: what DM Servers have set is not shown: the daemon is not running/);
  });

  it('tells that the daemon is not running by exit code 3', async () => {
    const path = file('idle.json', configuration);
    const socket = join(folder, 'state', 'dmgw.sock');
    const err = `dmgw: the daemon is not running (nobody answers at ${socket})\n`;
    const [status, health] = await Promise.all([
      dmgw(['status', '--config', path]),
      dmgw(['health', '--socket', socket, '--json']),
    ]);
    assert.deepEqual(status, { code: 3, out: '', err });
    assert.deepEqual(health, { code: 3, out: '', err });
  });

  /** What these do is done without a daemon too. */
  const ALONE = ['config show', 'provision', 'report'];
  /** What a command needs beside its operands. */
  const NEEDED: Readonly<Record<string, readonly string[]>> = {
    'images add': ['--id', 'a', '--uri', 'http://192.0.2.1/a'],
    'devices add': ['--address', 'udp://127.0.0.1:2948'],
  };
  const asking = commandReference().filter(({ options }) => options.includes('socket'));

  it('has every command that asks the daemon say so in one line when it does not run, with and without --json', async () => {
    const socket = join(folder, 'nobody.sock');
    const err = `dmgw: the daemon is not running (nobody answers at ${socket})\n`;
    const answers = asking.filter(({ name }) => !ALONE.includes(name));
    assert.equal(asking.length - answers.length, ALONE.length);
    assert.ok(answers.length >= 22, answers.map(({ name }) => name).join());
    for (const { name, operands = [] } of answers) {
      const needed = operands.filter((operand) => !operand.startsWith('['));
      const words = [...name.split(' '), ...needed, ...(NEEDED[name] ?? []), '--socket', socket];
      for (const typed of [words, [...words, '--json']]) {
        assert.deepEqual(await dmgw(typed), { code: 3, out: '', err }, typed.join(' '));
      }
    }
  });

  it('tells that the gateway is not healthy by exit code 1', async () => {
    const health = healthReport([{ name: 'storage', ok: false, text: 'full' }]);
    const { socket, close } = await answering({ health: () => health });
    const [text, json] = await Promise.all([
      dmgw(['health', '--socket', socket]),
      dmgw(['health', '--socket', socket, '--json']),
    ]);
    await close();
    assert.deepEqual(text, { code: 1, out: 'not healthy\nFAIL  storage: full\n', err: '' });
    assert.deepEqual([json.code, JSON.parse(json.out)], [1, health]);
  });
});
