import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../../firmware/clock/index.js';
import {
  accountChanges,
  Accounts,
  accountSchema,
  createSessionRunner,
  DmTransport,
  openListener,
  Outbox,
  nonceSchema,
  outboxChanges,
  outboxSchema,
  Scheduler,
  type AccountSettings,
} from '../../../firmware/dm/index.js';
import { openStore } from '../../../firmware/store/index.js';
import { Tree, treeChanges, treeSchema } from '../../../firmware/tree/index.js';
import { JsonLog } from '../dm-server/json-log.js';
import type { EndDeviceConfig } from './config.js';
import { deviceInfo } from './device-info.js';
import { Downloads } from './downloads.js';
import { takeNotification } from './notifications.js';
import { Packages, packageSchema } from './packages.js';
import { scomo } from './scomo.js';
import { jsonLogger, loggedRunner } from './sessions.js';

/** An End Device that runs. */
export interface RunningEndDevice {
  readonly deviceId: string;
  /** Where it waits for notifications. */
  readonly address: string;
  readonly udpPort: number;
  /** Ends sessions and downloads, which go on at the next start. May be called again. */
  close(): Promise<void>;
}

const MAX_MESSAGE_BYTES = 64 * 1024;
/** A package comes by its URL, not as a large object. */
const MAX_OBJECT_BYTES = 1024 * 1024;
const EXCHANGE_TIMEOUT_MS = 60_000;
const RETRY = { firstMs: 1000, maxMs: 15_000 };
/** The device opens no session of its own accord, only when it is notified or has something to report. */
const NEVER_MS = Number.MAX_SAFE_INTEGER;
/** Small: one process plays many devices. */
const DATABASE_CACHE_KIB = 64;

/** Starts one End Device: everything that it is lives in its folders and on its own address. */
export async function startEndDevice(config: EndDeviceConfig): Promise<RunningEndDevice> {
  const { deviceId, bindAddress, options } = config;
  const { serverId } = config.server;
  mkdirSync(config.stateDir, { recursive: true, mode: 0o700 });
  mkdirSync(config.imageDir, { recursive: true });
  const log = new JsonLog(config.logFile);
  const logger = jsonLogger(log);
  const clock = systemClock(0);
  const random = Math.random;
  const store = openStore({
    file: join(config.stateDir, 'device.db'),
    schema: [
      ...treeSchema,
      ...treeChanges,
      ...accountSchema,
      ...outboxSchema,
      ...outboxChanges,
      ...packageSchema,
      ...accountChanges,
      ...nonceSchema,
    ],
    log: logger,
    cacheKib: DATABASE_CACHE_KIB,
  });
  const accounts = new Accounts(store);
  accounts.configure([accountSettings(config)]);
  const outbox = new Outbox(store);
  const packages = new Packages(store);
  const { idleTimeoutMs, fruitlessTries, maxRetryDelayMs } = options;
  const downloads = new Downloads({
    serverId,
    imageDir: config.imageDir,
    packages,
    outbox,
    store,
    log,
    clock,
    random,
    fetch: { localAddress: bindAddress, idleTimeoutMs, fruitlessTries, maxRetryDelayMs },
  });
  const tree = new Tree(
    store,
    [
      deviceInfo(deviceId),
      scomo(packages, (effect) => store.afterCommit(effect), {
        download: (name) => downloads.start(name),
        remove: (name) => downloads.remove(name),
      }),
    ],
    clock,
  );
  const run = createSessionRunner({
    accounts,
    tree,
    store,
    outbox,
    clock,
    log: logger,
    deviceId,
    maxMsgSize: MAX_MESSAGE_BYTES,
    maxObjSize: MAX_OBJECT_BYTES,
    randomBytes,
    connect: () =>
      new DmTransport({
        allowAddress: () => true,
        userAgent: 'dm-gateway-lab-end-device',
        idleTimeoutMs,
        exchangeTimeoutMs: EXCHANGE_TIMEOUT_MS,
        clock,
      }),
  });
  const scheduler = new Scheduler({
    clock,
    random,
    log: logger,
    run: loggedRunner(run, outbox, log),
    needsClock: () => false,
    startDelayMs: NEVER_MS,
    jitterMs: 0,
    alertDelayMs: options.reportDelayMs,
    retry: RETRY,
  });
  const awakeAtMs = clock.monotonicMs() + options.sleepMs;
  const listener = await openListener({
    addresses: [bindAddress],
    port: config.udpPort,
    clock,
    log: logger,
    onNotification: (bytes) =>
      takeNotification(bytes, {
        accounts,
        log,
        random,
        dropPercent: options.dropPercent,
        asleep: () => clock.monotonicMs() < awakeAtMs,
        open: (server, sessionId, defaultNonce) => scheduler.notified(server, sessionId, defaultNonce),
      }),
  });
  if (!listener.ok) {
    await store.close();
    log.close();
    throw new Error(listener.error.text);
  }
  scheduler.start([{ serverId, intervalMs: 0 }]);
  outbox.onWaiting((server) => scheduler.alertWaits(server));
  if (outbox.count(serverId) > 0) scheduler.alertWaits(serverId);
  downloads.resume();

  const [bound] = listener.value.bound;
  log.write({ kind: 'started', deviceId, address: bindAddress, udpPort: bound?.port });
  let closing: Promise<void> | undefined;
  const shutDown = async (): Promise<void> => {
    await listener.value.close();
    await downloads.stop();
    await scheduler.stop();
    await store.close();
    log.write({ kind: 'stopped' });
    log.close();
  };
  return {
    deviceId,
    address: bindAddress,
    udpPort: bound?.port ?? config.udpPort,
    close: () => (closing ??= shutDown()),
  };
}

function accountSettings({ deviceId, server }: EndDeviceConfig): AccountSettings {
  const side = ({ scheme, name, secret, nonce }: EndDeviceConfig['server']['client'], defaultName: string) => ({
    scheme,
    name: name ?? defaultName,
    secret,
    nonce: new Uint8Array(Buffer.from(nonce, 'base64')),
  });
  return {
    serverId: server.serverId,
    name: server.serverId,
    url: server.url,
    encoding: server.encoding,
    client: side(server.client, deviceId),
    server: side(server.server, server.serverId),
  };
}
