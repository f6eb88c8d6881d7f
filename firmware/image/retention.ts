import type { Clock } from '../clock/index.js';
import type { Store } from '../store/index.js';
import type { Catalog } from './catalog.js';
import type { ImageState } from './states.js';
import type { PinSource } from './room.js';

export interface ImageRetentionOptions {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly pins: PinSource;
  /** Images that failed, were cancelled or evicted, at most. */
  readonly count: number;
  /** How long such an image is kept, in ms; undefined: for ever. */
  readonly ageMs: number | undefined;
  /** Called inside the transaction right before an image is removed. */
  readonly onRemove: (node: string) => void;
}

interface Row {
  readonly id: number;
  readonly node: string;
  readonly imageId: string;
  readonly state: ImageState;
  readonly atMs: number | null;
}

/**
 * Removes images of which nothing came, when there are too many or they are too old. One that waits for a new URL goes
 * by age only: its bytes are kept for that. Never one that is needed.
 */
export class ImageRetention {
  constructor(private readonly o: ImageRetentionOptions) {}

  /**
   * Removes what is due. Age is counted by the wall clock, from when it was first set after the end; while it is not
   * plausible nothing goes by age.
   * @returns how many images were removed
   */
  sweep(): number {
    const { store, clock } = this.o;
    return store.transaction(() => {
      const nowMs = clock.plausible() ? Math.round(clock.wallMs()) : undefined;
      if (nowMs !== undefined) store.sql('UPDATE image_moment SET at_ms = ? WHERE at_ms IS NULL').run(nowMs);
      const due = this.#due(this.#ended(), nowMs);
      for (const { id, node } of due) {
        this.o.onRemove(node);
        this.o.catalog.remove(id);
      }
      return due.length;
    });
  }

  /** The latest first. */
  #ended(): Row[] {
    return this.o.store
      .sql<Row>(
        `SELECT id, node, effective_id AS imageId, state, at_ms AS atMs
         FROM image LEFT JOIN image_moment ON image_moment.image = image.id
         WHERE state IN ('failed', 'cancelled', 'evicted', 'needs-uri') ORDER BY seq DESC, id DESC`,
      )
      .all();
  }

  #due(ended: readonly Row[], nowMs: number | undefined): Row[] {
    const { count, ageMs, pins } = this.o;
    let kept = 0;
    return ended.filter(({ state, atMs, imageId }) => {
      const isOld = nowMs !== undefined && ageMs !== undefined && atMs !== null && nowMs - atMs > ageMs;
      const isTooMany = state !== 'needs-uri' && (kept += 1) > count;
      return (isOld || isTooMany) && !pins.needs(imageId);
    });
  }
}
