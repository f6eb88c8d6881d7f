import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { TLSSocket } from 'node:tls';
import { canPassNode, sendPastNode } from './direct.js';

const CONTENT = Buffer.alloc(32 * 1024 * 1024, 'everything but the end ');

/** As much as the kernel takes at once. */
function writeDirect(socket: Socket, bytes: Buffer): number {
  return sendPastNode(socket, (fd) => {
    try {
      return writeSync(fd, bytes);
    } catch {
      return 0;
    }
  });
}

/** One end of a connection, on which something has gone, and its client, which does not read. */
async function exchange(test: (socket: Socket, client: Socket) => Promise<void> | void): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  client.pause();
  const socket = await accepted;
  socket.on('error', () => {});
  await new Promise<void>((resolve) => socket.write(CONTENT.subarray(0, 1), () => resolve()));
  await test(socket, client);
  client.destroy();
  socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}

describe('a write past Node.js', { timeout: 20_000 }, () => {
  it('goes as far as the kernel takes, in order between those through Node.js, and keeps nothing', async () => {
    await exchange(async (socket, client) => {
      let sent = 1;
      for (let taken = -1; taken !== 0; sent += taken) {
        taken = writeDirect(socket, CONTENT.subarray(sent));
      }
      assert.ok(sent > 1 && sent < CONTENT.length, `${sent} bytes`);
      assert.equal(socket.writableLength, 0);

      const got: Buffer[] = [];
      const ended = new Promise((resolve) => client.once('end', resolve));
      client.on('data', (bytes) => got.push(bytes)).resume();
      while (sent < CONTENT.length) {
        const next = CONTENT.subarray(sent, sent + 16 * 1024);
        await new Promise<void>((resolve) => socket.write(next, () => resolve()));
        sent += next.length;
        sent += writeDirect(socket, CONTENT.subarray(sent));
      }
      socket.end();
      await ended;
      assert.ok(Buffer.concat(got).equals(CONTENT));
    });
  });

  it('does not overtake what still waits in Node.js', async () => {
    await exchange((socket) => {
      socket.write(CONTENT.subarray(1));
      assert.equal(writeDirect(socket, CONTENT.subarray(0, 100)), 0);
    });
  });

  it('is none on a closed connection, whose descriptor may be another file by then', async () => {
    await exchange((socket) => {
      socket.destroy();
      assert.equal(writeDirect(socket, CONTENT.subarray(0, 100)), 0);
    });
  });

  it('is none over TLS, where it would be read as it is', async () => {
    await exchange((socket) => {
      const secure = new TLSSocket(socket, { isServer: true });
      secure.on('error', () => {});
      assert.equal(writeDirect(secure, CONTENT.subarray(0, 100)), 0);
      assert.equal(canPassNode(secure), false);
      assert.equal(canPassNode(socket), true);
      secure.destroy();
    });
  });
});
