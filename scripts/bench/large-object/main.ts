/**
 * `make bench-large-object`: an image that the DM Server sends itself, as one large object in small messages, through the
 * real gateway, which has done nothing since its start; how much its memory grows above its idle value. MIB: size of the
 * image (64). MESSAGE_KIB: MaxMsgSize of the gateway (16). ENCODINGS: `xml wbxml`. Ends with exit code 1 where the growth
 * is above its target.
 */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatBytes } from '../../../firmware/ops/index.js';
import { makeImage, sha256Of } from '../../flow/images.js';
import { Lab } from '../../flow/lab.js';
import { add, IMAGES } from '../../flow/operator.js';
import { PROJECT_ROOT } from '../../flow/project.js';
import { nodeFlagsFrom, numberFrom } from '../environment.js';
import { MemoryWatch, type MemoryFigures } from '../memory-watch.js';
import { cpuMsOf } from '../proc.js';
import { ProgressBar } from '../progress-bar.js';
import { atMost, circumstances, showTable, showVerdicts, writeReport } from '../report.js';

const MIB = 1024 * 1024;
/** More than the idle value. */
const TARGET_GROWTH_BYTES = 4_000_000;
/** After its start the gateway is left alone so long, until V8 has given back what the start took. */
const SETTLE_MS = 15_000;
/** Silence of both sides that ends the benchmark. */
const STALLED_MS = 60_000;
const POLL_MS = 500;

type Encoding = 'xml' | 'wbxml';

interface Run {
  readonly encoding: Encoding;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly memory: MemoryFigures;
  readonly growthBytes: number;
}

const nodeFlags = nodeFlagsFrom(process.env);
const imageBytes = (numberFrom(process.env, 'MIB', 1, 4096) ?? 64) * MIB;
const maxMessageBytes = (numberFrom(process.env, 'MESSAGE_KIB', 4, 1024) ?? 16) * 1024;
const encodings = (process.env.ENCODINGS ?? 'xml wbxml').split(' ').filter(isEncoding);
const folder = join(PROJECT_ROOT, 'build/bench-large-object');

const runs: Run[] = [];
for (const encoding of encodings) runs.push(await measure(encoding));

showTable(process.stdout, {
  head: ['ENCODING', 'SECONDS', 'MB/S', 'CPU S', 'IDLE RSSANON', 'PEAK RSSANON', 'GROWTH', 'PEAK RSS'],
  rows: runs.map(({ encoding, seconds, cpuSeconds, memory, growthBytes }) => [
    encoding,
    seconds.toFixed(1),
    (imageBytes / seconds / 1e6).toFixed(1),
    cpuSeconds.toFixed(1),
    formatBytes(memory.idleRssAnonBytes),
    formatBytes(memory.peakRssAnonBytes),
    formatBytes(growthBytes),
    formatBytes(memory.peakRssBytes),
  ]),
});
const results = { imageBytes, maxMessageBytes, targetGrowthBytes: TARGET_GROWTH_BYTES, runs };
const report = writeReport('large-object', circumstances(nodeFlags), results);
process.exitCode = showVerdicts(
  process.stdout,
  runs.map(({ encoding, growthBytes }) => atMost(`growth, ${encoding}`, growthBytes, TARGET_GROWTH_BYTES, formatBytes)),
);
process.stdout.write(`\n${report}\n`);

async function measure(encoding: Encoding): Promise<Run> {
  const lab = await Lab.start({
    folder,
    devices: 0,
    offers: [],
    dmServers: [{ encoding }],
    gateway: { nodeFlags, settings: { session: { maxMessageBytes }, log: { level: 'info' } } },
  });
  try {
    const file = join(folder, 'image.bin');
    makeImage(file, imageBytes, 1);
    await sleep(SETTLE_MS);
    const memory = new MemoryWatch(lab.gateway.child.pid);
    memory.markIdle();
    const cpuBefore = cpuMsOf(lab.gateway.child.pid) ?? 0;
    const startedMs = performance.now();
    await send(lab, 'large', file, imageBytes, new ProgressBar(process.stderr, encoding, imageBytes));
    const seconds = (performance.now() - startedMs) / 1000;
    const cpuSeconds = ((cpuMsOf(lab.gateway.child.pid) ?? 0) - cpuBefore) / 1000;
    const figures = memory.stop();
    const growthBytes = figures.peakRssAnonBytes - figures.idleRssAnonBytes;
    await lab.close();
    rmSync(folder, { recursive: true });
    return { encoding, seconds, cpuSeconds, memory: figures, growthBytes };
  } finally {
    await lab.close();
  }
}

/** Sends an image and waits until the gateway has it. */
async function send(lab: Lab, node: string, file: string, bytes: number, bar: ProgressBar | undefined): Promise<void> {
  const commands = [
    add(`${IMAGES}/${node}`, 'node'),
    { cmd: 'Add', target: `${IMAGES}/${node}/Data`, format: 'bin', dataFile: file } as const,
  ];
  const ids = await lab.dm.queue(lab.gatewayId, commands);
  await lab.wake();
  let last = { sent: 0, atMs: performance.now() };
  const answered = lab.dm.answers(lab.gatewayId, ids, commands, Infinity);
  while ((await Promise.race([answered, sleep(POLL_MS)])) === undefined) {
    const { sent = last.sent } = (await lab.dm.sending(lab.gatewayId)) ?? {};
    bar?.show(sent);
    if (sent > last.sent) last = { sent, atMs: performance.now() };
    if (performance.now() - last.atMs > STALLED_MS) throw new Error(lab.gateway.child.describe('does not go on'));
  }
  bar?.end();
  const wrong = (await answered).find(({ status }) => status !== 200);
  if (wrong) throw new Error(`${wrong.command.target ?? ''} was answered ${String(wrong.status)}`);
  const sha256 = await sha256Of(file);
  const stored = join(lab.gateway.storeDir, 'blobs', sha256);
  const image = await lab.gateway.image(node);
  if (image?.state !== 'available' || image.sizeBytes !== bytes || !existsSync(stored)) {
    throw new Error(`the gateway does not have the image: ${JSON.stringify(image)}`);
  }
}

function isEncoding(word: string): word is Encoding {
  return word === 'xml' || word === 'wbxml';
}
