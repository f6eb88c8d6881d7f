import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { coverageOf } from '../flow/download-server.js';
import { sha256Of } from '../flow/images.js';
import type { Lab } from '../flow/lab.js';
import { addImage, replaceImageUri } from '../flow/operator.js';
import { eventually } from '../flow/wait.js';
import {
  expectNotServed,
  fetchLocal,
  MIB,
  readImage,
  retrievalAlert,
  sha256At,
  testImage,
  withLab,
} from '../flow/with-lab.js';
import { FaultyDisk, whyNoFaults } from './faulty-disk.js';
import { LoopMeter } from './loop-meter.js';

const skip = whyNoFaults() ?? false;

/** Values of the State and Result nodes. */
const FAILED = '60';
const SUCCESS = '1200';
const OUT_OF_MEMORY = '1404';
const UNDEFINED_ERROR = '1412';

/** Exit code of a gateway whose disk has failed. */
const FATAL = 70;

const IMAGE_BYTES = 4 * MIB;

/** While a rule is being set, so that the retrieval waits for it. */
const CRAWL = 32 * 1024;

type TestImage = Awaited<ReturnType<typeof testImage>>;

const images = (count: number, seed: number, bytes = IMAGE_BYTES): Promise<TestImage[]> =>
  Promise.all(Array.from({ length: count }, (_, index) => testImage(`fault-${seed + index}`, bytes, seed + index)));

/** Starts the gateway of a lab anew, on a disk with these rules. */
async function onDisk<T>(lab: Lab, rules: string, work: (disk: FaultyDisk) => Promise<T>): Promise<T> {
  await lab.gateway.stop();
  const disk = new FaultyDisk('gateway', rules, [lab.gateway.stateDir, lab.gateway.storeDir]);
  try {
    await disk.under(() => lab.gateway.start());
    return await work(disk);
  } finally {
    disk.remove();
  }
}

/** Has an image retrieved. @returns its LocalImageURI */
async function retrieved(lab: Lab, node: string, image: TestImage): Promise<string> {
  await lab.manage(addImage(node, { uri: lab.downloads.urlOf(image.path) }));
  await retrievalAlert(lab, node);
  return (await readImage(lab, node)).LocalImageURI;
}

/** What the gateway offers under an image's name has its content, whatever else has happened. */
async function expectNothingWrong(lab: Lab, node: string, image: TestImage): Promise<void> {
  const { LocalImageURI } = await readImage(lab, node);
  if (LocalImageURI !== '') assert.equal(await sha256At(LocalImageURI), image.sha256);
}

async function expectAvailable(lab: Lab, node: string, image: TestImage): Promise<void> {
  const uri = await eventually(`image ${node} to be there`, async () => {
    lab.requireAlive();
    const found = await lab.gateway.image(node);
    return found?.state === 'available' ? found.localImageURI : undefined;
  });
  assert.equal(await sha256At(uri), image.sha256);
  assert.equal(await sha256Of(join(lab.gateway.storeDir, 'blobs', image.sha256)), image.sha256);
}

describe('the gateway when the power goes during a retrieval', { skip }, () => {
  it('has the right image in the end and never offers a wrong one', async (t) => {
    const rules: readonly string[] = [
      'cut sync 1 */storeDir/*',
      'cut sync 3 */storeDir/partial/*',
      'cut write 9 */storeDir/*',
      'cut sync 2 */stateDir/*',
      'cut sync 1 */storeDir/blobs/*.json.new',
      'cut sync 1 */storeDir/blobs',
      'cut name 3 */storeDir/*',
      'cut write 1 */stateDir/*',
      'cut write 12 */stateDir/*',
      'cut now',
    ];
    const offered = await images(rules.length, 40);
    const options = { devices: 0, offers: offered.map(({ offer }) => offer) };
    await withLab('power-cuts', options, async (lab) => {
      for (const [round, rule] of rules.entries()) {
        const image = offered[round]!;
        const node = `i${round}`;
        await onDisk(lab, `seed ${round + 1}; names ${round % 2 === 0 ? 'ordered' : 'strict'}`, async (disk) => {
          await lab.downloads.rate(CRAWL);
          const { ended } = lab.gateway.child;
          await lab.manage(addImage(node, { uri: lab.downloads.urlOf(image.path) }));
          if (rule !== 'cut now') await disk.tell(rule);
          await lab.downloads.rate(rule === 'cut now' ? 8 * MIB : 0);
          if (rule === 'cut now') {
            await sleep(250);
            await disk.tell(rule);
          }
          await Promise.race([ended, sleep(15_000, undefined, { ref: false })]);
          assert.ok(disk.cutSince(0), `the power did not go by "${rule}"`);
          assert.deepEqual(disk.notCovered, []);
          await lab.downloads.rate(0);
          await lab.gateway.start();
          await expectNothingWrong(lab, node, image);
          await expectAvailable(lab, node, image);
          assert.equal((await retrievalAlert(lab, node)).data, SUCCESS);
          const { bytes, ranges } = coverageOf(await lab.downloads.accesses(), image.path, image.bytes);
          const cut = disk.cutSince(0)?.replaceAll(/\/\S*\/gateway\//g, '') ?? '';
          t.diagnostic(`${cut} -> ${(bytes / image.bytes).toFixed(2)} (${ranges.join(' ')})`);
        });
      }
      // What was there once stays there.
      for (const [round, image] of offered.entries()) await expectAvailable(lab, `i${round}`, image);
    });
  });
});

describe('the gateway when the power goes while it serves an image that comes in', { skip }, () => {
  it('breaks off its readers, and serves what was durable again while the rest comes in', async () => {
    const [image] = await images(1, 130);
    assert.ok(image);
    const gateway = { settings: { serve: { cutThrough: true } } };
    await withLab('power-cut-arriving', { devices: 0, offers: [image.offer], gateway }, async (lab) => {
      await onDisk(lab, 'loss all; names kept', async (disk) => {
        await lab.downloads.rate(2 * MIB);
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path), digest: image.sha256 }));
        const uri = await eventually('LocalImageURI', async () => {
          return (await lab.gateway.image('a'))?.localImageURI || undefined;
        });
        const reading = fetchLocal(uri).then(
          () => 'whole',
          () => 'broken off',
        );
        await eventually('durable bytes', async () => {
          return ((await lab.gateway.image('a'))?.receivedBytes ?? 0) >= MIB || undefined;
        });
        await disk.tell('cut now');
        await lab.gateway.child.ended;
        assert.equal(await reading, 'broken off');

        await lab.downloads.rate(CRAWL);
        await lab.gateway.start();
        const again = await lab.gateway.image('a');
        assert.equal(again?.localImageURI, uri);
        assert.ok(again.receivedBytes > 0 && again.state !== 'available');
        const headers = { Range: `bytes=0-${again.receivedBytes - 1}` };
        const prefix = await fetch(uri, { headers });
        assert.deepEqual([prefix.status, prefix.headers.get('etag')], [206, `"${image.sha256}"`]);
        const expected = readFileSync(image.file).subarray(0, again.receivedBytes);
        assert.ok(Buffer.from(await prefix.arrayBuffer()).equals(expected));
        assert.notEqual((await lab.gateway.image('a'))?.state, 'available');
        const whole = sha256At(uri);
        await lab.downloads.rate(0);
        assert.equal(await whole, image.sha256);
      });
    });
  });
});

describe('the gateway where the sync of an image does nothing', { skip }, () => {
  it('is seen to offer wrong content', async (t) => {
    // Not every cut shows: it depends on which blocks are lost.
    const rounds = 30;
    const offered = await images(rounds, 120, MIB);
    await withLab('lies', { devices: 0, offers: offered.map(({ offer }) => offer) }, async (lab) => {
      let wrong: string | undefined;
      for (let round = 0; round < rounds && wrong === undefined; round += 1) {
        const image = offered[round]!;
        const node = `i${round}`;
        wrong = await onDisk(lab, `seed ${round}; names kept; lie sync */partial/*`, async (disk) => {
          await lab.manage(addImage(node, { uri: lab.downloads.urlOf(image.path) }));
          await retrievalAlert(lab, node);
          await disk.tell('cut now');
          await lab.gateway.child.ended;
          await lab.gateway.start();
          return expectNothingWrong(lab, node, image).then(() => undefined, String);
        });
        t.diagnostic(`round ${round + 1}: ${wrong === undefined ? 'nothing seen' : 'wrong content seen'}`);
      }
      assert.ok(wrong, 'a lost sync was not noticed: these tests prove nothing');
    });
  });
});

describe('the gateway on a disk that fails', { skip }, () => {
  it('tells why an image cannot be stored, serves nothing of it, and stores it when the disk is well again', async () => {
    const rows: readonly [string, string][] = [
      ['fail EIO write 3 */partial/*', UNDEFINED_ERROR],
      ['fail EIO sync 2 */partial/*', UNDEFINED_ERROR],
      ['fail EIO write 1 */blobs/*.json.new', UNDEFINED_ERROR],
      ['fail EIO name 2 */blobs/*', UNDEFINED_ERROR],
      ['fail EIO sync 1 */blobs', UNDEFINED_ERROR],
      ['fail EROFS name 1+ */partial/*', UNDEFINED_ERROR],
      ['fail EROFS write 2+ */partial/*', UNDEFINED_ERROR],
      // What passes is waited for.
      ['fail EMFILE name 1 */partial/*', SUCCESS],
      ['fail EMFILE name 1 */blobs/*.json.new', SUCCESS],
      ['full 1500000 */partial/*', OUT_OF_MEMORY],
      ['fail ENOSPC write 1 */blobs/*.json.new', OUT_OF_MEMORY],
    ];
    const offered = await images(rows.length, 60);
    await withLab('disk-errors', { devices: 0, offers: offered.map(({ offer }) => offer) }, async (lab) => {
      await onDisk(lab, '', async (disk) => {
        for (const [index, [rule, result]] of rows.entries()) {
          const image = offered[index]!;
          const node = `i${index}`;
          const uri = lab.downloads.urlOf(image.path);
          await disk.tell(rule);
          await lab.manage(addImage(node, { uri }));
          const alert = await retrievalAlert(lab, node);
          assert.equal(alert.data, result, rule);
          if (result !== SUCCESS) {
            await expectNotServed(lab, node, FAILED, result);
            await disk.tell('clear');
            await lab.manage([replaceImageUri(node, uri)]);
            assert.equal((await retrievalAlert(lab, node, alert.n)).data, SUCCESS, rule);
          }
          await expectAvailable(lab, node, image);
        }
        assert.deepEqual(disk.notCovered, []);
      });
    });
  });

  it('ends when the disk of its database fails, and goes on where it was', async () => {
    const rules = [
      'fail EIO sync 2+ *-wal',
      'fail EIO write 4+ *-wal',
      'fail ENOSPC write 3+ *-wal',
      'full 0 */stateDir/*',
    ];
    const offered = await images(rules.length, 70);
    await withLab('database-errors', { devices: 0, offers: offered.map(({ offer }) => offer) }, async (lab) => {
      for (const [index, rule] of rules.entries()) {
        const image = offered[index]!;
        const node = `i${index}`;
        await onDisk(lab, `seed ${index}`, async (disk) => {
          await lab.downloads.rate(CRAWL);
          const { ended } = lab.gateway.child;
          await lab.manage(addImage(node, { uri: lab.downloads.urlOf(image.path) }));
          await disk.tell(rule);
          await lab.downloads.rate(0);
          const end = await Promise.race([ended, sleep(15_000, undefined, { ref: false })]);
          assert.equal(end?.code, FATAL, `${rule}: ${lab.gateway.child.describe('does not end')}`);
          await lab.gateway.start();
          await expectNothingWrong(lab, node, image);
          await expectAvailable(lab, node, image);
          assert.equal((await retrievalAlert(lab, node)).data, SUCCESS);
        });
      }
    });
  });

  it('is not healthy, with exit code 1, once its database cannot be flushed', async () => {
    const [image] = await images(1, 75, 64 * 1024);
    assert.ok(image);
    await withLab('unhealthy', { devices: 0, offers: [image.offer] }, async (lab) => {
      await onDisk(lab, '', async (disk) => {
        const uri = await retrieved(lab, 'a', image);
        assert.equal((await lab.gateway.command('health')).code, 0);
        await disk.tell('fail EIO sync 1+ *-wal');
        // It counts once its client has gone.
        await once(
          get(uri, { agent: false }, (reply) => reply.resume()),
          'close',
        );
        const { code, stdout } = await eventually('something that health flushes', async () => {
          // Who asks for the status has it noted what was served; nobody waits for that to be durable.
          await lab.gateway.image('a');
          const ended = await lab.gateway.command('health');
          return ended.code === 0 ? undefined : ended;
        });
        assert.equal(code, 1, stdout);
        assert.match(stdout, /^not healthy\nFAIL {2}database: .*dmgw\.db cannot be read or written \(EIO/);
      });
    });
  });

  it('ends no reply as complete whose bytes it cannot read', async () => {
    const [image] = await images(1, 80);
    assert.ok(image);
    await withLab('read-errors', { devices: 0, offers: [image.offer] }, async (lab) => {
      await onDisk(lab, '', async (disk) => {
        const uri = await retrieved(lab, 'a', image);
        for (const rule of ['fail EIO read 1+ */blobs/*', 'fail EIO read 3+ */blobs/*']) {
          await disk.tell(rule);
          const reply = await fetchLocal(uri).catch(() => undefined);
          assert.ok(reply === undefined || reply.status >= 500, `${rule}: ${reply?.status ?? 0}`);
          await disk.tell('clear');
        }
        await disk.tell('slow read 4000000 */blobs/*');
        assert.equal(await sha256At(uri), image.sha256);
        await disk.tell('clear');
        await expectAvailable(lab, 'a', image);
      });
    });
  });
});

describe('the gateway on a slow disk', { skip }, () => {
  it('does not wait in its event loop while every sync takes 100 ms, an image comes in and another is served', async (t) => {
    const [first, second] = await images(2, 110);
    assert.ok(first && second);
    const meter = new LoopMeter('slow-disk');
    const offers = [first.offer, second.offer];
    await withLab('slow-disk', { devices: 0, offers, gateway: { nodeFlags: meter.nodeFlags } }, async (lab) => {
      await onDisk(lab, 'slow sync 100', async () => {
        const uri = await retrieved(lab, 'a', first);
        await lab.downloads.rate(MIB);
        meter.begin();
        await lab.manage(addImage('b', { uri: lab.downloads.urlOf(second.path) }));
        let served = 0;
        await eventually('the second image', async () => {
          assert.equal(await sha256At(uri), first.sha256);
          served += 1;
          return (await lab.gateway.image('b'))?.state === 'available' || undefined;
        });
        const { median, p99, longest } = await meter.end();
        t.diagnostic(
          `event loop delay: median ${median.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ` +
            `longest ${longest.toFixed(1)} ms; served ${served} times`,
        );
        assert.ok(p99 < 50);
      }).finally(() => meter.remove());
    });
  });
});

describe('a stop of the gateway', { skip }, () => {
  it('ends at once on a second signal, with a word and the exit code of that signal', async () => {
    const [image] = await images(1, 151);
    assert.ok(image);
    await withLab('second-signal', { devices: 0, offers: [image.offer] }, async (lab) => {
      await onDisk(lab, 'slow sync 60000 */storeDir/partial/*', async () => {
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
        await eventually('a flush', async () => ((await lab.gateway.image('a'))?.arrivedBytes ?? 0) > 0 || undefined);
        const log = (): string => readFileSync(lab.gateway.logFile, 'utf8');
        const written = log().length;
        const beganMs = performance.now();
        const ended = lab.gateway.stop();
        await eventually('the stop to begin', () => log().includes('stopping', written) || undefined);
        lab.gateway.child.signal('SIGINT');
        assert.deepEqual(await ended, { code: 130, signal: null });
        assert.ok(performance.now() - beganMs < 4000);
        assert.match(log(), /warn .*stopped at once/);
      });
      await lab.gateway.start();
    });
  });

  it('is given up after 5 s, with a word and exit code 1, where the disk does not take what comes in', async () => {
    const [image] = await images(1, 150);
    assert.ok(image);
    await withLab('endless-disk', { devices: 0, offers: [image.offer] }, async (lab) => {
      await onDisk(lab, 'slow sync 60000 */storeDir/partial/*', async () => {
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
        await eventually('a flush', async () => ((await lab.gateway.image('a'))?.arrivedBytes ?? 0) > 0 || undefined);
        const beganMs = performance.now();
        const end = await lab.gateway.stop();
        const seconds = (performance.now() - beganMs) / 1000;
        assert.deepEqual(end, { code: 1, signal: null });
        assert.ok(seconds > 4.9, `${seconds} s`);
        assert.match(readFileSync(lab.gateway.logFile, 'utf8'), /error .*stop took too long/);
      });
      await lab.gateway.start();
    });
  });
});

describe('what a power cut costs', { skip }, () => {
  /** Retrieves an image by the rules until the power goes, and again to the end. @returns its bytes over the WAN */
  async function bytesWithCut(name: string, seed: number, rules: string): Promise<number> {
    const [image] = await images(1, seed);
    assert.ok(image);
    let wan = 0;
    await withLab(name, { devices: 0, offers: [image.offer] }, async (lab) => {
      await onDisk(lab, rules, async (disk) => {
        const { ended } = lab.gateway.child;
        await lab.downloads.rate(8 * MIB);
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
        await ended;
        assert.ok(disk.cutSince(0));
        await lab.downloads.rate(0);
        await lab.gateway.start();
        await expectAvailable(lab, 'a', image);
        wan = coverageOf(await lab.downloads.accesses(), image.path, image.bytes).bytes;
      });
    });
    return wan;
  }

  // Beside the bytes since the last watermark, what was on its way when the power went.
  const AT_MOST = IMAGE_BYTES + 2.5 * MIB;

  it('is at most what came since the last flush, although no name in the folder was synced', async () => {
    const bytes = await bytesWithCut('cut-name', 90, 'loss all; cut sync 4 */partial/*');
    assert.ok(bytes <= AT_MOST, `${bytes} bytes for ${IMAGE_BYTES}`);
  });

  it('is at most what came since the last flush, where names are kept', async () => {
    const bytes = await bytesWithCut('cut-watermark', 93, 'loss all; names kept; cut sync 4 */partial/*');
    assert.ok(bytes <= AT_MOST, `${bytes} bytes for ${IMAGE_BYTES}`);
  });

  it('is no new retrieval when the image already has its name', async () => {
    const bytes = await bytesWithCut('cut-named', 91, 'loss none; cut sync 1 */blobs');
    assert.ok(bytes <= AT_MOST, `${bytes} bytes for ${IMAGE_BYTES}`);
  });

  it('is not the content: bytes whose flush failed before a pause are fetched again', async () => {
    const [image] = await images(1, 92);
    assert.ok(image);
    await withLab('cut-after-failed-flush', { devices: 0, offers: [image.offer] }, async (lab) => {
      // Behind ten flushes of 256 KiB comes that before the pause, where the connection breaks: it fails. Later ones do not.
      await onDisk(lab, 'loss all; names kept; fail EIO sync 11 */partial/*', async (disk) => {
        await lab.downloads.fault({ kind: 'cut-at', path: image.path, offsets: [2.5 * MIB + 50_000] });
        await lab.downloads.rate(MIB);
        await lab.manage(addImage('a', { uri: lab.downloads.urlOf(image.path) }));
        await eventually('a watermark beyond it', async () => {
          return ((await lab.gateway.image('a'))?.receivedBytes ?? 0) >= 3 * MIB || undefined;
        });
        // A session makes durable what the database has.
        await readImage(lab, 'a');
        await disk.tell('cut now');
        await lab.gateway.child.ended;
        await lab.downloads.rate(0);
        await lab.gateway.start();
        await expectAvailable(lab, 'a', image);
      });
    });
  });
});
