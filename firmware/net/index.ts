/**
 * What the gateway may talk to, and one guarded HTTP request.
 * Leaves retries, ranges and the meaning of a reply to the caller.
 */
export { canonicalAddress, Prefixes, NOT_GLOBAL_PREFIXES } from './prefixes.js';
export {
  openHttp,
  redactUrl,
  type AddressFilter,
  type HttpError,
  type HttpErrorCode,
  type HttpReply,
  type HttpRequest,
} from './http.js';
