/** RssAnon of a process that has nothing to do. */
export interface SettledMemory {
  /** As it stands: with garbage, of which V8 collects nothing before it needs room. */
  readonly rssAnonBytes: number;
  /** After a collection: what is in use. */
  readonly collectedBytes: number;
}

/** What the measured process tells. Times in ns of the monotonic clock of the machine, as decimal text. */
export type WorkerLine =
  | { readonly kind: 'ready' }
  /** So many devices have been found. */
  | { readonly kind: 'present'; readonly devices: number }
  /** So many devices have reacted in this round. */
  | { readonly kind: 'reacted'; readonly round: number; readonly devices: number }
  /** Code is loaded and some devices are known: what comes on top is what the others take. */
  | ({ readonly kind: 'warm' } & SettledMemory)
  | ({ readonly kind: 'found'; readonly devices: number } & SettledMemory)
  /** Datagrams of a bare `dgram` loop. */
  | { readonly kind: 'bare'; readonly round: number; readonly startNs: string; readonly cpuMs: number }
  /** The first notifications of a fanout. */
  | {
      readonly kind: 'sent';
      readonly round: number;
      /** Before Operations/Start. */
      readonly startNs: string;
      /** What Operations/Start took by itself. */
      readonly startMs: number;
      readonly cpuMs: number;
      readonly delayMaxMs: number;
      readonly delayP99Ms: number;
      /** When they were out. */
      readonly rssAnonBytes: number;
    }
  /** The fanout has ended. */
  | {
      readonly kind: 'finished';
      readonly round: number;
      readonly end: string;
      readonly total: number;
      readonly sent: number;
      readonly reacted: number;
      readonly failed: number;
      readonly delayMaxMs: number;
    };

/** Where the devices are: 127.FIRST.0.0/16, all at one port. Nobody else uses this network. */
export const LAN_SECOND_OCTET = 254;

/** The address of a device, counted from 0. */
export function deviceAddress(index: number): string {
  return `127.${LAN_SECOND_OCTET}.${Math.floor(index / 250)}.${1 + (index % 250)}`;
}

export function deviceIdOf(index: number): string {
  return `MAC:0200${index.toString(16).toUpperCase().padStart(8, '0')}`;
}

/**
 * What a notification ends with (its vendor part): the round and the device, each an unsigned integer of four bytes.
 */
export function markOf(round: number, index: number): Buffer {
  const mark = Buffer.alloc(MARK_BYTES);
  mark.writeUInt32BE(round, 0);
  mark.writeUInt32BE(index, 4);
  return mark;
}

const MARK_BYTES = 8;

/** @returns round and device of a datagram; undefined for a foreign one */
export function readMark(datagram: Buffer): readonly [round: number, index: number] | undefined {
  if (datagram.length < MARK_BYTES) return undefined;
  const at = datagram.length - MARK_BYTES;
  return [datagram.readUInt32BE(at), datagram.readUInt32BE(at + 4)];
}
