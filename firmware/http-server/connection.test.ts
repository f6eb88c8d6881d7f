import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { eventually } from '../clock/eventually.fixture.js';
import { openExchange, type Exchange } from './connection.fixture.js';
import { TOLD_MS } from './connection.js';

const closings: (() => void)[] = [];
afterEach(() => {
  for (const close of closings.splice(0)) close();
});

/** A connection at time 0, its client, and what that has heard. */
async function exchange(): Promise<Exchange & { heard: () => string }> {
  const opened = await openExchange(() => 0);
  closings.push(opened.close);
  let text = '';
  opened.client.on('data', (bytes) => (text += bytes.toString('latin1')));
  return { ...opened, heard: () => text };
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
    const { connection, client, asked } = await exchange();
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await asked;
    connection.setWaiting(true);
    client.end();
    await eventually('its end', () => connection.socket.destroyed);
  });
});
