import assert from 'node:assert/strict';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { HttpConnection, TOLD_MS } from './connection.js';

const LIMITS = {
  headerBytes: 1024,
  headerMs: 10_000,
  idleMs: 60_000,
  keepAliveMs: 5_000,
  requestsPerConnection: 100,
  minBytesPerSecond: 1,
  minRateMs: 60_000,
};

const closings: (() => void)[] = [];
afterEach(() => {
  for (const close of closings.splice(0)) close();
});

/** A connection at time 0, whose requests wait for their answers, and its client, which stays whatever it is told. */
async function exchange(): Promise<{ connection: HttpConnection; client: Socket; heard: () => string }> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const { port } = server.address() as AddressInfo;
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  let text = '';
  client.on('data', (bytes) => (text += bytes.toString('latin1'))).on('error', () => {});
  const connection = new HttpConnection(await accepted, '127.0.0.1', {
    limits: LIMITS,
    monotonicMs: () => 0,
    date: () => '',
    handle: () => ({ answer: () => new Promise(() => {}), closed: () => {} }),
  });
  closings.push(() => {
    client.destroy();
    connection.socket.destroy();
    server.close();
  });
  return { connection, client, heard: () => text };
}

describe('a connection', () => {
  it('whose request is not understood is held until the client has had time to hear it', async () => {
    const { connection, client, heard } = await exchange();
    client.write('junk\r\n\r\n');
    await eventually('the answer', () => heard().startsWith('HTTP/1.1 400 ') && client.readableEnded);
    connection.look(TOLD_MS - 1);
    assert.equal(connection.socket.destroyed, false);
    connection.look(TOLD_MS);
    assert.equal(connection.socket.destroyed, true);
  });

  it('whose client ends its side while content is waited for is over', async () => {
    const { connection, client } = await exchange();
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await eventually('the request', () => connection.socket.bytesRead > 0);
    connection.setWaiting(true);
    client.end();
    await eventually('its end', () => connection.socket.destroyed);
  });
});
