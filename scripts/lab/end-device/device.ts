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
  Outbox,
  nonceSchema,
  rotationSchema,
  outboxChanges,
  outboxSchema,
  Scheduler,
  type AccountSettings,
} from '../../../firmware/dm/index.js';
import { openStore } from '../../../firmware/store/index.js';
import { Tree, treeChanges, treeSchema } from '../../../firmware/tree/index.js';
import { JsonLog } from '../dm-server/json-log.js';
import type { Announcer } from './announcer.js';
import type { EndDeviceConfig } from './config.js';
import { deviceInfo } from './device-info.js';
import { Downloads } from './downloads.js';
import { takeNotification } from './notifications.js';
import { Packages, packageSchema } from './packages.js';
import { Reach } from './reach.js';
import { scomo } from './scomo.js';
import { jsonLogger, loggedRunner } from './sessions.js';

/** An End Device that runs. */
export interface RunningEndDevice {
  readonly deviceId: string;
  /** Where it waits for notifications first. */
  readonly address: string;
  readonly udpPort: number;
  /** It appears, if it sleeps. */
  wake(): void;
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

/**
 * Starts one End Device: everything that it is lives in its folders and on its own address.
 * @param announcer for one that announces itself
 */
export async function startEndDevice(config: EndDeviceConfig, announcer?: Announcer): Promise<RunningEndDevice> {
  const { deviceId, options } = config;
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
      ...rotationSchema,
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
    localAddress: () => reach.address,
    fetch: { idleTimeoutMs, fruitlessTries, maxRetryDelayMs },
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
  const runLogged = loggedRunner(run, outbox, log);
  const scheduler = new Scheduler({
    clock,
    random,
    log: logger,
    run: async (server, trigger, signal) => {
      const result = await runLogged(server, trigger, signal);
      if (trigger.kind === 'notification' && result.end === 'completed') reach.acted(trigger.sessionId);
      return result;
    },
    needsClock: () => false,
    startDelayMs: NEVER_MS,
    jitterMs: 0,
    alertDelayMs: options.reportDelayMs,
    retry: RETRY,
  });
  let reach: Reach;
  try {
    reach = await Reach.open({
      config,
      clock,
      log,
      logger,
      announcer: options.announce ? announcer : undefined,
      onNotification: (bytes) =>
        takeNotification(bytes, {
          accounts,
          log,
          open: (server, sessionId, defaultNonce) => scheduler.notified(server, sessionId, defaultNonce),
        }),
    });
  } catch (thrown) {
    await store.close();
    log.close();
    throw thrown;
  }
  scheduler.start([{ serverId, intervalMs: 0 }]);
  outbox.onWaiting((server) => scheduler.alertWaits(server));
  if (outbox.count(serverId) > 0) scheduler.alertWaits(serverId);
  downloads.resume();

  const { address, port: udpPort } = reach;
  log.write({ kind: 'started', deviceId, address, udpPort });
  let closing: Promise<void> | undefined;
  const shutDown = async (): Promise<void> => {
    await reach.close();
    await downloads.stop();
    await scheduler.stop();
    await store.close();
    log.write({ kind: 'stopped' });
    log.close();
  };
  return {
    deviceId,
    address,
    udpPort,
    wake: () => reach.wake(),
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
