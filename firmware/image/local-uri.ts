import { isIPv6 } from 'node:net';
import type { ImageRecord } from './image.js';

/** What comes before the ImageID in the path of every LocalImageURI. */
export const PATH_PREFIX = '/scomo/';

/** Where images are reached from the LAN. */
export interface PublicPlace {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
}

/** LocalImageURI of an image that is served. */
export function localUriOf(image: ImageRecord, { host, port }: PublicPlace): string {
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}${PATH_PREFIX}${image.imageId}`;
}
