/**
 * `make bench-download`: a file from nginx over loopback to the disk, by the gateway, curl and aria2c in turn, and its SHA-256 alone.
 * SIZE: MiB of the file (256). RUNS: of each (9). FOLDER: where what comes goes (build/). SIDE_BY_SIDE: numbers of
 * retrievals at the same time, after those, for their memory ('2 4'). Ends with exit code 1 where a target is missed.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { Nginx, NO_NGINX } from '../../../firmware/image/nginx.fixture.js';
import { formatBytes } from '../../../firmware/ops/index.js';
import { makeImage, sha256Of } from '../../flow/images.js';
import { PROJECT_ROOT } from '../../flow/project.js';
import { nodeFlagsFrom, numberFrom } from '../environment.js';
import { ProgressBar } from '../progress-bar.js';
import { atMost, circumstances, reported, showTable, showVerdicts, writeReport } from '../report.js';
import { median } from '../statistics.js';
import { runCommand } from './command.js';
import type { Cost } from './cost.js';
import { BenchGateway } from './gateway.js';

const MIB = 1024 * 1024;
/** Of the gateway: times the wall time of curl, RssAnon at its peak, bytes written for each byte of the image. */
const TARGET = { wallRatio: 1.2, peakRssAnonBytes: 20 * MIB, writtenPerByte: 1.05 };
/** `retrieve.concurrent` where the configuration says nothing. */
const DEFAULT_CONCURRENT = 2;

if (NO_NGINX !== false) throw new Error(NO_NGINX);
const nodeFlags = nodeFlagsFrom(process.env);
const bytes = (numberFrom(process.env, 'SIZE', 1, 1_000_000) ?? 256) * MIB;
const runs = numberFrom(process.env, 'RUNS', 1, 100) ?? 9;
const sideBySide = (process.env.SIDE_BY_SIDE ?? '2 4').split(' ').filter(Boolean).map(Number);
const build = join(PROJECT_ROOT, 'build');
mkdirSync(build, { recursive: true });
const folder = mkdtempSync(join(build, 'bench-download-'));
const target = mkdtempSync(join((process.env.FOLDER ?? '') === '' ? folder : (process.env.FOLDER ?? ''), 'came-'));

const nginx = new Nginx(
  ({ folder: own, ports: [port] }) =>
    `access_log off; sendfile on; tcp_nopush on; server { listen 127.0.0.1:${port}; root ${own}/www; }`,
);
let gateway: BenchGateway | undefined;
try {
  const image = join(folder, 'image.bin');
  makeImage(image, bytes, 1);
  symlinkSync(image, join(nginx.folder, 'www/image.bin'));
  const digest = await sha256Of(image);
  await nginx.start();
  const url = `http://127.0.0.1:${nginx.ports[0]}/image.bin`;
  const concurrent = Math.max(DEFAULT_CONCURRENT, ...sideBySide);
  const started = await BenchGateway.start(join(folder, 'lab'), join(target, 'store'), nodeFlags, concurrent);
  gateway = started;

  const came = join(target, 'came.bin');
  const curl = `curl -sS --fail -o ${came} ${url}`;
  const contenders: Readonly<Record<string, () => Promise<Cost>>> = {
    curl: () => runCommand(curl),
    'curl, sync': () => runCommand(`${curl}; sync ${came}`),
    // What is there already: how long the digest alone takes, that cannot be had by two processors at once.
    'openssl sha256': () => runCommand(`openssl dgst -sha256 ${image}`),
    'curl, openssl sha256, sync': () => runCommand(`${curl}; openssl dgst -sha256 ${came}; sync ${came}`),
    'aria2c -x1': () => runCommand(`aria2c -q -x1 --allow-overwrite=true -d ${target} -o came.bin ${url}`),
    gateway: () => started.retrieve(url, digest),
  };
  const names = Object.keys(contenders);
  const costs: Record<string, Cost[]> = Object.fromEntries(names.map((name) => [name, []]));
  const bar = new ProgressBar(process.stderr, 'runs', runs * names.length, (done) => done.toFixed(0));
  // In turn, so that whatever else the machine does meets them all.
  for (let run = 0; run < runs; run += 1) {
    for (const [index, [name, go]] of Object.entries(contenders).entries()) {
      rmSync(came, { force: true });
      // The host of a virtual machine takes free memory back: whoever gets it next would pay for that, up to twice the time.
      execFileSync('dd', ['if=/dev/zero', `of=${came}`, 'bs=1M', `count=${bytes / MIB}`, 'status=none']);
      rmSync(came);
      execFileSync('sync');
      costs[name]?.push(await go());
      bar.show(run * names.length + index + 1);
    }
  }
  bar.end();
  const aloneRssAnonBytes = started.peakRssAnonBytes();
  const together: { readonly retrievals: number; readonly peakRssAnonBytes: number; readonly wallMs: number }[] = [];
  for (const retrievals of sideBySide) {
    // One by one in the number: what the larger needs stays with the process.
    const urls = Array.from({ length: retrievals }, (_, index) => `${url}?${index}`);
    together.push({ retrievals, ...(await started.retrieveTogether(urls, digest)) });
  }
  gateway = undefined;
  const life = await started.close();

  const middle = (name: string, of: (cost: Cost) => number): number => median((costs[name] ?? []).map(of));
  const wall = (cost: Cost): number => cost.wallMs;
  showTable(process.stdout, {
    head: ['MEDIAN OF', 'WALL MS', 'x CURL', 'CPU MS', 'RSS', 'RSSANON', 'WRITTEN PER BYTE', 'ALL WALL MS'],
    rows: names.map((name) => [
      name,
      middle(name, wall).toFixed(0),
      (middle(name, wall) / middle('curl', wall)).toFixed(2),
      middle(name, ({ cpuMs }) => cpuMs).toFixed(0),
      formatBytes(middle(name, ({ peakRssBytes }) => peakRssBytes)),
      formatBytes(middle(name, ({ peakRssAnonBytes }) => peakRssAnonBytes)),
      (middle(name, ({ writtenBytes }) => writtenBytes) / bytes).toFixed(3),
      (costs[name] ?? []).map((cost) => cost.wallMs.toFixed(0)).join(' '),
    ]),
  });
  const figures = {
    wallRatio: middle('gateway', wall) / middle('curl', wall),
    peakRssAnonBytes: aloneRssAnonBytes,
    writtenPerByte: middle('gateway', ({ writtenBytes }) => writtenBytes) / bytes,
  };
  process.exitCode = showVerdicts(process.stdout, [
    atMost('wall, times that of curl', figures.wallRatio, TARGET.wallRatio, (ratio) => ratio.toFixed(2)),
    atMost(
      `peak RssAnon in its life (${formatBytes(life.idleRssAnonBytes)} idle)`,
      figures.peakRssAnonBytes,
      TARGET.peakRssAnonBytes,
      formatBytes,
    ),
    ...together.map(({ retrievals, peakRssAnonBytes, wallMs }) =>
      retrievals <= DEFAULT_CONCURRENT
        ? atMost(sideBySideName(retrievals, wallMs), peakRssAnonBytes, TARGET.peakRssAnonBytes, formatBytes)
        : reported(sideBySideName(retrievals, wallMs), formatBytes(peakRssAnonBytes)),
    ),
    atMost('written for each byte', figures.writtenPerByte, TARGET.writtenPerByte, (ratio) => ratio.toFixed(3)),
  ]);
  const measured = circumstances(nodeFlags);
  const file = writeReport('download', measured, {
    bytes,
    target: TARGET,
    figures,
    together,
    gatewayMemory: life,
    costs,
  });
  process.stdout.write(`\n${formatBytes(bytes)} from nginx over loopback, ${runs} runs of each in turn; ${file}\n`);
} finally {
  await gateway?.close();
  await nginx.close();
  rmSync(target, { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
}

function sideBySideName(retrievals: number, wallMs: number): string {
  return `  ${retrievals} retrievals side by side (${wallMs.toFixed(0)} ms)`;
}
