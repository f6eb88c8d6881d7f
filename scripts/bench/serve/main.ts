/**
 * `make bench-serve`: the image server beside nginx, lighttpd and busybox, warm cache, loopback, clients that throw the
 * bytes away. SIZE: MiB of the image (256). ROUNDS: of each transfer, medians are shown (3). RETRIEVAL: MiB of the image
 * that comes in while memory is measured (1024). CASES: `transfers memory cut-through cold start`. Each line is told as it
 * comes. Ends with exit code 1 where a target is missed.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes } from '../../../firmware/ops/index.js';
import { makeImage, sha256Of } from '../../flow/images.js';
import { Lab } from '../../flow/lab.js';
import { addImage } from '../../flow/operator.js';
import { PROJECT_ROOT } from '../../flow/project.js';
import { nodeFlagsFrom, numberFrom } from '../environment.js';
import { atMost, circumstances, reported, showVerdicts, wordOf, writeReport, type Verdict } from '../report.js';
import { buildClient, type Place } from './client.js';
import { measureCold } from './cold.js';
import { measureCutThrough, type CutThrough } from './cut-through.js';
import { measureMemory, SITUATION } from './memory.js';
import { placeOf, untilAvailable } from './place.js';
import { busybox, installServers, lighttpd, nginx, type Contender } from './servers.js';
import { measureStart } from './start.js';
import { ratio, transfer, type Transfer } from './transfers.js';

const MIB = 1024 * 1024;
const RANGES_SECONDS = 3;
/** Short requests, before they are measured: V8 compiles what runs often only after some 100,000 of them. */
const WARM_UP_SECONDS = 15;
/** Beyond the longest run: clients that read slowly are part of it. */
const PATIENT_SECONDS = 3600;

interface Case {
  readonly name: string;
  readonly words: readonly (string | number)[];
  /** Beside the gateway and nginx, the others too. */
  readonly all: boolean;
}

const nodeFlags = nodeFlagsFrom(process.env);
const imageBytes = (numberFrom(process.env, 'SIZE', 1, 2048) ?? 256) * MIB;
const rounds = numberFrom(process.env, 'ROUNDS', 1, 99) ?? 3;
const retrievalBytes = (numberFrom(process.env, 'RETRIEVAL', 1, 2048) ?? 1024) * MIB;
const parts = (process.env.CASES ?? 'transfers memory cut-through cold start').split(' ');
const folder = join(PROJECT_ROOT, 'build/bench-serve');
const images = join(PROJECT_ROOT, 'build/bench-serve-images');

const whole = (clients: number, all = true): Case => ({
  name: `${clients} clients, whole file`,
  words: ['whole', clients],
  all,
});
const RANGES: Case = {
  name: '16 clients, random 64 KiB ranges',
  words: ['ranges', 16, imageBytes, RANGES_SECONDS],
  all: true,
};
const HALF: Case = { name: '50 clients, whole file', words: ['mixed', 50, 0, 0], all: false };
const MIXED: Case = { name: '50 clients beside 25 stalled and 25 slow', words: ['mixed', 50, 25, 25], all: false };
const WHOLE = [whole(4), whole(16), whole(100, false)];

installServers();
buildClient();
mkdirSync(images, { recursive: true });
const [file, second] = [join(images, 'image.bin'), join(images, 'second.bin')];
makeImage(file, imageBytes, 1);
if (parts.includes('memory')) makeImage(second, retrievalBytes, 2);

const verdicts: Verdict[] = [];
const results: Record<string, unknown> = { imageBytes, retrievalBytes, rounds };
try {
  if (['transfers', 'memory', 'start'].some((part) => parts.includes(part))) await warm();
  if (parts.includes('cut-through')) await cutThrough();
  if (parts.includes('cold')) await cold();
} finally {
  rmSync(images, { recursive: true, force: true });
}

process.exitCode = showVerdicts(process.stdout, verdicts);
const reportFile = writeReport('serve', circumstances(nodeFlags), { ...results, verdicts });
process.stdout.write(`\nratios are medians of ${rounds} rounds, each against the same round of nginx\n${reportFile}\n`);

/** What one gateway does with an image in the page cache. */
async function warm(): Promise<void> {
  const lab = await Lab.start({
    folder,
    devices: 0,
    offers: [file, second].map((path, index) => ({
      path: `/${index}`,
      file: path,
      contentType: 'application/octet-stream',
    })),
    gateway: {
      nodeFlags,
      settings: {
        log: { level: 'info' },
        retrieve: { fsyncVolumeMiB: 8 },
        serve: {
          maxConnections: 1024,
          maxConnectionsPerAddress: 1024,
          minBytesPerSecond: 1,
          minRateSeconds: PATIENT_SECONDS,
          idleTimeoutSeconds: PATIENT_SECONDS,
        },
      },
    },
  });
  try {
    await lab.manage(addImage('image', { uri: lab.downloads.urlOf('/0') }));
    const place = placeOf(await untilAvailable(lab, 'image'));
    const blob = join(lab.gateway.storeDir, 'blobs', await sha256Of(file));
    // Into the page cache, as the others' transfers would.
    readFileSync(blob);
    if (parts.includes('transfers')) await transfers(lab, blob, place);
    if (parts.includes('memory')) await memory(lab, place);
    if (parts.includes('start')) await start(lab, place);
  } finally {
    await lab.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function transfers(lab: Lab, blob: string, place: Place): Promise<void> {
  const others = [
    await nginx(blob, true),
    await nginx(blob, false),
    await lighttpd(blob, folder),
    await busybox(blob, folder),
  ];
  try {
    const pid = lab.gateway.child.pid;
    const gateway: Contender = { name: 'dmgw', place, processes: () => [pid], close: () => Promise.resolve() };
    const all = [gateway, ...others];
    const runs = new Map<string, Map<string, Transfer[]>>();
    for (const one of [...WHOLE, RANGES, HALF, MIXED]) {
      const byServer = new Map<string, Transfer[]>();
      runs.set(one.name, byServer);
      if (one === RANGES) {
        progress(`${one.name}: ${gateway.name} is warmed up`);
        await transfer(gateway, 'ranges', 16, imageBytes, WARM_UP_SECONDS);
      }
      for (let round = 0; round < rounds; round += 1) {
        for (const server of one.all ? all : all.slice(0, 2)) {
          progress(`${one.name}: ${server.name}, round ${round + 1}`);
          byServer.set(server.name, [...(byServer.get(server.name) ?? []), await transfer(server, ...one.words)]);
        }
      }
      judge(one, byServer, all);
    }
    const beside = (name: string): number | null =>
      ratio(runs.get(MIXED.name)?.get(name) ?? [], runs.get(HALF.name)?.get(name) ?? [], ({ wallMs }) => wallMs);
    verdict('others beside 50 stalled or slow: wall / without them', beside('dmgw'), 'at most', 1.2);
    verdict('  the same of nginx', beside('nginx'));
    results['transfers'] = Object.fromEntries([...runs].map(([name, runs]) => [name, Object.fromEntries(runs)]));
  } finally {
    for (const server of others) await server.close();
  }
}

/** The rows of one case: the gateway against nginx with its target, then the others against nginx. */
function judge({ name, words }: Case, runs: ReadonlyMap<string, readonly Transfer[]>, all: readonly Contender[]): void {
  const nginxRuns = runs.get('nginx') ?? [];
  for (const server of all) {
    const own = runs.get(server.name);
    if (!own || server.name === 'nginx') continue;
    const isGateway = server.name === 'dmgw';
    const label = `${name}: ${server.name}`;
    if (words[0] === 'ranges') {
      const perSecond = ratio(own, nginxRuns, ({ repliesPerSecond }) => repliesPerSecond);
      verdict(`${label}, requests per second / nginx`, perSecond, isGateway ? 'at least' : undefined, 0.5);
      continue;
    }
    const isTarget = isGateway && words[0] === 'whole';
    const [wall, cpu] = [
      ratio(own, nginxRuns, ({ wallMs }) => wallMs),
      ratio(own, nginxRuns, ({ cpuMsPerGib }) => cpuMsPerGib),
    ];
    verdict(`${label}, wall / nginx`, wall, isTarget ? 'at most' : undefined, 1);
    verdict(`${label}, CPU per GiB / nginx`, cpu, isTarget ? 'at most' : undefined, 1.2);
  }
}

async function memory(lab: Lab, place: Place): Promise<void> {
  await lab.gateway.stop();
  await lab.gateway.start();
  const situations = await measureMemory(lab, place, '/1', progress);
  results['memory'] = situations;
  const limits: Readonly<Record<string, number>> = {
    [SITUATION.idle]: 12,
    [SITUATION.busy]: 24,
    [SITUATION.stalled]: 24,
  };
  for (const { name, peakRssAnonBytes, ...more } of situations) {
    const limit = limits[name];
    const { rssBytes, pssBytes, majorFaults, socketBytes } = more;
    add({
      figure: `RssAnon, ${name}`,
      measured: formatBytes(peakRssAnonBytes),
      target: limit === undefined ? '' : `at most ${limit} MB`,
      met: limit === undefined ? null : peakRssAnonBytes <= limit * 1e6,
    });
    const pss = pssBytes === null ? '?' : formatBytes(pssBytes);
    const rest = `RSS ${formatBytes(rssBytes)}, PSS ${pss}, ${majorFaults} major faults, sockets ${formatBytes(socketBytes)}`;
    report('  beside it', rest);
  }
  const peakOf = (name: string): number =>
    situations.find((situation) => situation.name === name)?.peakRssAnonBytes ?? NaN;
  const inMb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const { idle, stalledFirst, stalled, stalledAgain } = SITUATION;
  const cost = peakOf(stalledFirst) - peakOf(idle);
  add(atMost('what the stalled clients cost a gateway that has only started', cost, 8e6, inMb));
  add(atMost('growth of the stalled case after 50 rounds', peakOf(stalledAgain) - peakOf(stalled), 1e6, inMb));
}

async function start(lab: Lab, place: Place): Promise<void> {
  progress('start of the process');
  await lab.gateway.stop();
  const figures = await measureStart(lab.gateway, place, nodeFlags);
  results['start'] = figures;
  verdict('start to the first byte / node -e 0', figures.firstByteMs / figures.bareNodeMs, 'at most', 2);
}

async function cutThrough(): Promise<void> {
  const figures = await measureCutThrough(file, imageBytes, folder, nodeFlags, progress);
  results['cutThrough'] = figures;
  const { gateway, nginx: proxy, gatewayWanBytes, nginxWanBytes, gatewayRssAnonBytes } = figures;
  const seconds = ({ allMs, limitMs, fromDiskMs }: CutThrough): string =>
    `${(allMs / 1000).toFixed(2)} s, limit ${(limitMs / 1000).toFixed(2)} s, from disk ${(fromDiskMs / 1000).toFixed(2)} s`;
  verdict('cut-through, 20 clients from the start: wall / limit', gateway.allMs / gateway.limitMs, 'at most', 1.05);
  report('  the same in seconds', seconds(gateway));
  report('  bytes over the WAN / image', (gatewayWanBytes / imageBytes).toFixed(3));
  report('  RssAnon then', formatBytes(gatewayRssAnonBytes));
  verdict('  nginx, proxy_cache and proxy_cache_lock: wall / limit', proxy.allMs / proxy.limitMs);
  report('  the same in seconds', seconds(proxy));
  report('  bytes over the WAN / image', (nginxWanBytes / imageBytes).toFixed(3));
}

async function cold(): Promise<void> {
  const figures = await measureCold(folder, nodeFlags, progress);
  if (typeof figures === 'string') {
    report('event loop delay on a slow disk', `not measured: ${figures}`);
    return;
  }
  results['cold'] = figures;
  const rows = [
    ['reads of 20 MB/s', figures.slowReads, 20],
    ['fsyncs of 100 ms', figures.slowSyncs, 50],
  ] as const;
  for (const [name, { median, p99, longest }, limit] of rows) {
    add({
      figure: `event loop delay, ${name}: p99`,
      measured: `${p99.toFixed(1)} ms`,
      target: `at most ${limit} ms`,
      met: p99 <= limit,
    });
    report('  median, longest', `${median.toFixed(1)} ms, ${longest.toFixed(1)} ms`);
  }
}

/** Takes a line into the table, and tells it at once: the table comes some minutes later. */
function add(verdict: Verdict): void {
  verdicts.push(verdict);
  const { figure, measured, target } = verdict;
  process.stderr.write(`  ${[figure.trim(), measured, target, wordOf(verdict)].filter(Boolean).join(' | ')}\n`);
}

function report(figure: string, measured: string): void {
  add(reported(figure, measured));
}

function verdict(figure: string, value: number | null, bound?: 'at most' | 'at least', target = 0): void {
  add({
    figure,
    measured: value === null ? 'nobody can tell' : value.toFixed(2),
    target: bound === undefined ? '' : `${bound} ${target}`,
    met: bound === undefined || value === null ? null : bound === 'at most' ? value <= target : value >= target,
  });
}

function progress(what: string): void {
  process.stderr.write(`${what}\n`);
}
