/**
 * Captive portals: a network that wants a login answers every request with something of its own, status 200, in the
 * server's name. The rules:
 *
 * A web page is the image only where a Digest can say so. With a Digest, and unless bytes of another type are there that
 * the page would replace, the page is fetched and the Digest decides. So a document that is really HTML needs a Digest
 * to be retrieved.
 *
 * What is short, of a text's type or of none, and names no version does not replace bytes of another type or length, nor
 * stand for an object that its descriptor describes otherwise: it is asked again, as often as the budget allows. A server
 * that goes on with it has changed its file: the retrieval ends, and the next one begins anew. With a Digest, which tells,
 * it is taken for the last tries of the budget.
 *
 * What is short and came whole, of a text's type or of none and without a version, and is refused by its Digest, is asked again
 * likewise.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { AcceptanceError } from './acceptance.js';
import { fault, type Fault } from './fault.js';
import type { ImageRecord } from './image.js';

/** Waits like any trouble of the network, however long: nothing has been heard from the server. */
export const PORTAL_FAULT = fault(
  'captive-portal',
  'network',
  'a page came instead of the image: a login page of the network (captive portal)?',
);

/** The same, where it may be the server's too. */
export const DOUBTFUL_FAULT: Fault = fault(PORTAL_FAULT.code, 'again', PORTAL_FAULT.text);

const WEB_PAGE = /^(text\/html|application\/xhtml\+xml)\s*(;|$)/i;
/** What people or programs read, a web page among it. */
const TEXT = /^(text\/|application\/(xhtml\+xml|xml|json)\s*(;|$))/i;

/** Login pages are small. A larger one that fails its Digest is a wrong image, which is not fetched again and again. */
const MAX_PORTAL_BYTES = 1024 * 1024;

/**
 * Whether a Digest may decide on what would replace other bytes: not before most of the budget of tries is used up, whatever
 * they have ended with. Such a page costs what has come in.
 */
export function isDoubtOver(attempts: number, maxAttempts: number): boolean {
  return attempts * 4 > maxAttempts * 3;
}

/** @param contentType value of Content-Type (RFC 9110 §8.3); undefined when there is none */
export function isWebPage(contentType: string | undefined): boolean {
  return WEB_PAGE.test(contentType ?? '');
}

export function isText(contentType: string | undefined): boolean {
  return TEXT.test(contentType ?? '');
}

/** True when content of this type and length that fails its Digest may have been such a page. */
export function isPortalSized(bytes: number): boolean {
  return bytes <= MAX_PORTAL_BYTES;
}

/** True for a reply that may be of such a network although it is no web page. @param length of its body, where it tells */
export function mayBePortal(
  { 'content-type': type, etag, 'last-modified': modified }: IncomingHttpHeaders,
  length: number | undefined,
): boolean {
  return (
    (type === undefined || isText(type)) && etag === undefined && modified === undefined && isPortalSized(length ?? 0)
  );
}

/**
 * What content that came like this may have been, and is refused; undefined: something else.
 * @param refusal why, once it is
 */
export function portalFault({ contentType, retrieval }: ImageRecord, refusal?: AcceptanceError): Fault | undefined {
  const type = contentType ?? undefined;
  if (isWebPage(type)) return PORTAL_FAULT;
  if (retrieval.validator !== null) return undefined;
  if (isText(type)) return DOUBTFUL_FAULT;
  const isNameless = type === undefined && refusal?.code === 'digest-mismatch';
  return isNameless ? fault(refusal.code, 'again', refusal.text) : undefined;
}
