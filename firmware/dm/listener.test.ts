import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';
import { systemClock, type Clock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import { openListener, type Endpoint, type ListenerOptions, type NotificationListener } from './listener.js';
import { buildNotification, wrapWsp } from './notification.js';

const PACKAGE_0 = buildNotification(
  { version: 11, uiMode: 1, initiator: 'server', sessionId: 1, serverId: 's', vendor: new Uint8Array() },
  'secret',
  Uint8Array.of(1),
);

interface Ear {
  readonly listener: NotificationListener;
  readonly heard: Uint8Array[];
  /** Resolves when `count` notifications have come. */
  readonly waitFor: (count: number) => Promise<void>;
}

async function listen(context: TestContext, options: Partial<ListenerOptions> = {}): Promise<Ear> {
  const heard: Uint8Array[] = [];
  const opened = await openListener({
    addresses: ['127.0.0.1'],
    port: 0,
    clock: systemClock(0),
    log: silentLog,
    onNotification: (bytes) => heard.push(bytes),
    ...options,
  });
  assert.ok(opened.ok);
  const listener = opened.value;
  context.after(() => listener.close());
  const waitFor = async (count: number): Promise<void> => {
    await until(() => heard.length >= count);
    assert.equal(heard.length, count);
  };
  return { listener, heard, waitFor };
}

/** Ends after ten seconds at the latest: what was waited for is asserted afterwards. */
async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!condition() && performance.now() < deadlineMs) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function send(context: TestContext, to: Endpoint, ...datagrams: readonly Uint8Array[]): Promise<void> {
  const socket = createSocket(to.address.includes(':') ? 'udp6' : 'udp4');
  context.after(() => socket.close());
  for (const datagram of datagrams) {
    await new Promise((resolve) => socket.send(datagram, to.port, to.address, resolve));
  }
}

describe('openListener', () => {
  it('hands on bare and wrapped notifications and drops the rest', async (context) => {
    const { listener, heard, waitFor } = await listen(context);
    const noise = Buffer.alloc(40, 0xff);
    await send(context, listener.bound[0]!, noise, PACKAGE_0, new Uint8Array(), wrapWsp(PACKAGE_0, 9));
    await waitFor(2);
    for (const bytes of heard) assert.deepEqual(Buffer.from(bytes), PACKAGE_0);
  });

  it('hears IPv4 and IPv6 on the same port, and says where it listens', async (context) => {
    const probe = createSocket('udp4');
    probe.bind(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address();
    await new Promise<void>((resolve) => probe.close(() => resolve()));
    const { listener, waitFor } = await listen(context, { addresses: ['0.0.0.0', '::'], port });
    assert.deepEqual(listener.bound, [
      { address: '0.0.0.0', port },
      { address: '::', port },
    ]);
    await send(context, { address: '127.0.0.1', port }, PACKAGE_0);
    await send(context, { address: '::1', port }, PACKAGE_0);
    await waitFor(2);
  });

  it('drops a datagram that is longer than any notification', async (context) => {
    const { listener, heard, waitFor } = await listen(context);
    const long = Buffer.concat([PACKAGE_0, Buffer.alloc(1472)]);
    await send(context, listener.bound[0]!, long, PACKAGE_0);
    await waitFor(1);
    assert.deepEqual(
      heard.map(({ byteLength }) => byteLength),
      [PACKAGE_0.byteLength],
    );
  });

  it('looks at 50 datagrams in a second, then at none until the next, and warns once', async (context) => {
    let nowMs = 0;
    /** Each datagram costs one look at the clock. */
    let looks = 0;
    const warnings: string[] = [];
    const monotonicMs = (): number => {
      looks += 1;
      return nowMs;
    };
    const clock: Clock = { ...systemClock(0), monotonicMs };
    const log = { ...silentLog, warn: (text: string) => warnings.push(text) };
    const { listener, heard, waitFor } = await listen(context, { clock, log });
    await send(context, listener.bound[0]!, ...Array.from({ length: 80 }, () => PACKAGE_0));
    await until(() => looks >= 80);
    assert.equal(heard.length, 50);
    assert.equal(warnings.length, 1);
    nowMs = 1000;
    await send(context, listener.bound[0]!, PACKAGE_0);
    await waitFor(51);
  });

  it('binds all addresses or none, and says which it could not', async (context) => {
    const { listener } = await listen(context);
    const { port } = listener.bound[0]!;
    const second = await openListener({
      addresses: ['127.0.0.2', '127.0.0.1'],
      port,
      clock: systemClock(0),
      log: silentLog,
      onNotification: () => {},
    });
    assert.ok(!second.ok);
    assert.equal(second.error.code, 'bind');
    assert.match(second.error.text, new RegExp(`cannot listen on UDP 127.0.0.1 port ${port}: .*EADDRINUSE`));
    await listen(context, { addresses: ['127.0.0.2'], port });
  });

  it('refuses an address that is not of this machine', async () => {
    const opened = await openListener({
      addresses: ['192.0.2.1'],
      port: 0,
      clock: systemClock(0),
      log: silentLog,
      onNotification: () => {},
    });
    assert.equal(!opened.ok && opened.error.code, 'bind');
  });

  it('closes twice', async (context) => {
    const { listener } = await listen(context);
    await listener.close();
    await listener.close();
  });
});
