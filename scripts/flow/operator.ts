import type { Command } from './dm-server.js';

/** What the operator of a DM Server has it say: the commands of the nine steps. */

export const IMAGES = './GwMO/ImageInventory';
export const FANOUTS = './GwMO/Fanout';

/** Types of the generic alerts of the gateway and of the End Devices. */
export const ALERT = {
  imageRetrieved: 'org.dmgw.imageinventory.retrieved',
  imageNeedsUri: 'org.dmgw.imageinventory.needsuri',
  imageLocalUri: 'org.dmgw.imageinventory.localuri',
  imageEvicted: 'org.dmgw.imageinventory.evicted',
  storeDamaged: 'org.dmgw.store.damaged',
  fanoutFinished: 'org.dmgw.fanout.finished',
  operationComplete: 'urn:oma:at:scomo:1.0:OperationComplete',
} as const;

export function add(target: string, format: NonNullable<Command['format']>, data?: Command['data']): Command {
  return { cmd: 'Add', target, format, ...(data !== undefined && { data }) };
}

export function get(target: string): Command {
  return { cmd: 'Get', target };
}

export function exec(target: string, correlator: string): Command {
  return { cmd: 'Exec', target, correlator };
}

/** Step 1: an image and where to retrieve it. Setting ImageURI, the last command, starts the retrieval. */
export function addImage(
  node: string,
  image: { readonly uri: string; readonly imageId?: string; readonly digest?: string },
): Command[] {
  const at = `${IMAGES}/${node}`;
  return [
    add(at, 'node'),
    ...(image.imageId === undefined ? [] : [add(`${at}/ImageID`, 'chr', image.imageId)]),
    ...(image.digest === undefined ? [] : [add(`${at}/Digest`, 'chr', image.digest)]),
    add(`${at}/ImageURI`, 'chr', image.uri),
  ];
}

/** Another place, or the same one again, for an image that is there. */
export function replaceImageUri(node: string, uri: string): Command {
  return { cmd: 'Replace', target: `${IMAGES}/${node}/ImageURI`, format: 'chr', data: uri };
}

export interface FanoutTarget {
  readonly deviceId: string;
  /** Package#0, base64. */
  readonly package0: string;
}

export interface FanoutPolicy {
  /** ImageID whose retrieval shows that a device has reacted. */
  readonly imageRef?: string;
  /** Tries per target. */
  readonly repeat?: number;
  /** Seconds before the first repetition. */
  readonly interval?: number;
}

/** Step 5: a fanout with one notification per device, and its start. */
export function startFanout(
  node: string,
  targets: readonly FanoutTarget[],
  { imageRef, repeat, interval }: FanoutPolicy,
  correlator: string,
): Command[] {
  const at = `${FANOUTS}/${node}`;
  return [
    add(at, 'node'),
    ...(imageRef === undefined ? [] : [add(`${at}/ImageRef`, 'chr', imageRef)]),
    ...(repeat === undefined ? [] : [add(`${at}/Repeat`, 'int', repeat)]),
    ...(interval === undefined ? [] : [add(`${at}/Interval`, 'int', interval)]),
    ...targets.flatMap(({ deviceId, package0 }, index) => [
      add(`${at}/Target/t${index + 1}/DeviceID`, 'chr', deviceId),
      add(`${at}/Target/t${index + 1}/Notification`, 'bin', package0),
    ]),
    exec(`${at}/Operations/Start`, correlator),
  ];
}

/** Step 8: a Delivery Package at this URL, and its download. */
export function deliver(node: string, pkgId: string, url: string, correlator: string): Command[] {
  const at = `./SCOMO/Download/${node}`;
  return [
    add(`${at}/PkgID`, 'chr', pkgId),
    add(`${at}/PkgURL`, 'chr', url),
    exec(`${at}/Operations/Download`, correlator),
  ];
}
