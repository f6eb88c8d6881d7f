import { failure, type CodedError, type Failure, type Outcome } from '../outcome/index.js';

/** Why an operation on the tree did not happen. `dm/` maps each to a Status code. */
export type TreeErrorCode =
  | 'bad-uri'
  | 'uri-too-long'
  | 'not-found'
  | 'not-allowed' // the node's definition does not allow the command
  | 'not-supported' // an optional feature or property
  | 'forbidden' // refused regardless of rights
  | 'permission-denied' // by the ACL
  | 'already-exists'
  | 'bad-format' // Meta Format or Type does not fit the node
  | 'bad-value'
  | 'incomplete' // the value is missing
  | 'too-large'
  | 'full' // no room
  | 'busy' // an operation that runs excludes it
  | 'failed';

export interface TreeError extends CodedError<TreeErrorCode> {
  /** The node that it is about, where that is not the one which was addressed: an ancestor, or one of a sub-tree. */
  readonly uri?: string;
}

export type TreeOutcome<T = undefined> = Outcome<T, TreeError>;

export function treeFailure(code: TreeErrorCode, text: string): Failure<TreeError> {
  return failure(code, text);
}

/** The outcome, with the node that a failure is about. */
export function failedAt<T>(uri: string, outcome: TreeOutcome<T>): TreeOutcome<T> {
  return outcome.ok ? outcome : { ok: false, error: { ...outcome.error, uri: outcome.error.uri ?? uri } };
}
