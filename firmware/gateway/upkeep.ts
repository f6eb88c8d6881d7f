import { Scrub } from '../image/index.js';
import { tellRotten } from '../mo/index.js';
import type { Devices } from './devices.js';
import type { Ground } from './ground.js';
import type { Images } from './images.js';
import type { Management } from './management.js';
import { Retention, retentionSweeps } from './retention.js';
import { SteadyFlush } from './steady-flush.js';

const DAY_MS = 86_400_000;

export interface Upkeep {
  readonly scrub: Scrub;
  start(): void;
}

/** What comes round while the gateway runs: what has ended is removed, what was written is flushed, images are read again. */
export function buildUpkeep(ground: Ground, images: Images, devices: Devices, management: Management): Upkeep {
  const { configuration, clock, names, store, log, onClose, onFault } = ground;
  const { catalog, blobs, downloader, imageServer } = images;
  const { accounts, outbox, tree } = management;
  const { fanouts, pins } = devices;
  const retention = new Retention({
    clock,
    log: log('gateway'),
    sweeps: retentionSweeps(configuration.retain, names, { store, catalog, clock, pins, fanouts, tree }),
    onFault,
  });
  onClose(() => retention.stop());
  const steadyFlush = new SteadyFlush({ store, clock, onFault });
  onClose(() => steadyFlush.stop());
  const { scrubDays, scrubKiBPerSecond } = configuration.store;
  const scrub = new Scrub({
    store,
    catalog,
    blobs,
    clock,
    log: log('image'),
    intervalMs: scrubDays * DAY_MS,
    bytesPerSecond: scrubKiBPerSecond * 1024,
    busy: () => downloader.running > 0 || imageServer.load.connections > 0,
    onRotten: (images) => {
      const isServer = (serverId: string): boolean => accounts.byServerId(serverId) !== undefined;
      tellRotten(
        names,
        outbox,
        images.filter(({ requester }) => isServer(requester)),
      );
    },
    onFault,
  });
  onClose(() => scrub.stop());
  return {
    scrub,
    start: () => {
      retention.start();
      steadyFlush.start();
      if (scrubDays > 0) scrub.start();
    },
  };
}
