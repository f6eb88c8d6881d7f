import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Lab } from './lab.js';
import { add, FANOUTS, get } from './operator.js';
import { withLab } from './with-lab.js';

const MAX_MSG_SIZE = 4096;
const TARGETS = `${FANOUTS}/f/Targets`;

/** Far more than a message holds, and every line another. */
const LINES = Array.from({ length: 3000 }, (_, n) => `MAC:${n.toString(16).toUpperCase().padStart(12, '0')}`).join(
  '\n',
);

/** A gateway and a server that take no message longer than a few KiB from each other. */
function withSmallMessages(
  name: string,
  encoding: 'xml' | 'wbxml',
  test: (lab: Lab) => Promise<void>,
  maxObjSize = 1024 * 1024,
): Promise<void> {
  const settings = { maxMsgSize: MAX_MSG_SIZE, maxObjSize };
  const gateway = { settings: { session: { maxMessageBytes: MAX_MSG_SIZE } } };
  return withLab(name, { devices: 0, offers: [], dmServers: [{ encoding, settings }], gateway }, test);
}

/** No message of either side is longer than the other side takes. */
function expectSmallMessages(lab: Lab): void {
  const sizes = lab.dm.messages(lab.gatewayId).map(({ bytes }) => bytes);
  assert.ok(sizes.length > 0 && Math.max(...sizes) <= MAX_MSG_SIZE, `${Math.max(...sizes)} octets`);
}

describe('large objects between a DM Server and the gateway', { concurrency: 2 }, () => {
  for (const encoding of ['xml', 'wbxml'] as const) {
    it(`go in and come out in chunks, in ${encoding}`, async () => {
      await withSmallMessages(`large-${encoding}`, encoding, async (lab) => {
        const [node, value] = await lab.manage([add(`${FANOUTS}/f`, 'node'), add(TARGETS, 'chr', LINES)]);
        assert.deepEqual([node?.status, value?.status], [200, 200]);
        const incoming = lab.dm.messages(lab.gatewayId).length;
        assert.ok(incoming > LINES.length / MAX_MSG_SIZE, `${incoming} messages`);
        const [read] = await lab.manage([get(TARGETS)]);
        assert.equal(read?.status, 200);
        assert.equal(read.value, LINES);
        expectSmallMessages(lab);
      });
    });
  }

  it('come from a file of the server', async () => {
    await withSmallMessages('large-file', 'wbxml', async (lab) => {
      const dataFile = join(lab.dm.logFile, '..', 'targets.txt');
      writeFileSync(dataFile, LINES);
      const answers = await lab.manage([
        add(`${FANOUTS}/f`, 'node'),
        { cmd: 'Add', target: TARGETS, format: 'chr', dataFile },
        get(TARGETS),
      ]);
      assert.deepEqual([answers[1]?.status, answers[2]?.value], [200, LINES]);
    });
  });

  it('are refused as they should be when something is wrong with them, and the session goes on', async () => {
    const rows: readonly (readonly [fault: Record<string, unknown>, code: number | null])[] = [
      [{ kind: 'wrong-size', by: 1 }, 424],
      [{ kind: 'wrong-size', by: -10 }, 424],
      [{ kind: 'no-size' }, 411],
    ];
    await withSmallMessages('large-wrong', 'xml', async (lab) => {
      await lab.manage([add(`${FANOUTS}/f`, 'node'), add(TARGETS, 'chr', 'as it was')]);
      for (const [fault, code] of rows) {
        await lab.dm.faults([{ ...fault, deviceId: lab.gatewayId }]);
        const answers = await lab.manage([
          { cmd: 'Replace', target: TARGETS, format: 'chr', data: LINES },
          get('./DevInfo/DevId'),
        ]);
        assert.deepEqual([answers[0]?.status, answers[1]?.value], [code, lab.gatewayId], JSON.stringify(fault));
        assert.equal(await lab.read(TARGETS), 'as it was');
      }
    });
  });

  for (const kind of ['command-between-chunks', 'early-final', 'cut-object']) {
    it(`leave nothing behind when they are broken off by ${kind}, and can be sent again`, async () => {
      await withSmallMessages(`large-${kind}`, 'xml', async (lab) => {
        await lab.manage([add(`${FANOUTS}/f`, 'node'), add(TARGETS, 'chr', 'as it was')]);
        await lab.dm.faults([{ kind, deviceId: lab.gatewayId }]);
        const before = await lab.dm.now(lab.gatewayId);
        const replace = { cmd: 'Replace', target: TARGETS, format: 'chr', data: LINES } as const;
        const [broken] = await lab.manage([replace]);
        assert.notEqual(broken?.status, 200);
        const alerts = (await lab.dm.events(lab.gatewayId, before)).filter(({ kind: what }) => what === 'alert');
        if (kind !== 'cut-object') assert.equal(alerts.length, 1, 'the gateway misses the end of it (1225)');
        assert.equal(await lab.read(TARGETS), 'as it was');
        const [again] = await lab.manage([replace]);
        assert.equal(again?.status, 200);
        assert.equal(await lab.read(TARGETS), LINES);
      });
    });
  }

  it('begin again after the gateway was killed in the middle, and nothing of the first time is left', async () => {
    await withSmallMessages('large-killed', 'xml', async (lab) => {
      await lab.manage([add(`${FANOUTS}/f`, 'node'), add(TARGETS, 'chr', 'as it was')]);
      await lab.dm.faults([{ kind: 'delay', ms: 20, times: 1000, deviceId: lab.gatewayId }]);
      const commands = [{ cmd: 'Replace', target: TARGETS, format: 'chr', data: LINES } as const];
      const ids = await lab.dm.queue(lab.gatewayId, commands);
      await lab.wake();
      for (let sent = 0; sent < LINES.length / 2;) sent = (await lab.dm.sending(lab.gatewayId))?.sent ?? sent;
      await lab.gateway.kill();
      await lab.dm.faults([], { clear: true });
      await lab.gateway.start();
      await lab.wake();
      const [answer] = await lab.dm.answers(lab.gatewayId, ids, commands);
      assert.equal(answer?.status, 200);
      assert.equal(await lab.read(TARGETS), LINES);
    });
  });

  it('are not asked for where the server would not take them', async () => {
    await withSmallMessages(
      'large-limit',
      'xml',
      async (lab) => {
        await lab.manage([add(`${FANOUTS}/f`, 'node'), add(TARGETS, 'chr', LINES)]);
        const [read] = await lab.manage([get(TARGETS)]);
        assert.deepEqual([read?.status, read?.value], [413, undefined]);
      },
      LINES.length - 1,
    );
  });
});
