/**
 * The demo: DM Server, download server, gateway and End Devices as processes of their own, and the nine steps of image
 * distribution from beginning to end. Environment: see options.ts. Exit code: 0 when every step is proved, 1 when one
 * is not, 2 for a wrong wish, 130 after Ctrl-C.
 */
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { formatBytes } from '../../firmware/ops/index.js';
import { MemoryWatch } from '../bench/memory-watch.js';
import type { Arrivals } from '../flow/arrivals.js';
import { tailOf } from '../flow/json-lines.js';
import { Lab } from '../flow/lab.js';
import { playNineSteps, type NineSteps, type OfferedImage } from '../flow/nine-steps.js';
import { createMemoryCgroup, type MemoryCgroup } from './cgroup.js';
import { Display, exactBytes } from './display.js';
import { chooseImage } from './image.js';
import { readOptions, traitsOf, type DemoOptions } from './options.js';
import { writeReport, type DemoReport } from './report.js';
import { freshFolder } from './workplace.js';

/** A gateway that has just started may still tidy up: it is left alone so long before its idle memory is read. */
const SETTLE_MS = 1_500;

/** WAN bytes per image byte at most; each cut may cost what was on its way. */
const MAX_WAN_RATIO = 1.01;
const MAX_WAN_RATIO_WITH_CUTS = 1.05;

/** More devices than that share their processes. */
const DEVICE_PROCESSES = 16;
/** So long a device that moves must have been silent at its old address. */
const TAKEOVER_GRACE_SECONDS = 2;
/** Where datagrams are lost, and devices come late: one in 10,000 devices is not reached by so many. */
const PATIENT = { repeat: 13, interval: 1 };
/** Which may take so long, for one device that has bad luck. */
const PATIENT_SECONDS = 300;

/** Without a rate, the WAN is taken for at least so fast. */
const SLOWEST_BYTES_PER_SECOND = 2_000_000;

let cgroup: MemoryCgroup | undefined;
let lab: Lab | undefined;

endOnSignals();
try {
  const options = readOptions(process.env);
  const image = await chooseImage(options.image);
  if (options.cgroupMib !== undefined) cgroup = createMemoryCgroup(options.cgroupMib);
  process.exitCode = await demonstrate(options, image);
} catch (thrown) {
  process.stderr.write(`demo: ${thrown instanceof Error ? thrown.message : String(thrown)}\n`);
  process.exitCode = lab === undefined ? 2 : 1;
} finally {
  await endAll();
}

async function demonstrate(options: DemoOptions, image: OfferedImage): Promise<number> {
  const display = new Display(process.stdout, image.bytes);
  const startedMs = performance.now();
  const folder = freshFolder();
  const running = await Lab.start({
    folder,
    devices: options.devices,
    devicesPerProcess: Math.ceil(options.devices / DEVICE_PROCESSES),
    ...(options.mdns && { discovery: (index) => traitsOf(options, index) }),
    offers: [{ path: image.path, file: image.file, contentType: 'application/octet-stream' }],
    rateBytesPerSecond: options.wanRate,
    gateway: {
      settings: {
        log: { level: 'info' },
        ...options.settings,
        ...(options.moves > 0 && {
          discovery: {
            ...(options.settings.discovery as object | undefined),
            takeoverGraceSeconds: TAKEOVER_GRACE_SECONDS,
          },
        }),
      },
      nodeFlags: options.nodeFlags,
      ...(cgroup && { cgroup: cgroup.folder }),
    },
  });
  lab = running;
  introduce(display, running, image, options);
  if (options.cuts > 0) await planCuts(running, image, options.cuts);
  const memory = new MemoryWatch(running.gateway.child.pid);
  await sleep(SETTLE_MS);
  memory.markIdle();

  const startMs = Math.round(performance.now() - startedMs);
  const played = await playNineSteps({
    lab: running,
    image,
    maxWanRatio: options.cuts > 0 ? MAX_WAN_RATIO_WITH_CUTS : MAX_WAN_RATIO,
    timeoutMs: timeoutFor(image, options),
    ...(options.loss > 0 && { policy: PATIENT }),
    observer: display,
  });
  const { traffic } = await running.gateway.status();
  const figures: DemoReport['gateway'] = {
    ...memory.stop(),
    ...(cgroup && {
      cgroup: { limitBytes: (options.cgroupMib ?? 0) * 1024 * 1024, peakBytes: cgroup.peakBytes() ?? null },
    }),
  };
  const report = writeReport(options.report, image, played, startMs, figures);
  display.summary(played, [...summaryOf(report, traffic.lanSentBytes), ['report', options.report]]);
  const proved = played.steps.length === 9 && played.steps.every(({ ok }) => ok);
  if (proved) await leave(running, folder);
  else explain(display, running, played, folder);
  return proved ? 0 : 1;
}

function introduce(
  display: Display,
  { dm, downloads, gateway, devices, deviceProcesses }: Lab,
  image: OfferedImage,
  options: DemoOptions,
): void {
  const wan = options.wanRate === 0 ? 'as fast as it goes' : `${formatBytes(options.wanRate)}/s`;
  const cuts = options.cuts === 0 ? '' : `, cut ${options.cuts} times`;
  display.line(`image            ${basename(image.file)}, ${exactBytes(image.bytes)}, sha256 ${image.sha256}`);
  if (options.board !== undefined) {
    display.line(`board            ${options.board}: its settings and flags, with the Node.js of this machine`);
  }
  display.line(`WAN              ${wan}${cuts}`);
  display.line(`DM Server        pid ${dm.child.pid}, ${dm.url}`);
  display.line(`download server  pid ${downloads.child.pid}, ${downloads.urlOf(image.path)}`);
  display.line(`gateway          pid ${gateway.child.pid}, its log: ${gateway.logFile}`);
  display.line(`End Devices      ${devices.length}, pids ${deviceProcesses.map(({ pid }) => pid).join(' ')}`);
  if (options.mdns) display.line(`                 found by mDNS${hardshipsOf(options)}`);
  display.line('');
}

function hardshipsOf({ duplicates, loss, moves, sleepers }: DemoOptions): string {
  return [
    loss > 0 ? `, ${loss} % of the notifications lost` : '',
    sleepers > 0 ? `, ${sleepers} of them off at first` : '',
    moves > 0 ? `, ${moves} of them move` : '',
    duplicates ? ', all said twice' : '',
  ].join('');
}

async function planCuts({ downloads }: Lab, image: OfferedImage, cuts: number): Promise<void> {
  const offsets = Array.from({ length: cuts }, (_, index) => Math.floor(((index + 1) * image.bytes) / (cuts + 1)));
  await downloads.fault({ kind: 'cut-at', path: image.path, offsets });
}

/** Long enough for a slow machine, short enough for someone who waits. */
function timeoutFor(image: OfferedImage, { wanRate, cuts, devices, loss }: DemoOptions): number {
  const seconds = image.bytes / (wanRate === 0 ? SLOWEST_BYTES_PER_SECOND : wanRate);
  const patience = loss > 0 ? PATIENT_SECONDS : 0;
  return Math.round((60 + 1.5 * seconds + 3 * cuts + 2 * devices + patience) * 1000);
}

function summaryOf(report: DemoReport, lanBytes: number): [string, string][] {
  const { arrivals, devices, gateway, imageBytes, phasesMs, wanBytes } = report;
  const times = devices.map(({ ms }) => ms);
  return [
    ['image', exactBytes(imageBytes)],
    ['over the WAN', `${exactBytes(wanBytes)}, ${(wanBytes / imageBytes).toFixed(4)} x the image`],
    ['over the LAN', `${exactBytes(lanBytes)}, to ${devices.filter(({ ok }) => ok).length} devices`],
    ...(arrivals ? [arrivalsLine(arrivals)] : []),
    ['retrieval', `${phasesMs.retrieve ?? 0} ms`],
    ['fanout to last report', `${Math.max(0, ...times)} ms`],
    ['in all', `${phasesMs.total ?? 0} ms`],
    ['gateway RssAnon', `idle ${formatBytes(gateway.idleRssAnonBytes)}, peak ${formatBytes(gateway.peakRssAnonBytes)}`],
    ['gateway RSS', `peak ${formatBytes(gateway.peakRssBytes)}`],
    ...(gateway.cgroup ? [cgroupLine(gateway.cgroup)] : []),
  ];
}

function arrivalsLine({ datagrams, lost, missed, moved, repeated, woken }: Arrivals): [string, string] {
  return [
    'notifications',
    `${datagrams} datagrams, ${lost} lost, ${missed} missed, ${repeated} come again; ${woken} devices woke, ${moved} moved`,
  ];
}

function cgroupLine({ limitBytes, peakBytes }: NonNullable<DemoReport['gateway']['cgroup']>): [string, string] {
  const peak = peakBytes === null ? '' : `, peak with page cache ${formatBytes(peakBytes)}`;
  return ['gateway cgroup', `limit ${formatBytes(limitBytes)}${peak}`];
}

/** Nobody needs the logs of a success. */
async function leave(running: Lab, folder: string): Promise<void> {
  await running.close();
  rmSync(folder, { recursive: true, force: true });
}

/** The end of the log that most likely says why, and where the others are. */
function explain(display: Display, { gateway, devices }: Lab, played: NineSteps, folder: string): void {
  const failed = played.steps.find(({ ok }) => !ok);
  const without = devices.findIndex(
    ({ deviceId }) => !played.devices.some((one) => one.ok && one.deviceId === deviceId),
  );
  const ofDevice = join(folder, `device-${String(without + 1).padStart(2, '0')}`, 'device.events.log');
  const log = (failed?.step ?? 0) >= 6 && without >= 0 ? ofDevice : gateway.logFile;
  display.line('');
  display.line(`step ${failed?.step ?? 0} is not proved; the end of ${log}:`);
  display.line(tailOf(log, 20));
  display.line(`all logs: ${folder}`);
}

/** Ends every process, then what they ran in. */
async function endAll(): Promise<void> {
  await lab?.close();
  cgroup?.remove();
}

/** Ctrl-C and the like: everything ends in order; a second one ends it at once. */
function endOnSignals(): void {
  let asked = false;
  for (const [signal, number] of Object.entries({ SIGINT: 2, SIGTERM: 15, SIGHUP: 1 })) {
    process.on(signal, () => {
      if (asked) process.exit(128 + number);
      asked = true;
      process.stderr.write('\ndemo: ending all processes\n');
      void endAll().finally(() => process.exit(128 + number));
    });
  }
}
