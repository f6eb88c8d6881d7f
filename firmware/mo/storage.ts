import type { Mount, NodeDefinition } from '../tree/index.js';
import { administered, Definer, permanent } from './define.js';
import { fixedProvider } from './fixed.js';
import type { Names } from './names.js';

/** Room for images, in bytes. */
export interface StorageFigures {
  /** All that images take and may still take. */
  readonly total: number;
  readonly free: number;
  readonly reserved: number;
  /** 0: no quota. */
  readonly quota: number;
}

/** The nodes of the object, for the tree and for the description of the device. */
export function storageDefinition(names: Names): NodeDefinition {
  const define = new Definer('Storage', names);
  return permanent(
    define.root('Room for images, in bytes as decimal text', [
      define.leaf('Total', 'chr', 'G', 'Bytes that images take and may still take'),
      define.leaf('Free', 'chr', 'G', 'Bytes that images may still take'),
      define.leaf('Reserved', 'chr', 'G', 'Bytes promised to retrievals that run'),
      define.leaf('Quota', 'chr', 'G', 'Most bytes that images may take, 0 for no quota'),
    ]),
  );
}

/**
 * ./GwMO/Storage: what a server should know before it hands over an image.
 * @param administrators ServerIDs of those who may change the properties of its nodes
 */
export function storage(names: Names, figures: () => StorageFigures, administrators: readonly string[]): Mount {
  const bytes = (pick: (now: StorageFigures) => number) => () => String(pick(figures()));
  return {
    place: names.place('Storage'),
    definition: storageDefinition(names),
    provider: {
      ...fixedProvider({
        Total: bytes((now) => now.total),
        Free: bytes((now) => now.free),
        Reserved: bytes((now) => now.reserved),
        Quota: bytes((now) => now.quota),
      }),
      initialAcl: (path) => (path.length === 0 ? administered(administrators) : undefined),
    },
  };
}
