import assert from 'node:assert/strict';
import dgram, { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { syncBuiltinESMExports } from 'node:module';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, it, mock } from 'node:test';
import { ManualClock, systemClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { native } from '../native/index.js';
import { Prefixes } from '../net/index.js';
import { success } from '../outcome/index.js';
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
    const open: Socket[] = [];

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

    const refused: readonly [string, DeviceAddress][] = [
      ['an IPv4 address outside the LAN', { transport: 'udp', host: '127.8.0.1', port: 9, encapsulation: 'raw' }],
      ['an IPv6 address outside the LAN', { transport: 'udp', host: '::2', port: 9, encapsulation: 'raw' }],
      ['a name where an address is due', { transport: 'udp', host: 'localhost', port: 9, encapsulation: 'raw' }],
    ];
    for (const [what, address] of refused) {
      it(`refuses ${what}`, async () => {
        assert.equal(await code(address), 'address-refused');
      });
    }

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
  });

describe('a forwarder that is asked to watch', () => {
  let forwarder: Forwarder;
  let clock: ManualClock;
  let device: Socket;
  let address: DeviceAddress;
  let unwatched: number;
  let late: string[];

  beforeEach(async () => {
    clock = new ManualClock();
    unwatched = 0;
    late = [];
    const sendNow = (): boolean => ((unwatched += 1), true);
    forwarder = new Forwarder({ clock, log: silentLog, lan, wrap: (bytes) => bytes, sendNow });
    device = createSocket('udp4');
    device.bind(0, '127.9.0.5');
    await once(device, 'listening');
    address = { transport: 'udp', host: '127.9.0.5', port: device.address().port, encapsulation: 'raw' };
  });
  afterEach(async () => {
    await forwarder.close();
    device.close();
  });

  const watch = (to = address): Promise<unknown> => forwarder.send(to, notification, (error) => late.push(error.code));

  it('watches 24 sends for four seconds, and sends what is more without', async () => {
    const sends = Array.from({ length: 30 }, () => watch());
    assert.equal(unwatched, 6);
    clock.advance(3_999);
    await Promise.all([...sends, watch()]);
    assert.equal(unwatched, 7);
    clock.advance(1);
    const next = watch();
    clock.advance(100);
    await next;
    assert.equal(unwatched, 7);
  });

  it('tells of a refusal that comes after it has said that all is well', async () => {
    const closed = createSocket('udp4');
    closed.bind(0, '127.9.0.6');
    await once(closed, 'listening');
    const { port } = closed.address();
    await new Promise<void>((resolve) => closed.close(resolve));
    const sending = watch({ transport: 'udp', host: '127.9.0.6', port, encapsulation: 'raw' });
    clock.advance(100);
    assert.deepEqual(await sending, success());
    for (const deadline = performance.now() + 20_000; late.length === 0 && performance.now() < deadline;)
      await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(late, ['refused']);
  });
});

describe('the socket of a forwarder', () => {
  const made: Socket[] = [];
  beforeEach(() => {
    const make = dgram.createSocket;
    mock.method(dgram, 'createSocket', (options: dgram.SocketOptions) => {
      const socket = make(options);
      made.push(socket);
      return socket;
    });
    syncBuiltinESMExports();
  });
  afterEach(() => {
    mock.restoreAll();
    syncBuiltinESMExports();
    made.length = 0;
  });

  it('serves all notifications until it fails; then another one takes its place', async () => {
    const forwarder = new Forwarder({ clock: systemClock(0), log: silentLog, lan, wrap: (bytes) => bytes });
    const send = async (): Promise<void> => {
      const sent = forwarder.send({ transport: 'udp', host: '127.9.0.7', port: 9, encapsulation: 'raw' }, notification);
      assert.deepEqual(await sent, success());
    };
    await send();
    await send();
    assert.equal(made.length, 1);
    const [first] = made;
    const closed = new Promise<void>((resolve) => first!.once('close', () => resolve()));
    const down = Object.assign(new Error('down'), { code: 'ENETDOWN' });
    first!.emit('error', down);
    // The kernel may have had more to say.
    first!.emit('error', down);
    await closed;
    await send();
    await send();
    assert.equal(made.length, 2);
    await forwarder.close();
  });
});

/** The same whichever way datagrams go. */
describe('forwarder over HTTP', () => {
  let forwarder: Forwarder;
  let clock: ManualClock;
  const open: Server[] = [];

  beforeEach(() => {
    clock = new ManualClock();
    forwarder = new Forwarder({ clock, log: silentLog, lan, wrap: () => Buffer.from('wrapped') });
  });
  afterEach(async () => {
    await forwarder.close();
    for (const server of open.splice(0)) {
      server.close();
      server.closeAllConnections();
    }
  });

  const listen = async (answer: RequestListener): Promise<string> => {
    const server = createServer(answer);
    open.push(server);
    server.listen(0, '127.9.0.3');
    await once(server, 'listening');
    return `http://127.9.0.3:${(server.address() as AddressInfo).port}/n`;
  };
  const code = async (url: string): Promise<string> => {
    const outcome = await forwarder.send({ transport: 'http', url, encapsulation: 'wsp' }, notification);
    return outcome.ok ? 'ok' : outcome.error.code;
  };

  it('posts the bare notification, whatever the encapsulation', async () => {
    const requests: { readonly request: IncomingMessage; readonly body: Buffer }[] = [];
    const url = await listen((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        requests.push({ request, body: Buffer.concat(chunks) });
        response.writeHead(204).end();
      });
    });
    assert.equal(await code(url), 'ok');
    const [{ request, body } = assert.fail()] = requests;
    assert.deepEqual(body, notification);
    assert.equal(request.method, 'POST');
    assert.equal(request.headers['content-type'], 'application/vnd.syncml.notification');
    assert.equal(request.headers['x-wap-application-id'], 'x-wap-application:syncml.dm');
  });

  it('takes any other status than 2xx for a rejection', async () => {
    for (const status of [302, 404, 503])
      assert.equal(
        await code(await listen((_, response) => response.writeHead(status).end('much to say'))),
        'rejected',
      );
  });

  for (const [what, url] of [
    ['a URL outside the LAN', 'http://127.8.0.1/'],
    ['a name that resolves outside the LAN', 'http://localhost:9/'],
    ['another scheme', 'file:///etc/passwd'],
    ['no URL', 'nonsense'],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const narrow = Prefixes.of(['127.9.0.0/16']);
      const strict = new Forwarder({ clock, log: silentLog, lan: narrow, wrap: (bytes) => bytes });
      const outcome = await strict.send({ transport: 'http', url, encapsulation: 'raw' }, notification);
      assert.ok(!outcome.ok && outcome.error.code === 'address-refused');
      await strict.close();
    });
  }

  it('says that nobody answers where no HTTP server listens', async () => {
    assert.equal(await code('http://127.9.0.4:9/'), 'unreachable');
  });

  /** A device that goes on answering without end. @param asked told of its request */
  const endless = (asked: () => void): Promise<string> =>
    listen(({ socket }) => {
      socket.write('HTTP/1.1 200 OK\r\n');
      const dripping = setInterval(() => socket.write('X-More: yes\r\n'), 50);
      socket.on('error', () => {}).on('close', () => clearInterval(dripping));
      asked();
    });

  it('takes a device for unreachable that is not through with its answer in time', { timeout: 60_000 }, async () => {
    const url = await endless(() => clock.advance(3_000));
    assert.equal(await code(url), 'unreachable');
  });

  it('ends a request when closed, and sends nothing afterwards', { timeout: 60_000 }, async () => {
    const url = await endless(() => void forwarder.close());
    assert.equal(await code(url), 'unreachable');
    assert.equal(await code(url), 'closed');
  });
});

describe('what an error of a socket means for a notification', () => {
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
    it(`${error} of a socket is ${expected}`, () => {
      assert.equal(udpError(Object.assign(new Error(error), { code: error })).code, expected);
    });
  }
});
