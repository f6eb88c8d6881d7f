import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ForeignClient, inside, noWbxml, packageOne, status, type Answer } from './foreign-client.js';
import { startLabServer, type LabServer } from './lab-server.js';

/** What `Final` adds to a message: there is room for it in each. */
const FINAL_BYTES = { xml: '<Final/>'.length, wbxml: 1 };

for (const encoding of ['xml', 'wbxml'] as const) {
  describe(
    `the DM server and the MaxMsgSize of a device (${encoding})`,
    { skip: encoding === 'wbxml' && noWbxml },
    () => {
      let server: LabServer;
      before(async () => {
        const accounts = ['a', 'b', 'c', 'd'].map((name) => ({
          deviceId: `urn:x:${name}`,
          client: { scheme: 'none' },
          server: { scheme: 'none' },
        }));
        server = await startLabServer({ accounts });
      });
      after(() => server.end());

      /** Opens a session of a device; all names in it are of the same length for each. */
      const open = async (name: string, maxMsgSize: number): Promise<{ device: ForeignClient; answer: Answer }> => {
        const deviceId = `urn:x:${name}`;
        const device = new ForeignClient({
          ...{ url: server.url, deviceId, sessionId: '7' },
          ...(encoding === 'wbxml' && { wbxml: '1.3' as const }),
        });
        return { device, answer: await device.send(packageOne(deviceId), { maxMsgSize }) };
      };

      it('sends in one message what has just that size, and in two where it is one octet less', async () => {
        const firstOf = async (name: string, maxMsgSize: number): Promise<Answer> => {
          const replace = { cmd: 'Replace', target: './A', data: 'v'.repeat(600) };
          await server.queue(`urn:x:${name}`, replace, replace);
          return (await open(name, maxMsgSize)).answer;
        };
        const whole = await firstOf('a', 60_000);
        const size = whole.octets.byteLength;
        assert.equal(whole.commands('Replace').length, 2);
        const exact = await firstOf('b', size);
        assert.deepEqual([exact.octets.byteLength, exact.commands('Replace').length], [size, 2]);
        assert.equal((await firstOf('c', size - 1)).commands('Replace').length, 1);
      });

      it('fills messages with the chunks of an object to the octet', async () => {
        const maxMsgSize = 2000;
        const value = 'text '.repeat(1500);
        await server.queue('urn:x:d', { cmd: 'Replace', target: './A', data: value });
        const { device, answer: first } = await open('d', maxMsgSize);
        let answer = first;
        let seen = '';
        for (;;) {
          const [chunk = ''] = answer.commands('Replace');
          seen += inside(chunk, 'Data');
          if (answer.final) break;
          assert.equal(answer.octets.byteLength, maxMsgSize - FINAL_BYTES[encoding]);
          const took = status(answer.msgId, '0', 'SyncHdr', 200);
          answer = await device.send(took + status(answer.msgId, inside(chunk, 'CmdID'), 'Replace', 213));
        }
        assert.equal(seen, value);
        assert.ok(answer.octets.byteLength <= maxMsgSize);
      });
    },
  );
}
