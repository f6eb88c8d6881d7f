/**
 * The management tree: URIs, definitions, ACL, properties, and the contract with those who own the nodes.
 * Leaves the protocol to `dm/` and the meaning of the nodes to their providers.
 */
export { aclFor } from './acl.js';
export { type Access, type Format, type NodeDefinition, type Occurrence } from './definition.js';
export { ddfDocument, type DescribedDevice } from './ddf.js';
export { treeFailure, type TreeError, type TreeErrorCode, type TreeOutcome } from './errors.js';
export type { ListedNode, Listing } from './listing.js';
export { treeChanges, treeSchema } from './properties.js';
export type {
  AnnouncedValue,
  ByteSink,
  ExecRequest,
  IncomingValue,
  LeafValue,
  NodePath,
  NodeValue,
  Operation,
  Provider,
  SinkRequest,
  StoredValue,
  Subject,
} from './provider.js';
export { treeDefinition, type DescribedObject, type Mount } from './route.js';
export { readTnds, type SubTree } from './tnds-read.js';
export { Tree } from './tree.js';
export { fitsUriLimits, formatNodeUri, isListUri, URI_LIMITS } from './uri.js';
export type { ValueSink } from './value-sink.js';
