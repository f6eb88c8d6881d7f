import type { Outbox } from '../dm/index.js';
import type { Scrub, Uploads } from '../image/index.js';
import type { LogRing } from '../log/index.js';
import type { Names } from '../mo/index.js';
import type { Done } from '../ops/index.js';
import type { CodedError, Outcome } from '../outcome/index.js';
import type { Tree } from '../tree/index.js';
import type { Parts } from './report.js';

/** What the operations are done with: the same parts that serve the DM Servers. */
export interface OperatorParts extends Parts {
  readonly names: Names;
  readonly tree: Tree;
  readonly uploads: Uploads;
  readonly scrub: Scrub;
  readonly outbox: Outbox;
  readonly lines: LogRing;
  /** Has the gateway started anew with the configuration as it is now. */
  readonly reload: () => Outcome<Done, CodedError>;
}

/** Who adds an image at the gateway: no DM Server, so none is told and none may change it. */
export const NOBODY = '';
