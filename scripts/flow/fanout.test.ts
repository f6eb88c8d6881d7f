import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { AddressBlock } from './addresses.js';
import type { Answer, DeviceEvent } from './dm-server.js';
import type { Lab } from './lab.js';
import { add, addImage, ALERT, FANOUTS, get, startFanout, type FanoutPolicy, type FanoutTarget } from './operator.js';
import { eventually } from './wait.js';
import { MIB, retrievalAlert, testImage, withLab } from './with-lab.js';

/** Values of Target/<y>/Status. */
const SENT = '1';
const UNKNOWN_DEVICE = '3';
const UNREACHABLE = '4';

const DEVICES = './GwMO/DeviceInventory';

const STRANGER = 'MAC:02DEAD000001';

describe('fanout of notifications', { concurrency: 2 }, () => {
  it('goes on and ends when the gateway is killed in the middle', async () => {
    await withLab('killed-in-fanout', { devices: 2, offers: [] }, async (lab) => {
      const policy = { repeat: 3, interval: 1 };
      const answers = await start(lab, await targetsFor(lab, deviceIds(lab)), policy);
      assert.equal(answers.at(-1)?.status, 202);
      await lab.devices[0]?.waitFor('notification');
      await lab.gateway.kill();
      await lab.gateway.start();

      const alert = await finalAlert(lab);
      assert.match(alert.data ?? '', /^1200 total=2 sent=2 .*failed=0$/);
      assert.equal(alert.correlator, 'f');
      assert.deepEqual(await statuses(lab, 2), [SENT, SENT]);
      for (const device of lab.devices) {
        const received = device.log().filter(({ kind, digestOk }) => kind === 'notification' && digestOk);
        assert.ok(received.length >= 1 && received.length <= policy.repeat, `${received.length} notifications`);
      }
    });
  });

  it('reaches the other devices when one is unknown, and says which', async () => {
    await withLab('unknown-device', { devices: 1, offers: [] }, async (lab) => {
      const [known] = await targetsFor(lab, deviceIds(lab));
      assert.ok(known);
      const stranger = { ...known, deviceId: STRANGER };
      await start(lab, [stranger, known], { repeat: 2, interval: 1 });
      const alert = await finalAlert(lab);
      assert.equal(alert.mark, 'warning');
      assert.match(alert.data ?? '', /total=2 sent=1 .*failed=1$/);
      assert.deepEqual(await statuses(lab, 2), [UNKNOWN_DEVICE, SENT]);
      assert.equal((await lab.devices[0]?.waitFor('notification'))?.bytes, known.package0);
    });
  });

  it('wakes no more devices than the image server has room for', async () => {
    const gateway = { settings: { serve: { maxConnections: 3 } } };
    await withLab('room', { devices: 5, devicesPerProcess: 5, offers: [], gateway }, async (lab) => {
      await start(lab, await targetsFor(lab, deviceIds(lab)), { repeat: 2, interval: 3600 });
      const sent = await eventually('the first ones', async () => {
        const [{ value } = {}] = await lab.manage([get(`${FANOUTS}/f/Result/Sent`)]);
        return value === '0' ? undefined : value;
      });
      assert.equal(sent, '3');
    });
  });

  it('tells which devices are not there: nobody listens at their addresses', async () => {
    const image = await testImage('unheard', MIB, 30);
    await withLab('no-device', { devices: 0, absentDevices: 2, offers: [image.offer] }, async (lab) => {
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      await retrievalAlert(lab, 'a');
      await start(lab, await targetsFor(lab, lab.absent), { imageRef: 'a', repeat: 2, interval: 1 });
      const alert = await finalAlert(lab);
      assert.equal(alert.mark, 'warning');
      assert.match(alert.data ?? '', /total=2 .*reacted=0 failed=2$/);
      assert.deepEqual(await statuses(lab, 2), [UNREACHABLE, UNREACHABLE]);
      assert.equal((await lab.gateway.command('health', '--json')).code, 0);
    });
  });

  it('posts to devices that take HTTP, byte for byte, and tells which of them refused or were not there', async () => {
    const block = await AddressBlock.claim();
    const taking = await WebDevice.listen(block.device(10), 204);
    const refusing = await WebDevice.listen(block.device(11), 503);
    const closed = `http://${block.device(12)}:${await block.freePort(block.device(12), 0)}/`;
    try {
      await withLab('web-devices', { devices: 0, absentDevices: 1, offers: [], network: block }, async (lab) => {
        const [{ package0 } = { package0: '' }] = await targetsFor(lab, lab.absent);
        const urls = [taking.url, refusing.url, closed];
        const deviceIds = urls.map((_, index) => `X:web${index + 1}`);
        const added = await lab.manage(
          urls.flatMap((url, index) => [
            add(`${DEVICES}/web${index + 1}/DeviceID`, 'chr', deviceIds[index] ?? ''),
            add(`${DEVICES}/web${index + 1}/Address`, 'chr', url),
          ]),
        );
        assert.deepEqual([...new Set(added.map(({ status }) => status))], [200]);

        await start(
          lab,
          deviceIds.map((deviceId) => ({ deviceId, package0 })),
          { repeat: 2, interval: 1 },
        );
        assert.match((await finalAlert(lab)).data ?? '', /total=3 sent=1 reacted=0 failed=2$/);
        assert.deepEqual(await statuses(lab, 3), [SENT, UNREACHABLE, UNREACHABLE]);
        assert.deepEqual(taking.bodies, [package0, package0]);
        assert.deepEqual(refusing.bodies, [package0, package0]);
        assert.equal(taking.headers['content-type'], 'application/vnd.syncml.notification');
        assert.equal(taking.headers['x-wap-application-id'], 'x-wap-application:syncml.dm');
      });
    } finally {
      taking.close();
      refusing.close();
    }
  });

  it('is refused as a whole when a target has no notification', async () => {
    await withLab('no-notification', { devices: 0, absentDevices: 1, offers: [] }, async (lab) => {
      const answers = await lab.manage([
        { cmd: 'Add', target: `${FANOUTS}/f/Target/t1/DeviceID`, format: 'chr', data: lab.absent[0] ?? '' },
        { cmd: 'Exec', target: `${FANOUTS}/f/Operations/Start`, correlator: 'f' },
        get(`${FANOUTS}/f/State`),
      ]);
      assert.deepEqual([answers[0]?.status, answers[1]?.status, answers[2]?.value], [200, 500, '10']);
    });
  });
});

/** An End Device that takes its notifications by HTTP, and answers each with the same status. */
class WebDevice {
  /** Of each POST, base64. */
  readonly bodies: string[] = [];
  /** Of the last one. */
  headers: IncomingHttpHeaders = {};
  readonly #server;

  private constructor(status: number) {
    this.#server = createServer(({ method, headers }, response) => {
      const chunks: Buffer[] = [];
      response.req.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.req.on('end', () => {
        if (method === 'POST') this.bodies.push(Buffer.concat(chunks).toString('base64'));
        this.headers = headers;
        response.writeHead(status).end();
      });
    });
  }

  static async listen(host: string, status: number): Promise<WebDevice> {
    const device = new WebDevice(status);
    device.#server.listen(0, host);
    await once(device.#server, 'listening');
    return device;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}/notify`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function deviceIds(lab: Lab): string[] {
  return lab.devices.map(({ deviceId }) => deviceId);
}

function targetsFor(lab: Lab, ids: readonly string[]): Promise<FanoutTarget[]> {
  return Promise.all(
    ids.map(async (deviceId) => ({ deviceId, package0: (await lab.dm.notification(deviceId)).package0 })),
  );
}

function start(lab: Lab, targets: readonly FanoutTarget[], policy: FanoutPolicy): Promise<Answer[]> {
  return lab.manage(startFanout('f', targets, policy, 'f'));
}

function finalAlert(lab: Lab): Promise<DeviceEvent> {
  const fits = ({ kind, type }: DeviceEvent): boolean => kind === 'alert' && type === ALERT.fanoutFinished;
  return lab.dm.waitFor('the result of the fanout', lab.gatewayId, 0, fits);
}

async function statuses(lab: Lab, count: number): Promise<(string | undefined)[]> {
  const nodes = Array.from({ length: count }, (_, index) => get(`${FANOUTS}/f/Target/t${index + 1}/Status`));
  return (await lab.manage(nodes)).map(({ value }) => value);
}
