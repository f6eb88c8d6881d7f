import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Answer } from './foreign-client.js';
import { chal, ForeignClient, inside, macDigest, md5Cred, noWbxml, packageOne, status } from './foreign-client.js';
import { startLabServer, type LabServer } from './lab-server.js';

const NONCE = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
const SERVER_NONCE = Buffer.from('101112131415161718191a1b1c1d1e1f', 'hex');
const MAC_TYPE = 'syncml:auth-MAC';

const account = (deviceId: string) => ({
  deviceId,
  client: { scheme: 'mac', name: 'gw001', secret: 'gwSecret1', nonce: NONCE.toString('base64') },
  server: { scheme: 'mac', name: 'dmserver', secret: 'srvSecret1', nonce: SERVER_NONCE.toString('base64') },
});

const header = (mac: string): string => `algorithm=MD5, username="gw001", mac=${mac}`;
const right =
  (nonce: Uint8Array) =>
  (octets: Buffer): string =>
    header(macDigest('gw001', 'gwSecret1', nonce, octets));

/** What the server's header must be for this answer and nonce. */
const serverHeader = (answer: Answer, nonce: Uint8Array): string =>
  `algorithm=MD5, username="dmserver", mac=${macDigest('dmserver', 'srvSecret1', nonce, answer.octets)}`;

describe('the foreign client', () => {
  it('makes the macs of the published vectors', () => {
    const xml = Buffer.from('<SyncML xmlns="SYNCML:SYNCML1.2"></SyncML>');
    assert.equal(macDigest('gw001', 'gwSecret1', NONCE, xml), 'qItN+JRd1LYb0No34U25kA==');
  });
});

describe('the DM server, where every message is sealed by x-syncml-hmac', () => {
  let server: LabServer;
  let sessions = 0;
  const client = (deviceId: string, wbxml?: '1.2'): ForeignClient => {
    sessions += 1;
    return new ForeignClient({ url: server.url, deviceId, sessionId: `A${sessions}`, ...(wbxml && { wbxml }) });
  };

  before(async () => {
    const names = ['both', 'binary', 'bare', 'stale', 'guess', 'later', 'hex', 'md5', 'repeat', 'doubt', 'object'];
    server = await startLabServer({
      accounts: [
        ...names.map((name) => account(`urn:m:${name}`)),
        { deviceId: 'urn:m:up', client: { scheme: 'none' }, server: { ...account('').server, scheme: 'md5' } },
        { deviceId: 'urn:m:down', client: { scheme: 'none' }, server: account('').server },
      ],
    });
  });
  after(() => server.end());

  const holdSession = async (deviceId: string, wbxml?: '1.2'): Promise<void> => {
    const [id] = await server.queue(deviceId, { cmd: 'Get', target: './DevDetail/SwV' });
    const device = client(deviceId, wbxml);
    const one = await device.send(packageOne(deviceId), { hmac: right(NONCE) });
    // DMSEC: 200 and never 212, and a new nonce with every answer.
    assert.equal(one.statuses[0], 'SyncHdr:0=200');
    assert.equal(inside(inside(one.text, 'Chal'), 'Type'), MAC_TYPE);
    assert.equal(one.cred, '', 'no Cred beside the header');
    assert.equal(one.hmac, serverHeader(one, SERVER_NONCE));
    assert.equal(inside(inside(one.text, 'Source'), 'LocName'), 'dmserver');
    const next = Buffer.from('the next nonce of the device');
    const two = await device.send(
      status('1', '0', 'SyncHdr', 200, chal(next, MAC_TYPE)) + status('1', '4', 'Get', 404),
      { hmac: right(one.nextNonce!) },
    );
    assert.deepEqual(two.statuses, ['SyncHdr:0=200']);
    assert.notDeepEqual(two.nextNonce, one.nextNonce);
    assert.equal(two.hmac, serverHeader(two, next));
    assert.deepEqual(await server.statuses(deviceId), [[id, 404]]);
    const auth = (await server.events(deviceId)).filter(({ kind }) => kind === 'auth');
    assert.deepEqual(
      auth.map(({ side, result, code, scheme }) => [side, result, code, scheme]),
      [
        ['client', 'accepted', 200, MAC_TYPE],
        ['client', 'accepted', 200, MAC_TYPE],
        ['server', 'accepted', undefined, undefined],
      ],
    );

    // Both nonces are kept for the next session.
    const again = await client(deviceId, wbxml).send(packageOne(deviceId), { hmac: right(two.nextNonce!) });
    assert.equal(again.statuses[0], 'SyncHdr:0=200');
    assert.equal(again.hmac, serverHeader(again, next));
  };

  it('verifies and makes macs over the octets as they travel, with a new nonce each time', () =>
    holdSession('urn:m:both'));

  it('does so over WBXML', { skip: noWbxml }, () => holdSession('urn:m:binary', '1.2'));

  it('answers 407 to a message without one and processes nothing', async () => {
    const deviceId = 'urn:m:bare';
    const device = client(deviceId);
    const answer = await device.send(packageOne(deviceId));
    assert.deepEqual(answer.statuses, ['SyncHdr:0=407', 'Alert:1=407', 'Replace:2=407']);
    assert.equal(inside(inside(answer.text, 'Chal'), 'Type'), MAC_TYPE);
    assert.ok(!(await server.events(deviceId)).some(({ kind }) => kind === 'session-start' || kind === 'devinfo'));
    const proven = await device.send(packageOne(deviceId), { hmac: right(answer.nextNonce!) });
    assert.equal(proven.statuses[0], 'SyncHdr:0=200');
  });

  it('answers 401 to one made with an old nonce, and to one over other octets', async () => {
    const deviceId = 'urn:m:stale';
    const device = client(deviceId);
    const stale = await device.send(packageOne(deviceId), { hmac: right(Buffer.from('old')) });
    assert.deepEqual(stale.statuses, ['SyncHdr:0=401', 'Alert:1=401', 'Replace:2=401']);
    const changed = await device.send(packageOne(deviceId), {
      hmac: (octets) => right(stale.nextNonce!)(Buffer.concat([octets, Buffer.from('\n')])),
    });
    assert.equal(changed.statuses[0], 'SyncHdr:0=401');
    const proven = await device.send(packageOne(deviceId), { hmac: right(changed.nextNonce!) });
    assert.equal(proven.statuses[0], 'SyncHdr:0=200');
  });

  it('ends the session after two challenges', async () => {
    const deviceId = 'urn:m:guess';
    const device = client(deviceId);
    for (let tries = 0; tries < 3; tries += 1) {
      const answer = await device.send(packageOne(deviceId), { hmac: right(Buffer.from('guess')) });
      assert.equal(answer.statuses[0], 'SyncHdr:0=401');
    }
    const ended = (await server.events(deviceId)).find(({ kind }) => kind === 'session-end');
    assert.equal(ended?.reason, 'refused');
  });

  it('refuses a later message whose mac is wrong, and offers its commands again to one whose is right', async () => {
    const deviceId = 'urn:m:later';
    const [id] = await server.queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    const one = await device.send(packageOne(deviceId), { hmac: right(NONCE) });
    const replies = status('1', '0', 'SyncHdr', 200, chal(Buffer.from('x'), MAC_TYPE)) + status('1', '4', 'Get', 200);
    const refused = await device.send(replies, { hmac: right(NONCE) });
    assert.deepEqual(refused.statuses, ['SyncHdr:0=401']);
    assert.deepEqual(await server.statuses(deviceId), []);
    assert.notDeepEqual(refused.nextNonce, one.nextNonce);
    const again = await device.send(packageOne(deviceId), { hmac: right(refused.nextNonce!) });
    assert.equal(again.commands('Get').length, 1);
    await device.send(status('3', '0', 'SyncHdr', 200) + status('3', '4', 'Get', 404), {
      hmac: right(again.nextNonce!),
    });
    assert.deepEqual(await server.statuses(deviceId), [[id, 404]]);
  });

  it('takes a mac that is base64 of hexadecimal text, and parameters in any order', async () => {
    const deviceId = 'urn:m:hex';
    const hmac = (octets: Buffer): string => {
      const raw = Buffer.from(macDigest('gw001', 'gwSecret1', NONCE, octets), 'base64');
      return `mac=${Buffer.from(raw.toString('hex')).toString('base64')} ,username="gw001"`;
    };
    assert.equal((await client(deviceId).send(packageOne(deviceId), { hmac })).statuses[0], 'SyncHdr:0=200');
  });

  it('does not take a digest in Cred instead', async () => {
    const deviceId = 'urn:m:md5';
    const answer = await client(deviceId).send(packageOne(deviceId), { cred: md5Cred('gw001', 'gwSecret1', NONCE) });
    assert.equal(answer.statuses[0], 'SyncHdr:0=401');
    assert.equal(inside(inside(answer.text, 'Chal'), 'Type'), MAC_TYPE);
  });

  it('sends the same answer with the same header to a repeated message', async () => {
    const deviceId = 'urn:m:repeat';
    const device = client(deviceId);
    device.msgId = 1;
    const octets = Buffer.from(device.message(packageOne(deviceId)));
    const headers = { 'x-syncml-hmac': right(NONCE)(octets) };
    const one = await device.post(octets, headers);
    const two = await device.post(octets, headers);
    assert.ok(one.hmac);
    assert.deepEqual([two.text, two.hmac], [one.text, one.hmac]);
  });

  it('proves itself again with another nonce when the device answers 401', async () => {
    const deviceId = 'urn:m:doubt';
    await server.admin('POST', '/faults', { faults: [{ kind: 'wrong-credentials', deviceId }] });
    const [id] = await server.queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    const one = await device.send(packageOne(deviceId), { hmac: right(NONCE) });
    assert.notEqual(one.hmac, serverHeader(one, SERVER_NONCE));
    const fresh = Buffer.from('fresh nonce');
    const refused = status('1', '0', 'SyncHdr', 401, chal(fresh, MAC_TYPE)) + status('1', '4', 'Get', 401);
    const two = await device.send(refused, { hmac: right(one.nextNonce!) });
    assert.equal(two.hmac, serverHeader(two, fresh));
    const cmdId = inside(two.commands('Get')[0]!, 'CmdID');
    await device.send(status('2', '0', 'SyncHdr', 200) + status('2', cmdId, 'Get', 200), {
      hmac: right(two.nextNonce!),
    });
    assert.deepEqual(await server.statuses(deviceId), [[id, 200]]);
  });

  it('leaves its header out when asked to', async () => {
    const deviceId = 'urn:m:object';
    await server.admin('POST', '/faults', { faults: [{ kind: 'no-credentials', deviceId }] });
    assert.equal((await client(deviceId).send(packageOne(deviceId), { hmac: right(NONCE) })).hmac, undefined);
  });

  for (const [deviceId, asked, expected] of [
    ['urn:m:up', MAC_TYPE, 'seals its messages from then on'],
    ['urn:m:down', 'syncml:auth-md5', 'ends the session: it does less than its account says'],
  ] as const) {
    it(`challenged for ${asked}, ${expected}`, async () => {
      await server.queue(deviceId, { cmd: 'Get', target: './A' });
      const device = client(deviceId);
      await device.send(packageOne(deviceId));
      const fresh = Buffer.from('fresh');
      const answer = await device.send(
        status('1', '0', 'SyncHdr', 407, chal(fresh, asked)) + status('1', '4', 'Get', 407),
      );
      if (asked === MAC_TYPE) assert.equal(answer.hmac, serverHeader(answer, fresh));
      else assert.equal(inside(answer.commands('Alert')[0]!, 'Data'), '1223');
    });
  }
});
