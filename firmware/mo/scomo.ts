import type { ResultCode } from '../image/index.js';

/** SCOMO result codes (facts 12.3), as the Result node and the alerts carry them. */
export const Scomo = {
  SUCCESS: 1200,
  CANCELLED: 1401,
  DOWNLOAD_FAILED: 1402,
  AUTHENTICATION_FAILED: 1403,
  OUT_OF_MEMORY: 1404,
  VALIDATION_FAILED: 1407,
  UNDEFINED_ERROR: 1412,
  MALFORMED_URL: 1414,
  SERVER_ERROR: 1500,
  SERVER_UNAVAILABLE: 1501,
} as const;

/** The Result node has 0 while nothing has come of a request. */
const NONE_YET = 0;

/** The SCOMO code of each end of a retrieval. */
export const SCOMO_RESULT: Readonly<Record<ResultCode, number>> = {
  ok: Scomo.SUCCESS,
  cancelled: Scomo.CANCELLED,
  unresolved: Scomo.SERVER_UNAVAILABLE,
  unreachable: Scomo.SERVER_UNAVAILABLE,
  unavailable: Scomo.SERVER_UNAVAILABLE,
  'server-error': Scomo.SERVER_ERROR,
  unauthorized: Scomo.AUTHENTICATION_FAILED,
  expired: Scomo.DOWNLOAD_FAILED,
  'not-found': Scomo.DOWNLOAD_FAILED,
  refused: Scomo.DOWNLOAD_FAILED,
  tls: Scomo.AUTHENTICATION_FAILED,
  'bad-url': Scomo.MALFORMED_URL,
  'address-refused': Scomo.MALFORMED_URL,
  'descriptor-invalid': Scomo.VALIDATION_FAILED,
  'descriptor-version': Scomo.VALIDATION_FAILED,
  'descriptor-mismatch': Scomo.VALIDATION_FAILED,
  'content-refused': Scomo.VALIDATION_FAILED,
  'bad-reply': Scomo.VALIDATION_FAILED,
  'captive-portal': Scomo.SERVER_UNAVAILABLE,
  broken: Scomo.DOWNLOAD_FAILED,
  clock: NONE_YET,
  window: NONE_YET,
  metered: NONE_YET,
  'no-room': Scomo.OUT_OF_MEMORY,
  disk: Scomo.UNDEFINED_ERROR,
  'digest-mismatch': Scomo.VALIDATION_FAILED,
  'signature-mismatch': Scomo.VALIDATION_FAILED,
};
