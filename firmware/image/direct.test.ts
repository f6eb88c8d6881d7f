import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { TLSSocket } from 'node:tls';
import { canPassNode, sendPastNode } from './direct.js';
import { pattern } from './fixture.js';

const CONTENT = pattern(32 * 1024 * 1024);

/** As much as the kernel takes at once. */
function writeDirect(response: ServerResponse, socket: Socket, bytes: Buffer): number {
  return sendPastNode(response, socket, (fd) => {
    try {
      return writeSync(fd, bytes);
    } catch {
      return 0;
    }
  });
}

/** A response whose headers have gone, and its client, which does not read. */
async function exchange(test: (response: ServerResponse, client: Socket) => Promise<void> | void): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const asked = new Promise<[IncomingMessage, ServerResponse]>((resolve) =>
    server.once('request', (request, response) => resolve([request, response])),
  );
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  client.pause();
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  const [, response] = await asked;
  response.writeHead(200, { 'Content-Length': CONTENT.length });
  await new Promise<void>((resolve) => response.write(CONTENT.subarray(0, 1), () => resolve()));
  await test(response, client);
  client.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

describe('a write past Node.js', { timeout: 20_000 }, () => {
  it('goes as far as the kernel takes, in order between those through Node.js, and keeps nothing', async () => {
    await exchange(async (response, client) => {
      const { socket } = response;
      assert.ok(socket);
      let sent = 1;
      for (let taken = -1; taken !== 0; sent += taken) {
        taken = writeDirect(response, socket, CONTENT.subarray(sent));
      }
      assert.ok(sent > 1 && sent < CONTENT.length, `${sent} bytes`);
      assert.equal(socket.writableLength, 0);

      const got: Buffer[] = [];
      const ended = new Promise((resolve) => client.once('end', resolve));
      client.on('data', (bytes) => got.push(bytes)).resume();
      while (sent < CONTENT.length) {
        const next = CONTENT.subarray(sent, sent + 16 * 1024);
        await new Promise<void>((resolve) => response.write(next, () => resolve()));
        sent += next.length;
        sent += writeDirect(response, socket, CONTENT.subarray(sent));
      }
      response.shouldKeepAlive = false;
      response.end();
      socket.end();
      await ended;
      const all = Buffer.concat(got);
      assert.ok(all.subarray(all.indexOf('\r\n\r\n') + 4).equals(CONTENT));
    });
  });

  it('does not overtake what still waits in Node.js', async () => {
    await exchange((response) => {
      const { socket } = response;
      assert.ok(socket);
      response.write(CONTENT.subarray(1));
      assert.equal(writeDirect(response, socket, CONTENT.subarray(0, 100)), 0);
    });
  });

  it('is none on a closed connection, whose descriptor may be another file by then', async () => {
    await exchange((response) => {
      const { socket } = response;
      assert.ok(socket);
      socket.destroy();
      assert.equal(writeDirect(response, socket, CONTENT.subarray(0, 100)), 0);
    });
  });

  it('is none over TLS, where it would be read as it is', async () => {
    await exchange((response) => {
      const { socket } = response;
      assert.ok(socket);
      const secure = new TLSSocket(socket, { isServer: true });
      secure.on('error', () => {});
      assert.equal(writeDirect(response, secure, CONTENT.subarray(0, 100)), 0);
      assert.equal(canPassNode(secure), false);
      assert.equal(canPassNode(socket), true);
      secure.destroy();
    });
  });
});
