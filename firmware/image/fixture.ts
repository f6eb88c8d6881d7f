/** For the tests of this room: an origin that misbehaves on request, and a store folder with everything in it. */
import { createHash } from 'node:crypto';
import { mkdtempSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../clock/index.js';
import { silentLog } from '../log/index.js';
import type { Store } from '../store/index.js';
import { openTestStore } from '../store/store.fixture.js';
import type { Arrivals } from './arrivals.js';
import { BlobStore, type BlobStoreOptions } from './blobs.js';
import { Catalog, type CatalogOptions } from './catalog.js';
import { Deliveries } from './deliveries.js';
import { systemDisk } from './disk.js';
import { PLAIN_RETRIEVALS } from './downloader.fixture.js';
import { Downloader, type DownloaderOptions } from './downloader.js';
import type { ImageEvent, ImageRecord } from './image.js';
import { imageSchema, imageServerSchema, momentSchema, piecesSchema, retrievalSchema } from './schema.js';
import { scrubSchema } from './scrub.js';
import type { ServerOptions } from './server.js';
import type { ImageState } from './states.js';
import { Uploads, type UploadsOptions } from './upload.js';

/** Content in which every offset shows: each 4-byte word is its own index, mixed with the version. */
export function pattern(bytes: number, version = 0): Buffer {
  const content = Buffer.allocUnsafe(Math.ceil(bytes / 4) * 4);
  for (let offset = 0; offset < bytes; offset += 4) {
    content.writeUInt32LE((Math.imul(offset / 4 + 1, 2654435761) ^ (version * 0x9e37)) >>> 0, offset);
  }
  return content.subarray(0, bytes);
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

export interface SeenRequest {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
}

export type Behaviour = (request: IncomingMessage, response: ServerResponse, count: number) => void;

export interface Origin {
  readonly url: string;
  readonly seen: SeenRequest[];
  /** Answers the requests from now on. */
  behave: Behaviour;
  close(): Promise<void>;
}

export async function startOrigin(behave: Behaviour): Promise<Origin> {
  const seen: SeenRequest[] = [];
  const server = createServer((request, response) => {
    const { url = '', headers, rawHeaders } = request;
    seen.push({ url, headers, rawHeaders });
    origin.behave(request, response, seen.length);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin: Origin = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/image.bin`,
    seen,
    behave,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return origin;
}

export interface FileOptions {
  readonly etag?: string;
  /** Breaks the connection after so many bytes of each reply. */
  readonly cutAfter?: number;
  readonly ranges?: boolean;
  readonly headers?: Record<string, string>;
}

/** An origin as it should be, but for what the options say. */
export function serveFile(content: Buffer, options: FileOptions = {}): Behaviour {
  const etag = options.etag ?? `"${sha256(content).slice(0, 16)}"`;
  return (request, response) => {
    const asked = options.ranges === false ? undefined : /^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1];
    const condition = request.headers['if-range']?.toString();
    const holds = [undefined, etag, options.headers?.['Last-Modified']].includes(condition);
    const start = asked === undefined || !holds ? 0 : Number(asked);
    const ranged = asked !== undefined && holds;
    if (ranged && start >= content.length) {
      response.writeHead(416, { 'Content-Range': `bytes */${content.length}` }).end();
      return;
    }
    response.writeHead(ranged ? 206 : 200, {
      'Content-Length': content.length - start,
      'Content-Type': 'application/x-firmware',
      ...(etag !== '' && { ETag: etag }),
      ...(ranged && { 'Content-Range': `bytes ${start}-${content.length - 1}/${content.length}` }),
      ...options.headers,
    });
    const body = content.subarray(start, options.cutAfter === undefined ? undefined : start + options.cutAfter);
    response.write(body, () => {
      if (start + body.length < content.length) response.destroy();
      else response.end();
    });
  };
}

export interface HouseOptions {
  readonly catalog?: Partial<CatalogOptions>;
  readonly blobs?: Partial<BlobStoreOptions>;
  readonly downloader?: Partial<DownloaderOptions>;
  readonly uploads?: Partial<UploadsOptions>;
  /** Makes what follows the retrievals. */
  readonly follow?: (catalog: Catalog, blobs: BlobStore) => Arrivals;
  /** A folder of an earlier house, to start again on. */
  readonly folder?: string;
}

export interface House {
  readonly folder: string;
  readonly store: Store;
  readonly catalog: Catalog;
  readonly blobs: BlobStore;
  readonly arrivals: Arrivals | undefined;
  readonly deliveries: Deliveries;
  readonly downloader: Downloader;
  readonly uploads: Uploads;
  readonly events: ImageEvent[];
  readonly defects: unknown[];
  /** Adds an image with an ImageURI, in one transaction as a DM message would. */
  add(node: string, imageUri: string, digest?: string): ImageRecord;
  until(id: number, state: ImageState): Promise<ImageRecord>;
  /** Closes and keeps the folder, for the next house. */
  close(): Promise<void>;
}

const clock = systemClock(0);

export function openHouse(options: HouseOptions = {}): House {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), 'dmgw-image-'));
  mkdirSync(folder, { recursive: true });
  const store = openTestStore({
    file: join(folder, 'dmgw.db'),
    schema: [
      ...imageSchema,
      ...retrievalSchema,
      ...momentSchema,
      ...scrubSchema,
      ...imageServerSchema,
      ...piecesSchema,
    ],
    log: silentLog,
  });
  const catalog = new Catalog({ store, clock, log: silentLog, ...options.catalog });
  const blobs = new BlobStore({ folder, disk: systemDisk, clock, log: silentLog, freeFloorBytes: 0, ...options.blobs });
  const arrivals = options.follow?.(catalog, blobs);
  const deliveries = new Deliveries({ store, catalog, clock, log: silentLog });
  const events: ImageEvent[] = [];
  const defects: unknown[] = [];
  catalog.onEvent((event) => events.push(event));
  const downloader = new Downloader({
    store,
    catalog,
    blobs,
    clock,
    random: () => 0.5,
    log: silentLog,
    ...PLAIN_RETRIEVALS,
    idleTimeoutMs: 2_000,
    backoff: { firstMs: 5, maxMs: 20 },
    maxAttempts: 4,
    fsyncVolumeBytes: 64 * 1024,
    onDefect: (thrown) => defects.push(thrown),
    ...(arrivals && { arrivals }),
    ...options.downloader,
  });
  const pins = options.downloader?.pins ?? { needs: () => false };
  const uploads = new Uploads({ store, catalog, blobs, clock, pins, ...options.uploads });
  return {
    folder,
    store,
    catalog,
    blobs,
    arrivals,
    deliveries,
    downloader,
    uploads,
    events,
    defects,
    add: (node, imageUri, digest) =>
      store.transaction(() => {
        const created = catalog.create(node, 'server-1');
        if (!created.ok) throw new Error(created.error.text);
        const { id } = created.value;
        const set = catalog.setLeaf(id, 'imageUri', imageUri, 'server-1');
        if (!set.ok) throw new Error(set.error.text);
        if (digest !== undefined) catalog.setLeaf(id, 'digest', digest, 'server-1');
        return set.value;
      }),
    until: async (id, state) => {
      for (let round = 0; round < 4000; round += 1) {
        const image = catalog.byId(id);
        if (image?.state === state) return image;
        if (defects.length > 0) throw new Error('the downloader reports a defect', { cause: defects[0] });
        await clock.sleep(5);
      }
      const image = catalog.byId(id);
      throw new Error(`image ${id} is ${image?.state ?? 'gone'} (${image?.resultText ?? ''}), not ${state}`);
    },
    close: async () => {
      await uploads.close();
      await downloader.close();
      await store.close();
    },
  };
}

/** An image server of this house on a free port of loopback. */
export function serverOptions(house: House): ServerOptions {
  return {
    catalog: house.catalog,
    blobs: house.blobs,
    deliveries: house.deliveries,
    clock: systemClock(0),
    log: silentLog,
    addresses: ['127.0.0.1'],
    port: 0,
    publicHost: '192.168.1.1',
  };
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
