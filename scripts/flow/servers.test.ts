import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DmServer } from './dm-server.js';
import { tailOf } from './json-lines.js';
import { addImage, add, get, IMAGES } from './operator.js';
import { eventually } from './wait.js';
import { fetchLocal, MIB, readImage, retrievalAlert, sha256At, testImage, withLab } from './with-lab.js';

describe('the gateway and its DM Servers', { concurrency: 2 }, () => {
  it('goes on with the new nonce when the server answers 401', async () => {
    await withLab('challenge', { devices: 0, offers: [] }, async (lab) => {
      await lab.dm.faults([{ kind: 'challenge', deviceId: lab.gatewayId, times: 1 }]);
      const after = await lab.dm.now(lab.gatewayId);
      const [devId] = await lab.manage([get('./DevInfo/DevId')]);
      assert.deepEqual([devId?.status, devId?.value], [200, lab.gatewayId]);
      const codes = (await lab.dm.events(lab.gatewayId, after))
        .filter(({ kind, code }) => kind === 'auth' && code !== undefined)
        .map(({ code }) => code);
      assert.deepEqual(codes.slice(0, 2), [401, 212]);
      // The nonce that came with it counts from now on.
      assert.equal((await lab.manage([get('./DevInfo/Man')]))[0]?.status, 200);
    });
  });

  it('executes nothing for a server that cannot prove itself, and goes on living', async () => {
    await withLab('wrong-credentials', { devices: 0, offers: [] }, async (lab) => {
      await lab.dm.faults([{ kind: 'wrong-credentials', deviceId: lab.gatewayId, times: 100 }]);
      const after = await lab.dm.now(lab.gatewayId);
      const commands = [add(`${IMAGES}/a`, 'node')];
      const ids = await lab.dm.queue(lab.gatewayId, commands);
      await lab.wake();
      const refusal = await lab.dm.waitFor(
        'the end of the session with a server that is not trusted',
        lab.gatewayId,
        after,
        ({ kind, reason }) => kind === 'session-end' && reason !== 'completed',
      );
      const seen = (await lab.dm.events(lab.gatewayId, after)).filter(({ n }) => n <= refusal.n);
      const executed = seen.filter(({ kind, code }) => kind === 'status' && (code ?? 0) < 300);
      assert.deepEqual(executed, []);
      assert.deepEqual((await lab.gateway.status()).images, []);

      await lab.dm.faults([], { clear: true });
      await lab.wake();
      const answers = await lab.dm.answers(lab.gatewayId, ids, commands);
      assert.equal(answers[0]?.status, 200);
      assert.equal((await lab.gateway.command('health', '--json')).code, 0);
    });
  });

  it('does not act on a notification that nobody who knows the secret has made', async () => {
    await withLab('forged', { devices: 0, offers: [] }, async (lab) => {
      await lab.read('./DevInfo/DevId');
      const before = await lab.dm.now(lab.gatewayId);
      await lab.wakeForged();
      // The genuine one that follows opens the only session.
      await lab.read('./DevInfo/DevId');
      const sessions = (await lab.dm.events(lab.gatewayId, before)).filter(({ kind }) => kind === 'session-start');
      assert.equal(sessions.length, 1);
    });
  });

  it('agrees on new nonces where those of the two sides have come apart', async () => {
    await withLab('nonces-apart', { devices: 0, offers: [] }, async (lab) => {
      const { dm, gatewayId } = lab;
      await lab.read('./DevInfo/DevId');
      const other = Buffer.from('a nonce of another time').toString('base64');
      await dm.setNonces(gatewayId, { client: other });
      let before = await dm.now(gatewayId);
      assert.equal(await lab.read('./DevInfo/Man'), 'Lab');
      const codes = (await dm.events(gatewayId, before)).flatMap(({ kind, code }) =>
        kind === 'auth' && code ? [code] : [],
      );
      assert.deepEqual(codes, [401, 212]);

      // A notification made with a nonce that the gateway does not have is dropped, one with the default nonce is not.
      await dm.setNonces(gatewayId, { server: other });
      before = await dm.now(gatewayId);
      const commands = [get('./DevInfo/Mod')];
      const ids = await dm.queue(gatewayId, commands);
      await lab.wake();
      await lab.wake(dm, true);
      assert.equal((await dm.answers(gatewayId, ids, commands))[0]?.value, 'Gateway');
      assert.equal(await lab.read('./DevInfo/Man'), 'Lab', 'the new nonces count for the next notification');
      const seen = await dm.events(gatewayId, before);
      assert.equal(seen.filter(({ kind }) => kind === 'session-start').length, 2);
      assert.deepEqual(
        new Set(seen.flatMap(({ kind, result }) => (kind === 'auth' ? [result] : []))),
        new Set(['accepted']),
      );
    });
  });

  it('hides the images of one server from another', async () => {
    const image = await testImage('private', MIB, 40);
    await withLab('two-servers', { devices: 0, dmServers: [{}, {}], offers: [image.offer] }, async (lab) => {
      const [, second] = lab.dmServers;
      assert.ok(second);
      await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
      await retrievalAlert(lab, 'a');
      const before = await readImage(lab, 'a');

      const foreign = await lab.manage(
        [
          get(`${IMAGES}/a/LocalImageURI`),
          get(`${IMAGES}/a/ImageURI`),
          { cmd: 'Replace', target: `${IMAGES}/a/ImageURI`, format: 'chr', data: 'http://192.0.2.1/evil' },
          { cmd: 'Exec', target: `${IMAGES}/a/Operations/Remove`, correlator: 'r' },
          { cmd: 'Delete', target: `${IMAGES}/a` },
        ],
        second,
      );
      for (const { command, status, value } of foreign) {
        assert.ok(status === 425 || status === 404, `${command.cmd} ${command.target ?? ''}: ${String(status)}`);
        assert.equal(value, undefined);
      }
      // What it may do is to have images of its own, under a name of its own.
      const own = await lab.manage([add(`${IMAGES}/b`, 'node'), get(`${IMAGES}/b/State`)], second);
      assert.deepEqual([own[0]?.status, own[1]?.value], [200, '10']);
      assert.deepEqual(await readImage(lab, 'a'), before);
      assert.equal(await sha256At(before.LocalImageURI), image.sha256);
      assert.equal((await fetchLocal(before.LocalImageURI)).status, 200);
    });
  });
});

describe('two DM Servers, each with schemes, nonces and a schedule of its own', () => {
  const SCHEDULED_MS = 1000;

  it('are served side by side, also while one of them is down', async () => {
    const dmServers = [
      { schemes: { client: 'mac', server: 'mac' }, encoding: 'wbxml' },
      { schemes: { client: 'basic', server: 'md5' }, account: { intervalSeconds: SCHEDULED_MS / 1000 } },
    ] as const;
    await withLab('two-schedules', { devices: 0, dmServers, offers: [] }, async (lab) => {
      const { gatewayId } = lab;
      const [first, second] = lab.dmServers;
      assert.ok(second);
      const sessions = async (server: DmServer): Promise<number> =>
        (await server.events(gatewayId)).filter(({ kind }) => kind === 'session-start').length;
      const secondSessions = (atLeast: number): Promise<true> =>
        eventually(`${atLeast} sessions by the clock`, async () => (await sessions(second)) >= atLeast || undefined);

      // The first one is contacted at the start and when it asks; the second one again and again.
      await secondSessions(4);
      assert.equal(await sessions(first), 1);
      await lab.read('./DevInfo/DevId');
      assert.equal(await sessions(first), 2);
      for (const server of lab.dmServers) {
        const proofs = (await server.events(gatewayId)).filter(({ kind }) => kind === 'auth');
        assert.deepEqual(new Set(proofs.map(({ result }) => result)), new Set(['accepted']), server.serverId);
      }

      await second.kill();
      await eventually(
        'a session that fails',
        () => /session broken off/.test(tailOf(lab.gateway.logFile, 50)) || undefined,
      );
      assert.equal(await lab.read('./DevInfo/Man'), 'Lab');
      assert.equal((await lab.gateway.command('health', '--json')).code, 0);

      // Back again, it goes on with the nonces that both had.
      await second.restart();
      await secondSessions(2);
      const proofs = (await second.events(gatewayId)).filter(({ kind }) => kind === 'auth');
      assert.deepEqual(new Set(proofs.map(({ result }) => result)), new Set(['accepted']));
      // Each acts under its own name: what one has added, the other may not touch.
      const [added] = await lab.manage([add(`${IMAGES}/a`, 'node')]);
      assert.equal(added?.status, 200);
      const [foreign] = await lab.manage([{ cmd: 'Delete', target: `${IMAGES}/a` }], second);
      assert.equal(foreign?.status, 425);
    });
  });
});
