import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyDisk, whyNoFaults } from '../../fault/faulty-disk.js';
import { LoopMeter, type LoopDelays } from '../../fault/loop-meter.js';
import { makeImage } from '../../flow/images.js';
import { Lab } from '../../flow/lab.js';
import { addImage } from '../../flow/operator.js';
import { runClients } from './client.js';
import { placeOf, untilAvailable } from './place.js';

const MIB = 1024 * 1024;
const IMAGE_BYTES = 32 * MIB;
const CLIENTS = 16;
const READ_BYTES_PER_SECOND = 20_000_000;
const SYNC_MS = 100;
/** Of the image that comes in meanwhile: so that it lasts for some seconds. */
const WAN_BYTES_PER_SECOND = 4 * MIB;

/** How long the event loop was held up, in ms. */
export interface ColdFigures {
  /** Reads bring 20 MB/s each, and clients fetch the image. */
  readonly slowReads: LoopDelays;
  /** Every sync takes 100 ms, an image comes in, and clients fetch another. */
  readonly slowSyncs: LoopDelays;
}

/**
 * The gateway on a disk that is slow: the delays of its event loop. The library that makes it slow stands between the
 * process and its files, so that no cache has to be emptied.
 * @returns why that cannot be measured here, where it cannot
 */
export async function measureCold(
  folder: string,
  nodeFlags: readonly string[],
  tell: (what: string) => void,
): Promise<ColdFigures | string> {
  const why = whyNoFaults();
  if (why !== undefined) return why;
  const files = ['cold-1.bin', 'cold-2.bin'].map((name) => join(folder, '..', name));
  for (const [index, file] of files.entries()) makeImage(file, IMAGE_BYTES, index + 3);
  const meter = new LoopMeter('bench');
  const lab = await Lab.start({
    folder,
    devices: 0,
    offers: files.map((file, index) => ({ path: `/${index}`, file, contentType: 'application/octet-stream' })),
    gateway: {
      nodeFlags: [...nodeFlags, ...meter.nodeFlags],
      settings: { log: { level: 'info' }, serve: { maxConnections: 64, maxConnectionsPerAddress: 64 } },
    },
  });
  const disk = new FaultyDisk('bench', '', [lab.gateway.stateDir, lab.gateway.storeDir]);
  try {
    await lab.gateway.stop();
    await disk.under(() => lab.gateway.start());
    await lab.manage(addImage('first', { uri: lab.downloads.urlOf('/0') }));
    const place = placeOf(await untilAvailable(lab, 'first'));

    tell(`${CLIENTS} clients, reads slowed to ${READ_BYTES_PER_SECOND / 1e6} MB/s`);
    await disk.tell(`slow read ${READ_BYTES_PER_SECOND}`);
    meter.begin();
    await runClients(place, 'whole', CLIENTS);
    const slowReads = await meter.end();
    await disk.tell('clear');

    tell(`${CLIENTS} clients and a retrieval, fsyncs of ${SYNC_MS} ms`);
    await disk.tell(`slow sync ${SYNC_MS}`);
    await lab.downloads.rate(WAN_BYTES_PER_SECOND);
    meter.begin();
    await lab.manage(addImage('second', { uri: lab.downloads.urlOf('/1') }));
    const retrieved = untilAvailable(lab, 'second').then(() => true);
    do await runClients(place, 'whole', CLIENTS);
    while (!(await Promise.race([retrieved, sleep(0, false)])));
    return { slowReads, slowSyncs: await meter.end() };
  } finally {
    await lab.close();
    disk.remove();
    meter.remove();
    rmSync(folder, { recursive: true, force: true });
    for (const file of files) rmSync(file);
  }
}
