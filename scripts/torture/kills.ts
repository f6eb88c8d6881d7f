/**
 * Kills the gateway, the real process, at random moments while images come in, and looks at what it makes of that: the
 * right content in the end, no other content in between, and little of it fetched twice.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { randomOf } from '../fault/campaign.js';
import type { Access } from '../flow/download-server.js';
import type { Lab } from '../flow/lab.js';
import { addImage } from '../flow/operator.js';
import { eventually } from '../flow/wait.js';
import { fetchLocal, MIB, retrievalAlert, sha256At, testImage } from '../flow/with-lab.js';

/** Most bytes that a kill may cost: `retrieve.fsyncVolumeMiB` of the lab's gateway. */
export const VOLUME_BYTES = MIB;

/** Of the WAN: an image takes about as long as the gateway takes to start. */
export const WAN_BYTES_PER_SECOND = 16 * MIB;

/** No multiple of anything. */
const IMAGE_BYTES = 8 * MIB + 4_321;

/** A killed gateway leaves room behind it: none of what came before is asked for again. */
export const QUOTA_MIB = 40;

/** What a kill met. */
export type Moment = 'starting' | 'coming in' | 'whole';

export interface TortureFigures {
  readonly kills: number;
  readonly images: number;
  readonly moments: Readonly<Record<Moment, number>>;
  /** Kills after which the gateway asked for the image again, and the bytes that it had and asked for again. */
  readonly resumed: number;
  readonly mostRefetched: number;
  readonly meanRefetched: number;
  /** Bytes that the server sent, of them on their way at a kill, over those of the images. */
  readonly sentOverSize: number;
}

const SUCCESS = '1200';

/** Kills in vain, in a row, after which an image is let come in. */
const KILLS_PER_IMAGE = 24;

/** A kill, and what was there then. */
interface Kill {
  /** Bytes of the image in its partial file. */
  readonly had: number;
  /** Replies with bytes of the image before it. */
  readonly replies: number;
}

/**
 * @param lab one that has just begun, with `WAN_BYTES_PER_SECOND`
 * @param told how many kills are done
 * @throws AssertionError with the seed, when something is wrong
 */
export async function torture(
  lab: Lab,
  kills: number,
  seed: number,
  told: (kills: number) => void,
): Promise<TortureFigures> {
  const random = randomOf(seed);
  const startMs = Math.min(await startTime(lab), await startTime(lab));
  const moments: Record<Moment, number> = { starting: 0, 'coming in': 0, whole: 0 };
  const refetched: number[] = [];
  let [done, images, sent] = [0, 0, 0];
  while (done < kills) {
    images += 1;
    const node = `t${images}`;
    const image = await testImage(`torture-${images}`, IMAGE_BYTES, seed * 1000 + images);
    await lab.downloads.offer(image.offer);
    const digest = images % 2 === 0 ? { digest: image.sha256 } : {};
    await lab.manage(addImage(node, { uri: lab.downloads.urlOf(image.path), ...digest }));
    const watch = new Watch(lab, node, image.sha256);
    const had: Kill[] = [];
    let bodies: Access[] = [];
    let runs = true;
    try {
      while (done < kills && had.length < KILLS_PER_IMAGE) {
        await untilKill(lab, image.path, random, {
          startMs: runs ? 0 : startMs,
          had: had.at(-1)?.had ?? 0,
          sent: bytesOf(bodies),
        });
        await lab.gateway.kill();
        done += 1;
        told(done);
        bodies = await bodiesOf(lab, image.path);
        had.push({ had: bytesThere(lab, image.sha256), replies: bodies.length });
        const whole = had.at(-1)?.had === IMAGE_BYTES;
        moments[whole ? 'whole' : bodies.length > (had.at(-2)?.replies ?? 0) ? 'coming in' : 'starting'] += 1;
        runs = false;
        // What is whole is killed again now and then: while it is named, and while it is found there.
        if (whole && random() < 0.7) break;
        void lab.gateway.start().catch(() => undefined);
      }
      if (lab.gateway.child.isRunning) await lab.gateway.kill();
      await lab.gateway.start();
      const uri = await eventually(`image ${node}, seed ${seed}`, async () => {
        lab.requireAlive();
        const found = await lab.gateway.image(node);
        return found?.state === 'available' ? found.localImageURI : undefined;
      });
      assert.equal(await sha256At(uri), image.sha256, `seed ${seed}: image ${node} has other content`);
      assert.equal((await retrievalAlert(lab, node)).data, SUCCESS, `seed ${seed}: image ${node}`);
    } finally {
      await watch.stop();
    }
    assert.deepEqual(watch.faults, [], `seed ${seed}`);
    bodies = await bodiesOf(lab, image.path);
    sent += bytesOf(bodies);
    for (const again of askedAgain(had, bodies)) {
      refetched.push(again);
      assert.ok(again <= VOLUME_BYTES, `seed ${seed}: ${again} bytes of image ${node} were asked for again`);
    }
    rmSync(image.file, { force: true });
  }
  return {
    kills: done,
    images,
    moments,
    resumed: refetched.length,
    mostRefetched: Math.max(0, ...refetched),
    meanRefetched: refetched.reduce((sum, bytes) => sum + bytes, 0) / Math.max(1, refetched.length),
    sentOverSize: sent / (images * IMAGE_BYTES),
  };
}

/** How long the gateway takes from its start to its first answer, in ms. */
async function startTime(lab: Lab): Promise<number> {
  await lab.gateway.stop();
  const began = performance.now();
  await lab.gateway.start();
  return performance.now() - began;
}

/**
 * Waits for the moment of a kill: every fifth is while the gateway starts, the others are when so many more bytes have
 * left the server, or a while after the last one.
 * @param startMs how long a start takes; 0: it runs
 * @param had bytes of the image that were there before
 * @param sent bytes that had left the server before
 */
async function untilKill(
  lab: Lab,
  path: string,
  random: () => number,
  { startMs, had, sent }: { readonly startMs: number; readonly had: number; readonly sent: number },
): Promise<void> {
  if (had === IMAGE_BYTES) return sleep(random() * startMs * 1.5);
  // Rather early: a start may take less time than the one that was measured.
  if (startMs > 0 && random() < 0.2) return sleep(random() ** 2 * startMs);
  const left = IMAGE_BYTES - had;
  const wanted = random() * left * 1.15;
  await eventually(
    'more bytes of the image',
    async () => {
      const { bytesByPath } = await lab.downloads.stats();
      return (bytesByPath[path] ?? 0) - sent >= Math.min(left, wanted) || undefined;
    },
    { everyMs: 10 },
  );
  if (wanted > left) await sleep(random() * 100);
}

/** Bytes of the image in its file, partial or whole. */
function bytesThere(lab: Lab, sha256: string): number {
  const { storeDir } = lab.gateway;
  if (existsSync(join(storeDir, 'blobs', sha256))) return IMAGE_BYTES;
  const partial = join(storeDir, 'partial');
  const sizes = existsSync(partial) ? readdirSync(partial).map((name) => statSync(join(partial, name)).size) : [];
  return Math.max(0, ...sizes);
}

/** Replies that brought bytes of the image, once none is being sent. */
async function bodiesOf(lab: Lab, path: string): Promise<Access[]> {
  return (await lab.downloads.accesses()).filter((access) => access.path === path && access.bytes > 0);
}

function bytesOf(bodies: readonly Access[]): number {
  return bodies.reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * Bytes that were there at a kill and that the next request asked for again. Of kills before the same request the first
 * counts: the starts between them may have cut the file already.
 */
function askedAgain(kills: readonly Kill[], bodies: readonly Access[]): number[] {
  return kills
    .filter(({ replies }, index) => kills[index - 1]?.replies !== replies)
    .flatMap(({ had, replies }) => {
      const next = bodies[replies];
      return next ? [Math.max(0, had - next.from)] : [];
    });
}

/** Fetches an image again and again, as an End Device would that has been told too early. */
class Watch {
  readonly faults: string[] = [];
  #stopped = false;
  readonly #over: Promise<void>;

  constructor(
    private readonly lab: Lab,
    private readonly node: string,
    private readonly sha256: string,
  ) {
    this.#over = this.#watch();
  }

  stop(): Promise<void> {
    this.#stopped = true;
    return this.#over;
  }

  async #watch(): Promise<void> {
    const url = this.lab.gateway.localUri(this.node);
    while (!this.#stopped) {
      // A gateway that is killed in the middle breaks the reply off.
      const reply = await fetchLocal(url).catch(() => undefined);
      if (reply?.status === 200) {
        const found = createHash('sha256').update(reply.body).digest('hex');
        if (found !== this.sha256) this.faults.push(`${url} brought ${reply.body.length} bytes of other content`);
      }
      await sleep(reply?.status === 200 ? 200 : 40);
    }
  }
}
