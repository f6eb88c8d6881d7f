import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import {
  Answer,
  basicCred,
  chal,
  ForeignClient,
  inside,
  md5Cred,
  md5Digest,
  packageOne,
  status,
} from './foreign-client.js';
import { startLabServer, type LabServer } from './lab-server.js';

const NONCE = Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex');
const SERVER_NONCE = Buffer.from('101112131415161718191a1b1c1d1e1f', 'hex');

const md5Account = (deviceId: string) => ({
  deviceId,
  client: { scheme: 'md5', name: 'user', secret: 'userSecret', nonce: NONCE.toString('base64') },
  server: { scheme: 'md5', secret: 'srvSecret', nonce: SERVER_NONCE.toString('base64') },
});
const openAccount = (deviceId: string) => ({ deviceId, client: { scheme: 'none' }, server: { scheme: 'none' } });

const uri = encodeURIComponent;
let sessions = 0;

describe('the DM server, held against a foreign client', () => {
  let server: LabServer;
  const client = (deviceId: string, more: { path?: string; contentType?: string; sessionId?: string } = {}) => {
    const { path = '/any/path', sessionId = `F${(sessions += 1)}` } = more;
    const url = new URL(path, server.url).href;
    return new ForeignClient({ url, deviceId, sessionId, ...(more.contentType && { contentType: more.contentType }) });
  };
  const queue = (deviceId: string, ...commands: object[]): Promise<string[]> => server.queue(deviceId, ...commands);
  const statusEvents = (deviceId: string, after = 0) => server.statuses(deviceId, after);
  const lastEvent = async (deviceId: string): Promise<number> => (await server.events(deviceId)).at(-1)?.n ?? 0;

  before(async () => {
    server = await startLabServer({
      maxMsgSize: 20_000,
      accounts: [
        ...['md5', 'challenge', 'wrong', 'proof', 'stubborn', 'forced', 'notified', 'resync', 'told', 'stranger'].map(
          (name) => md5Account(`urn:x:${name}`),
        ),
        ...['cmd', 'multi', 'resend', 'small', 'version', 'abort', 'fault', 'same', 'devinfo'].map((name) =>
          openAccount(`urn:x:${name}`),
        ),
        {
          deviceId: 'urn:x:basic',
          client: { scheme: 'basic', name: 'user', secret: 'userSecret' },
          server: { scheme: 'basic', name: 'srv', secret: 'srvSecret' },
        },
        { ...md5Account('urn:x:each'), proofPerMessage: true },
      ],
    });
  });
  after(() => server.end());

  it('accepts an md5 digest made with the stored nonce, with 212 and the nonce for the next session', async () => {
    const deviceId = 'urn:x:md5';
    const first = client(deviceId);
    const answer = await first.send(packageOne(deviceId, 1200), { cred: md5Cred('user', 'userSecret', NONCE) });
    assert.deepEqual(answer.statuses, ['SyncHdr:0=212', 'Alert:1=200', 'Replace:2=200']);
    assert.ok(answer.final);
    assert.equal(inside(answer.text, 'MaxMsgSize'), '20000');
    assert.ok(answer.nextNonce);
    assert.equal(inside(inside(answer.text, 'Target'), 'LocURI'), deviceId);
    const second = client(deviceId);
    const again = await second.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', answer.nextNonce) });
    assert.equal(again.statuses[0], 'SyncHdr:0=212');
    const starts = (await server.events(deviceId)).filter(({ kind }) => kind === 'session-start');
    assert.deepEqual(
      starts.map(({ sessionId, alert }) => [sessionId, alert]),
      [
        [first.options.sessionId, 1200],
        [second.options.sessionId, 1201],
      ],
    );
  });

  it('challenges a message without credentials with 407 and a nonce, one with a stale nonce with 401', async () => {
    const deviceId = 'urn:x:challenge';
    const device = client(deviceId);
    const bare = await device.send(packageOne(deviceId));
    assert.deepEqual(bare.statuses, ['SyncHdr:0=407', 'Alert:1=407', 'Replace:2=407']);
    const stale = await device.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', Buffer.from('old')) });
    assert.equal(stale.statuses[0], 'SyncHdr:0=401');
    assert.ok(stale.nextNonce);
    assert.notDeepEqual(stale.nextNonce, bare.nextNonce);
    const right = await device.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', stale.nextNonce) });
    assert.equal(right.statuses[0], 'SyncHdr:0=212');
  });

  for (const deviceId of ['urn:x:wrong', 'urn:x:nobody']) {
    it(`gives ${deviceId} two more tries, then 401 and no more`, async () => {
      const device = client(deviceId);
      let nonce: Uint8Array = NONCE;
      for (let tries = 0; tries < 5; tries += 1) {
        const answer = await device.send(packageOne(deviceId), { cred: md5Cred('user', 'guess', nonce) });
        assert.deepEqual(answer.statuses, ['SyncHdr:0=401', 'Alert:1=401', 'Replace:2=401']);
        nonce = answer.nextNonce ?? nonce;
      }
      if (deviceId === 'urn:x:nobody') return;
      const events = await server.events(deviceId);
      assert.ok(events.some(({ kind, reason }) => kind === 'session-end' && reason === 'refused'));
      assert.ok(!events.some(({ kind }) => kind === 'session-start'));
    });
  }

  it('accepts basic, shows its own password only to a proven device, on the type of Data Sync', async () => {
    const deviceId = 'urn:x:basic';
    const device = client(deviceId, { contentType: 'application/vnd.syncml+xml; charset=utf-8', path: '/' });
    const bare = await device.send(packageOne(deviceId));
    assert.equal(bare.statuses[0], 'SyncHdr:0=407');
    assert.match(bare.text, /syncml:auth-basic/);
    assert.equal(bare.nextNonce, undefined);
    assert.equal(bare.cred, '');
    await queue(deviceId, { cmd: 'Get', target: './DevDetail/SwV' });
    const answer = await device.send(packageOne(deviceId), { cred: basicCred('user', 'userSecret') });
    assert.equal(answer.statuses[0], 'SyncHdr:0=212');
    assert.equal(answer.cred, Buffer.from('srv:srvSecret').toString('base64'));
  });

  it('proves itself by md5, and takes the nonce for the next time from the device', async () => {
    const deviceId = 'urn:x:proof';
    const device = client(deviceId);
    const [id] = await queue(deviceId, { cmd: 'Get', target: './DevDetail/SwV' });
    const answer = await device.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    assert.equal(answer.cred, md5Digest('srv', 'srvSecret', SERVER_NONCE));
    assert.match(answer.text, /<Source><LocURI>[^<]*<\/LocURI><LocName>srv<\/LocName><\/Source>/);
    const next = Buffer.from('a nonce of the device');
    const body = status('1', '0', 'SyncHdr', 212, chal(next)) + status('1', '4', 'Get', 200);
    const end = await device.send(body);
    assert.equal(end.cred, '');
    assert.deepEqual(await statusEvents(deviceId), [[id, 200]]);

    const later = client(deviceId);
    const again = await later.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', answer.nextNonce!) });
    assert.equal(again.cred, md5Digest('srv', 'srvSecret', next));
  });

  it('answers the challenge of a device and sends its commands again', async () => {
    const deviceId = 'urn:x:stubborn';
    const device = client(deviceId);
    const [id] = await queue(deviceId, { cmd: 'Replace', target: './A', data: 'x' });
    await device.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    const fresh = Buffer.from('fresh nonce');
    const refused = status('1', '0', 'SyncHdr', 401, chal(fresh)) + status('1', '4', 'Replace', 401);
    const again = await device.send(refused);
    assert.equal(again.cred, md5Digest('srv', 'srvSecret', fresh));
    assert.equal(again.commands('Replace').length, 1);
    const cmdId = inside(again.commands('Replace')[0]!, 'CmdID');
    const end = await device.send(status('2', '0', 'SyncHdr', 212) + status('2', cmdId, 'Replace', 404));
    assert.equal(end.commands('Replace').length, 0);
    assert.deepEqual((await statusEvents(deviceId)).at(-1), [id, 404]);
  });

  it('keeps the nonce of a challenge although the device says nothing more of it', async () => {
    const deviceId = 'urn:x:told';
    const device = client(deviceId);
    await device.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    const fresh = Buffer.from('told once');
    const end = await device.send(status('1', '0', 'SyncHdr', 401, chal(fresh)));
    const later = client(deviceId);
    const again = await later.send(packageOne(deviceId), {
      cred: md5Cred('user', 'userSecret', end.nextNonce ?? NONCE),
    });
    assert.equal(again.cred, md5Digest('srv', 'srvSecret', fresh));
  });

  it('does not take the nonce for the next time from who has not proved to be the device', async () => {
    const deviceId = 'urn:x:stranger';
    const stranger = client(deviceId);
    await stranger.send(packageOne(deviceId));
    await stranger.send(status('1', '0', 'SyncHdr', 401, chal(Buffer.from('of a stranger'))));
    const answer = await client(deviceId).send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    assert.equal(answer.cred, md5Digest('srv', 'srvSecret', SERVER_NONCE));
  });

  it('gives up on a device that never accepts it, with alert 1223, and keeps the commands', async () => {
    const deviceId = 'urn:x:forced';
    await server.admin('POST', '/faults', { faults: [{ kind: 'wrong-credentials', times: 3, deviceId }] });
    await queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    let answer = await device.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    for (let tries = 1; tries <= 3; tries += 1) {
      const nonce = Buffer.from(`nonce ${tries}`);
      assert.notEqual(
        answer.cred,
        md5Digest('srv', 'srvSecret', tries === 1 ? SERVER_NONCE : Buffer.from(`nonce ${tries - 1}`)),
      );
      answer = await device.send(
        status(answer.msgId, '0', 'SyncHdr', 401, chal(nonce)) + status(answer.msgId, '4', 'Get', 401),
      );
    }
    assert.equal(inside(answer.commands('Alert')[0]!, 'Data'), '1223');
    const state = await server.admin('GET', '/state');
    const account = (state.accounts as { deviceId: string; queued: number }[]).find((one) => one.deviceId === deviceId);
    assert.equal(account?.queued, 1);
  });

  it('sends every kind of command, tells each Status and the Results by the id of its command', async () => {
    const deviceId = 'urn:x:cmd';
    const device = client(deviceId);
    const octets = Buffer.from([0, 255, 7]).toString('base64');
    const ids = await queue(
      deviceId,
      { id: 'add', cmd: 'Add', target: './A', format: 'node' },
      { cmd: 'Add', target: './A/B', format: 'bin', data: octets },
      { cmd: 'Replace', target: './A/C', format: 'int', data: 7 },
      { cmd: 'Exec', target: './A/Go', correlator: 'c&1' },
      {
        id: 'all',
        cmd: 'Atomic',
        commands: [
          { cmd: 'Delete', target: './A/D' },
          { id: 'in', cmd: 'Add', target: './A/E', data: '<&>' },
        ],
      },
      { cmd: 'Get', items: [{ target: './A/B' }, { target: './A/C' }] },
      { cmd: 'Alert', data: 1100, items: [{ data: 'MINDT=1' }, { data: 'hello' }] },
    );
    assert.equal(ids[0], 'add');
    const answer = await device.send(packageOne(deviceId));
    assert.deepEqual(answer.statuses, ['SyncHdr:0=200', 'Alert:1=200', 'Replace:2=200']);
    assert.match(answer.commands('Add')[0]!, /<Format[^>]*>node</);
    assert.match(answer.commands('Add')[1]!, new RegExp(`<Format[^>]*>b64<.*<Data>${octets}</Data>`));
    assert.match(answer.commands('Exec')[0]!, /<Correlator>c&amp;1<\/Correlator>/);
    assert.match(answer.commands('Atomic')[0]!, /<Delete>.*<Add>.*<Data>&lt;&amp;&gt;<\/Data>/);
    assert.match(answer.commands('Alert')[0]!, /<Data>1100<\/Data><Item><Data>MINDT=1</);

    const cmdIds = [...answer.text.matchAll(/<CmdID>(\d+)<\/CmdID>/g)].map(([, id]) => Number(id));
    assert.deepEqual(
      cmdIds,
      cmdIds.map((_, index) => index + 1),
      'CmdIDs count from 1 and none is used twice',
    );
    const results = `<Results><MsgRef>1</MsgRef><CmdRef>11</CmdRef><CmdID>90</CmdID><Item><Source><LocURI>./A/B</LocURI></Source><Meta><Format xmlns="syncml:metinf">b64</Format></Meta><Data>${octets}</Data></Item></Results>`;
    const end = await device.send(
      [
        status('1', '0', 'SyncHdr', 200),
        status('1', '4', 'Add', 418),
        status('1', '5', 'Add', 200),
        status('1', '6', 'Replace', 405),
        status('1', '7', 'Exec', 202),
        status('1', '8', 'Atomic', 507),
        status('1', '9', 'Delete', 404, '<TargetRef>./A/D</TargetRef>'),
        status('1', '10', 'Add', 215),
        status('1', '11', 'Get', 200, '<TargetRef>./A/B</TargetRef>'),
        results,
        status('1', '11', 'Get', 404, '<TargetRef>./A/C</TargetRef>'),
        status('1', '12', 'Alert', 406),
      ].join('\n'),
    );
    assert.deepEqual(end.statuses, ['SyncHdr:0=200']);
    assert.ok(end.final);
    assert.deepEqual(await statusEvents(deviceId), [
      ['add', 418],
      [ids[1], 200],
      [ids[2], 405],
      [ids[3], 202],
      ['all', 507],
      ['all.1', 404],
      ['in', 215],
      [ids[5], 200],
      [ids[5], 404],
      [ids[6], 406],
    ]);
    const found = (await server.events(deviceId)).find(({ kind }) => kind === 'results');
    assert.ok(found);
    assert.equal(found.id, ids[5]);
    assert.equal(found.target, './A/B');
    assert.equal(found.value, octets);
    assert.equal((await server.events(deviceId)).at(-1)?.kind, 'session-end');
  });

  it('keeps DevInfo, takes generic alerts, refuses what a client must not send', async () => {
    const deviceId = 'urn:x:devinfo';
    const device = client(deviceId);
    const item = `<Item><Source><LocURI>./SCOMO/Download/x/Operations/Download</LocURI></Source><Target><LocURI>./SCOMO/Inventory/Delivered/x</LocURI></Target>
      <Meta><MetInf xmlns="syncml:metinf"><Type> urn:oma:at:scomo:1.0:OperationComplete </Type><Format>chr</Format><Mark>warning</Mark></MetInf></Meta><Data>&lt;ResultCode&gt;1200&lt;/ResultCode&gt;</Data></Item>`;
    const answer = await device.send(
      `${packageOne(deviceId)}<Alert><CmdID>3</CmdID><Correlator>corr</Correlator><Data>1226</Data>${item}</Alert>
       <Get><CmdID>4</CmdID><Item><Target><LocURI>./X</LocURI></Target></Item></Get><Put><CmdID>5</CmdID></Put><Alert><CmdID>6</CmdID><Data>1226</Data></Alert>`,
    );
    assert.deepEqual(answer.statuses.slice(3), ['Alert:3=200', 'Get:4=405', 'Put:5=501', 'Alert:6=412']);
    const alert = (await server.events(deviceId)).find(({ kind }) => kind === 'alert');
    assert.deepEqual(
      [alert?.alert, alert?.type, alert?.source, alert?.correlator, alert?.mark, alert?.data],
      [
        1226,
        'urn:oma:at:scomo:1.0:OperationComplete',
        './SCOMO/Download/x/Operations/Download',
        'corr',
        'warning',
        '<ResultCode>1200</ResultCode>',
      ],
    );
    const { devInfo } = (await server.events(deviceId)).find(({ kind }) => kind === 'devinfo')!;
    assert.deepEqual(devInfo, { DevId: deviceId, Man: 'Foreign & Sons', Mod: 'F1', DmV: '0.1', Lang: 'en' });
  });

  it('asks for the rest of a package by alert 1222, without Final, and goes on when it is complete', async () => {
    const deviceId = 'urn:x:multi';
    const [get] = await queue(deviceId, { cmd: 'Get', items: [{ target: './A' }, { target: './B' }] });
    const device = client(deviceId);
    await device.send(packageOne(deviceId));
    const more = await queue(deviceId, { cmd: 'Delete', target: './A' });
    const result = (name: string): string =>
      `<Results><CmdID>9</CmdID><MsgRef>1</MsgRef><CmdRef>4</CmdRef><Item><Source><LocURI>./${name}</LocURI></Source><Data>of ${name}</Data></Item></Results>`;
    const half = await device.send(status('1', '0', 'SyncHdr', 200) + status('1', '4', 'Get', 200) + result('A'), {
      final: false,
    });
    assert.equal(half.final, false);
    assert.deepEqual(half.statuses, ['SyncHdr:0=200']);
    assert.equal(half.commands('Delete').length, 0);
    assert.equal(inside(half.commands('Alert')[0]!, 'Data'), '1222');
    const rest = await device.send(status('2', '0', 'SyncHdr', 200) + status('2', '2', 'Alert', 200) + result('B'));
    assert.equal(rest.commands('Delete').length, 1);
    assert.ok(rest.final);
    const events = await server.events(deviceId);
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'results').map(({ id, value }) => [id, value]),
      [
        [get, 'of A'],
        [get, 'of B'],
      ],
    );
    assert.ok(more[0]);
  });

  it('resends its answer to a repeated MsgID, on whatever connection, and does nothing twice', async () => {
    const deviceId = 'urn:x:resend';
    await queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    await device.send(packageOne(deviceId));
    const after = await lastEvent(deviceId);
    device.msgId = 2;
    const text = device.message(status('1', '0', 'SyncHdr', 200) + status('1', '4', 'Get', 200));
    const one = await device.post(text);
    const two = await device.post(text);
    assert.equal(one.contentType, 'application/vnd.syncml.dm+xml; charset=UTF-8');
    assert.equal(two.text, one.text);
    assert.equal((await statusEvents(deviceId, after)).length, 1);
    device.msgId = 1;
    assert.equal((await device.post(device.message('<Alert><CmdID>1</CmdID><Data>1201</Data></Alert>'))).status, 200);
  });

  it('opens a new session for the same SessionID when MsgID begins again with a command waiting', async () => {
    const deviceId = 'urn:x:same';
    const first = client(deviceId, { sessionId: '1' });
    const empty = await first.send(packageOne(deviceId));
    assert.equal(empty.commands('Get').length, 0);
    await queue(deviceId, { cmd: 'Get', target: './A' });
    const second = client(deviceId, { sessionId: '1' });
    assert.equal((await second.send(packageOne(deviceId))).commands('Get').length, 1);
  });

  it('never sends more than the MaxMsgSize of the device, the rest goes into the next package', async () => {
    const deviceId = 'urn:x:small';
    const value = 'v'.repeat(500);
    const ids = await queue(
      deviceId,
      ...[1, 2, 3, 4, 5].map((n) => ({ cmd: 'Replace', target: `./V${n}`, data: value })),
    );
    const [tooLong] = await queue(deviceId, { cmd: 'Exec', target: './L', data: 'l'.repeat(3000) });
    const device = client(deviceId);
    let answer = await device.send(packageOne(deviceId), { maxMsgSize: 2500 });
    let packages = 0;
    while (answer.commands('Replace').length > 0) {
      packages += 1;
      assert.ok(Buffer.byteLength(answer.text) <= 2500, `${Buffer.byteLength(answer.text)} octets`);
      const statuses = answer
        .commands('Replace')
        .map((one) => status(answer.msgId, inside(one, 'CmdID'), 'Replace', 200));
      answer = await device.send(status(answer.msgId, '0', 'SyncHdr', 200) + statuses.join(''), { maxMsgSize: 2500 });
    }
    assert.ok(packages > 1);
    assert.deepEqual(await statusEvents(deviceId), [...ids.map((id) => [id, 200]), [tooLong, null]]);
  });

  it('refuses other versions with 505 and 513', async () => {
    const deviceId = 'urn:x:version';
    const device = client(deviceId);
    device.msgId = 1;
    const dtd = new Answer((await device.post(device.message(packageOne(deviceId), { verDtd: '1.1' }))).text);
    assert.deepEqual(dtd.statuses, ['SyncHdr:0=505']);
    const other = client(deviceId);
    other.msgId = 1;
    const proto = new Answer((await other.post(other.message(packageOne(deviceId), { verProto: 'DM/1.3' }))).text);
    assert.deepEqual(proto.statuses, ['SyncHdr:0=513']);
    assert.match(proto.text, /<Item><Data>DM\/1.2<\/Data><\/Item>/);
  });

  it('answers an abort with Statuses alone, and sends the command again in the next session', async () => {
    const deviceId = 'urn:x:abort';
    await queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    await device.send(packageOne(deviceId));
    const answer = await device.send(
      `${status('1', '0', 'SyncHdr', 200)}<Alert><CmdID>7</CmdID><Data>1223</Data></Alert>`,
    );
    assert.deepEqual(answer.statuses, ['SyncHdr:0=200', 'Alert:7=200']);
    assert.equal(answer.commands('Get').length, 0);
    assert.equal((await client(deviceId).send(packageOne(deviceId))).commands('Get').length, 1);
  });

  it('asks for proof in every message where the account says so', async () => {
    const deviceId = 'urn:x:each';
    await queue(deviceId, { cmd: 'Get', target: './A' });
    const device = client(deviceId);
    const one = await device.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    assert.equal(one.statuses[0], 'SyncHdr:0=200');
    const two = await device.send(status('1', '0', 'SyncHdr', 200) + status('1', '4', 'Get', 200), {
      cred: md5Cred('user', 'userSecret', one.nextNonce!),
    });
    assert.deepEqual(two.statuses, ['SyncHdr:0=200']);
  });

  for (const [what, text, headers, expected] of [
    ['no XML', 'hello', {}, 400],
    ['another document', '<a/>', {}, 400],
    ['an internal DTD subset', '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', {}, 400],
    ['another type', '<a/>', { 'Content-Type': 'text/xml' }, 415],
    ['no WBXML', '<a/>', { 'Content-Type': 'application/vnd.syncml.dm+wbxml' }, 400],
    ['more than it reads', ' '.repeat(70_000), {}, 413],
  ] as const) {
    it(`refuses ${what} with HTTP ${expected}`, async () => {
      assert.equal((await client('urn:x:cmd').post(text, headers)).status, expected);
    });
  }

  it('refuses a later message that is longer than its MaxMsgSize, not the first', async () => {
    const device = client('urn:x:cmd');
    const filler = (bytes: number): string => `<!--${'x'.repeat(bytes)}-->`;
    await device.send(packageOne('urn:x:cmd') + filler(20_000));
    const room = 20_000 - Buffer.byteLength(device.message(filler(0)));
    await assert.rejects(device.send(filler(room + 1)), /HTTP 413/);
    await device.send(filler(room));
  });

  it('misbehaves as asked: status, lost answer, wrong session', async () => {
    const deviceId = 'urn:x:fault';
    const device = client(deviceId);
    await server.admin('POST', '/faults', {
      clear: true,
      faults: [{ kind: 'http-status', status: 503, retryAfterSeconds: 2, times: 2 }, { kind: 'lose-answer' }],
    });
    device.msgId = 1;
    const text = device.message(packageOne(deviceId));
    assert.equal((await device.post(text)).status, 503);
    assert.equal((await device.post(text)).status, 503);
    await assert.rejects(device.post(text));
    const answer = new Answer((await device.post(text)).text);
    assert.equal(answer.msgId, '1');
    assert.equal((await server.events(deviceId)).filter(({ kind }) => kind === 'session-start').length, 1);
    assert.equal((await server.admin('POST', '/faults', { faults: [{ kind: 'nonsense' }] })).httpStatus, 400);
  });

  it('makes notifications that verify by the formula, and resynchronises by the default nonce', async () => {
    const digestOf = (nonce: Uint8Array, trigger: Uint8Array): Buffer => {
      const hash = (data: string | Uint8Array): Buffer => createHash('md5').update(data).digest();
      const key = hash('srv:srvSecret').toString('base64');
      return hash(Buffer.concat([Buffer.from(`${key}:`), nonce, Buffer.from(`:${hash(trigger).toString('base64')}`)]));
    };
    const plain = await server.admin('POST', `/devices/${uri('urn:x:notified')}/notification`, { sessionId: 0x1234 });
    const bytes = Buffer.from(plain.package0 as string, 'base64');
    assert.equal(bytes.subarray(16).toString('hex'), '02d8000000123403737276');
    assert.deepEqual(bytes.subarray(0, 16), digestOf(SERVER_NONCE, bytes.subarray(16)));
    const following = await server.admin('POST', `/devices/${uri('urn:x:notified')}/notification`, {});
    assert.equal(following.sessionId, 0x1235, 'no SessionID comes again soon');

    const deviceId = 'urn:x:resync';
    await server.admin('POST', `/devices/${uri(deviceId)}/notification`, { sessionId: 0xab, defaultNonce: true });
    const zero = Buffer.alloc(4);
    const stranger = await client(deviceId).send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', zero) });
    assert.equal(stranger.statuses[0], 'SyncHdr:0=401', 'the default nonce is for that session alone');
    const device = client(deviceId, { sessionId: 'AB' });
    const answer = await device.send(packageOne(deviceId, 1200), { cred: md5Cred('user', 'userSecret', zero) });
    assert.equal(answer.statuses[0], 'SyncHdr:0=212');
    assert.equal(answer.cred, md5Digest('srv', 'srvSecret', zero));
    await device.send(status('1', '0', 'SyncHdr', 212));
    const later = { cred: md5Cred('user', 'userSecret', answer.nextNonce!) };
    const next = await client(deviceId).send(packageOne(deviceId), later);
    assert.equal(next.cred, md5Digest('srv', 'srvSecret', SERVER_NONCE), 'and it was used up with it');
  });
});

describe('the DM server, started again', () => {
  it('still has the nonces, and its log tells no secret', async () => {
    const deviceId = 'urn:x:kept';
    const options = { accounts: [md5Account(deviceId)], logMessages: true };
    const first = await startLabServer(options);
    const one = new ForeignClient({ url: first.url, deviceId, sessionId: '1' });
    const answer = await one.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', NONCE) });
    const told = Buffer.from(answer.nextNonce!).toString('base64');
    assert.ok(readFileSync(join(first.folder, 'state'), 'utf8').includes(told), 'it is kept before it is told');
    await first.end(true);
    const second = await startLabServer(options, first.folder);
    const two = new ForeignClient({ url: second.url, deviceId, sessionId: '2' });
    const again = await two.send(packageOne(deviceId), { cred: md5Cred('user', 'userSecret', answer.nextNonce!) });
    assert.equal(again.statuses[0], 'SyncHdr:0=212');
    const log = readFileSync(join(second.folder, 'log'), 'utf8');
    assert.doesNotMatch(log, /Secret/);
    assert.match(log, /"kind":"message","direction":"in"/);
    await second.end();
  });

  it('ends a session that falls silent, and offers its commands again', async () => {
    const deviceId = 'urn:x:silent';
    const server = await startLabServer({ accounts: [openAccount(deviceId)], sessionTimeoutMs: 100, respUri: true });
    await server.admin('POST', `/devices/${uri(deviceId)}/commands`, { commands: [{ cmd: 'Get', target: './A' }] });
    const answer = await new ForeignClient({ url: server.url, deviceId, sessionId: '5' }).send(packageOne(deviceId));
    assert.match(inside(answer.text, 'RespURI'), /\/dm\?s=5$/);
    const ended = await server.event(deviceId, ({ kind }) => kind === 'session-end');
    assert.equal(ended.reason, 'timeout');
    const again = await new ForeignClient({ url: server.url, deviceId, sessionId: '6' }).send(packageOne(deviceId));
    assert.equal(again.commands('Get').length, 1);
    await server.end();
  });
});
