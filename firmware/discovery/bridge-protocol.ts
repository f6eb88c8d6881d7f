/** Between the gateway and the helper process that speaks with the system's mDNS daemon: JSON, one object a line. */

/** What the helper is asked for. */
export type BridgeCommand =
  /** Tells of all instances of this type from now on; anew where it did already. */
  | { readonly do: 'browse'; readonly type: string }
  /** Where an instance is. Answered by `resolved` or `unresolved` with the same id. */
  | {
      readonly do: 'resolve';
      readonly id: number;
      readonly instance: string;
      readonly type: string;
      readonly domain: string;
      readonly interfaceIndex: number;
    }
  | { readonly do: 'announce'; readonly key: string; readonly service: BridgeService }
  | { readonly do: 'withdraw'; readonly key: string }
  /** Has the daemon ask the network for this type, and answers with `probed`: a daemon that stands still does not. */
  | { readonly do: 'probe'; readonly type: string };

export interface BridgeService {
  readonly instance: string;
  readonly type: string;
  readonly port: number;
  /** The octets of the TXT record, base64. */
  readonly txt: string;
}

/** What the helper tells. */
export type BridgeNews =
  /** The addon is loaded; the daemon was not asked yet. */
  | { readonly is: 'ready' }
  | {
      readonly is: 'up';
      readonly instance: string;
      readonly domain: string;
      /** Name of the interface. */
      readonly link: string;
      readonly interfaceIndex: number;
    }
  | { readonly is: 'down'; readonly instance: string; readonly link: string }
  | {
      readonly is: 'resolved';
      readonly id: number;
      readonly host: string;
      readonly port: number;
      /** The octets of the TXT record, base64. */
      readonly txt: string;
    }
  | { readonly is: 'unresolved'; readonly id: number; readonly text: string }
  | { readonly is: 'probed' }
  /** The last line: it ends. */
  | { readonly is: 'failed'; readonly code: BridgeFailure; readonly text: string };

export type BridgeFailure =
  | 'no-addon' // the package mdns is not there, or does not load
  | 'daemon'; // the daemon does not run, or has ended

/**
 * Resolutions at the same time: through Avahi's compatibility library each takes a thread and a D-Bus client,
 * and the daemon lets one user have so many.
 */
export const MAX_RESOLUTIONS = 8;
