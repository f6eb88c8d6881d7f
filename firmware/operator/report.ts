import type { Clock } from '../clock/index.js';
import type { Configuration } from '../config/index.js';
import type { DeviceInventory } from '../device/index.js';
import type { Accounts, AccountSchedule, Outbox, Scheduler } from '../dm/index.js';
import type { BlobStore, Catalog, Deliveries, Downloader, ImageRecord, ImageServer } from '../image/index.js';
import { SCOMO_RESULT } from '../mo/index.js';
import { redactUrl } from '../net/index.js';
import type { Fanouts } from '../notify/index.js';
import {
  healthReport,
  memoryReport,
  REPORT_FORMAT,
  writtenBytes,
  type AccountReport,
  type DevicesReport,
  type DiscoveryReport,
  type FanoutReport,
  type HealthCheck,
  type HealthReport,
  type ImageReport,
  type MeteredReport,
  type Problem,
  type RetrieveReport,
  type StatusReport,
} from '../ops/index.js';
import type { Store } from '../store/index.js';

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
  /** What discovery does now. */
  readonly discovery: () => DiscoveryReport;
  readonly fanouts: Fanouts;
  readonly accounts: Accounts;
  readonly outbox: Outbox;
  readonly scheduler: Scheduler;
  /** `address:port` of the image server and of the listener for notifications. */
  readonly serving: () => readonly string[];
  readonly notified: readonly string[];
  /** Bytes that the file system of the database has left. */
  readonly databaseRoom: () => number;
}

/** Fanouts shown in the status. */
const MAX_FANOUTS_SHOWN = 256;

/** With less than so many bytes left the next changes of the database fail. */
const DATABASE_ROOM = 64 * 1024;

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
      if (parts.databaseRoom() < DATABASE_ROOM) throw new Error('no room in stateDir: nothing more can be written');
      return `journal ${store.journal}`;
    }),
    await check('storage', async () => {
      const { free, freeFloor } = await blobs.usage();
      if (free < freeFloor) throw new Error('less free than store.freeFloorMiB');
      return 'images can be stored';
    }),
    serveCheck(parts.serving()),
    { name: 'clock', ok: clock.plausible(), text: clock.plausible() ? 'set' : 'before the date of the build' },
    sessionCheck(scheduler.report(), failing),
    notificationCheck(parts),
    discoveryCheck(parts),
  ];
  return healthReport(checks);
}

function serveCheck(serving: readonly string[]): HealthCheck {
  const ok = serving.length > 0;
  return { name: 'serve', ok, text: ok ? `listening on ${serving.join(', ')}` : 'no address in the LAN yet' };
}

function sessionCheck(schedules: readonly AccountSchedule[], failing: readonly AccountSchedule[]): HealthCheck {
  const lastAtMs = Math.max(
    ...schedules.map(({ lastEnd, lastEndAtMs = 0 }) => (lastEnd === 'completed' ? lastEndAtMs : 0)),
  );
  const last =
    lastAtMs > 0 ? `the last one completed at ${new Date(lastAtMs).toISOString()}` : 'none has completed yet';
  const text =
    failing.length > 0
      ? `${failing.map((one) => one.serverId).join(', ')} cannot be reached`
      : schedules.length === 0
        ? 'there is no account of a DM Server'
        : last;
  return { name: 'session', ok: failing.length === 0, text };
}

function notificationCheck({ configuration: { notification }, notified }: Parts): HealthCheck {
  const wanted = notification.enabled ? notification.listen.length : 0;
  const text = wanted === 0 ? 'off' : notified.length === 0 ? 'not listening' : `listening on ${notified.join(', ')}`;
  return { name: 'notification', ok: notified.length >= wanted, text };
}

function discoveryCheck({ discovery }: Parts): HealthCheck {
  const { backend, interfaces } = discovery();
  const ok = backend === 'off' || interfaces.length > 0;
  const where = interfaces.length > 0 ? `on ${interfaces.join(', ')}` : 'has no interface in the LAN';
  return { name: 'discovery', ok, text: backend === 'off' ? 'off' : `${backend} ${where}` };
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
    sessions: schedule.sessions,
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

export function imageReport(parts: Parts, image: ImageRecord): ImageReport {
  return {
    imageId: image.imageId,
    state: image.state,
    receivedBytes: image.received,
    arrivedBytes: parts.downloader.arrived(image.id) ?? image.received,
    sizeBytes: image.size,
    localImageURI: parts.imageServer.localUri(image),
    result: image.result === null ? 0 : SCOMO_RESULT[image.result],
    resultText: image.resultText,
    delivered: parts.deliveries.delivered(image.id),
  };
}

function devicesReport({ inventory, discovery }: Parts): DevicesReport {
  return { ...inventory.summary(), discovery: discovery() };
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
