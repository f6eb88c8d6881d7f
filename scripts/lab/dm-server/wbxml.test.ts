import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ForeignClient, inside, md5Cred, noWbxml, packageOne, status } from './foreign-client.js';
import { startLabServer, type LabServer } from './lab-server.js';

const NONCE = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');

const openAccount = (deviceId: string) => ({ deviceId, client: { scheme: 'none' }, server: { scheme: 'none' } });

describe('the DM server, held against a client that speaks the WBXML of libwbxml', { skip: noWbxml }, () => {
  let server: LabServer;
  let sessions = 0;
  const client = (
    deviceId: string,
    wbxml: '1.1' | '1.2' | '1.3' = '1.3',
    more: { contentType?: string } = {},
  ): ForeignClient => {
    sessions += 1;
    return new ForeignClient({ url: server.url, deviceId, sessionId: `B${sessions}`, wbxml, ...more });
  };

  before(async () => {
    server = await startLabServer({
      logMessages: true,
      accounts: [
        ...['1.1', '1.2', '1.3', 'values', 'small', 'switch', 'garbage'].map((name) => openAccount(`urn:w:${name}`)),
        {
          deviceId: 'urn:w:md5',
          client: { scheme: 'md5', name: 'user', secret: 'userSecret', nonce: NONCE.toString('base64') },
          server: { scheme: 'none' },
        },
      ],
    });
  });
  after(() => server.end());

  for (const version of ['1.1', '1.2', '1.3'] as const) {
    it(`reads version ${version}, with a string table, and answers in WBXML`, async () => {
      const deviceId = `urn:w:${version}`;
      const [id] = await server.queue(deviceId, { cmd: 'Get', target: './DevDetail/SwV' });
      const device = client(deviceId, version);
      const one = await device.send(packageOne(deviceId));
      assert.equal(one.octets[0], 3);
      assert.deepEqual(one.statuses, ['SyncHdr:0=200', 'Alert:1=200', 'Replace:2=200']);
      // libwbxml writes text in the Data of a Replace as octets: it is text all the same.
      const { devInfo } = (await server.events(deviceId)).find(({ kind }) => kind === 'devinfo')!;
      assert.deepEqual(devInfo, { DevId: deviceId, Man: 'Foreign & Sons', Mod: 'F1', DmV: '0.1', Lang: 'en' });
      const results = `<Results><CmdID>9</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Item><Source><LocURI>./DevDetail/SwV</LocURI></Source><Data>7 &lt; 8 \u00e4</Data></Item></Results>`;
      const end = await device.send(status('1', '0', 'SyncHdr', 200) + status('1', '4', 'Get', 200) + results);
      assert.deepEqual(end.statuses, ['SyncHdr:0=200']);
      const seen = await server.events(deviceId);
      assert.deepEqual(await server.statuses(deviceId), [[id, 200]]);
      const result = seen.find(({ kind }) => kind === 'results');
      assert.deepEqual([result?.value, result?.format], ['7 < 8 \u00e4', 'chr']);
    });
  }

  it('takes the types of Data Sync, and answers under those of DM', async () => {
    const device = client('urn:w:1.1', '1.1', { contentType: 'application/vnd.syncml+wbxml' });
    const answer = await device.send(packageOne('urn:w:1.1'));
    assert.equal(answer.octets[0], 3);
    const bare = new ForeignClient({ url: server.url, deviceId: 'urn:w:1.1', sessionId: 'D1' });
    const xml = bare.message(packageOne('urn:w:1.1'));
    const reply = await bare.post(xml, { 'Content-Type': 'application/vnd.syncml+xml' });
    assert.equal(reply.contentType, 'application/vnd.syncml.dm+xml; charset=UTF-8');
    const wrong = await bare.post(xml, { 'Content-Type': 'application/vnd.syncml+wbxml' });
    assert.equal(wrong.status, 400);
  });

  it('sends octets as they are, of Format bin, and tells octets of Results as base64', async () => {
    const deviceId = 'urn:w:values';
    const octets = Buffer.from('raw octets, to be seen');
    await server.queue(
      deviceId,
      { cmd: 'Add', target: './A', format: 'bin', data: octets.toString('base64') },
      { id: 'get', cmd: 'Get', target: './A' },
    );
    const device = client(deviceId);
    const one = await device.send(packageOne(deviceId));
    assert.ok(one.octets.includes(Buffer.concat([Buffer.from([0xc3, octets.byteLength]), octets])), 'an opaque');
    assert.match(one.commands('Add')[0]!, /<Format[^>]*>bin</);
    // As a client that knows no opaque has it: base64, and Format says so.
    const base64 = Buffer.from([0, 1, 0xff]).toString('base64');
    await device.send(
      `${status('1', '0', 'SyncHdr', 200)}${status('1', '4', 'Add', 200)}${status('1', '5', 'Get', 200)}
       <Results><CmdID>9</CmdID><MsgRef>1</MsgRef><CmdRef>5</CmdRef><Item><Source><LocURI>./A</LocURI></Source><Meta><Format xmlns="syncml:metinf">b64</Format></Meta><Data>${base64}</Data></Item></Results>`,
    );
    const result = (await server.events(deviceId)).find(({ kind }) => kind === 'results');
    assert.deepEqual([result?.id, result?.value, result?.format], ['get', base64, 'b64']);
  });

  it('fills messages up to the MaxMsgSize of the device, and never beyond', async () => {
    const deviceId = 'urn:w:small';
    const ids = await server.queue(
      deviceId,
      ...Array.from({ length: 40 }, (_, n) => ({ cmd: 'Replace', target: `./V${n}`, data: 'v'.repeat(60 + n) })),
    );
    const device = client(deviceId);
    let answer = await device.send(packageOne(deviceId), { maxMsgSize: 1500 });
    let fullest = 0;
    while (answer.commands('Replace').length > 0) {
      fullest = Math.max(fullest, answer.octets.byteLength);
      const statuses = answer
        .commands('Replace')
        .map((one) => status(answer.msgId, inside(one, 'CmdID'), 'Replace', 200));
      answer = await device.send(status(answer.msgId, '0', 'SyncHdr', 200) + statuses.join(''));
    }
    assert.ok(fullest <= 1500 && fullest > 1300, `${fullest} octets`);
    assert.deepEqual(
      await server.statuses(deviceId),
      ids.map((id) => [id, 200]),
    );
  });

  it('authenticates by md5, and its log is readable without credentials', async () => {
    const deviceId = 'urn:w:md5';
    const answer = await client(deviceId).send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    assert.equal(answer.statuses[0], 'SyncHdr:0=212');
    const lines = readFileSync(join(server.folder, 'log'), 'utf8').split('\n');
    const messages = lines
      .filter((line) => line.includes(`"${deviceId}"`) && line.includes('"kind":"message"'))
      .map((line) => JSON.parse(line) as { direction: string; encoding: string; message: string });
    assert.deepEqual(
      messages.map(({ direction, encoding }) => [direction, encoding]),
      [
        ['in', 'wbxml'],
        ['out', 'wbxml'],
      ],
    );
    assert.match(messages[0]!.message, /<LocName>user<\/LocName><\/Source><Cred\/>.*<Data>Foreign &amp; Sons<\/Data>/);
    assert.match(messages[1]!.message, /<Cmd>SyncHdr<\/Cmd>/);
  });

  it('answers in the other encoding when asked to', async () => {
    const deviceId = 'urn:w:switch';
    const fault = { kind: 'other-encoding', deviceId };
    await server.admin('POST', '/faults', { faults: [fault, fault] });
    const binary = await client(deviceId).send(packageOne(deviceId));
    assert.match(binary.octets.toString('latin1'), /^<\?xml/);
    const text = await new ForeignClient({ url: server.url, deviceId, sessionId: 'E1' }).send(packageOne(deviceId));
    assert.equal(text.octets[0], 3);
    assert.deepEqual(text.statuses, binary.statuses);
  });

  it('answers with half a message when asked to', async () => {
    const deviceId = 'urn:w:garbage';
    await server.admin('POST', '/faults', { faults: [{ kind: 'garbage', deviceId }] });
    await assert.rejects(client(deviceId).send(packageOne(deviceId)), /wbxml2xml/);
  });
});
