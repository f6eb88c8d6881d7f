/** The way of an image: over the WAN or from whoever adds it, into the store, and out into the LAN. */
import { networkInterfaces } from 'node:os';
import { RenewedIdentity, type Configuration } from '../config/index.js';
import {
  Arrivals,
  BlobStore,
  Catalog,
  Deliveries,
  Downloader,
  ImageServer,
  lanAddresses,
  systemDisk,
  Tokens,
  Uploads,
  type ServerOptions,
} from '../image/index.js';
import { Prefixes } from '../net/index.js';
import type { Devices } from './devices.js';
import type { Ground } from './ground.js';
import { retrieveOptions } from './retrieve.js';

export interface Images {
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly deliveries: Deliveries;
  readonly imageServer: ImageServer;
  readonly downloader: Downloader;
  readonly uploads: Uploads;
}

export function buildImages(ground: Ground, { reactions, pins }: Pick<Devices, 'reactions' | 'pins'>): Images {
  const { configuration, clock, lan, log, store, tls, collectGarbage, onClose } = ground;
  const { serve } = configuration;
  const catalog = new Catalog({
    store,
    clock,
    log: log('image'),
    signatureKeys: ground.signatureKeys,
    requireSignature: configuration.retrieve.requireSignature,
    cutThrough: serve.cutThrough,
  });
  const blobs = new BlobStore({
    folder: configuration.storeDir,
    disk: systemDisk,
    clock,
    log: log('image'),
    freeFloorBytes: configuration.store.freeFloorMiB * MIB,
  });
  const arrivals = serve.cutThrough ? new Arrivals({ catalog, blobs }) : undefined;
  const deliveries = new Deliveries({ store, catalog, clock, log: log('image') });
  const imageServer = new ImageServer({
    catalog,
    blobs,
    deliveries,
    arrivals,
    clock,
    log: log('serve'),
    addresses: serve.listen,
    ...(serve.interfaces.length > 0 && {
      movingAddresses: () => lanAddresses(serve.interfaces, lan, networkInterfaces),
    }),
    tokens: tokensOf(ground),
    tls: tls.server && new RenewedIdentity(tls.server, log('serve')),
    onPlace: (place) => catalog.servedAt(place),
    port: serve.port,
    publicHost: serve.publicHost,
    ...servedAddresses(serve),
    reactions,
    limits: {
      connections: serve.maxConnections,
      connectionsPerAddress: serve.maxConnectionsPerAddress,
      idleMs: serve.idleTimeoutSeconds * 1000,
      minBytesPerSecond: serve.minBytesPerSecond,
      minRateMs: serve.minRateSeconds * 1000,
    },
    collectGarbage: () => collectGarbage('all'),
  });
  const retrieve = retrieveOptions(configuration, tls.authorities, log('image'));
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
    userAgent: `dmgw/${ground.version}`,
    ...retrieve,
    collectGarbage: () => collectGarbage('young'),
    onDefect: ground.onFault,
  });
  onClose(() => downloader.close());
  const { fsyncVolumeBytes } = retrieve;
  const uploads = new Uploads({ store, catalog, blobs, clock, pins, fsyncVolumeBytes, collectGarbage });
  onClose(() => uploads.close());
  // Closed before those that bring what it serves.
  onClose(() => imageServer.close());
  return { catalog, blobs, deliveries, imageServer, downloader, uploads };
}

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;

function tokensOf({ configuration: { serve }, store, clock, lan, randomBytes }: Ground): Tokens | undefined {
  if (serve.tokenHours === 0) return undefined;
  return new Tokens({ store, clock, subnets: lan, lifetimeMs: serve.tokenHours * HOUR_MS, randomBytes });
}

function servedAddresses({ allowPrefixes }: Configuration['serve']): Pick<ServerOptions, 'allowAddress'> {
  if (allowPrefixes.length === 0) return {};
  const allowed = Prefixes.of(allowPrefixes);
  return { allowAddress: (address) => allowed.contains(address) };
}
