import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { FaultyDisk, whyNoFaults } from '../fault/faulty-disk.js';
import type { Command } from './dm-server.js';
import type { Lab } from './lab.js';
import { add, get, IMAGES } from './operator.js';
import { eventually } from './wait.js';
import { readImage, sha256At, testImage, withLab } from './with-lab.js';

const IMAGE_BYTES = 400 * 1024;
const MAX_MSG_SIZE = 16 * 1024;
const AVAILABLE = '50';
const noFaults = whyNoFaults() ?? false;

type TestImage = Awaited<ReturnType<typeof testImage>>;

function withDmServer(
  name: string,
  encoding: 'xml' | 'wbxml',
  test: (lab: Lab, image: TestImage) => Promise<void>,
): Promise<void> {
  const gateway = { settings: { session: { maxMessageBytes: MAX_MSG_SIZE } } };
  return withLab(name, { devices: 0, offers: [], dmServers: [{ encoding }], gateway }, async (lab) => {
    await test(lab, await testImage('sent-by-server', IMAGE_BYTES, 77));
  });
}

function addNode(node: string, { sha256 }: { readonly sha256: string }): Command[] {
  return [add(`${IMAGES}/${node}`, 'node'), add(`${IMAGES}/${node}/Digest`, 'chr', sha256)];
}

function sendData(node: string, { file }: TestImage, cmd: 'Add' | 'Replace' = 'Add'): Command {
  return { cmd, target: `${IMAGES}/${node}/Data`, format: 'bin', dataFile: file };
}

/** Files of content that is coming in, or that was. */
function partialFiles(lab: Lab): string[] {
  return readdirSync(join(lab.gateway.storeDir, 'partial'));
}

/** Queues the image for the gateway and waits until half of it has gone out. @returns the ids of the commands */
async function sendHalf(lab: Lab, commands: readonly Command[]): Promise<string[]> {
  await lab.dm.faults([{ kind: 'delay', ms: 10, times: 1000, deviceId: lab.gatewayId }]);
  const ids = await lab.dm.queue(lab.gatewayId, commands);
  await lab.wake();
  await eventually('half of the image to be sent', async () => {
    const sending = await lab.dm.sending(lab.gatewayId);
    return sending !== undefined && sending.sent > sending.bytes / 2 ? true : undefined;
  });
  return ids;
}

/** Starts a gateway that has ended and has it fetch what the server still has for it. @returns the Status codes */
async function goOn(lab: Lab, ids: readonly string[], commands: readonly Command[]): Promise<(number | null)[]> {
  await lab.dm.faults([], { clear: true });
  await lab.gateway.start();
  await lab.wake();
  return (await lab.dm.answers(lab.gatewayId, ids, commands)).map(({ status }) => status);
}

async function expectServed(lab: Lab, node: string, { sha256 }: TestImage): Promise<void> {
  const { State, LocalImageURI } = await readImage(lab, node);
  assert.equal(State, AVAILABLE);
  assert.equal(await sha256At(LocalImageURI), sha256);
  assert.deepEqual(partialFiles(lab), []);
}

describe('an image that the DM Server sends itself', { concurrency: 2 }, () => {
  for (const encoding of ['xml', 'wbxml'] as const) {
    it(`comes in small messages and is served, in ${encoding}`, async () => {
      await withDmServer(`data-${encoding}`, encoding, async (lab, image) => {
        const answers = await lab.manage([...addNode('a', image), sendData('a', image)]);
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200, 200, 200],
        );
        const sizes = lab.dm.messages(lab.gatewayId).map(({ bytes }) => bytes);
        assert.ok(sizes.length > IMAGE_BYTES / MAX_MSG_SIZE && Math.max(...sizes) <= MAX_MSG_SIZE);
        await expectServed(lab, 'a', image);
      });
    });
  }

  it('is refused when its Digest is another, and the right one can follow', async () => {
    await withDmServer('data-digest', 'wbxml', async (lab, image) => {
      const wrong = { sha256: '0'.repeat(64) };
      const answers = await lab.manage([
        ...addNode('a', wrong),
        sendData('a', image),
        get(`${IMAGES}/a/LocalImageURI`),
      ]);
      assert.deepEqual([answers[2]?.status, answers[3]?.value], [400, '']);
      assert.equal(existsSync(join(lab.gateway.storeDir, 'blobs', image.sha256)), false);
      assert.deepEqual(partialFiles(lab), []);
      const digest = { ...add(`${IMAGES}/a/Digest`, 'chr', image.sha256), cmd: 'Replace' as const };
      const again = await lab.manage([digest, sendData('a', image)]);
      assert.deepEqual(again[1]?.status, 200);
      await expectServed(lab, 'a', image);
    });
  });

  it('comes again from its beginning after the gateway was killed in the middle', async () => {
    await withDmServer('data-killed', 'xml', async (lab, image) => {
      await lab.manage(addNode('a', image));
      const commands = [sendData('a', image)];
      const ids = await sendHalf(lab, commands);
      await lab.gateway.kill();
      assert.equal(partialFiles(lab).length, 1);
      assert.deepEqual(await goOn(lab, ids, commands), [200]);
      await expectServed(lab, 'a', image);
    });
  });

  it('is there or not there after a power cut, and never another one', { skip: noFaults }, async (t) => {
    const rules = [
      'cut write 3 */storeDir/partial/*',
      'cut sync 1 */storeDir/partial/*',
      'cut name 1 */storeDir/*',
      'cut sync 1 */storeDir/blobs/*.json.new',
      'cut sync 1 */storeDir/blobs',
      'cut write 12 */stateDir/*',
      'cut sync 3 */stateDir/*',
    ];
    await withDmServer('data-power', 'xml', async (lab, image) => {
      for (const [round, rule] of rules.entries()) {
        const node = `p${round}`;
        await lab.manage(addNode(node, image));
        await lab.gateway.stop();
        const disk = new FaultyDisk('data', `seed ${round}; names strict`, [
          lab.gateway.stateDir,
          lab.gateway.storeDir,
        ]);
        try {
          await disk.under(() => lab.gateway.start());
          const commands = [sendData(node, image)];
          const ids = await lab.dm.queue(lab.gatewayId, commands);
          await disk.tell(rule);
          await lab.wake();
          await lab.gateway.child.ended;
          assert.ok(disk.cutSince(0), `the power did not go by "${rule}"`);
          t.diagnostic(disk.cutSince(0)?.replaceAll(/\/\S*\/gateway\//g, '') ?? '');
          await lab.gateway.start();
          const { LocalImageURI } = await readImage(lab, node);
          if (LocalImageURI !== '') assert.equal(await sha256At(LocalImageURI), image.sha256);
          const [answer] = await lab.dm.answers(lab.gatewayId, ids, commands);
          // It was stored, but the server had not heard of it: there is a value already.
          assert.ok(answer?.status === 200 || answer?.status === 418, `Status ${answer?.status}`);
          await expectServed(lab, node, image);
          await lab.manage([{ cmd: 'Delete', target: `${IMAGES}/${node}` }]);
        } finally {
          disk.remove();
        }
      }
    });
  });
});
