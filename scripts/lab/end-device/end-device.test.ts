import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startLabServer, type LabServer } from '../dm-server/lab-server.js';
import { parseConfig } from './config.js';
import { startEndDevice, type RunningEndDevice } from './device.js';
import { startImageServer, type ImageServer } from './image-server.js';

const CONTENT = Buffer.from(Uint8Array.from({ length: 400_000 }, (_, at) => (at * 13 + (at >> 9)) & 0xff));
const SHA256 = createHash('sha256').update(CONTENT).digest('hex');
const NONCE = Buffer.from('a nonce to begin with').toString('base64');

const credentials = (deviceId: string) => ({
  client: { scheme: 'md5', secret: `client secret of ${deviceId}`, nonce: NONCE },
  server: { scheme: 'md5', secret: `server secret of ${deviceId}`, nonce: NONCE },
});
const basicCredentials = {
  client: { scheme: 'basic', name: 'dev', secret: 'a' },
  server: { scheme: 'basic', secret: 'b' },
};

const uri = encodeURIComponent;

describe('an End Device and the DM server', () => {
  const folder = mkdtempSync(join(tmpdir(), 'end-device-'));
  const names = [
    'whole',
    'missing',
    'stranger',
    'again',
    'challenged',
    'doubtful',
    'small',
    'asleep',
    'moving',
    'doubled',
    'resync',
    'refusing',
  ];
  let server: LabServer;
  let image: ImageServer;
  const devices: RunningEndDevice[] = [];

  before(async () => {
    server = await startLabServer({
      serverId: 'labserver',
      maxMsgSize: 2500,
      accounts: [
        ...names.map((name) => ({ deviceId: `urn:x:${name}`, ...credentials(`urn:x:${name}`) })),
        { deviceId: 'urn:x:basic', ...basicCredentials },
      ],
    });
    image = await startImageServer(CONTENT);
  });
  after(async () => {
    await Promise.all(devices.map((device) => device.close()));
    await server.end();
    await image.close();
    rmSync(folder, { recursive: true });
  });

  /** A device in folders of its own, by the last part of its id. */
  const start = async (name: string, more: { options?: object; server?: object } = {}): Promise<TestDevice> => {
    const deviceId = `urn:x:${name}`;
    const files = join(folder, name);
    const running = await startEndDevice(
      parseConfig(
        {
          deviceId,
          bindAddress: `127.77.0.${devices.length + 1}`,
          udpPort: 0,
          stateDir: join(files, 'state'),
          imageDir: join(files, 'images'),
          logFile: join(folder, `${name}.log`),
          server: { url: server.url, serverId: 'labserver', ...credentials(deviceId), ...more.server },
          options: { reportDelayMs: 20, maxRetryDelayMs: 20, ...more.options },
        },
        'test',
      ),
    );
    devices.push(running);
    return new TestDevice(running, join(folder, `${name}.log`));
  };
  const notify = async (device: TestDevice, body: object = {}): Promise<{ package0: string; sessionId: number }> => {
    const send = { host: device.running.address, port: device.running.udpPort, wsp: true };
    const reply = await server.admin('POST', `/devices/${uri(device.running.deviceId)}/notification`, {
      send,
      ...body,
    });
    return reply as unknown as { package0: string; sessionId: number };
  };
  const queue = async (device: TestDevice, ...commands: object[]): Promise<string[]> =>
    (await server.admin('POST', `/devices/${uri(device.running.deviceId)}/commands`, { commands })).ids as string[];
  const distribute = (device: TestDevice): Promise<string[]> =>
    queue(
      device,
      { id: 'url', cmd: 'Add', target: './SCOMO/Download/pkg/PkgURL', data: image.url },
      { id: 'id', cmd: 'Add', target: './SCOMO/Download/pkg/PkgID', data: 'app & co' },
      { id: 'go', cmd: 'Exec', target: './SCOMO/Download/pkg/Operations/Download', correlator: 'corr-1' },
    );
  const report = (device: TestDevice) => server.event(device.running.deviceId, ({ kind }) => kind === 'alert');

  it('is notified, fetches over a broken connection from its own address, and reports', async () => {
    const device = await start('whole');
    const { deviceId } = device.running;
    await distribute(device);
    image.requests.length = 0;
    image.tricks.push({ kind: 'cut', afterBytes: 123_456 });
    const { package0, sessionId } = await notify(device, { sessionId: 0xbeef });
    await notify(device, { sessionId: 0xbeef });
    const alert = await report(device);
    assert.equal(alert.type, 'urn:oma:at:scomo:1.0:OperationComplete');
    assert.equal(alert.correlator, 'corr-1');
    assert.equal(alert.data, '<ResultCode>1200</ResultCode><Identifier>app &amp; co</Identifier>');
    assert.equal(alert.source, './SCOMO/Download/pkg/Operations/Download');
    assert.equal(alert.target, './SCOMO/Inventory/Delivered/pkg');
    await device.logged('reported');

    const events = await server.events(deviceId);
    const starts = events.filter(({ kind }) => kind === 'session-start');
    assert.deepEqual(
      starts.map(({ alert: code }) => code),
      [1200, 1201],
      'one session for the notification, one for the report',
    );
    assert.equal(starts[0]?.sessionId, 'BEEF');
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'status').map(({ id, code }) => [id, code]),
      [
        ['url', 200],
        ['id', 200],
        ['go', 202],
      ],
    );
    assert.deepEqual(
      image.requests.map(({ range, from }) => [range === '' ? '' : 'more', from]),
      [
        ['', device.running.address],
        ['more', device.running.address],
      ],
    );
    const log = device.log();
    const notifications = log.filter(({ kind }) => kind === 'notification');
    assert.deepEqual(
      notifications.slice(0, 1).map(({ bytes, digestOk, sessionId: id }) => [bytes, digestOk, id]),
      [[package0, true, sessionId.toString(16).toUpperCase()]],
    );
    const download = log.find(({ kind }) => kind === 'download');
    assert.deepEqual(
      [download?.result, download?.bytes, download?.sha256, download?.url],
      ['ok', CONTENT.byteLength, SHA256, image.url],
    );
    assert.equal(log.find(({ kind }) => kind === 'reported')?.code, 1200);

    await queue(
      device,
      { cmd: 'Get', target: './SCOMO/Inventory/Delivered' },
      { cmd: 'Get', target: './SCOMO/Download' },
    );
    await notify(device);
    await server.event(
      deviceId,
      ({ kind, target, value }) => kind === 'results' && target === './SCOMO/Download' && value === '',
    );
    const delivered = (await server.events(deviceId)).find(
      ({ kind, target }) => kind === 'results' && target === './SCOMO/Inventory/Delivered',
    );
    assert.equal(delivered?.value, 'pkg');
    assert.doesNotMatch(device.text(), /secret of/);
  });

  it('reports a package that is not there as 1402, by a warning', async () => {
    const device = await start('missing');
    await distribute(device);
    image.tricks.push({ kind: 'status', status: 404 });
    await notify(device);
    const alert = await report(device);
    assert.equal(alert.mark, 'warning');
    assert.match(String(alert.data), /<ResultCode>1402</);
    assert.equal(alert.target, null);
    await queue(device, { cmd: 'Get', target: './SCOMO/Download/pkg/Status' });
    await device.logged('reported');
    await notify(device);
    const status = await server.event(device.running.deviceId, ({ kind }) => kind === 'results');
    assert.equal(status.value, '20');
  });

  it('opens no session for a notification that was made with another secret', async () => {
    const device = await start('stranger', { server: { server: { scheme: 'md5', secret: 'another', nonce: NONCE } } });
    await notify(device);
    const entry = await device.logged('notification');
    assert.deepEqual([entry.digestOk, entry.reason], [false, 'wrong-digest']);
    assert.ok(!device.log().some(({ kind }) => kind === 'session'));
  });

  it('goes on with a download after a restart, and reports it once', async () => {
    let device = await start('again');
    await distribute(device);
    image.tricks.push(...Array.from({ length: 3 }, () => ({ kind: 'cut' as const, afterBytes: 1000 })));
    await notify(device);
    await server.event(device.running.deviceId, ({ id, code }) => id === 'go' && code === 202);
    await device.running.close();
    image.tricks.length = 0;
    device = await start('again');
    const alert = await report(device);
    assert.match(String(alert.data), /1200/);
    assert.equal(alert.correlator, 'corr-1');
    await device.logged('reported');
    assert.equal((await server.events(device.running.deviceId)).filter(({ kind }) => kind === 'alert').length, 1);
  });

  it('answers a challenge by starting package 1 again with the new nonce', async () => {
    const device = await start('challenged');
    const { deviceId } = device.running;
    await server.admin('POST', '/faults', { faults: [{ kind: 'challenge', deviceId, times: 2 }] });
    await queue(device, { id: 'dev', cmd: 'Get', target: './DevInfo/DevId' });
    await notify(device);
    const results = await server.event(deviceId, ({ kind }) => kind === 'results');
    assert.equal(results.value, deviceId);
    const checks = (await server.events(deviceId)).filter(({ kind, side }) => kind === 'auth' && side === 'client');
    assert.deepEqual(
      checks.map(({ code }) => code),
      [401, 401, 212],
    );
  });

  it('executes nothing for a server that does not prove itself, and everything once it does', async () => {
    const device = await start('doubtful');
    const { deviceId } = device.running;
    await server.admin('POST', '/faults', { faults: [{ kind: 'wrong-credentials', deviceId }] });
    await queue(device, { id: 'add', cmd: 'Add', target: './SCOMO/Download/pkg/PkgURL', data: image.url });
    await notify(device);
    const added = await server.event(deviceId, ({ kind }) => kind === 'status');
    assert.deepEqual([added.id, added.code], ['add', 200]);
    const trust = (await server.events(deviceId)).filter(({ kind, side }) => kind === 'auth' && side === 'server');
    assert.deepEqual(
      trust.map(({ result }) => result),
      ['again', 'accepted'],
    );
  });

  it('sends its answers in several messages when the server takes only small ones', async () => {
    const device = await start('small');
    const { deviceId } = device.running;
    const gets = Array.from({ length: 12 }, (_, n) => ({ id: `get${n}`, cmd: 'Get', target: './DevInfo/Man' }));
    await queue(device, ...gets);
    await notify(device);
    await server.event(deviceId, ({ kind }) => kind === 'session-end');
    const events = await server.events(deviceId);
    assert.equal(events.filter(({ kind }) => kind === 'results').length, gets.length);
    assert.equal(events.find(({ kind }) => kind === 'session-end')?.reason, 'completed');
    const messages = readFileSync(join(server.folder, 'log'), 'utf8')
      .split('\n')
      .filter((line) => line.includes('"in"') && line.includes(deviceId));
    assert.ok(messages.length > 3, `${messages.length} messages`);
  });

  it('hears nothing while it sleeps', async () => {
    const device = await start('asleep', { options: { asleep: true } });
    await notify(device);
    assert.equal((await device.logged('dropped')).reason, 'asleep');
    device.running.wake();
    await notify(device);
    assert.equal((await device.logged('notification')).opensSession, true);
  });

  it('moves when its first notification comes, which is lost', async () => {
    const device = await start('moving', { options: { moveTo: '127.77.1.1' } });
    await notify(device);
    assert.equal((await device.logged('dropped')).reason, 'moved');
    assert.equal((await device.logged('moved')).address, '127.77.1.1');
    await notify(device, { send: { host: '127.77.1.1', port: device.running.udpPort, wsp: true } });
    assert.equal((await device.logged('notification')).opensSession, true);
  });

  it('opens one session for a notification that comes twice', async () => {
    const device = await start('doubled', { options: { duplicates: true } });
    await notify(device);
    await device.logged('session', ({ phase }) => phase === 'end');
    const taken = device.log().filter(({ kind }) => kind === 'notification');
    assert.deepEqual(
      taken.map(({ opensSession }) => opensSession),
      [true, false],
    );
  });

  it('agrees on new nonces after a notification with the default nonce', async () => {
    const stale = { scheme: 'md5', secret: 'server secret of urn:x:resync', nonce: '' };
    const device = await start('resync', { server: { server: stale } });
    const { deviceId } = device.running;
    await queue(device, { cmd: 'Get', target: './DevInfo/Mod' });
    await notify(device, { defaultNonce: true });
    await server.event(deviceId, ({ kind }) => kind === 'results');
    await device.logged('session', ({ phase }) => phase === 'end');
    await notify(device);
    const second = await device.logged(
      'notification',
      ({ bytes }) => bytes !== device.log().find(({ kind }) => kind === 'notification')?.bytes,
    );
    assert.equal(second.digestOk, true);
  });

  it('offers a report again until the server takes it', async () => {
    const device = await start('refusing');
    const { deviceId } = device.running;
    await distribute(device);
    await server.admin('POST', '/faults', { faults: [{ kind: 'alert-status', status: 500, deviceId }] });
    await notify(device);
    await server.event(deviceId, ({ kind, status }) => kind === 'alert' && status === 500);
    await device.logged('session', ({ phase, trigger }) => phase === 'end' && trigger === 'alert');
    await notify(device);
    await device.logged('reported');
    const alerts = (await server.events(deviceId)).filter(({ kind }) => kind === 'alert');
    assert.deepEqual(
      alerts.map(({ status }) => status),
      [500, 200],
    );
  });

  it('speaks basic as well', async () => {
    const device = await start('basic', { server: basicCredentials });
    await queue(device, { cmd: 'Get', target: './DevInfo/DevId' });
    await notify(device);
    const results = await server.event('urn:x:basic', ({ kind }) => kind === 'results');
    assert.equal(results.value, 'urn:x:basic');
  });
});

type LogEntry = Readonly<Record<string, unknown>>;

/** A device and the log that it writes. */
class TestDevice {
  constructor(
    readonly running: RunningEndDevice,
    private readonly logFile: string,
  ) {}

  text(): string {
    return readFileSync(this.logFile, 'utf8');
  }

  log(): LogEntry[] {
    return this.text()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LogEntry);
  }

  /** Waits for a line of the log. */
  async logged(kind: string, fits: (entry: LogEntry) => boolean = () => true): Promise<LogEntry> {
    for (let waits = 0; waits < 500; waits += 1) {
      const found = this.log().find((entry) => entry.kind === kind && fits(entry));
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`no ${kind} in the log:\n${this.text()}`);
  }
}
