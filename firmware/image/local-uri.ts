import type { ImageRecord } from './image.js';

/** What comes before the ImageID in the path of every LocalImageURI. */
export const PATH_PREFIX = '/scomo/';

/** Where images are reached from the LAN. */
export interface PublicPlace {
  readonly scheme: 'http' | 'https';
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
}

/** `http://192.168.1.1:8180`. */
export function originOf({ scheme, host, port }: PublicPlace): string {
  return `${scheme}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** LocalImageURI of an image that is served. @param query for its token, if it has one */
export function localUriOf(image: ImageRecord, place: PublicPlace, query?: string): string {
  return `${originOf(place)}${PATH_PREFIX}${image.imageId}${query === undefined ? '' : `?${query}`}`;
}
