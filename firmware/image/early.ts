import type { Acceptance } from './acceptance.js';
import { digestHex, type ImageRecord } from './image.js';
import { portalFault } from './portal.js';
import { isRunning } from './states.js';

/**
 * Says whether an image is served while it comes in (cut-through).
 * @returns the SHA-256 that its content will have, 64 hex digits; undefined: it is not served before it is there
 */
export type Early = (image: ImageRecord) => string | undefined;

/** The standard's way: an image is served once it is stored and verified. */
export const neverEarly: Early = () => undefined;

/**
 * An image is served from its first durable bytes on, where Digest says what it will be and its size is known. Signature
 * is checked against the Digest beforehand. What may be a captive portal's page is not shown to anybody.
 */
export function earlyWith(accepts: Acceptance): Early {
  return (image) => {
    const { state, received, size, leaves, retrieval } = image;
    if (!isRunning(state) || received === 0 || size === null || leaves.digest === null) return undefined;
    const expected = digestHex(leaves.digest);
    if (expected === undefined || (retrieval.digest !== null && retrieval.digest !== expected)) return undefined;
    if (portalFault(image)) return undefined;
    return accepts(leaves, expected).ok ? expected : undefined;
  };
}
