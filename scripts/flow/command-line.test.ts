import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { commandReference } from '../../firmware/cli/index.js';
import { dmgw, RecordingTerminal } from '../../firmware/cli/terminal.fixture.js';
import { formatBytes } from '../../firmware/ops/index.js';
import type { Lab } from './lab.js';
import { add, addImage, ALERT, FANOUTS, IMAGES, startFanout, type FanoutTarget } from './operator.js';
import { PROGRAMS } from './project.js';
import { eventually } from './wait.js';
import { MIB, readImage, retrievalAlert, sha256At, testImage, withLab } from './with-lab.js';

/** Runs a command against the lab's gateway, in this process: only the gateway is a real one. */
function run(lab: Lab, ...words: string[]): ReturnType<typeof dmgw> {
  return dmgw([...words, '--socket', lab.gateway.socket]);
}

async function json(lab: Lab, ...words: string[]): Promise<Record<string, unknown>> {
  const { code, out, err } = await run(lab, ...words, '--json');
  assert.deepEqual([code, err], [0, ''], words.join(' '));
  return JSON.parse(out) as Record<string, unknown>;
}

function notificationsFor(lab: Lab): Promise<FanoutTarget[]> {
  const made = lab.absent.map(async (deviceId) => ({
    deviceId,
    package0: (await lab.dm.notification(deviceId)).package0,
  }));
  return Promise.all(made);
}

describe('the command line and the running gateway', { concurrency: 2 }, () => {
  it('adds, fetches, pins, verifies and removes images, as the DM Server sees it', async () => {
    const image = await testImage('by-hand', 2 * MIB, 40);
    await withLab('cli-images', { devices: 0, offers: [image.offer], rateBytesPerSecond: MIB / 16 }, async (lab) => {
      const uri = `${lab.downloads.urlOf(image.path)}?token=secret`;
      assert.equal((await run(lab, 'images', 'list')).out, 'no image\n');

      // From a URL, watched on a screen.
      await json(lab, 'images', 'add', '--id', 'a', '--uri', uri, '--name', 'Radio', '--digest', image.sha256);
      const screen = new RecordingTerminal(true);
      const fetching = dmgw(['images', 'fetch', 'a', '--socket', lab.gateway.socket], screen);
      await eventually('the bar', () => screen.out.includes('%') || undefined);
      await lab.downloads.rate(0);
      const fetched = await fetching;
      assert.equal(fetched.code, 0, fetched.err);
      assert.match(fetched.out, /\r[^\r]*\[[#-]{24}\] +[\d?]+ %[^]*\nimage +a\n/);
      const shown = await json(lab, 'images', 'show', 'a');
      assert.deepEqual(
        [shown.state, shown.sha256, shown.name, shown.requester, shown.imageURIs],
        ['available', image.sha256, 'Radio', '', [`${lab.downloads.urlOf(image.path)}?...`]],
      );
      assert.doesNotMatch((await run(lab, 'images', 'show', 'a')).out, /secret/);
      assert.equal(await sha256At(String(shown.localImageURI)), image.sha256);

      // From a file, by the real program: nothing but the socket between the two.
      const file = join(lab.gateway.stateDir, '../seed.bin');
      writeFileSync(file, Buffer.alloc(300_000, 7));
      const added = await lab.gateway.command('images', 'add', file, '--id', 'b', '--json');
      assert.equal(added.code, 0, added.stderr);
      assert.equal((JSON.parse(added.stdout) as { sizeBytes: number }).sizeBytes, 300_000);
      const wrong = await run(lab, 'images', 'add', file, '--id', 'c', '--digest', '0'.repeat(64));
      assert.deepEqual([wrong.code, wrong.err], [1, 'dmgw: the content does not have the expected SHA-256\n']);
      assert.equal((await run(lab, 'images', 'list')).out.trim().split('\n').length, 3);

      // What was added here, a DM Server may read and not change; what it asked for, it hears of.
      const [forbidden] = await lab.manage([add(`${IMAGES}/a/Description`, 'chr', 'mine')]);
      assert.equal(forbidden?.status, 425);
      assert.equal((await readImage(lab, 'b')).State, '50');
      const before = await lab.dm.now(lab.gatewayId);
      await lab.manage(addImage('s', { uri: lab.downloads.urlOf(image.path), digest: image.sha256 }));
      await retrievalAlert(lab, 's', before);
      assert.equal((await json(lab, 'images', 'pin', 's')).pinned, true);
      assert.equal(await lab.read(`${IMAGES}/s/Pinned`), 'true');
      assert.equal((await json(lab, 'images', 'unpin', 's')).pinned, false);
      assert.match((await run(lab, 'images', 'verify', 's')).out, /^reading s\ns: sound\n$/);
      assert.equal((await run(lab, 'images', 'remove', 's')).out, 'removed s\n');
      const told = await lab.dm.waitFor(
        'the end of s',
        lab.gatewayId,
        before,
        ({ type }) => type === ALERT.imageEvicted,
      );
      assert.deepEqual([told.source, told.data], [`${IMAGES}/s`, '1401']);
      const gone = await run(lab, 'images', 'show', 's');
      assert.deepEqual([gone.code, gone.err], [1, "dmgw: there is no image 's'\n"]);
    });
  });

  it('takes all that is said of an image, and tells by its exit code how a retrieval or a reading has ended', async () => {
    const image = await testImage('said', MIB, 43);
    await withLab('cli-said', { devices: 0, offers: [image.offer], rateBytesPerSecond: MIB / 16 }, async (lab) => {
      const uri = lab.downloads.urlOf(image.path);
      const said = ['--description', 'For kitchens', '--image-version', '7', '--priority=-3', '--pinned'];
      await json(lab, 'images', 'add', '--id', 'a', '--uri', uri, ...said);
      const { description, version, priority, pinned } = await json(lab, 'images', 'show', 'a');
      assert.deepEqual([description, version, priority, pinned], ['For kitchens', '7', -3, true]);
      const fraction = await run(lab, 'images', 'add', '--id', 'b', '--uri', uri, '--priority', '1.5');
      assert.deepEqual([fraction.code, fraction.out], [2, '']);
      const unsigned = await run(lab, 'images', 'add', '--id', 'b', '--uri', uri, '--signature', 'none');
      assert.deepEqual([unsigned.code, /signature/.test(unsigned.err)], [1, true]);

      assert.notEqual((await json(lab, 'images', 'fetch', 'a', '--no-wait')).state, 'available');
      await lab.downloads.rate(0);
      assert.equal((await run(lab, 'images', 'fetch', 'a')).code, 0);
      await json(lab, 'images', 'add', '--id', 'c', '--uri', `${uri}-gone`);
      const failed = await run(lab, 'images', 'fetch', 'c');
      assert.deepEqual([failed.code, failed.err], [1, '']);
      assert.match(failed.out, /^state +failed \(.*404\)$/m);
      assert.equal((await run(lab, 'images', 'fetch', 'c', '--uri', uri)).code, 0);

      const screen = new RecordingTerminal(true);
      await dmgw(['images', 'verify', 'a', '--socket', lab.gateway.socket], screen);
      assert.match(screen.out, /\rreading a \[#{24}\] 100 % [^\r\n]*\na: sound\n$/);
      const blob = join(lab.gateway.storeDir, 'blobs', image.sha256);
      const content = readFileSync(blob);
      content[5000] = (content[5000] ?? 0) ^ 1;
      writeFileSync(blob, content);
      const rotten = await run(lab, 'images', 'verify', 'a');
      assert.deepEqual([rotten.code, rotten.out], [1, 'reading a\na: rotten\n']);
    });
  });

  it('writes a report in which no secret stands', async () => {
    const secrets = { proxy: 'proxySecret-1', token: 'tokenSecret-2', user: 'urlSecret-3', server: 'newSecret-4' };
    const retrieve = {
      allowPrefixes: ['127.0.0.0/8'],
      proxy: { url: 'http://127.0.0.1:9', name: 'p', secret: secrets.proxy, exceptHosts: ['127.0.0.1'] },
      credentials: [{ origin: 'http://127.0.0.1:9', scheme: 'bearer', secret: secrets.token, allowInsecure: true }],
    };
    await withLab('cli-report', { devices: 0, offers: [], gateway: { settings: { retrieve } } }, async (lab) => {
      const uri = `http://u:${secrets.user}@127.0.0.1:9/a?token=${secrets.user}`;
      await run(lab, 'images', 'add', '--id', 'a', '--uri', uri);
      const leaf = './DMAcc/dm1.lab/AppAuth/1/AAuthSecret';
      await lab.manage([{ cmd: 'Replace', target: leaf, format: 'chr', data: secrets.server }]);
      const file = join(lab.gateway.stateDir, '../report.json');
      const written = await lab.gateway.command('report', file);
      const { mode, size } = statSync(file);
      const stdout = `${file}: ${formatBytes(size)}, look at it before you send it\n`;
      assert.deepEqual([written, mode & 0o777], [{ code: 0, stdout, stderr: '' }, 0o600]);
      const text = readFileSync(file, 'utf8');
      const report = JSON.parse(text) as {
        madeAt: string;
        program: object;
        preflight: { name: string }[];
        configuration: { key: string }[];
        files: { state: Record<string, number>; store: Record<string, number> };
        log: string[];
        status: { devId: string };
        health: object;
      };
      assert.equal(report.status.devId, lab.gatewayId);
      assert.ok(report.log.length > 3 && 'healthy' in report.health);
      const { madeAt, program, preflight, configuration, files } = report;
      assert.ok(Math.abs(Date.parse(madeAt) - Date.now()) < 60_000 && 'schema' in program);
      assert.deepEqual(
        [preflight.some(({ name }) => name === 'memory'), configuration.some(({ key }) => key === 'serve.port')],
        [true, true],
      );
      assert.ok('dmgw.db' in files.state && 'blobs' in files.store);
      const configured = JSON.parse(readFileSync(join(lab.gateway.stateDir, '../gateway.json'), 'utf8')) as {
        accounts: { client: { secret: string; nonce?: string }; server: { secret: string; nonce?: string } }[];
      };
      const shared = configured.accounts.flatMap(({ client, server }) => [client.secret, server.secret]);
      assert.ok(shared.length === 2 && shared.every((secret) => secret.length > 8));
      for (const secret of [...Object.values(secrets), ...shared]) {
        for (const form of [secret, Buffer.from(secret).toString('base64'), Buffer.from(secret).toString('hex')]) {
          assert.ok(!text.includes(form), secret);
        }
      }
    });
  });

  it('lists thousands of devices in pages, shows the tree and fanouts, and holds sessions', async () => {
    await withLab('cli-network', { devices: 0, absentDevices: 1, offers: [] }, async (lab) => {
      for (const words of [
        ['--address', 'udp://192.0.2.1:1'], // not in the LAN
        [],
      ]) {
        assert.notEqual((await run(lab, 'devices', 'add', 'MAC:020000000001', ...words)).code, 0);
      }
      const address = lab.gateway.localUri('x').replace(/^http:\/\/([^:]*):.*/, 'udp://$1:2948');
      for (let n = 0; n < 450; n += 1) {
        const { code, err } = await run(lab, 'devices', 'add', `urn:dev:${n}`, '--address', address, '--group', 'a,b');
        assert.equal(code, 0, err);
      }
      const devices = JSON.parse((await run(lab, 'devices', 'list', '--json')).out) as { deviceId: string }[];
      assert.equal(new Set(devices.map(({ deviceId }) => deviceId)).size, 451);
      assert.equal((await run(lab, 'devices', 'list')).out.trimEnd().split('\n').length, 452);
      const configured = await run(lab, 'devices', 'remove', lab.absent[0] ?? '');
      assert.match(configured.err, /stands in the configuration/);
      assert.equal((await run(lab, 'devices', 'remove', 'urn:dev:7')).code, 0);
      const listed = (await run(lab, 'tree', 'ls', './GwMO/DeviceInventory')).out.trimEnd().split('\n');
      assert.deepEqual([listed.length, new Set(listed).size], [451, 451]);
      assert.equal((await run(lab, 'tree', 'get', './DevInfo/DevId')).out, `${lab.gatewayId}\n`);
      assert.equal((await run(lab, 'tree', 'get', './DevInfo')).out, '(node)\n');
      const { nodeFormat } = await json(lab, 'tree', 'get', './DevInfo/DevId');
      assert.equal(nodeFormat, 'chr');
      const secret = await run(lab, 'tree', 'get', './DMAcc/dm1.lab/AppAuth/1/AAuthSecret');
      assert.deepEqual([secret.code, secret.err], [1, 'dmgw: AAuthSecret does not allow Get\n']);

      const session = await json(lab, 'session', 'now', '--wait');
      assert.equal((session.servers as { lastSession: string }[])[0]?.lastSession, 'completed');
      assert.equal((await run(lab, 'session', 'now', '--server', 'nobody')).code, 1);

      const targets = await notificationsFor(lab);
      await lab.manage(startFanout('f', targets, { repeat: 16, interval: 3600 }, 'f'));
      assert.equal((await json(lab, 'fanout', 'stop', 'f')).state, 'stopped');
      const alert = await lab.dm.waitFor('the end of f', lab.gatewayId, 0, ({ type }) => type === ALERT.fanoutFinished);
      assert.deepEqual([alert.source, alert.correlator], [`${FANOUTS}/f`, 'f']);
      assert.match(
        (await run(lab, 'fanout', 'show', 'f')).out,
        /^f: stopped, 1 targets[^\n]*\nTARGET[^\n]*\nt1 +MAC:\S+ +(stopped|unreachable|sent) +\d\n$/,
      );
      const watched = await run(lab, 'fanout', 'show', 'f', '--watch');
      assert.deepEqual([watched.code, /^f: stopped, 1 targets/.test(watched.out)], [1, true]);
      assert.equal((await run(lab, 'fanout', 'stop', 'f')).code, 1);
    });
  });

  it('takes all that is said of a device, and lets no name of it steer the terminal', async () => {
    await withLab('cli-device', { devices: 0, offers: [] }, async (lab) => {
      const address = lab.gateway.localUri('x').replace(/^http:\/\/([^:]*):.*/, 'udp://$1:2948');
      const said = ['--name', 'a\u202eb', '--group', 'a,b', '--encapsulation', 'raw', '--mode', 'proxy'];
      await json(lab, 'devices', 'add', 'urn:dev:1', '--address', address, ...said);
      const [device] = JSON.parse((await run(lab, 'devices', 'list', '--json')).out) as Record<string, unknown>[];
      assert.ok(device);
      const { name, groups, encapsulation, mode } = device;
      assert.deepEqual([name, groups, encapsulation, mode], ['a\u202eb', 'a/b', 'raw', 'proxy']);
      assert.match((await run(lab, 'devices', 'list')).out, / a\/b +a\?b\n$/);
    });
  });

  it('shows how a fanout comes on until its end: a bar on a screen, and a line for each change elsewhere', async () => {
    await withLab('cli-watch', { devices: 1, offers: [] }, async (lab) => {
      const deviceId = lab.devices[0]?.deviceId ?? '';
      const { package0 } = await lab.dm.notification(deviceId);
      await lab.manage(startFanout('f', [{ deviceId, package0 }], { repeat: 3, interval: 2 }, 'f'));
      const screen = new RecordingTerminal(true);
      const [shown, told] = await Promise.all([
        dmgw(['fanout', 'show', 'f', '--watch', '--socket', lab.gateway.socket], screen),
        run(lab, 'fanout', 'show', 'f', '--watch'),
      ]);
      const end = 'f: done, 1 targets, 1 sent, [01] reacted, 0 failed\n$';
      assert.match(shown.out, new RegExp(`^\\rf running \\[[#-]{24}\\] +\\d+ % [01] sent[^]*\\n${end}`));
      assert.match(told.out, new RegExp(`^(?:f running: \\d sent, [^\\n]* of 1\\n)+${end}`));
      assert.deepEqual([shown.code, told.code], [0, 0]);
    });
  });

  it('prints JSON for every command that takes --json: one line, but for the log', async () => {
    const image = await testImage('json', 100_000, 42);
    await withLab('cli-json', { devices: 0, absentDevices: 1, offers: [image.offer] }, async (lab) => {
      await lab.manage(startFanout('f', await notificationsFor(lab), { repeat: 16, interval: 3600 }, 'f'));
      const { socket, stateDir } = lab.gateway;
      const [config, idle, provisioned] = ['gateway.json', 'idle.json', 'provisioned.json'].map((name) =>
        join(stateDir, '..', name),
      ) as [string, string, string];
      const settings = JSON.parse(readFileSync(config, 'utf8')) as object;
      writeFileSync(idle, JSON.stringify({ ...settings, stateDir: `${stateDir}-idle` }), { mode: 0o600 });
      writeFileSync(provisioned, '{}');
      const address = lab.gateway.localUri('x').replace(/^http:\/\/([^:]*):.*/, 'udp://$1:2948');
      /** In this order: what is named must be there. */
      const typed: Readonly<Record<string, readonly string[]>> = {
        'images add': ['--id', 'a', '--uri', lab.downloads.urlOf(image.path)],
        'images fetch': ['a'],
        'images list': [],
        'images show': ['a'],
        'images pin': ['a'],
        'images unpin': ['a'],
        'images verify': ['a'],
        'images remove': ['a'],
        'devices add': ['urn:dev:1', '--address', address],
        'devices list': [],
        'devices remove': ['urn:dev:1'],
        'fanout list': [],
        'fanout show': ['f'],
        'fanout stop': ['f'],
        'session now': ['--wait'],
        'tree get': ['./DevInfo/DevId'],
        'tree ls': [],
        event: ['urn:x'],
        metered: ['off'],
        status: [],
        health: [],
        logs: [],
        'config check': [],
        'config show': [],
        'config keys': [],
        preflight: [],
        version: [],
        migrate: ['--config', idle],
        report: [join(stateDir, '../report.json')],
        provision: [provisioned],
        reload: [],
        'factory-reset': ['--yes'],
      };
      const commands = commandReference();
      const silent = commands.filter(({ options }) => !options.includes('json')).map(({ name }) => name);
      assert.deepEqual(silent, ['run', 'ddf', 'compile']);
      assert.deepEqual([...Object.keys(typed), ...silent].sort(), commands.map(({ name }) => name).sort());
      for (const [name, words] of Object.entries(typed)) {
        const takes = commands.find((command) => command.name === name)?.options ?? [];
        const place = takes.includes('socket') ? ['--socket', socket] : [];
        const file = takes.includes('config') && !words.includes('--config') ? ['--config', config] : [];
        const { code, out, err } = await dmgw([...name.split(' '), ...words, ...place, ...file, '--json']);
        assert.deepEqual([code, err], [0, ''], name);
        const lines = out.split('\n');
        assert.equal(lines.pop(), '', name);
        assert.ok(lines.length === 1 || (name === 'logs' && lines.length > 1), `${name}: ${lines.length} lines`);
        for (const line of lines) assert.equal(typeof JSON.parse(line), 'object', name);
      }
    });
  });

  it('follows the log until its reader leaves, and stops in time amid all of it', async () => {
    const image = await testImage('slow-cli', 4 * MIB, 41);
    const options = { devices: 0, absentDevices: 1, offers: [image.offer], rateBytesPerSecond: MIB / 8 };
    await withLab('cli-stop', options, async (lab) => {
      const follower = spawn(
        process.execPath,
        [PROGRAMS.gateway, 'logs', '-f', '-n', '100', '--socket', lab.gateway.socket],
        {
          stdio: ['ignore', 'pipe', 'ignore'],
        },
      );
      const lines: string[] = [];
      createInterface({ input: follower.stdout }).on('line', (line) => lines.push(line));
      const ended = once(follower, 'exit');
      // A retrieval, a fanout and a session run.
      await run(lab, 'images', 'add', '--id', 'a', '--uri', lab.downloads.urlOf(image.path));
      await lab.manage(startFanout('f', await notificationsFor(lab), { repeat: 16, interval: 1 }, 'f'));
      await eventually(
        'the log to tell',
        () => lines.some((line) => line.includes('image changes state')) || undefined,
      );
      await eventually('bytes to come in', async () =>
        ((await json(lab, 'images', 'show', 'a')).arrivedBytes as number) > MIB / 8 ? true : undefined,
      );
      for (const count of ['-1', '1.5', 'x', '10001']) {
        assert.equal((await run(lab, 'logs', `--lines=${count}`)).code, 2, count);
      }
      assert.ok(lines.length > 2);
      for (const count of [0, 1, 2]) {
        assert.equal((await run(lab, 'logs', '-n', `${count}`)).out.split('\n').length - 1, count);
      }
      await lab.dm.faults([{ kind: 'delay', deviceId: lab.gatewayId, times: 1, ms: 20_000 }]);
      await run(lab, 'session', 'now');
      const { receivedBytes } = await json(lab, 'images', 'show', 'a');
      const startedMs = performance.now();
      assert.deepEqual(await lab.gateway.stop(), { code: 0, signal: null });
      assert.ok(performance.now() - startedMs < 5000);
      assert.equal((await ended)[0], 1, 'whoever follows is told that the daemon has ended');
      await lab.downloads.rate(0);
      await lab.gateway.start();
      const after = await json(lab, 'images', 'show', 'a');
      assert.ok(Number(after.receivedBytes) >= Number(receivedBytes) && Number(after.receivedBytes) > 0);
      assert.equal((await json(lab, 'fanout', 'show', 'f')).running, true);
      assert.equal((await run(lab, 'images', 'fetch', 'a', '--json')).code, 0);
    });
  });
});
