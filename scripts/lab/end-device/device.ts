import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../../firmware/clock/index.js';
import { END_DEVICE_TYPE } from '../../../firmware/device/index.js';
import type { Logger } from '../../../firmware/log/index.js';
import {
  accountChanges,
  Accounts,
  accountSchema,
  createSessionRunner,
  DmTransport,
  openListener,
  Outbox,
  nonceSchema,
  rotationSchema,
  outboxChanges,
  outboxSchema,
  Scheduler,
  type AccountSettings,
} from '../../../firmware/dm/index.js';
import { BuiltinDiscovery } from '../../../firmware/discovery/index.js';
import { Prefixes } from '../../../firmware/net/index.js';
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
  const announcer = options.announce ? startAnnouncer(config, clock, logger) : undefined;
  const runLogged = loggedRunner(run, outbox, log);
  const scheduler = new Scheduler({
    clock,
    random,
    log: logger,
    run: async (server, trigger, signal) => {
      const result = await runLogged(server, trigger, signal);
      if (trigger.kind === 'notification' && result.end === 'completed') announcer?.tell(trigger.sessionId);
      return result;
    },
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
  announcer?.appear(listener.value.bound[0]?.port ?? config.udpPort, options.sleepMs);
  scheduler.start([{ serverId, intervalMs: 0 }]);
  outbox.onWaiting((server) => scheduler.alertWaits(server));
  if (outbox.count(serverId) > 0) scheduler.alertWaits(serverId);
  downloads.resume();

  const [bound] = listener.value.bound;
  log.write({ kind: 'started', deviceId, address: bindAddress, udpPort: bound?.port });
  let closing: Promise<void> | undefined;
  const shutDown = async (): Promise<void> => {
    await announcer?.close();
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

/** mDNS of one device. While it sleeps, it is not there. */
function startAnnouncer({ deviceId, bindAddress }: EndDeviceConfig, clock: Clock, log: Logger) {
  const lan = Prefixes.parse([bindAddress]);
  if (!lan.ok) throw new Error(lan.error.text);
  const discovery = new BuiltinDiscovery({
    links: { names: [], lan: lan.value, own: [bindAddress] },
    clock,
    random: Math.random,
    log,
  });
  // Other labs on this machine have devices of the same DevId, at other addresses.
  const host = `${deviceId}-${bindAddress}`.replace(/[^A-Za-z0-9]+/g, '-').toLowerCase();
  let port = 0;
  let txt: Record<string, string> = { devid: deviceId, enc: 'wsp' };
  const announce = (): void =>
    discovery.announce('device', {
      instance: host,
      type: END_DEVICE_TYPE,
      port,
      txt,
      host,
      addresses: [bindAddress],
    });
  return {
    appear: (udpPort: number, afterMs: number): void => {
      port = udpPort;
      clock.after(afterMs, () => {
        announce();
        discovery.start();
      });
    },
    tell: (sessionId: string): void => {
      txt = { ...txt, sid: sessionId };
      announce();
    },
    close: () => discovery.close(),
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
