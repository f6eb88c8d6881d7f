import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from './clock/index.js';
import {
  accountSettings,
  preparePlaces,
  readSignatureKeys,
  readTlsFiles,
  RenewedIdentity,
  resolveDevId,
  tunableValues,
  type Configuration,
} from './config/index.js';
import { AddressBook, DeviceInventory, type ConfiguredDevice } from './device/index.js';
import {
  Accounts,
  createSessionRunner,
  Outbox,
  parseNotification,
  Scheduler,
  sessionIdText,
  wrapWsp,
} from './dm/index.js';
import {
  Arrivals,
  BlobStore,
  Catalog,
  Deliveries,
  Downloader,
  ImageServer,
  lanAddresses,
  Scrub,
  systemDisk,
  Tokens,
  Uploads,
  type PinSource,
  type ServerOptions,
} from './image/index.js';
import { Finder } from './discover.js';
import { acceptsUrl, administratorsOf, hearNotifications, mayMoveTo, transportTo } from './dm-servers.js';
import type { Logger, LogRing } from './log/index.js';
import {
  config,
  deviceInventory,
  devDetail,
  devInfo,
  dmAccounts,
  fanout,
  imageInventory,
  parseNames,
  type Names,
  storage,
  type StorageFigures,
  tellRotten,
} from './mo/index.js';
import { native } from './native/index.js';
import { crypto, Prefixes } from './net/index.js';
import { Fanouts, Forwarder, type Fetch } from './notify/index.js';
import { operatorPorts, type OperatorParts } from './operator/index.js';
import { openControl, REPORT_FORMAT, type Done } from './ops/index.js';
import { describeThrown, failure, success, type CodedError, type Outcome } from './outcome/index.js';
import { applySettings, fanoutDefaults } from './tuning.js';
import { backoff, retrieveOptions } from './retrieve.js';
import { rescue, takeSeeds } from './rescue.js';
import { Retention, retentionSweeps } from './retention.js';
import { databaseSchema } from './schema.js';
import { Settings } from './settings/index.js';
import { SteadyFlush } from './steady-flush.js';
import { openOrReplace, StoreError, type Store } from './store/index.js';
import { Tree, type Mount } from './tree/index.js';

export interface GatewayOptions {
  /** Makes the logger of a component. */
  readonly log: (component: string) => Logger;
  /** The latest lines of the log. */
  readonly lines: LogRing;
  readonly version: string;
  /** Wall time of the build, in ms: an earlier clock is not plausible. */
  readonly buildTimeMs: number;
  /** Program and arguments of the process that speaks with the system's mDNS daemon, see `runBridge`. */
  readonly mdnsHelper: readonly string[];
  /** Collects the young generation of the heap, or all of it; see `Downloader` and `Uploads`. */
  readonly collectGarbage: (generation: 'young' | 'all') => void;
  /** Has the gateway started anew with the configuration as it is now, soon; or says what is wrong with it. */
  readonly onReload: () => Outcome<Done, CodedError>;
  /** The disk has failed, or a defect of ours has shown: the process should end, and be started anew. */
  readonly onFatal: (thrown: unknown) => void;
}

export interface Gateway {
  /** Addresses with ports on which images are served and notifications are taken. */
  readonly listening: { readonly serve: readonly string[]; readonly notification: readonly string[] };
  /** Ends sessions and retrievals with everything durable, then closes. Idempotent. */
  close(): Promise<void>;
}

/** What ends with the gateway, closed in the reverse order of its start. */
type Closing = () => Promise<void> | void;

/**
 * Builds every part of the gateway and starts it. What a restart finds half-done goes on.
 * @returns the running gateway, or why it cannot start (nothing is left open then)
 */
export async function startGateway(
  configuration: Configuration,
  options: GatewayOptions,
): Promise<Outcome<Gateway, CodedError>> {
  const closings: Closing[] = [];
  const closeAll = async (): Promise<void> => {
    for (let closing = closings.pop(); closing; closing = closings.pop()) await closing();
  };
  try {
    const started = await start(configuration, options, closings);
    if (!started.ok) await closeAll();
    return started.ok ? success({ ...started.value, close: closeAll }) : started;
  } catch (thrown) {
    await closeAll();
    if (thrown instanceof StoreError) return failure(thrown.code, thrown.message, thrown);
    throw thrown;
  }
}

async function start(
  configuration: Configuration,
  options: GatewayOptions,
  closings: Closing[],
): Promise<Outcome<Pick<Gateway, 'listening'>, CodedError>> {
  const { log } = options;
  const clock = systemClock(options.buildTimeMs);
  const names = parseNames(configuration.names);
  if (!names.ok) return names;
  const signatureKeys = readSignatureKeys(configuration);
  if (!signatureKeys.ok) return signatureKeys;
  const tls = readTlsFiles(configuration, process.getuid?.() ?? 0);
  if (!tls.ok) return tls;
  const places = preparePlaces(configuration);
  if (!places.ok) return places;
  const deviceId = resolveDevId(configuration.device);
  if (!deviceId.ok) return deviceId;
  const lan = Prefixes.of(configuration.lan.prefixes);

  const { store, fresh } = openOrReplace({
    file: join(configuration.stateDir, 'dmgw.db'),
    schema: databaseSchema,
    log: log('store'),
    cacheKib: configuration.store.databaseCacheKiB,
  });
  closings.push(() => store.close());
  const settings = new Settings({
    store,
    log: log('settings'),
    configured: tunableValues(configuration),
    locked: configuration.settings.locked,
  });

  // The way of an image.
  const catalog = new Catalog({
    store,
    clock,
    log: log('image'),
    signatureKeys: signatureKeys.value,
    requireSignature: configuration.retrieve.requireSignature,
    cutThrough: configuration.serve.cutThrough,
  });
  const blobs = new BlobStore({
    folder: configuration.storeDir,
    disk: systemDisk,
    clock,
    log: log('image'),
    freeFloorBytes: configuration.store.freeFloorMiB * MIB,
  });
  const arrivals = configuration.serve.cutThrough ? new Arrivals({ catalog, blobs }) : undefined;
  const deliveries = new Deliveries({ store, catalog, clock, log: log('image') });
  const book = new AddressBook(store);
  const fetches = new Listeners<Fetch>();
  const imageServer = new ImageServer({
    catalog,
    blobs,
    deliveries,
    arrivals,
    clock,
    log: log('serve'),
    addresses: configuration.serve.listen,
    ...(configuration.serve.interfaces.length > 0 && {
      movingAddresses: () => lanAddresses(configuration.serve.interfaces, lan, networkInterfaces),
    }),
    tokens: tokensOf(configuration, store, clock, lan),
    tls: tls.value.server && new RenewedIdentity(tls.value.server, log('serve')),
    onPlace: (place) => catalog.servedAt(place),
    port: configuration.serve.port,
    publicHost: configuration.serve.publicHost,
    ...servedAddresses(configuration),
    reactions: {
      devicesAt: (address) => book.devicesAt(address),
      fetched: (imageId, address) => fetches.tell({ imageId, address }),
    },
    limits: {
      connections: configuration.serve.maxConnections,
      connectionsPerAddress: configuration.serve.maxConnectionsPerAddress,
      idleMs: configuration.serve.idleTimeoutSeconds * 1000,
      minBytesPerSecond: configuration.serve.minBytesPerSecond,
      minRateMs: configuration.serve.minRateSeconds * 1000,
    },
    collectGarbage: () => options.collectGarbage('all'),
  });

  // The End Devices and their notifications.
  const inventory = new DeviceInventory({
    store,
    clock,
    log: log('device'),
    lan,
    onRemove: (node) => tree.forgetNode([...names.value.place('DeviceInventory'), node]),
  });
  closings.push(() => inventory.flush());
  const finder = new Finder({
    configuration,
    version: options.version,
    deviceId: deviceId.value,
    store,
    clock,
    log,
    lan,
    inventory,
    mdnsHelper: options.mdnsHelper,
    onFault: (thrown) => reportFault(thrown, options),
  });
  closings.push(() => finder.close());
  const forwarder = new Forwarder({
    clock,
    log: log('notify'),
    lan,
    // A push is told from the one before by its transaction, which is no secret.
    wrap: (notification, encapsulation) =>
      encapsulation === 'raw' ? notification : wrapWsp(notification, Math.trunc(Math.random() * 256)),
    sendNow: native().sendDatagram,
  });
  closings.push(() => forwarder.close());
  const fanouts = new Fanouts({
    store,
    clock,
    log: log('notify'),
    book,
    capacity: { free: () => imageServer.load.free },
    reactions: {
      onFetched: (listener) => fetches.add(listener),
      onSession: (listener) => finder.recognition.onSession(listener),
    },
    appearances: {
      onAppeared: (listener) => finder.recognition.onAppeared(listener),
      presenceOf: (device) => finder.presenceOf(device),
    },
    sessionIdOf: (notification) => {
      const parsed = parseNotification(notification);
      return parsed.ok ? sessionIdText(parsed.value.sessionId) : undefined;
    },
    send: forwarder.send,
    defaults: fanoutDefaults(settings),
    onFault: (thrown) => reportFault(thrown, options),
  });
  closings.push(() => fanouts.close());
  const pins: PinSource = { needs: (imageId) => fanouts.activeImageRefs().includes(imageId) };
  const retrieve = retrieveOptions(configuration, tls.value.authorities, log('image'));
  if (retrieve.access.proxy) {
    log('image').info('images come through a proxy, which alone can check where names lead', {
      proxy: retrieve.access.proxy.url.origin,
    });
  }
  const downloader = new Downloader({
    store,
    catalog,
    blobs,
    clock,
    random: Math.random,
    log: log('image'),
    pins,
    ...(arrivals && { arrivals }),
    userAgent: `dmgw/${options.version}`,
    ...retrieve,
    collectGarbage: () => options.collectGarbage('young'),
    onDefect: (thrown) => reportFault(thrown, options),
  });
  closings.push(() => downloader.close());
  const fsyncVolumeBytes = configuration.retrieve.fsyncVolumeMiB * MIB;
  const uploads = new Uploads({
    store,
    catalog,
    blobs,
    clock,
    pins,
    fsyncVolumeBytes,
    collectGarbage: options.collectGarbage,
  });
  closings.push(() => uploads.close());
  closings.push(() => imageServer.close());

  // The management tree and the DM client.
  const accounts = new Accounts(store);
  const outbox = new Outbox(store);
  const tree = new Tree(
    store,
    [
      ...deviceMounts(configuration, options, names.value, deviceId.value),
      dmAccounts(names.value, accounts, (serverId, url) => acceptsUrl(configuration, serverId, url)),
      imageInventory(names.value, {
        catalog,
        deliveries,
        uploads,
        outbox,
        localUri: (image) => imageServer.localUri(image),
      }),
      deviceInventory(names.value, inventory),
      fanout(names.value, fanouts, outbox),
      storage(names.value, () => storageFigures(blobs, log('image')), administratorsOf(configuration)),
      config(names.value, settings, administratorsOf(configuration)),
    ],
    clock,
  );
  store.transaction(() => {
    for (const serverId of accounts.configure(accountSettings(configuration, deviceId.value))) {
      tree.forgetServer(serverId);
      outbox.forget(serverId);
      settings.forget(serverId);
    }
  });
  const configured = inventory.syncConfigured(configuration.devices.map(configuredDevice));
  if (!configured.ok) return configured;
  const holdSession = createSessionRunner({
    accounts,
    tree,
    store,
    outbox,
    clock,
    log: log('dm'),
    deviceId: deviceId.value,
    maxMsgSize: configuration.session.maxMessageBytes,
    maxObjSize: configuration.session.maxObjectMiB * MIB,
    randomBytes,
    connect: (account) => transportTo(account, configuration, options.version, tls.value, clock),
    mayMoveTo: (serverId, hostname) => mayMoveTo(configuration, serverId, hostname),
  });
  const scheduler = new Scheduler({
    clock,
    random: Math.random,
    log: log('dm'),
    run: async (serverId, trigger, signal) => {
      try {
        return await holdSession(serverId, trigger, signal);
      } catch (thrown) {
        reportFault(thrown, options);
        return { end: 'failed', alertsUnsent: false };
      }
    },
    needsClock: (serverId) => /^https:/i.test(accounts.byServerId(serverId)?.url ?? ''),
    startDelayMs: configuration.session.startDelaySeconds * 1000,
    jitterMs: configuration.session.jitterSeconds * 1000,
    alertDelayMs: configuration.session.alertDelaySeconds * 1000,
    retry: backoff(configuration.session),
  });
  closings.push(() => scheduler.stop());
  const retention = new Retention({
    clock,
    log: log('gateway'),
    sweeps: retentionSweeps(configuration.retain, names.value, {
      store,
      catalog,
      clock,
      pins,
      fanouts,
      tree,
    }),
    onFault: (thrown) => reportFault(thrown, options),
  });
  closings.push(() => retention.stop());
  const steadyFlush = new SteadyFlush({ store, clock, onFault: (thrown) => reportFault(thrown, options) });
  closings.push(() => steadyFlush.stop());
  const scrub = new Scrub({
    store,
    catalog,
    blobs,
    clock,
    log: log('image'),
    intervalMs: configuration.store.scrubDays * DAY_MS,
    bytesPerSecond: configuration.store.scrubKiBPerSecond * 1024,
    busy: () => downloader.running > 0 || imageServer.load.connections > 0,
    onRotten: (images) => {
      const isServer = (serverId: string): boolean => accounts.byServerId(serverId) !== undefined;
      tellRotten(
        names.value,
        outbox,
        images.filter(({ requester }) => isServer(requester)),
      );
    },
    onFault: (thrown) => reportFault(thrown, options),
  });
  closings.push(() => scrub.stop());
  outbox.onWaiting((serverId) => scheduler.alertWaits(serverId));

  const known = { store, catalog, blobs, tree, accounts, outbox, names: names.value, log: log('store') };
  if (fresh) await rescue(fresh, known);
  else await takeSeeds(known);
  applySettings(settings, configuration, { blobs, downloader, scheduler });

  // From here on things happen.
  await downloader.start();
  const serving = await imageServer.start();
  if (!serving.ok) return serving;
  // The disk takes what was written while the other sockets are opened. That it failed is told below.
  store.durable().catch(() => {});
  fanouts.resume();
  finder.start(serving.value[0]?.port ?? configuration.serve.port);
  const listener = await hearNotifications(configuration, log('dm'), clock, accounts, scheduler);
  if (!listener.ok) return listener;
  closings.push(() => listener.value?.close());
  scheduler.start(
    configuration.accounts.map(({ serverId, intervalSeconds = settings.get('session.intervalSeconds') }) => ({
      serverId,
      intervalMs: intervalSeconds * 1000,
    })),
  );

  const parts: OperatorParts = {
    configuration,
    version: options.version,
    deviceId: deviceId.value,
    clock,
    startedMs: clock.wallMs(),
    startedMonotonicMs: clock.monotonicMs(),
    store,
    catalog,
    blobs,
    deliveries,
    downloader,
    imageServer,
    inventory,
    discovery: () => finder.report(),
    fanouts,
    accounts,
    outbox,
    scheduler,
    names: names.value,
    tree,
    uploads,
    scrub,
    lines: options.lines,
    reload: options.onReload,
    serving: () => imageServer.listening.map(({ address, port }) => formatEndpoint(address, port)),
    notified: (listener.value?.bound ?? []).map(({ address, port }) => formatEndpoint(address, port)),
  };
  const ports = operatorPorts(parts);
  // Whoever sees the control socket can rely on what was written.
  await store.durable();
  const control = await openControl(
    configuration.controlSocket,
    {
      ...ports,
      setMetered: (setting) => {
        downloader.setMetered(setting);
        log('image').info('told whether the link is metered', { set: setting });
        return ports.metered();
      },
      settings: () => ({ format: REPORT_FORMAT, changed: settings.changed() }),
    },
    log('ops'),
    configuration.controlAccess,
  );
  if (!control.ok) return control;
  closings.push(() => control.value.close());

  // Whoever has connected is answered behind this.
  retention.start();
  steadyFlush.start();
  if (configuration.store.scrubDays > 0) scrub.start();
  return success({ listening: { serve: parts.serving(), notification: parts.notified } });
}

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function deviceMounts(configuration: Configuration, options: GatewayOptions, names: Names, deviceId: string): Mount[] {
  const { device } = configuration;
  const facts = {
    deviceId,
    manufacturer: device.manufacturer,
    model: device.model,
    dmVersion: options.version,
    language: device.language,
    deviceType: device.type,
    oem: device.oem,
    firmwareVersion: device.firmwareVersion,
    softwareVersion: device.softwareVersion ?? options.version,
    hardwareVersion: device.hardwareVersion,
    largeObjects: true,
  };
  return [devInfo(names, facts), devDetail(names, facts)];
}

const randomBytes = (bytes: number): Uint8Array => crypto().randomBytes(bytes);

function tokensOf({ serve }: Configuration, store: Store, clock: Clock, subnets: Prefixes): Tokens | undefined {
  if (serve.tokenHours === 0) return undefined;
  return new Tokens({ store, clock, subnets, lifetimeMs: serve.tokenHours * HOUR_MS, randomBytes });
}

function servedAddresses({ serve: { allowPrefixes } }: Configuration): Pick<ServerOptions, 'allowAddress'> {
  if (allowPrefixes.length === 0) return {};
  const allowed = Prefixes.of(allowPrefixes);
  return { allowAddress: (address) => allowed.contains(address) };
}

/** A failed disk ends the process; anything else is a defect of ours that shall be seen, and ends it too. */
function reportFault(thrown: unknown, options: GatewayOptions): void {
  options.log('gateway').error('a part of the gateway failed', { reason: describeThrown(thrown) });
  options.onFatal(thrown);
}

/**
 * What images may still take is what both the quota and the disk, less its floor and what is promised, allow. A disk that
 * cannot be asked has no room.
 */
function storageFigures(blobs: BlobStore, log: Logger): StorageFigures {
  try {
    const { stored, reserved, unwritten, quota, free, freeFloor } = blobs.usageNow();
    const byQuota = quota === undefined ? Infinity : quota - stored - reserved;
    const room = Math.max(0, Math.min(byQuota, free - freeFloor - unwritten));
    return { total: stored + reserved + room, free: room, reserved, quota: quota ?? 0 };
  } catch (thrown) {
    log.error('cannot ask for the room of the store', { reason: describeThrown(thrown) });
    return { total: 0, free: 0, reserved: 0, quota: 0 };
  }
}

function configuredDevice(device: Configuration['devices'][number]): ConfiguredDevice {
  const { groups, name, ...leaves } = device;
  return { ...leaves, ...(groups.length > 0 && { groups: groups.join('/') }), ...(name !== '' && { name }) };
}

function formatEndpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Those who want to hear of something, in the order in which they came. */
class Listeners<T> {
  readonly #listeners = new Set<(event: T) => void>();

  /** @returns ends the subscription */
  add(listener: (event: T) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(event: T): void {
    for (const listener of this.#listeners) listener(event);
  }
}
