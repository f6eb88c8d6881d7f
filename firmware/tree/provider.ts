import type { Format } from './definition.js';
import type { TreeOutcome } from './errors.js';

/** Value of a leaf. Text formats carry a string; `bin` carries octets. */
export type LeafValue = string | Uint8Array;

/** Names from the mount point to the node: keys of the definition, and run-time names for `<x>` nodes. */
export type NodePath = readonly string[];

/** Whoever acts on the tree: a DM Server in its session. */
export interface Subject {
  readonly serverId: string;
}

export type Operation =
  | { readonly kind: 'add'; readonly path: NodePath; readonly value: LeafValue | undefined; readonly by: Subject }
  | { readonly kind: 'replace'; readonly path: NodePath; readonly value: LeafValue; readonly by: Subject }
  | { readonly kind: 'delete'; readonly path: NodePath; readonly by: Subject };

export interface ExecRequest {
  readonly path: NodePath;
  readonly argument: LeafValue | undefined;
  /** To be echoed in the generic alert that ends an accepted operation. */
  readonly correlator: string | undefined;
  readonly by: Subject;
}

/**
 * What a management object implements; the tree has checked URI, definition, ACL and format before it asks. All calls
 * are synchronous and run inside the transaction of the DM message: what a provider keeps in the store is rolled back
 * with it, side effects go through `store.afterCommit`.
 */
export interface Provider {
  /**
   * The identity of the node within the mount, undefined when it does not exist. It never changes while the node
   * exists, not even by a renaming; a descendant's begins with its ancestor's and a `/`; the mount point's is empty.
   */
  locate(path: NodePath): string | undefined;

  /** Run-time names below `path`, in name order after `after`, at most `limit`. Nodes with fixed names are not listed. */
  children(path: NodePath, after: string | undefined, limit: number): readonly string[];

  /** The value of an existing leaf. */
  read(path: NodePath): TreeOutcome<LeafValue>;

  /**
   * Makes the change. `add` of an interior node brings its read-only descendants along; `value` is undefined then.
   * A failure leaves nothing behind: the tree rolls the savepoint back.
   */
  stage(operation: Operation): TreeOutcome;

  /** Starts the node's operation: `done` when it has ended already, `accepted` when an alert will tell its end. */
  exec(request: ExecRequest): TreeOutcome<'done' | 'accepted'>;

  /** ACL of a node for which none is stored, where the definition cannot know it (an account's own server). */
  initialAcl?(path: NodePath): string | undefined;
}

/** A value with what the peer said of its format and type; undefined where it said nothing. */
export interface IncomingValue {
  readonly format: string | undefined;
  readonly type: string | undefined;
  readonly data: LeafValue | undefined;
}

/** What a Get gives. */
export interface NodeValue {
  readonly format: Format;
  readonly type: string;
  readonly data: LeafValue;
}
