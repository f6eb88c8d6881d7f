import type { Outbox } from '../dm/index.js';
import { formatNodeUri } from '../tree/index.js';
import type { Names } from './names.js';

/** What became of the images when something in the store was lost. */
export interface Damage {
  /** What is damaged. */
  readonly what: 'database' | 'image';
  /** Images that were recovered, or will be retrieved again. */
  readonly recovered: number;
  /** Images whose content is lost. */
  readonly lost: number;
}

/** Tells DM Servers, by `org.dmgw.store.damaged`, that something in the store is lost. Part of the caller's transaction. */
export function tellDamage(names: Names, outbox: Outbox, serverIds: readonly string[], damage: Damage): void {
  const also = damage.what === 'database' ? ' gone=retrievals,fanouts,devices,acls' : '';
  for (const serverId of serverIds) {
    outbox.put({
      serverId,
      source: formatNodeUri(names.place('Storage')),
      type: names.alertType('storeDamaged'),
      format: 'chr',
      mark: 'critical',
      data: `${damage.what} recovered=${damage.recovered} lost=${damage.lost}${also}`,
    });
  }
}
