import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { systemClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { native } from '../native/index.js';
import { Prefixes } from '../net/index.js';
import { udpError } from './forwarder.js';
import { Forwarder, MAX_NOTIFICATION_BYTES, MAX_SENDS_IN_FLIGHT, type DeviceAddress } from './index.js';

const parsed = Prefixes.parse(['127.9.0.0/16', '::1']);
assert.ok(parsed.ok);
const lan = parsed.value;

/** Section 10.4: the wrapping of vector A. */
const notification = Buffer.from('13064ee6f4ad913d9949092bc462ab5802d8000000123408646d736572766572', 'hex');
const wspHeader = Buffer.from('010603c4af87', 'hex');

const ways = [
  ['forwarder', undefined],
  ['forwarder that sends without Node.js', native().sendDatagram],
  ['forwarder whose kernel takes nothing at once', () => false],
] as const;

for (const [way, sendNow] of ways)
  describe(way, () => {
    let forwarder: Forwarder;
    const open: (Socket | Server)[] = [];

    beforeEach(() => {
      forwarder = new Forwarder({
        clock: systemClock(0),
        log: silentLog,
        lan,
        wrap: (bytes, encapsulation) => (encapsulation === 'wsp' ? Buffer.concat([wspHeader, bytes]) : bytes),
        ...(sendNow && { sendNow }),
      });
    });
    afterEach(async () => {
      await forwarder.close();
      for (const closing of open.splice(0)) closing.close();
    });

    const listenUdp = async (host: string): Promise<{ socket: Socket; port: number }> => {
      const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
      open.push(socket);
      socket.bind(0, host);
      await once(socket, 'listening');
      return { socket, port: socket.address().port };
    };
    const listenHttp = async (
      status: number,
    ): Promise<{ port: number; requests: { request: IncomingMessage; body: Buffer }[] }> => {
      const requests: { request: IncomingMessage; body: Buffer }[] = [];
      const server = createServer((request, response) => {
        const chunks: Buffer[] = [];
        request.on('data', (chunk: Buffer) => chunks.push(chunk));
        request.on('end', () => {
          requests.push({ request, body: Buffer.concat(chunks) });
          response.writeHead(status).end('much to say');
        });
      });
      open.push(server);
      server.listen(0, '127.9.0.3');
      await once(server, 'listening');
      return { port: (server.address() as AddressInfo).port, requests };
    };
    const code = async (address: DeviceAddress, bytes: Uint8Array = notification): Promise<string> => {
      const outcome = await forwarder.send(address, bytes);
      return outcome.ok ? 'ok' : outcome.error.code;
    };

    for (const host of ['127.9.0.1', '::1']) {
      for (const encapsulation of ['wsp', 'raw'] as const) {
        it(`sends over UDP to ${host} as ${encapsulation}, byte for byte`, async () => {
          const { socket, port } = await listenUdp(host);
          const arrived = once(socket, 'message') as Promise<[Buffer]>;
          assert.equal(await code({ transport: 'udp', host, port, encapsulation }), 'ok');
          const expected = encapsulation === 'wsp' ? Buffer.concat([wspHeader, notification]) : notification;
          assert.deepEqual((await arrived)[0], expected);
        });
      }
    }

    it('posts the bare notification over HTTP, whatever the encapsulation', async () => {
      const { port, requests } = await listenHttp(204);
      assert.equal(await code({ transport: 'http', url: `http://127.9.0.3:${port}/n`, encapsulation: 'wsp' }), 'ok');
      assert.deepEqual(requests[0]?.body, notification);
      assert.equal(requests[0].request.method, 'POST');
      assert.equal(requests[0].request.headers['content-type'], 'application/vnd.syncml.notification');
    });

    it('takes any other status than 2xx for a rejection', async () => {
      const { port } = await listenHttp(302);
      assert.equal(
        await code({ transport: 'http', url: `http://127.9.0.3:${port}/`, encapsulation: 'raw' }),
        'rejected',
      );
    });

    const refused: readonly [string, DeviceAddress][] = [
      ['an IPv4 address outside the LAN', { transport: 'udp', host: '127.8.0.1', port: 9, encapsulation: 'raw' }],
      ['an IPv6 address outside the LAN', { transport: 'udp', host: '::2', port: 9, encapsulation: 'raw' }],
      ['a name where an address is due', { transport: 'udp', host: 'localhost', port: 9, encapsulation: 'raw' }],
      ['a URL outside the LAN', { transport: 'http', url: 'http://127.8.0.1/', encapsulation: 'raw' }],
      ['another scheme', { transport: 'http', url: 'file:///etc/passwd', encapsulation: 'raw' }],
      ['no URL', { transport: 'http', url: 'nonsense', encapsulation: 'raw' }],
    ];
    for (const [what, address] of refused) {
      it(`refuses ${what}`, async () => {
        assert.equal(await code(address), 'address-refused');
      });
    }

    it('refuses a name that resolves outside the LAN', async () => {
      const narrow = Prefixes.parse(['127.9.0.0/16']);
      assert.ok(narrow.ok);
      const strict = new Forwarder({
        clock: systemClock(0),
        log: silentLog,
        lan: narrow.value,
        wrap: (bytes) => bytes,
      });
      const outcome = await strict.send(
        { transport: 'http', url: 'http://localhost:9/', encapsulation: 'raw' },
        notification,
      );
      assert.ok(!outcome.ok && outcome.error.code === 'address-refused');
      await strict.close();
    });

    it('says that nobody answers where no HTTP server listens', async () => {
      assert.equal(await code({ transport: 'http', url: 'http://127.9.0.4:9/', encapsulation: 'raw' }), 'unreachable');
    });

    it('says that a device does not listen, where it is asked to watch', async () => {
      const { socket, port } = await listenUdp('127.9.0.1');
      const address: DeviceAddress = { transport: 'udp', host: '127.9.0.1', port, encapsulation: 'raw' };
      const late: string[] = [];
      const watched = async (): Promise<string> => {
        const outcome = await forwarder.send(address, notification, (error) => late.push(error.code));
        return outcome.ok ? 'ok' : outcome.error.code;
      };
      const arrived = once(socket, 'message') as Promise<[Buffer]>;
      assert.equal(await watched(), 'ok');
      assert.deepEqual((await arrived)[0], notification);
      open.splice(open.indexOf(socket), 1);
      socket.close();
      await once(socket, 'close');
      assert.equal(await watched(), 'refused');
      assert.equal(await code(address), 'ok');
      assert.deepEqual(late, []);
    });

    it('watches no more than it has room for, and sends the others all the same', { timeout: 60_000 }, async () => {
      const { socket, port } = await listenUdp('127.9.0.1');
      const allHeard = new Promise<void>((resolve) => {
        let heard = 0;
        socket.on('message', () => {
          heard += 1;
          if (heard === MAX_SENDS_IN_FLIGHT) resolve();
        });
      });
      const address: DeviceAddress = { transport: 'udp', host: '127.9.0.1', port, encapsulation: 'raw' };
      const sends = Array.from({ length: MAX_SENDS_IN_FLIGHT }, () => forwarder.send(address, notification, () => {}));
      assert.ok((await Promise.all(sends)).every((outcome) => outcome.ok));
      await allHeard;
    });

    const socketErrors: readonly [string, string][] = [
      ['ECONNREFUSED', 'refused'],
      ['EHOSTUNREACH', 'unreachable'],
      ['ENETUNREACH', 'unreachable'],
      ['ENOBUFS', 'no-buffers'],
      ['ENOMEM', 'no-buffers'],
      ['EAGAIN', 'no-buffers'],
      ['EMSGSIZE', 'too-large'],
      ['EACCES', 'failed'],
      ['EPERM', 'failed'],
    ];
    for (const [error, expected] of socketErrors) {
      it(`${error} of a socket is the outcome ${expected}`, () => {
        assert.equal(udpError(Object.assign(new Error(error), { code: error })).code, expected);
      });
    }

    it('refuses a notification that does not fit one frame, and a wrapped one that the kernel refuses', async () => {
      const { port } = await listenUdp('127.9.0.1');
      const address: DeviceAddress = { transport: 'udp', host: '127.9.0.1', port, encapsulation: 'raw' };
      assert.equal(await code(address, Buffer.alloc(MAX_NOTIFICATION_BYTES)), 'ok');
      assert.equal(await code(address, Buffer.alloc(MAX_NOTIFICATION_BYTES + 1)), 'too-large');
      const inflating = new Forwarder({
        clock: systemClock(0),
        log: silentLog,
        lan,
        wrap: () => Buffer.alloc(70_000),
        ...(sendNow && { sendNow }),
      });
      const outcome = await inflating.send(address, notification);
      assert.ok(!outcome.ok && outcome.error.code === 'too-large');
      await inflating.close();
    });

    it('refuses more than the bound in flight, and takes new ones afterwards', async () => {
      const { port } = await listenUdp('127.9.0.1');
      const address: DeviceAddress = { transport: 'udp', host: '127.9.0.1', port, encapsulation: 'raw' };
      const codes = await Promise.all(Array.from({ length: MAX_SENDS_IN_FLIGHT + 3 }, () => code(address)));
      // What has left at once is not in flight.
      const busy = way === 'forwarder that sends without Node.js' ? 0 : 3;
      assert.equal(codes.filter((one) => one === 'ok').length, MAX_SENDS_IN_FLIGHT + 3 - busy);
      assert.equal(codes.filter((one) => one === 'busy').length, busy);
      assert.equal(await code(address), 'ok');
    });

    it('ends a silent HTTP request when closed, and sends nothing afterwards', async () => {
      const server = createServer(() => {});
      open.push(server);
      server.listen(0, '127.9.0.3');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const sending = code({ transport: 'http', url: `http://127.9.0.3:${port}/`, encapsulation: 'raw' });
      await once(server, 'request');
      await forwarder.close();
      assert.equal(await sending, 'unreachable');
      assert.equal(await code({ transport: 'udp', host: '127.9.0.1', port: 9, encapsulation: 'raw' }), 'closed');
      server.closeAllConnections();
    });
  });
