import type { Clock } from './clock/index.js';
import type { Configuration } from './config/index.js';
import type { DeviceInventory } from './device/index.js';
import type { Finder } from './discover.js';
import type { Accounts, AccountSchedule, Outbox, Scheduler } from './dm/index.js';
import type { BlobStore, Catalog, Deliveries, Downloader, ImageRecord, ImageServer } from './image/index.js';
import { SCOMO_RESULT } from './mo/index.js';
import { redactUrl } from './net/index.js';
import type { Fanouts } from './notify/index.js';
import {
  healthReport,
  memoryReport,
  REPORT_FORMAT,
  writtenBytes,
  type AccountReport,
  type DevicesReport,
  type FanoutReport,
  type HealthCheck,
  type HealthReport,
  type ImageReport,
  type MeteredReport,
  type Problem,
  type RetrieveReport,
  type StatusReport,
} from './ops/index.js';
import type { Store } from './store/index.js';

/** The running parts that the reports are gathered from. */
export interface Parts {
  readonly configuration: Configuration;
  readonly version: string;
  readonly deviceId: string;
  readonly clock: Clock;
  readonly startedMs: number;
  readonly startedMonotonicMs: number;
  readonly store: Store;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly deliveries: Deliveries;
  readonly downloader: Downloader;
  readonly imageServer: ImageServer;
  readonly inventory: DeviceInventory;
  readonly finder: Finder;
  readonly fanouts: Fanouts;
  readonly accounts: Accounts;
  readonly outbox: Outbox;
  readonly scheduler: Scheduler;
  /** `address:port` of the image server and of the listener for notifications. */
  readonly serving: () => readonly string[];
  readonly notified: readonly string[];
}

/** Fanouts shown in the status. */
const MAX_FANOUTS_SHOWN = 256;

/** Sessions failed in a row that are worth a person's look. */
const FAILURES_TO_TELL = 3;

export async function gatherStatus(parts: Parts): Promise<StatusReport> {
  const { clock, configuration } = parts;
  const usage = await parts.blobs.usage();
  const health = await gatherHealth(parts);
  return {
    format: REPORT_FORMAT,
    version: parts.version,
    board: configuration.board.name,
    devId: parts.deviceId,
    processId: process.pid,
    startedAt: new Date(parts.startedMs).toISOString(),
    uptimeSeconds: Math.floor((clock.monotonicMs() - parts.startedMonotonicMs) / 1000),
    clockPlausible: clock.plausible(),
    accounts: parts.scheduler.report().map((schedule) => accountReport(parts, schedule)),
    notification: { listening: parts.notified },
    retrieve: retrieveReport(parts),
    images: parts.catalog.all().map((image) => imageReport(parts, image)),
    serve: { listening: parts.serving(), connections: parts.imageServer.load.connections },
    fanouts: fanoutReports(parts),
    devices: devicesReport(parts),
    traffic: {
      wanReceivedBytes: parts.downloader.wanBytes,
      lanSentBytes: parts.imageServer.lanBytes,
      diskWrittenBytes: writtenBytes(),
    },
    memory: memoryReport(),
    store: {
      journal: parts.store.journal,
      imageBytes: usage.stored,
      quotaBytes: usage.quota ?? null,
      freeBytes: usage.free,
    },
    problems: problems(parts, health),
  };
}

export async function gatherHealth(parts: Parts): Promise<HealthReport> {
  const { store, blobs, scheduler, clock } = parts;
  const failing = scheduler.report().filter((one) => one.failuresInARow >= FAILURES_TO_TELL);
  const checks: HealthCheck[] = [
    await check('database', async () => {
      await store.durable();
      return `journal ${store.journal}`;
    }),
    await check('storage', async () => {
      const { free, freeFloor } = await blobs.usage();
      if (free < freeFloor) throw new Error('less free than store.freeFloorMiB');
      return 'images can be stored';
    }),
    serveCheck(parts.serving()),
    { name: 'clock', ok: clock.plausible(), text: clock.plausible() ? 'set' : 'before the date of the build' },
    {
      name: 'session',
      ok: failing.length === 0,
      text:
        failing.length === 0 ? 'no server fails' : `${failing.map((one) => one.serverId).join(', ')} cannot be reached`,
    },
  ];
  return healthReport(checks);
}

function serveCheck(serving: readonly string[]): HealthCheck {
  const ok = serving.length > 0;
  return { name: 'serve', ok, text: ok ? `listening on ${serving.join(', ')}` : 'no address in the LAN yet' };
}

async function check(name: string, look: () => Promise<string>): Promise<HealthCheck> {
  try {
    return { name, ok: true, text: await look() };
  } catch (thrown) {
    return { name, ok: false, text: thrown instanceof Error ? thrown.message : String(thrown) };
  }
}

function problems({ catalog }: Parts, health: HealthReport): Problem[] {
  const unhealthy = health.checks
    .filter(({ ok }) => !ok)
    .map(({ name, text }): Problem => ({ code: name, severity: name === 'database' ? 'error' : 'warning', text }));
  const images = catalog
    .all()
    .filter(({ state }) => state === 'failed' || state === 'needs-uri')
    .map(({ imageId, resultText }): Problem => ({
      code: 'image',
      severity: 'warning',
      text: `${imageId}: ${resultText}`,
    }));
  return [...unhealthy, ...images];
}

function accountReport(parts: Parts, schedule: AccountSchedule): AccountReport {
  const account = parts.accounts.byServerId(schedule.serverId);
  const { lastEndAtMs, nextInMs } = schedule;
  return {
    serverId: schedule.serverId,
    name: account?.name ?? '',
    url: redactUrl(account?.url ?? ''),
    sessionRunning: schedule.running,
    sessionWaitsFor: schedule.waitsFor ?? null,
    lastSessionAt: lastEndAtMs === undefined ? null : new Date(lastEndAtMs).toISOString(),
    lastSession: schedule.lastEnd ?? null,
    lastFailure: schedule.lastFailure ?? null,
    nextSessionInSeconds: nextInMs === undefined ? null : Math.ceil(nextInMs / 1000),
    failuresInARow: schedule.failuresInARow,
    alertsWaiting: parts.outbox.count(schedule.serverId),
  };
}

function retrieveReport({ configuration, downloader }: Parts): RetrieveReport {
  const { metered, windowOpen, windowChangesMs } = downloader.conditions.report();
  const windowChangesAt = windowChangesMs === null ? null : new Date(windowChangesMs).toISOString();
  return { proxy: configuration.retrieve.proxy.url ?? null, windowOpen, windowChangesAt, metered };
}

export function meteredReport({ downloader: { conditions } }: Pick<Parts, 'downloader'>): MeteredReport {
  const { metered } = conditions.report();
  return { format: REPORT_FORMAT, set: conditions.meteredSetting, metered };
}

function imageReport(parts: Parts, image: ImageRecord): ImageReport {
  return {
    imageId: image.imageId,
    state: image.state,
    receivedBytes: image.received,
    sizeBytes: image.size,
    localImageURI: parts.imageServer.localUri(image),
    result: image.result === null ? 0 : SCOMO_RESULT[image.result],
    resultText: image.resultText,
    delivered: parts.deliveries.delivered(image.id),
  };
}

function devicesReport({ inventory, finder }: Parts): DevicesReport {
  const { backend, links = [], dropped = 0 } = finder.discovery?.status() ?? { backend: 'off' as const };
  const discovery = { backend, interfaces: links, present: finder.recognition.presentCount, dropped };
  return { ...inventory.summary(), discovery };
}

function fanoutReports({ fanouts }: Parts): FanoutReport[] {
  return fanouts.nodes(undefined, MAX_FANOUTS_SHOWN).map(({ id, node, state }) => {
    const counters = fanouts.counters(id);
    return {
      id: node,
      state,
      total: counters?.total ?? 0,
      sent: counters?.sent ?? 0,
      reacted: counters?.reacted ?? 0,
      failed: counters?.failed ?? 0,
    };
  });
}
