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

/**
 * A value that a `ByteSink` holds to its end: durable, not visible. It is handed over where data of a message would be,
 * so that it becomes visible in the transaction of the message that brought its last octets.
 */
export interface StoredValue {
  readonly bytes: number;
  /** Makes it the value of its leaf, in place of the provider's own `stage`. `path`: the leaf, as its provider knows it. */
  stage(path: NodePath, by: Subject): TreeOutcome;
}

/**
 * Takes the octets of one value in order, piece by piece, without holding them in memory. Nothing is visible before the
 * value is staged. After a failure only `discard` may follow.
 */
export interface ByteSink {
  /** Resolves when it may have more: the caller waits for it. The octets may be reused then. */
  write(octets: Uint8Array): Promise<TreeOutcome>;
  /** All octets have come. Resolves when they are durable. */
  end(): Promise<TreeOutcome<StoredValue>>;
  /** Drops what no committed transaction has staged. To be called in any case, at last; idempotent. */
  discard(): Promise<void>;
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

  /**
   * Gives an existing node with a run-time name another one, which no sibling has; its identity stays. Absent: its
   * names are not the servers' to change.
   */
  rename?(path: NodePath, name: string, by: Subject): TreeOutcome;

  /** Starts the node's operation: `done` when it has ended already, `accepted` when an alert will tell its end. */
  exec(request: ExecRequest): TreeOutcome<'done' | 'accepted'>;

  /**
   * Opens a sink for the value of a leaf that is, or may be, at `path`; undefined where values of this leaf are small
   * and go through memory. May be called outside a transaction, and before the nodes above the leaf exist.
   */
  writeSink?(path: NodePath, request: SinkRequest): TreeOutcome<ByteSink> | undefined;

  /** ACL of a node for which none is stored, where the definition cannot know it (an account's own server). */
  initialAcl?(path: NodePath): string | undefined;
}

export interface SinkRequest {
  /** The value has at most so many octets; undefined: the server did not say. */
  readonly bytes: number | undefined;
  readonly by: Subject;
}

/** A value with what the peer said of its format and type; undefined where it said nothing. */
export interface IncomingValue {
  readonly format: string | undefined;
  readonly type: string | undefined;
  /** As in the message, or what a `ValueSink` gave. */
  readonly data: LeafValue | StoredValue | undefined;
}

/** What a peer announces of a value that comes in pieces. */
export interface AnnouncedValue {
  readonly format: string | undefined;
  readonly type: string | undefined;
  /** Octets as they stand in the messages: characters of base64 where it is encoded. */
  readonly size: number | undefined;
}

/** What a Get gives. */
export interface NodeValue {
  readonly format: Format;
  readonly type: string;
  readonly data: LeafValue;
}
