import type { AcceptanceError, CatalogErrorCode, UploadErrorCode } from '../image/index.js';
import { success, type CodedError, type Outcome } from '../outcome/index.js';
import { treeFailure, type TreeErrorCode, type TreeOutcome } from '../tree/index.js';

export type ImageErrorCode = CatalogErrorCode | UploadErrorCode | AcceptanceError['code'];

const TREE_ERROR: Readonly<Record<ImageErrorCode, TreeErrorCode>> = {
  'not-found': 'not-found',
  exists: 'already-exists',
  'bad-value': 'bad-value',
  limit: 'full',
  'no-uri': 'failed',
  busy: 'busy',
  'not-running': 'failed',
  'no-room': 'full',
  disk: 'failed',
  'size-mismatch': 'bad-value',
  'digest-mismatch': 'bad-value',
  'signature-mismatch': 'bad-value',
};

/** What the images refuse, as an error of the tree. */
export function imageFailure(error: CodedError<ImageErrorCode>): TreeOutcome<never> {
  return treeFailure(TREE_ERROR[error.code], error.text);
}

/** An outcome of the images as one of the tree; its value is of no interest. */
export function imageOutcome(outcome: Outcome<unknown, CodedError<ImageErrorCode>>): TreeOutcome {
  return outcome.ok ? success() : imageFailure(outcome.error);
}
