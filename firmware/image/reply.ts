import type { ImageRecord } from './image.js';
import { contentRange, multipart, type Piece } from './multipart.js';
import type { Selection } from './selection.js';

/** An answer to GET or HEAD of an image. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | number>>;
  /** What follows the headers of a GET; nothing but for 200 and 206. */
  readonly body: Iterable<Piece>;
}

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';

/** The validators of an image's content. */
export function validatorsOf(image: ImageRecord, sha256: string): { etag: string; lastModifiedMs: number | undefined } {
  // RFC 9110 §8.8.2: Last-Modified counts whole seconds.
  const lastModifiedMs = image.availableMs === null ? undefined : Math.floor(image.availableMs / 1000) * 1000;
  return { etag: `"${sha256}"`, lastModifiedMs };
}

/** Headers and body for what was selected of an image. */
export function replyTo(
  selection: Selection,
  image: ImageRecord,
  { sha256, size }: { readonly sha256: string; readonly size: number },
): Reply {
  const { etag, lastModifiedMs } = validatorsOf(image, sha256);
  const validators = {
    ETag: etag,
    // Another version may come under this path one day: caches ask before they reuse.
    'Cache-Control': 'no-cache',
    ...(lastModifiedMs !== undefined && { 'Last-Modified': new Date(lastModifiedMs).toUTCString() }),
  };
  if (!('spans' in selection)) {
    const { status } = selection;
    // RFC 9110 §15.4.5: a 304 has the validators and no Content-Length of its own.
    if (status === 304) return { status, headers: validators, body: [] };
    // §15.5.17: the size tells what could be asked for.
    const total = status === 416 && { 'Content-Range': `bytes */${size}` };
    return { status, headers: { ...total, 'Content-Length': 0 }, body: [] };
  }
  const { status, spans } = selection;
  const type = image.contentType ?? DEFAULT_CONTENT_TYPE;
  const common = {
    ...validators,
    'Accept-Ranges': 'bytes',
    // RFC 6266 §4.1. An ImageID has no character that would need quoting.
    'Content-Disposition': `attachment; filename="${image.imageId}"`,
    // RFC 9530 §3: of the whole representation, also with parts of it.
    'Repr-Digest': `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`,
  };
  const [only, ...more] = spans;
  if (more.length > 0) {
    // RFC 9110 §15.3.7.2: Content-Range stands in the parts, not here.
    const parts = multipart(spans, { type, size, sha256 });
    const headers = { ...common, 'Content-Type': parts.type, 'Content-Length': parts.length };
    return { status, headers, body: parts.pieces };
  }
  const headers = {
    ...common,
    'Content-Type': type,
    'Content-Length': only?.length ?? 0,
    ...(status === 206 && only && { 'Content-Range': contentRange(only, size) }),
  };
  return { status, headers, body: spans };
}
