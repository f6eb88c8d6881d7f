import type { Outcome } from '../outcome/index.js';
import type { ForwardError } from './forwarder.js';

/** Where and how a device takes its Package#0. `host` is an IP address for `udp`. */
export type DeviceAddress = {
  readonly encapsulation: 'wsp' | 'raw';
  /** It announces the SessionID that it acted on last: a reaction can be seen. */
  readonly showsSession?: boolean;
} & (
  | { readonly transport: 'udp'; readonly host: string; readonly port: number }
  | { readonly transport: 'http'; readonly url: string }
);

/** What a fanout asks of the device inventory. */
export interface AddressBook {
  /** Undefined for a device without an address; nothing for one that is not known. */
  resolve(deviceIds: readonly string[]): ReadonlyMap<string, DeviceAddress | undefined>;
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

/** Whether a device is there, by what it announces; `untold` where nobody would know. */
export type Presence = 'present' | 'absent' | 'untold';

/** What a fanout asks of discovery. */
export interface Appearances {
  /** Tells of a device that is there for the first time, or again. @returns ends the subscription */
  onAppeared(listener: (deviceId: string) => void): () => void;
  presenceOf(deviceId: string): Presence;
}

/** A device fetches an image: a reaction to a notification. */
export interface Fetch {
  readonly imageId: string;
  /** IP address of the reader. */
  readonly address: string;
  /** Where it is known better than by the address. */
  readonly deviceId?: string;
}

/** Who tells of reactions. Told several times of one does no harm. */
export interface Reactions {
  /** @returns ends the subscription */
  onFetched(listener: (fetch: Fetch) => void): () => void;
  /** Tells which SessionID a device announces as the one that it acted on last. @returns ends the subscription */
  onSession(listener: (deviceId: string, sessionId: string) => void): () => void;
}

/** Sends one notification; see `Forwarder.send`. */
export type SendNotification = (
  address: DeviceAddress,
  notification: Uint8Array,
  onLateFailure?: (error: ForwardError) => void,
) => Promise<Outcome<undefined, ForwardError>>;

/** The SessionID of a Package#0 as a device announces it; undefined when it is none. */
export type SessionIdOf = (notification: Uint8Array) => string | undefined;

/** Puts the Package#0 into a WSP push PDU, or leaves it as it is (`raw`). */
export type Wrap = (notification: Uint8Array, encapsulation: 'wsp' | 'raw') => Uint8Array;
