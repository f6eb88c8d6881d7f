import type { Encoding } from '../../../firmware/dm/index.js';
import type { Content } from './messages.js';

/** One kind of message. */
export interface Case {
  readonly encoding: Encoding;
  readonly content: Content;
  readonly bytes: number;
}

export function nameOf({ content, bytes, encoding }: Case): string {
  return `${content} ${bytes / 1024} KiB ${encoding}`;
}

/** What the worker tells. */
export type WorkerLine =
  | {
      readonly kind: 'rate';
      readonly of: Case;
      readonly commands: number;
      /** By wall clock, over the whole run. */
      readonly perSecond: number;
      /** Of processor time, for each message. */
      readonly cpuMs: number;
      /** By wall clock, for each message, in the fastest session: undisturbed by whatever else the machine does. */
      readonly bestMs: number;
    }
  | { readonly kind: 'phases'; readonly of: Case; readonly ms: Phases }
  | { readonly kind: 'commits'; readonly perSecond: number }
  | { readonly kind: 'memory'; readonly messages: number; readonly rssAnonBytes: number; readonly heapBytes: number };

/** A message through the client, in ms. */
export interface Phases {
  /** Octets to commands. */
  readonly decode: number;
  /** Session, executor, tree, management objects and database; the rest of the whole. */
  readonly execute: number;
  /** The answer to octets. */
  readonly write: number;
}
