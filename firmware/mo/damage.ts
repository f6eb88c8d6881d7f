import type { Outbox } from '../dm/index.js';
import type { ImageRecord } from '../image/index.js';
import { formatNodeUri } from '../tree/index.js';
import type { Names } from './names.js';

/** What became of the images when the database was lost. */
export interface Damage {
  readonly recovered: number;
  readonly lost: number;
}

/** Tells DM Servers, by `org.dmgw.store.damaged`, that the database was lost. Part of the caller's transaction. */
export function tellDamage(
  names: Names,
  outbox: Pick<Outbox, 'put'>,
  serverIds: readonly string[],
  damage: Damage,
): void {
  const source = formatNodeUri(names.place('Storage'));
  const counts = `recovered=${damage.recovered} lost=${damage.lost}`;
  const data = `database ${counts} gone=retrievals,fanouts,devices,acls`;
  for (const serverId of serverIds) tell(names, outbox, serverId, source, data);
}

/**
 * Tells the DM Server of each of these images, by the same alert, that its content has changed on the disk and is not
 * offered any more. Where it has an ImageURI it is retrieved again. Part of the caller's transaction.
 */
export function tellRotten(names: Names, outbox: Pick<Outbox, 'put'>, images: readonly ImageRecord[]): void {
  for (const { requester, node, leaves } of images) {
    const source = formatNodeUri([...names.place('ImageInventory'), node]);
    tell(names, outbox, requester, source, leaves.imageUri === null ? 'image lost' : 'image retrieved-again');
  }
}

function tell(names: Names, outbox: Pick<Outbox, 'put'>, serverId: string, source: string, data: string): void {
  outbox.put({ serverId, source, type: names.alertType('storeDamaged'), format: 'chr', mark: 'critical', data });
}
