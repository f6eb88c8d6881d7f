import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { tailOf } from './json-lines.js';
import type { Lab } from './lab.js';
import { get } from './operator.js';
import { eventually } from './wait.js';
import { withLab } from './with-lab.js';

describe('what the owner of the gateway has to tell', { concurrency: 2 }, () => {
  it('by dmgw event reaches the server once it takes it, also over a kill and a lost answer, and then never again', async () => {
    await withLab('event', { devices: 0, offers: [] }, async (lab) => {
      const { dm, gateway, gatewayId } = lab;
      await lab.read('./DevInfo/DevId');
      // Refused, then taken with an answer that is lost, then taken for good.
      await dm.faults([{ kind: 'alert-status', status: 500, deviceId: gatewayId, times: 1 }]);
      const told = await gateway.command('event', 'org.example.door', 'open');
      assert.deepEqual([told.code, told.stdout], [0, 'waits for dm1.lab\n']);
      await events(lab, 1);
      await eventually('the refusal', () => /did not take an alert/.test(tailOf(gateway.logFile, 50)) || undefined);
      await gateway.kill();
      await dm.faults([{ kind: 'lose-answer', deviceId: gatewayId, times: 3 }]);
      await gateway.start();
      await events(lab, 2);
      await eventually('the event to be taken', async () => {
        const [account] = (await gateway.status()).accounts;
        return account?.alertsWaiting === 0 || undefined;
      });
      // Neither in another session, nor after a restart.
      const taken = (await events(lab, 2)).length;
      await lab.read('./DevInfo/Man');
      await gateway.stop();
      await gateway.start();
      await lab.read('./DevInfo/Man');
      assert.equal((await events(lab, taken)).length, taken);
      const refused = await gateway.command('event', 'org.example.door', '--server', 'nobody');
      assert.deepEqual([refused.code, refused.stdout], [1, '']);
      assert.match(refused.stderr, /no account has the ServerID nobody/);
    });
  });

  it('goes to another host only where the account allows it', async () => {
    await withLab('moved', { devices: 0, offers: [] }, async (lab) => {
      const { dm, gateway, gatewayId } = lab;
      // A host that all sessions are redirected from.
      let asked = 0;
      const front = createServer((_, response) => {
        asked += 1;
        response.writeHead(307, { Location: dm.url }).end();
      }).listen(0, '127.0.0.1');
      await once(front, 'listening');
      const url = `http://127.0.0.1:${(front.address() as AddressInfo).port}/dm`;
      try {
        await gateway.stop();
        const before = await dm.now(gatewayId);
        gateway.configure({}, { url });
        await gateway.start();
        await eventually('a session that fails', () => {
          return /session broken off" .*code=redirect/.test(tailOf(gateway.logFile, 20)) || undefined;
        });
        assert.ok(asked > 0);
        assert.deepEqual(await dm.events(gatewayId, before), []);

        await gateway.stop();
        gateway.configure({}, { url, allowHosts: [new URL(dm.url).hostname] });
        const commands = [get('./DevInfo/DevId'), get('./DMAcc/dm1.lab/AppAddr/1/Addr')];
        const ids = await dm.queue(gatewayId, commands);
        await gateway.start();
        const answers = await dm.answers(gatewayId, ids, commands);
        assert.deepEqual(
          answers.map(({ value }) => value),
          [gatewayId, url],
        );
      } finally {
        front.close();
        front.closeAllConnections();
      }
    });
  });
});

/** The client events that the server has seen, once there are so many. */
function events(lab: Lab, atLeast: number): Promise<readonly unknown[]> {
  return eventually(`${atLeast} client events`, async () => {
    const seen = (await lab.dm.events(lab.gatewayId)).filter(
      ({ kind, type, data }) => kind === 'alert' && type === 'org.example.door' && data === 'open',
    );
    return seen.length >= atLeast ? seen : undefined;
  });
}
