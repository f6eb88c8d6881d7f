import type { Clock, TimerHandle } from '../clock/index.js';
import type { Configuration } from '../config/index.js';
import { ImageRetention, type Catalog, type PinSource } from '../image/index.js';
import type { Logger } from '../log/index.js';
import type { MoKey, Names } from '../mo/index.js';
import type { Fanouts } from '../notify/index.js';
import type { Store } from '../store/index.js';
import type { Tree } from '../tree/index.js';

/** Looks for what is due so often: ages are days. */
const SWEEP_MS = 3_600_000;

const DAY_MS = 86_400_000;

export interface RetentionOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Removes what is due of one kind and says how many; by its name in the log. */
  readonly sweeps: Readonly<Record<string, () => number>>;
  /** Told what a sweep threw. */
  readonly onFault: (thrown: unknown) => void;
}

/** Has each room remove what has ended and is kept no longer, at the start and every hour. */
export class Retention {
  #timer: TimerHandle | undefined;

  constructor(private readonly o: RetentionOptions) {}

  start(): void {
    try {
      const removed = Object.entries(this.o.sweeps).map(([kind, sweep]) => [kind, sweep()] as const);
      const fields = Object.fromEntries(removed.filter(([, count]) => count > 0));
      if (Object.keys(fields).length > 0) this.o.log.info('removed what had ended', fields);
    } catch (thrown) {
      this.o.onFault(thrown);
    }
    this.#timer = this.o.clock.after(SWEEP_MS, () => this.start());
  }

  stop(): void {
    this.#timer?.cancel();
  }
}

/** What the configuration's section `retain` says, for each room. */
export function retentionSweeps(
  retain: Configuration['retain'],
  names: Names,
  parts: {
    readonly store: Store;
    readonly catalog: Catalog;
    readonly clock: Clock;
    readonly pins: PinSource;
    readonly fanouts: Pick<Fanouts, 'removeEnded'>;
    readonly tree: Pick<Tree, 'forgetNode'>;
  },
): Record<string, () => number> {
  const { fanouts, tree } = parts;
  const ageMs = retain.days === 0 ? undefined : retain.days * DAY_MS;
  const forget = (object: MoKey) => (node: string) => tree.forgetNode([...names.place(object), node]);
  const images = new ImageRetention({
    ...parts,
    count: retain.failedImages,
    ageMs,
    onRemove: forget('ImageInventory'),
  });
  return {
    images: () => images.sweep(),
    fanouts: () => fanouts.removeEnded({ count: retain.finishedFanouts, ageMs }, forget('Fanout')),
  };
}
