import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ForeignClient, inside, md5Cred, packageOne, status } from './foreign-client.js';
import { startLabServer, type LabServer } from './lab-server.js';

const NONCE = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

const md5Account = (deviceId: string) => ({
  deviceId,
  client: { scheme: 'md5', name: 'user', secret: 'userSecret', nonce: NONCE.toString('base64') },
  server: { scheme: 'none' },
});

describe('the DM server and what clients are seen to do', () => {
  let server: LabServer;
  const client = (deviceId: string, sessionId = 'F1'): ForeignClient =>
    new ForeignClient({ url: server.url, deviceId, sessionId });

  before(async () => {
    server = await startLabServer({
      accounts: [
        ...['swapped', 'breaks', 'repeats'].map((name) => md5Account(`urn:q:${name}`)),
        { deviceId: 'urn:q:final', client: { scheme: 'none' }, server: { scheme: 'none' } },
        { deviceId: 'urn:q:each', client: { scheme: 'none' }, server: { scheme: 'none' } },
      ],
    });
  });
  after(() => server.end());

  it('takes credentials made with the default nonce under a SessionID whose octets are swapped', async () => {
    const deviceId = 'urn:q:swapped';
    const path = `/devices/${encodeURIComponent(deviceId)}/notification`;
    await server.admin('POST', path, { sessionId: 0x1234, defaultNonce: true });
    const cred = md5Cred('user', 'userSecret', Buffer.alloc(4));
    const answer = await client(deviceId, '3412').send(packageOne(deviceId, 1200), { cred });
    assert.equal(answer.statuses[0], 'SyncHdr:0=212');
    const again = await client(deviceId, '1234').send(packageOne(deviceId, 1200), { cred });
    assert.equal(again.statuses[0], 'SyncHdr:0=401', 'the default nonce counts once');
  });

  it('takes base64 with line breaks', async () => {
    const deviceId = 'urn:q:breaks';
    const cred = md5Cred('user', 'userSecret', NONCE).replace(/<Data>(.{8})/, '<Data>\n $1\r\n');
    assert.equal((await client(deviceId).send(packageOne(deviceId), { cred })).statuses[0], 'SyncHdr:0=212');
  });

  it('takes credentials that are sent again after they were accepted', async () => {
    const deviceId = 'urn:q:repeats';
    await server.queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    const cred = md5Cred('user', 'userSecret', NONCE);
    await device.send(packageOne(deviceId), { cred });
    const end = await device.send(status('1', '0', 'SyncHdr', 200) + status('1', '4', 'Get', 404), { cred });
    assert.equal(end.statuses[0], 'SyncHdr:0=212');
  });

  it('goes on when the last message of a package lacks its Final', async () => {
    const deviceId = 'urn:q:final';
    const [id] = await server.queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    const first = await device.send(packageOne(deviceId), { final: false });
    assert.equal(inside(first.commands('Alert')[0]!, 'Data'), '1222');
    const got = await device.send(status('1', '0', 'SyncHdr', 200) + status('1', '4', 'Alert', 200), { final: false });
    const [get] = got.commands('Get');
    await device.send(status('2', '0', 'SyncHdr', 200) + status('2', inside(get!, 'CmdID'), 'Get', 404), {
      final: false,
    });
    const end = await device.send(status('3', '0', 'SyncHdr', 200) + status('3', '2', 'Alert', 200), { final: false });
    assert.ok(end.final, 'the session is over');
    assert.deepEqual(await server.statuses(deviceId), [[id, 404]]);
    assert.equal((await server.events(deviceId)).at(-1)?.reason, 'completed');
  });

  it('takes a large object from a client with Final in every message', async () => {
    const deviceId = 'urn:q:each';
    const [id] = await server.queue(deviceId, { cmd: 'Replace', target: './A', data: 'x'.repeat(4000) });
    const device = client(deviceId);
    let answer = await device.send(packageOne(deviceId), { maxMsgSize: 2500 });
    for (let chunk = answer.commands('Replace')[0]; chunk; [chunk] = answer.commands('Replace')) {
      const code = chunk.includes('<MoreData/>') ? 213 : 200;
      const said = status(answer.msgId, '0', 'SyncHdr', 200);
      answer = await device.send(said + status(answer.msgId, inside(chunk, 'CmdID'), 'Replace', code));
    }
    assert.deepEqual(await server.statuses(deviceId), [[id, 200]]);
  });
});
