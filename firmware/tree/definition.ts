/** Data formats of nodes (DMTND; metinf Format). */
export type Format = 'b64' | 'bin' | 'bool' | 'chr' | 'date' | 'float' | 'int' | 'node' | 'null' | 'time' | 'xml';

/** Commands that the definition of a node allows at all (DDF AccessType). Whether a server may is the ACL's word. */
export type Access = 'Add' | 'Copy' | 'Delete' | 'Exec' | 'Get' | 'Replace';

export type Occurrence = 'One' | 'ZeroOrOne' | 'ZeroOrMore' | 'OneOrMore';

/**
 * What may stand at a place of the tree. One table of these per management object drives the tree, the DDF and the
 * documentation.
 */
export interface NodeDefinition {
  /** The name that providers know; stays the same when a board profile renames the node. Names an `<x>` node too. */
  readonly key: string;
  /** The name in the tree; undefined: given at run time (`<x>`). */
  readonly name: string | undefined;
  readonly format: Format;
  readonly access: readonly Access[];
  readonly occurrence: Occurrence;
  readonly scope: 'Permanent' | 'Dynamic';
  /** Leaf: media type, default text/plain. Interior: MO identifier, default none. */
  readonly type?: string;
  readonly description: string;
  /** Value that counts while the node is not there, or until somebody sets it; for the description of the device. */
  readonly defaultValue?: string;
  /** Interior nodes have children (possibly none); a leaf has undefined. */
  readonly children?: readonly NodeDefinition[];
  /** ACL of the node until one is stored, e.g. `Add=*&Get=*`; default: inherited. */
  readonly acl?: string;
  /** The server that adds the node gets every right on it, and no other server any (management-objects: initial ACL). */
  readonly ownedByCreator?: boolean;
  /**
   * Nobody but servers changes the node, and it is not one of thousands: its changes are counted (VerNo, TStamp). For
   * others these two properties are not supported, because they would lie, or wear the flash.
   */
  readonly versioned?: boolean;
  /** Longest value in octets; default MAX_VALUE_BYTES. */
  readonly maxBytes?: number;
  /**
   * A value of this leaf goes straight to a sink of its owner, however short it is: it stands directly in a message, not
   * in an Atomic or a Sequence.
   */
  readonly streamed?: boolean;
}

/** Longest value of a leaf that names no bound of its own, in octets. */
export const MAX_VALUE_BYTES = 16 * 1024;

export const DEFAULT_LEAF_TYPE = 'text/plain';

/** The child definition for a name of the tree: a named one first, else the one for run-time names. */
export function childDefinition(parent: NodeDefinition, name: string): NodeDefinition | undefined {
  let unnamed: NodeDefinition | undefined;
  for (const child of parent.children ?? []) {
    if (child.name === name) return child;
    if (child.name === undefined) unnamed ??= child;
  }
  return unnamed;
}
