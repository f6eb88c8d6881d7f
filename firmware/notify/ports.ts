import type { CodedError, Outcome } from '../outcome/index.js';
import type { ForwardError } from './forwarder.js';

/** Where and how a device takes its Package#0. `host` is an IP address for `udp`. */
export type DeviceAddress = { readonly encapsulation: 'wsp' | 'raw' } & (
  | { readonly transport: 'udp'; readonly host: string; readonly port: number }
  | { readonly transport: 'http'; readonly url: string }
);

/** What a fanout asks of the device inventory. */
export interface AddressBook {
  resolve(deviceId: string): Outcome<DeviceAddress, CodedError<'unknown-device' | 'no-address'>>;
  /** The DeviceID of the one device with this IP address; undefined when there is none or it cannot be told. */
  deviceAt(address: string): string | undefined;
  /** The DeviceIDs that a line of Targets means: `*`, `group:<name>` or a DeviceID. */
  expand(target: string): Iterable<string>;
}

/** What a fanout asks of the image server. */
export interface Capacity {
  /** How many more readers it can take now; 0 or less for none. */
  free(): number;
}

/** A device fetches an image: the only reaction to a notification that the gateway can see. */
export interface Fetch {
  readonly imageId: string;
  /** IP address of the reader. */
  readonly address: string;
  /** Where it is known better than by the address. */
  readonly deviceId?: string;
}

/** Who tells of fetches. Told several times of one fetch does no harm. */
export interface Reactions {
  /** @returns ends the subscription */
  onFetched(listener: (fetch: Fetch) => void): () => void;
}

/** Sends one notification; see `Forwarder.send`. */
export type SendNotification = (
  address: DeviceAddress,
  notification: Uint8Array,
) => Promise<Outcome<undefined, ForwardError>>;

/** Puts the Package#0 into a WSP push PDU, or leaves it as it is (`raw`). */
export type Wrap = (notification: Uint8Array, encapsulation: 'wsp' | 'raw') => Uint8Array;
