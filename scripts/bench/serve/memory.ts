import { setTimeout as sleep } from 'node:timers/promises';
import type { Lab } from '../../flow/lab.js';
import { addImage, ALERT, IMAGES } from '../../flow/operator.js';
import { MemoryWatch } from '../memory-watch.js';
import { loadOf, memoryOf, type ProcessLoad } from '../proc.js';
import { Clients, runClients, type Place } from './client.js';

/** What the gateway takes in one situation; all in bytes but for the faults. */
export interface Situation extends ProcessLoad {
  readonly name: string;
  readonly peakRssAnonBytes: number;
  readonly rssAnonBytes: number;
  readonly rssBytes: number;
}

/** The gateway is left alone so long before it counts as idle: V8 gives back what was needed before after some 8 s of rest. */
const SETTLE_MS = 15_000;
const STALLED_CLIENTS = 500;
/** Long enough for the buffers of all in the kernel to fill. */
const STALLED_MS = 8_000;
const BUSY_CLIENTS = 100;
const ROUNDS = 50;
/** What each client takes of the image in a round; the next round begins before its connections have gone. */
const ROUND_BYTES = 4 * 1024 * 1024;
const RETRIEVAL_WITHIN_MS = 600_000;

/** What the gateway goes through, in this order, in one life. */
export const SITUATION = {
  idle: 'idle',
  stalledFirst: `${STALLED_CLIENTS} stalled clients, before anybody else`,
  busy: `${BUSY_CLIENTS} clients and a retrieval`,
  stalled: `${STALLED_CLIENTS} stalled clients after that`,
  rounds: `${ROUNDS} rounds of ${BUSY_CLIENTS} clients`,
  stalledAgain: `${STALLED_CLIENTS} stalled clients after them`,
  over: 'idle after all',
} as const;

/** @param path of the image that is retrieved meanwhile */
export async function measureMemory(
  lab: Lab,
  place: Place,
  path: string,
  tell: (what: string) => void,
): Promise<Situation[]> {
  const pid = lab.gateway.child.pid;
  const situations: Situation[] = [];
  const measure = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    tell(name);
    const watch = new MemoryWatch(pid);
    await work();
    // What the situation still holds, before its clients go.
    const now = memoryOf(pid);
    const load = loadOf(pid);
    if (!now || !load) throw new Error(lab.gateway.child.describe('has ended'));
    const { peakRssAnonBytes } = watch.stop();
    situations.push({ name, peakRssAnonBytes, rssAnonBytes: now.rssAnonBytes, rssBytes: now.rssBytes, ...load });
  };
  const stalled = async (name: string): Promise<void> => {
    const clients = new Clients(place, 'hold', STALLED_CLIENTS);
    await clients.begun;
    await measure(name, () => sleep(STALLED_MS));
    await clients.stop();
    await sleep(SETTLE_MS);
  };
  const rest = (name: string): Promise<void> => measure(name, () => sleep(500));

  await sleep(SETTLE_MS);
  await rest(SITUATION.idle);
  await stalled(SITUATION.stalledFirst);
  const busy = new Clients(place, 'loop', BUSY_CLIENTS);
  await busy.begun;
  await measure(SITUATION.busy, () => retrieve(lab, path));
  await busy.stop();
  await sleep(SETTLE_MS);
  await stalled(SITUATION.stalled);
  await measure(SITUATION.rounds, async () => {
    for (let round = 0; round < ROUNDS; round += 1) await runClients(place, 'whole', BUSY_CLIENTS, ROUND_BYTES);
  });
  await sleep(SETTLE_MS);
  await stalled(SITUATION.stalledAgain);
  await rest(SITUATION.over);
  return situations;
}

async function retrieve(lab: Lab, path: string): Promise<void> {
  await lab.manage(addImage('second', { uri: lab.downloads.urlOf(path) }));
  const { data } = await lab.dm.waitFor(
    'the end of the retrieval',
    lab.gatewayId,
    0,
    ({ type, source }) => type === ALERT.imageRetrieved && source === `${IMAGES}/second`,
    RETRIEVAL_WITHIN_MS,
  );
  if (data !== '1200') throw new Error(`the retrieval ends with ${data ?? 'nothing'}`);
}
