import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ForeignClient, inside, noWbxml, packageOne, status, type Answer } from './foreign-client.js';
import { startLabServer, type LabServer } from './lab-server.js';

const MAX_MSG_SIZE = 2000;

const DEVICES =
  'text octets binary file among codes missed silent busy broken limit ignored size nosize between final cut split ' +
  'results refused mixed early due last state alert';

const openAccount = (deviceId: string) => ({ deviceId, client: { scheme: 'none' }, server: { scheme: 'none' } });

const NEXT_MESSAGE = '<Alert><CmdID>90</CmdID><Data>1222</Data></Alert>';

describe('large objects of the DM server, held against a foreign client', () => {
  let server: LabServer;
  let sessions = 0;
  const client = (deviceId: string, wbxml?: '1.3'): ForeignClient => {
    sessions += 1;
    return new ForeignClient({ url: server.url, deviceId, sessionId: `C${sessions}`, ...(wbxml && { wbxml }) });
  };
  const fault = (deviceId: string, kind: string, more = {}): Promise<unknown> =>
    server.admin('POST', '/faults', { faults: [{ kind, deviceId, ...more }] });

  before(async () => {
    server = await startLabServer({
      maxObjSize: 4096,
      accounts: DEVICES.split(' ').map((name) => openAccount(`urn:l:${name}`)),
    });
  });
  after(() => server.end());

  const open = (device: ForeignClient, limits = {}): Promise<Answer> =>
    device.send(packageOne(device.options.deviceId), { maxMsgSize: MAX_MSG_SIZE, ...limits });

  /** The chunk of a message: its last command. */
  const chunkOf = (answer: Answer): { xml: string; cmdId: string; data: string; size: string; more: boolean } => {
    const xml = answer.commands('Replace').at(-1) ?? assert.fail('no chunk');
    assert.ok(inside(answer.text, 'SyncBody').replace('<Final/>', '').endsWith(xml), 'nothing follows the chunk');
    assert.equal(inside(inside(xml, 'Target'), 'LocURI'), './A');
    return {
      xml,
      cmdId: inside(xml, 'CmdID'),
      data: inside(xml, 'Data'),
      size: inside(xml, 'Size'),
      more: xml.includes('<MoreData/>'),
    };
  };

  /** What the device says to a chunk. */
  const took = (answer: Answer, code = 213): string =>
    status(answer.msgId, '0', 'SyncHdr', 200) +
    status(answer.msgId, chunkOf(answer).cmdId, 'Replace', code) +
    (code === 213 ? NEXT_MESSAGE : '');

  /** Takes every chunk of an object. @returns their data, and the answer with the last one */
  const takeAll = async (device: ForeignClient, first: Answer): Promise<{ data: string[]; last: Answer }> => {
    const data: string[] = [];
    for (let answer = first; ; answer = await device.send(took(answer), { final: false })) {
      assert.ok(answer.octets.byteLength <= MAX_MSG_SIZE, `${answer.octets.byteLength} octets`);
      const chunk = chunkOf(answer);
      data.push(chunk.data);
      assert.equal(chunk.size !== '', data.length === 1, 'Size stands in the first chunk alone');
      assert.equal(answer.final, !chunk.more, 'Final comes with the last chunk');
      if (!chunk.more) return { data, last: answer };
      assert.ok(answer.octets.byteLength > MAX_MSG_SIZE - 20, `${answer.octets.byteLength} octets, and more to come`);
    }
  };

  const unescaped = (text: string): string =>
    text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');

  it('cuts a text that fits into no message, and tells its last Status alone', async () => {
    const deviceId = 'urn:l:text';
    const value = 'price < 5 € & more '.repeat(400);
    const [id] = await server.queue(deviceId, { cmd: 'Replace', target: './A', data: value });
    const device = client(deviceId);
    const first = await open(device);
    assert.equal(inside(first.text, 'MaxObjSize'), '4096');
    assert.equal(chunkOf(first).size, String(Buffer.byteLength(value)));
    const { data, last } = await takeAll(device, first);
    assert.ok(data.length > 4);
    assert.equal(unescaped(data.join('')), value);
    const end = await device.send(took(last, 200));
    assert.deepEqual(await server.statuses(deviceId), [[id, 200]]);
    assert.deepEqual(end.statuses, ['SyncHdr:0=200']);
    assert.equal((await server.events(deviceId)).at(-1)?.reason, 'completed');
  });

  it('cuts octets as base64, whose Size is counted', async () => {
    const deviceId = 'urn:l:octets';
    const octets = Buffer.from(Array.from({ length: 5000 }, (_, n) => n & 0xff));
    await server.queue(deviceId, { cmd: 'Replace', target: './A', format: 'bin', data: octets.toString('base64') });
    const device = client(deviceId);
    const first = await open(device);
    assert.equal(chunkOf(first).size, String(octets.toString('base64').length));
    assert.match(chunkOf(first).xml, /<Format[^>]*>b64</);
    const { data } = await takeAll(device, first);
    for (const piece of data) assert.equal(piece.length % 4, 0);
    assert.deepEqual(Buffer.from(data.join(''), 'base64'), octets);
  });

  it('does so in WBXML', { skip: noWbxml }, async () => {
    const deviceId = 'urn:l:binary';
    const value = 'a text of ASCII, because libwbxml shows it as it is; '.repeat(100);
    const [id] = await server.queue(deviceId, { cmd: 'Replace', target: './A', data: value });
    const device = client(deviceId, '1.3');
    const { data, last } = await takeAll(device, await open(device));
    assert.equal(data.join(''), value);
    await device.send(took(last, 200));
    assert.deepEqual(await server.statuses(deviceId), [[id, 200]]);
  });

  it('reads a value from a file, large or small, and refuses one that is not there', async () => {
    const deviceId = 'urn:l:file';
    const [large, small] = ['large', 'small'].map((name) => join(server.folder, name));
    writeFileSync(large!, 'L'.repeat(3000));
    writeFileSync(small!, 's');
    await server.queue(
      deviceId,
      { cmd: 'Replace', target: './S', format: 'bin', dataFile: small },
      { cmd: 'Replace', target: './A', format: 'chr', dataFile: large },
    );
    const device = client(deviceId);
    const first = await open(device);
    assert.equal(inside(first.commands('Replace')[0]!, 'Data'), Buffer.from('s').toString('base64'));
    const { data } = await takeAll(device, first);
    assert.equal(data.join(''), 'L'.repeat(3000));
    const reply = await server.admin('POST', `/devices/${encodeURIComponent(deviceId)}/commands`, {
      commands: [{ cmd: 'Add', target: './A', dataFile: '/nowhere' }],
    });
    assert.equal(reply.httpStatus, 400);
    assert.match(String(reply.error), /nowhere/);
  });

  it('begins a long object behind other commands, and sends those that follow in the next package', async () => {
    const deviceId = 'urn:l:among';
    const ids = await server.queue(
      deviceId,
      { cmd: 'Get', target: './B' },
      { cmd: 'Replace', target: './A', data: 'x'.repeat(3200) },
      { cmd: 'Get', target: './C' },
    );
    const device = client(deviceId);
    const first = await open(device);
    assert.equal(first.commands('Get').length, 1);
    const got = status('1', inside(first.commands('Get')[0]!, 'CmdID'), 'Get', 404);
    const second = await device.send(got + took(first), { final: false });
    assert.equal(second.commands('Get').length, 0);
    const third = await device.send(took(second), { final: false });
    assert.deepEqual([third.final, chunkOf(third).more], [true, false]);
    assert.equal(third.commands('Get').length, 0);
    const next = await device.send(took(third, 200));
    assert.equal(next.commands('Get').length, 1);
    await device.send(
      status(next.msgId, '0', 'SyncHdr', 200) +
        status(next.msgId, inside(next.commands('Get')[0]!, 'CmdID'), 'Get', 404),
    );
    assert.deepEqual(await server.statuses(deviceId), [
      [ids[0], 404],
      [ids[1], 200],
      [ids[2], 404],
    ]);
  });

  it('does not split what fits into a message of its own', async () => {
    const deviceId = 'urn:l:split';
    const values = ['x'.repeat(300), 'y'.repeat(1100)];
    await server.queue(deviceId, ...values.map((data) => ({ cmd: 'Replace', target: './A', data })));
    const device = client(deviceId);
    const one = await open(device);
    const two = await device.send(took(one, 200));
    for (const [index, answer] of [one, two].entries()) {
      assert.ok(answer.final);
      assert.deepEqual(
        answer.commands('Replace').map((xml) => inside(xml, 'Data')),
        [values[index]],
      );
    }
  });

  for (const code of [411, 413, 424, 500]) {
    it(`ends an object that the device answers with ${code}, and goes on with the next command`, async () => {
      const deviceId = 'urn:l:codes';
      const before = (await server.events(deviceId)).at(-1)?.n ?? 0;
      const ids = await server.queue(
        deviceId,
        { cmd: 'Replace', target: './A', data: 'x'.repeat(5000) },
        { cmd: 'Get', target: './B' },
      );
      const device = client(deviceId);
      const second = await device.send(took(await open(device)), { final: false });
      const next = await device.send(took(second, code), { final: false });
      assert.ok(next.final);
      assert.equal(next.commands('Replace').length, 0);
      const cmdId = inside(next.commands('Get')[0]!, 'CmdID');
      await device.send(status(next.msgId, '0', 'SyncHdr', 200) + status(next.msgId, cmdId, 'Get', 404));
      assert.deepEqual(await server.statuses(deviceId, before), [
        [ids[0], code],
        [ids[1], 404],
      ]);
    });
  }

  it('ends an object when the device says that its end is missing (1225), or ends its package without a Status', async () => {
    const alert = '<Alert><CmdID>91</CmdID><Data>1225</Data><Item><Source><LocURI>./A</LocURI></Source></Item></Alert>';
    for (const [deviceId, says, final, reason] of [
      ['urn:l:missed', alert, false, /1225/],
      ['urn:l:silent', '', true, /did not answer/],
    ] as const) {
      const [id] = await server.queue(deviceId, { cmd: 'Replace', target: './A', data: 'x'.repeat(5000) });
      const device = client(deviceId);
      const one = await open(device);
      const end = await device.send(status(one.msgId, '0', 'SyncHdr', 200) + says, { final });
      assert.ok(end.final);
      assert.equal(end.commands('Replace').length, 0);
      const seen = (await server.events(deviceId)).find(({ kind }) => kind === 'status');
      assert.deepEqual([seen?.id, seen?.code], [id, null]);
      assert.match(String(seen?.reason), reason);
    }
  });

  it('goes on with an object although the device misses the end of an older one', async () => {
    const deviceId = 'urn:l:last';
    await server.queue(deviceId, { cmd: 'Replace', target: './A', data: 'x'.repeat(5000) });
    const device = client(deviceId);
    const one = await open(device);
    const alert = '<Alert><CmdID>91</CmdID><Data>1225</Data><Item><Source><LocURI>./Z</LocURI></Source></Item></Alert>';
    const two = await device.send(took(one) + alert, { final: false });
    assert.ok(chunkOf(two).more);
  });

  it('asks for the rest of what the device has to say before it comes to the chunk', async () => {
    const deviceId = 'urn:l:busy';
    await server.queue(deviceId, { cmd: 'Replace', target: './A', data: 'x'.repeat(2000) });
    const device = client(deviceId);
    const first = await open(device);
    const asked = await device.send(status('1', '0', 'SyncHdr', 200), { final: false });
    assert.equal(asked.commands('Replace').length, 0);
    assert.equal(inside(asked.commands('Alert')[0]!, 'Data'), '1222');
    const { cmdId } = chunkOf(first);
    const second = await device.send(
      status('2', '0', 'SyncHdr', 200) + status('2', '2', 'Alert', 200) + status('1', cmdId, 'Replace', 213),
      { final: false },
    );
    assert.deepEqual([second.final, chunkOf(second).more], [true, false]);
  });

  it('begins again from the first chunk after a session that broke off, three times in all', async () => {
    const deviceId = 'urn:l:broken';
    const [id] = await server.queue(deviceId, { cmd: 'Replace', target: './A', data: 'x'.repeat(5000) });
    for (let tries = 1; tries <= 3; tries += 1) {
      const device = client(deviceId);
      const first = await open(device);
      assert.equal(chunkOf(first).size, '5000');
      assert.equal(chunkOf(await device.send(took(first), { final: false })).size, '');
    }
    const after = await open(client(deviceId));
    assert.equal(after.commands('Replace').length, 0);
    assert.deepEqual(await server.statuses(deviceId), [[id, null]]);
  });

  it('does not send what is longer than the MaxObjSize of the device, unless asked to', async () => {
    const command = { cmd: 'Replace', target: './A', data: 'x'.repeat(5000) };
    await server.queue('urn:l:limit', command);
    const kept = await open(client('urn:l:limit'), { maxObjSize: 4999 });
    assert.equal(kept.commands('Replace').length, 0);
    const seen = (await server.events('urn:l:limit')).find(({ kind }) => kind === 'status');
    assert.match(String(seen?.reason), /MaxObjSize/);
    await server.queue('urn:l:ignored', command);
    await fault('urn:l:ignored', 'ignore-max-obj-size');
    assert.equal(chunkOf(await open(client('urn:l:ignored'), { maxObjSize: 4999 })).size, '5000');
  });

  it('misbehaves as asked: wrong Size, none, a command between, an early Final, no end', async () => {
    const queue = (deviceId: string): Promise<string[]> =>
      server.queue(deviceId, { id: 'o', cmd: 'Replace', target: './A', data: 'x'.repeat(5000) });
    const second = async (deviceId: string, kind: string, more = {}): Promise<[Answer, Answer]> => {
      await queue(deviceId);
      await fault(deviceId, kind, more);
      const device = client(deviceId);
      const first = await open(device);
      return [first, await device.send(took(first), { final: false })];
    };
    assert.equal(chunkOf((await second('urn:l:size', 'wrong-size', { by: -10 }))[0]).size, '4990');
    assert.equal(chunkOf((await second('urn:l:nosize', 'no-size'))[0]).size, '');
    const [, between] = await second('urn:l:between', 'command-between-chunks');
    assert.equal(between.commands('Get').length, 1);
    assert.ok(chunkOf(between).more);
    await queue('urn:l:final');
    await fault('urn:l:final', 'early-final');
    const early = await open(client('urn:l:final'));
    assert.deepEqual([early.final, chunkOf(early).more], [true, true]);
    const [, cut] = await second('urn:l:cut', 'cut-object');
    assert.ok(cut.final);
    assert.equal(cut.commands('Replace').length, 0);
  });

  it('tells in its state how far an object has come', async () => {
    const deviceId = 'urn:l:state';
    await server.queue(deviceId, { id: 'far', cmd: 'Replace', target: './A', data: 'x'.repeat(5000) });
    const first = await open(client(deviceId));
    const { sessions: running } = (await server.admin('GET', '/state')) as {
      sessions: { deviceId: string; sending: object }[];
    };
    assert.deepEqual(running.find((one) => one.deviceId === deviceId)?.sending, {
      id: 'far',
      sent: chunkOf(first).data.length,
      bytes: 5000,
    });
  });

  const results = (cmdRef: string, data: string, { size = -1, more = false, uri = './R' } = {}): string =>
    `<Results><CmdID>80</CmdID><MsgRef>1</MsgRef><CmdRef>${cmdRef}</CmdRef><Item><Source><LocURI>${uri}</LocURI></Source>
     <Meta><Format xmlns="syncml:metinf">chr</Format>${size >= 0 ? `<Size xmlns="syncml:metinf">${size}</Size>` : ''}</Meta>
     <Data>${data}</Data>${more ? '<MoreData/>' : ''}</Item></Results>`;

  it('takes Results in chunks, with 213 and alert 1222, and tells the whole value', async () => {
    const deviceId = 'urn:l:results';
    const [id] = await server.queue(deviceId, { cmd: 'Get', target: './R' });
    const device = client(deviceId);
    const one = await open(device);
    assert.match(one.text, /<MaxObjSize[^>]*>4096</);
    const [later] = await server.queue(deviceId, { cmd: 'Get', target: './Later' });
    const value = 'v'.repeat(4000);
    const got = status('1', '0', 'SyncHdr', 200) + status('1', '4', 'Get', 200);
    const two = await device.send(got + results('4', value.slice(0, 1500), { size: 4000, more: true }), {
      final: false,
    });
    assert.deepEqual(two.statuses, ['SyncHdr:0=200', 'Results:80=213']);
    assert.deepEqual([two.final, inside(two.commands('Alert')[0] ?? '', 'Data')], [false, '1222']);
    const three = await device.send(results('4', value.slice(1500, 3000), { more: true }), { final: false });
    assert.deepEqual(three.statuses, ['SyncHdr:0=200', 'Results:80=213']);
    const four = await device.send(results('4', value.slice(3000)));
    assert.deepEqual(four.statuses, ['SyncHdr:0=200']);
    assert.equal(four.commands('Get').length, 1);
    const found = (await server.events(deviceId)).filter(({ kind }) => kind === 'results');
    assert.deepEqual(
      found.map((one) => [one.id, one.target, one.value]),
      [[id, './R', value]],
    );
    await device.send(status('4', '2', 'Get', 404));
    assert.deepEqual(await server.statuses(deviceId), [
      [id, 200],
      [later, 404],
    ]);
  });

  it('takes the data of a generic alert in chunks', async () => {
    const deviceId = 'urn:l:alert';
    const device = client(deviceId);
    const alert = (data: string, size: string, more: string): string =>
      `<Alert><CmdID>3</CmdID><Data>1226</Data><Correlator>c</Correlator><Item><Source><LocURI>./A</LocURI></Source>
       <Meta><Type xmlns="syncml:metinf">t</Type>${size}</Meta><Data>${data}</Data>${more}</Item></Alert>`;
    const size = '<Size xmlns="syncml:metinf">6</Size>';
    const one = await device.send(packageOne(deviceId) + alert('abc', size, '<MoreData/>'), { final: false });
    assert.deepEqual(one.statuses.slice(3), ['Alert:3=213']);
    const two = await device.send(alert('def', '', ''));
    assert.deepEqual(two.statuses, ['SyncHdr:0=200', 'Alert:3=200']);
    const events = (await server.events(deviceId)).filter(({ kind }) => kind === 'alert');
    assert.deepEqual(
      events.map(({ data, source, correlator, type }) => [data, source, correlator, type]),
      [['abcdef', './A', 'c', 't']],
    );
  });

  it('answers a chunk as it deserves', async () => {
    const deviceId = 'urn:l:refused';
    const device = client(deviceId);
    await device.send(packageOne(deviceId));
    await server.queue(deviceId, { cmd: 'Get', target: './Later' });
    const say = (xml: string, final = false): Promise<Answer> =>
      device.send(status(String(device.msgId), '0', 'SyncHdr', 200) + xml, { final });
    const codes = (answer: Answer): string[] => answer.statuses.filter((one) => one.startsWith('Results'));

    assert.deepEqual(codes(await say(results('4', 'abc', { more: true }))), ['Results:80=411']);
    assert.deepEqual(codes(await say(results('4', 'abc', { size: 4097, more: true }))), ['Results:80=413']);
    const taken = await say(results('4', 'abc', { size: 6, more: true }));
    assert.deepEqual(codes(taken), ['Results:80=213']);
    assert.equal(inside(taken.commands('Alert')[0]!, 'Data'), '1222');
    assert.equal(taken.final, false);
    assert.deepEqual(codes(await say(results('4', 'de'))), ['Results:80=424'], 'too short');
    await say(results('4', 'abc', { size: 6, more: true }));
    assert.deepEqual(codes(await say(results('4', 'defg', { more: true }))), ['Results:80=424'], 'too long');
    assert.equal((await server.events(deviceId)).filter(({ kind }) => kind === 'results').length, 0);

    // A chunk with Final, as some clients send it, is a chunk.
    const withFinal = await say(results('4', '€', { size: 6, more: true }), true);
    assert.equal(withFinal.final, false);
    assert.deepEqual(codes(withFinal), ['Results:80=213']);
    const short = await say(results('4', 'ä'), true);
    assert.deepEqual(codes(short), ['Results:80=424'], 'five octets of UTF-8');
    await say(results('4', '€', { size: 6, more: true }));
    const end = await say(results('4', '&lt;&gt;.'), true);
    assert.deepEqual(codes(end), [], 'Results that are taken have no Status');
    assert.equal(end.commands('Get').length, 0, 'the session is over');
    const found = (await server.events(deviceId)).filter(({ kind }) => kind === 'results');
    assert.deepEqual(
      found.map(({ value, target, format }) => [value, target, format]),
      [['€<>.', './R', 'chr']],
    );
  });

  it('breaks off an object that another one, or the end of the package, cuts short: alert 1225', async () => {
    for (const [deviceId, instead] of [
      ['urn:l:mixed', results('4', 'other', { uri: './O' })],
      ['urn:l:early', ''],
    ] as const) {
      const device = client(deviceId);
      await device.send(packageOne(deviceId));
      await device.send(status('1', '0', 'SyncHdr', 200) + results('4', 'abc', { size: 6, more: true }), {
        final: false,
      });
      const answer = await device.send(status('2', '0', 'SyncHdr', 200) + instead);
      const [alert] = answer.commands('Alert');
      assert.equal(inside(alert!, 'Data'), '1225');
      assert.equal(inside(inside(alert!, 'Source'), 'LocURI'), './R');
      const values = (await server.events(deviceId)).filter(({ kind }) => kind === 'results').map(({ value }) => value);
      assert.deepEqual(values, instead === '' ? [] : ['other']);
    }
  });

  it('puts off Statuses that have no room in a message, and its commands until they are said', async () => {
    const deviceId = 'urn:l:due';
    await server.queue(deviceId, { cmd: 'Get', target: './B' });
    const device = client(deviceId);
    const alerts = Array.from(
      { length: 12 },
      (_, n) =>
        `<Alert><CmdID>${10 + n}</CmdID><Data>1226</Data><Item><Meta><Type xmlns="syncml:metinf">t</Type></Meta><Data>${n}</Data></Item></Alert>`,
    );
    const seen: string[] = [];
    let answer = await device.send(packageOne(deviceId) + alerts.join(''), { maxMsgSize: 1100 });
    for (let messages = 1; !answer.final; messages += 1) {
      assert.ok(messages < 6);
      assert.ok(answer.octets.byteLength <= 1100, `${answer.octets.byteLength} octets`);
      assert.equal(answer.commands('Get').length, 0);
      seen.push(...answer.statuses.slice(1));
      answer = await device.send(status(answer.msgId, '0', 'SyncHdr', 200) + NEXT_MESSAGE, { final: false });
    }
    seen.push(...answer.statuses.slice(1).filter((one) => !one.startsWith('Alert:90')));
    assert.deepEqual(
      seen.filter((one) => !one.startsWith('Alert:90')),
      ['Alert:1=200', 'Replace:2=200', ...alerts.map((_, n) => `Alert:${10 + n}=200`)],
    );
    assert.equal(answer.commands('Get').length, 1);
  });
});
