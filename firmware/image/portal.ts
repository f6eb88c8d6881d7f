/**
 * Captive portals: a network that wants a login answers every request with its own page, status 200, in the server's
 * name. The rule: a web page is the image only where a Digest can say so. With a Digest, and unless bytes of another
 * type are there that the page would replace, the page is fetched and the Digest decides. So a document that is really
 * HTML needs a Digest to be retrieved.
 */

const WEB_PAGE = /^(text\/html|application\/xhtml\+xml)\s*(;|$)/i;

/** Login pages are small. A larger one that fails its Digest is a wrong image, which is not fetched again and again. */
const MAX_PORTAL_BYTES = 1024 * 1024;

/** @param contentType value of Content-Type (RFC 9110 §8.3); undefined when there is none */
export function isWebPage(contentType: string | undefined): boolean {
  return WEB_PAGE.test(contentType ?? '');
}

/** True when content of this type and length that fails its Digest may have been such a page. */
export function isPortalSized(bytes: number): boolean {
  return bytes <= MAX_PORTAL_BYTES;
}
