/**
 * What the gateway may talk to, and one guarded HTTP request.
 * Leaves retries, ranges and the meaning of a reply to the caller.
 */
export { StreamReader, type BodyReader, type ByteSink } from './body.js';
export { Credentials, type Credential } from './credentials.js';
export { wanAddresses, type AddressFilter } from './destinations.js';
export { canonicalHost, HostNames } from './hosts.js';
export { ipFamily } from './family.js';
export { proxyAuthorization, type Proxy } from './proxy.js';
export { canonicalAddress, Prefixes, NOT_GLOBAL_PREFIXES } from './prefixes.js';
export {
  openHttp,
  redactUrl,
  type HttpAccess,
  type HttpError,
  type HttpErrorCode,
  type HttpReply,
  type HttpRequest,
  type Resolver,
  type TlsIdentity,
} from './http.js';
