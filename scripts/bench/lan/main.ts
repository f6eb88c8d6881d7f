/**
 * `make bench-lan`: the nine steps where every party has a network of its own: servers in a WAN of 20 Mbit/s, the
 * gateway, End Devices in a LAN of 200 Mbit/s; and beside it the same devices without gateway, each over the WAN.
 * SIZE: MiB of the image (8: about 90 s). DEVICES: (20). Needs root: it makes network namespaces, and removes them, also
 * after Ctrl-C. Exit code 1 when a step is not proved or the WAN carries the image more than once.
 *
 * The program runs twice: once outside, where it makes the namespaces, and once in that of the WAN, where the operator of
 * the DM Server sits.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeImage, sha256Of } from '../../flow/images.js';
import { Lab } from '../../flow/lab.js';
import { playNineSteps, type OfferedImage } from '../../flow/nine-steps.js';
import { PROJECT_ROOT } from '../../flow/project.js';
import { nodeFlagsFrom, numberFrom } from '../environment.js';
import { ProgressBar } from '../progress-bar.js';
import { atMost, circumstances, showTable, showVerdicts, writeReport } from '../report.js';
import { fetchDirectly } from './direct.js';
import { firstLine, Namespaces, removeAbandoned } from './namespaces.js';

const MIB = 1024 * 1024;
const RATES = { wan: 20, lan: 200 } as const;
const MOST_WAN_BYTES_PER_BYTE = 1.01;
const WAN_FIGURE = 'WAN bytes per image byte (download server)';
/** Waited for at most so many times as long as the lines need. */
const PATIENCE = 4;
const PATIENCE_MS = 60_000;

const imageBytes = (numberFrom(process.env, 'SIZE', 1, 1024) ?? 8) * MIB;
const devices = numberFrom(process.env, 'DEVICES', 1, 200) ?? 20;
const nodeFlags = nodeFlagsFrom(process.env);

const run = process.env.BENCH_LAN_RUN;
process.exitCode = run === undefined ? await outside() : await inside(new Namespaces(Number(run), devices));

/** Makes the namespaces, and waits for the other half in them. @returns the exit code */
async function outside(): Promise<number> {
  if (process.getuid?.() !== 0) {
    process.stderr.write('bench-lan needs root: it makes network namespaces\n');
    return 1;
  }
  removeAbandoned();
  const network = new Namespaces(process.pid, devices);
  try {
    network.make();
    const unshaped = network.shape(RATES);
    if (unshaped !== undefined) {
      process.stderr.write(
        `the lines have no rate of their own (${unshaped}): the download server keeps that of the WAN\n`,
      );
    }
    const [program, ...words] = ['ip', 'netns', 'exec', network.wan, process.execPath, fileURLToPath(import.meta.url)];
    const child = spawn(program, words, {
      stdio: 'inherit',
      env: { ...process.env, BENCH_LAN_RUN: String(process.pid), BENCH_LAN_SHAPED: unshaped === undefined ? '1' : '' },
    });
    // Ctrl-C reaches both; the other half ends the parties in order, and this one waits for it.
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
    return await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  } catch (thrown) {
    process.stderr.write(`bench-lan: ${firstLine(thrown)}\n`);
    return 1;
  } finally {
    network.remove();
  }
}

/** @returns the exit code */
async function inside(network: Namespaces): Promise<number> {
  const isShaped = process.env.BENCH_LAN_SHAPED !== '';
  const folder = join(PROJECT_ROOT, 'build/bench-lan');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'image.bin');
  makeImage(file, imageBytes, 1);
  const image: OfferedImage = { path: '/image', file, bytes: imageBytes, sha256: await sha256Of(file) };
  let lab: Lab | undefined;
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => {
    ending ??= (async () => {
      await lab?.close();
      rmSync(folder, { recursive: true, force: true });
    })();
    return ending;
  };
  // The terminal tells both halves, and the other half tells this one: once is enough.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => void end().finally(() => process.exit(1)));
  }
  try {
    process.stderr.write(`starting ${devices} End Devices\n`);
    lab = await Lab.start({
      folder: join(folder, 'lab'),
      devices,
      network,
      offers: [{ path: image.path, file, contentType: 'application/octet-stream' }],
      rateBytesPerSecond: isShaped ? 0 : bytesPerSecond(RATES.wan),
      gateway: { nodeFlags, settings: { log: { level: 'info' } } },
    });
    return await measure(lab, image, network);
  } catch (thrown) {
    process.stderr.write(`bench-lan: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
    return 1;
  } finally {
    await end();
  }
}

async function measure(lab: Lab, image: OfferedImage, network: Namespaces): Promise<number> {
  const onceMs = (image.bytes * 1000) / bytesPerSecond(RATES.wan);
  const toAllMs = (devices * image.bytes * 1000) / bytesPerSecond(RATES.lan);
  const allOverWanMs = devices * onceMs;
  const timeoutMs = PATIENCE_MS + PATIENCE * (onceMs + toAllMs);

  const retrieval = new ProgressBar(process.stderr, 'retrieval over the WAN', image.bytes);
  const reports = new ProgressBar(process.stderr, 'End Devices have it', devices, (count) => count.toFixed(0));
  let reported = 0;
  let lastMs = 0;
  const wireBefore = wireBytes();
  const startMs = performance.now();
  const played = await playNineSteps({
    lab,
    image,
    maxWanRatio: MOST_WAN_BYTES_PER_BYTE,
    timeoutMs,
    observer: {
      step: ({ step, ok, proof }) => {
        if (step >= 3) retrieval.end();
        if (!ok) process.stderr.write(`step ${step} is not proved: ${proof}\n`);
      },
      retrieving: (bytes) => retrieval.show(bytes),
      device: () => {
        reported += 1;
        lastMs = performance.now() - startMs;
        reports.show(reported);
      },
    },
  });
  reports.end();
  const wire = wireBytes() - wireBefore;
  const proved = played.steps.length === 9 && played.steps.every(({ ok }) => ok);
  if (!proved) return 1;

  const directBefore = wireBytes();
  const bar = new ProgressBar(process.stderr, 'every device over the WAN', devices * image.bytes);
  const direct = await fetchDirectly(
    lab,
    image,
    (index) => network.device(index),
    PATIENCE_MS + PATIENCE * allOverWanMs,
    (bytes) => bar.show(bytes),
  );
  bar.end();
  const directWire = wireBytes() - directBefore;

  const limitMs = onceMs + toAllMs;
  const wanRatio = played.wanBytes / image.bytes;
  const rows: readonly (readonly [string, string, string])[] = [
    [WAN_FIGURE, wanRatio.toFixed(4), (direct.wanBytes / image.bytes).toFixed(4)],
    [
      'WAN bytes per image byte (on the line, with all else)',
      (wire / image.bytes).toFixed(4),
      (directWire / image.bytes).toFixed(4),
    ],
    ['makespan', seconds(lastMs), seconds(direct.makespanMs)],
    ['limit of the lines', seconds(limitMs), seconds(allOverWanMs)],
    ['makespan / limit', (lastMs / limitMs).toFixed(2), (direct.makespanMs / allOverWanMs).toFixed(2)],
    ['without gateway / with it', (direct.makespanMs / lastMs).toFixed(2), ''],
  ];
  showTable(process.stdout, {
    head: [`${devices} DEVICES, ${image.bytes / MIB} MiB`, 'BY THE GATEWAY', 'EACH OVER THE WAN'],
    rows,
  });
  const code = showVerdicts(process.stdout, [
    atMost(WAN_FIGURE, wanRatio, MOST_WAN_BYTES_PER_BYTE, (ratio) => ratio.toFixed(4)),
  ]);
  const report = writeReport('lan', circumstances(nodeFlags), {
    imageBytes: image.bytes,
    devices,
    mbitPerSecond: RATES,
    shaped: process.env.BENCH_LAN_SHAPED !== '',
    gateway: { wanBytes: played.wanBytes, wireBytes: wire, makespanMs: lastMs, limitMs, phasesMs: played.phasesMs },
    direct: { ...direct, wireBytes: directWire, limitMs: allOverWanMs },
  });
  process.stdout.write(`\nWAN ${RATES.wan} Mbit/s, LAN ${RATES.lan} Mbit/s; all nine steps are proved\n${report}\n`);
  return code;
}

/** What has left this namespace over the WAN, headers and all. */
function wireBytes(): number {
  return Number(readFileSync('/sys/class/net/wan/statistics/tx_bytes', 'utf8'));
}

function bytesPerSecond(mbit: number): number {
  return (mbit * 1e6) / 8;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
