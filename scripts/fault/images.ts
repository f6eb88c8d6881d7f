import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../firmware/clock/index.js';
import {
  BlobStore,
  Catalog,
  imageSchema,
  momentSchema,
  retrievalSchema,
  systemDisk,
  type BlobStoreOptions,
  type CatalogOptions,
  type DownloaderOptions,
} from '../../firmware/image/index.js';
import { silentLog } from '../../firmware/log/index.js';
import { openTestStore } from '../../firmware/store/store.fixture.js';

/** Database and images of one folder, as every part of them takes them. */
export type Images = Pick<DownloaderOptions, 'store' | 'catalog' | 'blobs' | 'clock' | 'random' | 'log'>;

/** Where the images of such a folder are: not beside the database, whose folder has syncs of its own. */
function storeDirOf(folder: string): string {
  return join(folder, 'store');
}

/** Opens them, for whoever writes until the power goes and for whoever looks at what is left. */
export function openImages(
  folder: string,
  options: Pick<CatalogOptions, 'cutThrough'> & Pick<BlobStoreOptions, 'quotaBytes'> = {},
): Images {
  const clock = systemClock(0);
  const log = silentLog;
  // Opening the database makes its name durable.
  mkdirSync(storeDirOf(folder), { recursive: true });
  const schema = [...imageSchema, ...retrievalSchema, ...momentSchema];
  const store = openTestStore({ file: join(folder, 'dmgw.db'), schema, log });
  const catalog = new Catalog({ store, clock, log, ...options });
  const blobs = new BlobStore({
    folder: storeDirOf(folder),
    disk: systemDisk,
    clock,
    log,
    freeFloorBytes: 0,
    ...options,
  });
  return { store, catalog, blobs, clock, random: Math.random, log };
}

/** The first number that no image has had: images are told apart by their Version. */
export function nextNumber({ catalog }: Images): number {
  return 1 + Math.max(0, ...catalog.all().map(({ leaves }) => Number(leaves.version)));
}
