import type { ImageRecord } from './image.js';
import { contentRange, multipart, type Piece } from './multipart.js';
import type { Selection } from './selection.js';

/** An answer to GET or HEAD of an image. */
export interface Reply {
  readonly status: number;
  /** Each with its CRLF. */
  readonly fields: string;
  /** What follows the head of a GET; nothing but for 200 and 206. */
  readonly body: Iterable<Piece>;
}

const DEFAULT_CONTENT_TYPE = 'application/octet-stream';
/** RFC 9110 §5.5. */
const FIELD_VALUE = /^[ -~]+$/;

/** The validators of an image's content. */
export function validatorsOf(image: ImageRecord, sha256: string): { etag: string; lastModifiedMs: number | undefined } {
  // RFC 9110 §8.8.2: Last-Modified counts whole seconds.
  const lastModifiedMs = image.availableMs === null ? undefined : Math.floor(image.availableMs / 1000) * 1000;
  return { etag: `"${sha256}"`, lastModifiedMs };
}

/** What is the same in every answer with content of an image. */
interface Entity {
  readonly sha256: string;
  /** Fields, each with its CRLF: those of a 304, and those that come with content beside. */
  readonly validators: string;
  readonly content: string;
  readonly type: string;
}

/** By the record, which is another one after each change. Most answers are short ranges of the same few images. */
const entities = new WeakMap<ImageRecord, Entity>();

function entityOf(image: ImageRecord, sha256: string): Entity {
  const known = entities.get(image);
  if (known?.sha256 === sha256) return known;
  const { etag, lastModifiedMs } = validatorsOf(image, sha256);
  const { contentType } = image;
  const entity: Entity = {
    sha256,
    validators:
      // Another version may come under this path one day: caches ask before they reuse.
      `ETag: ${etag}\r\nCache-Control: no-cache\r\n` +
      (lastModifiedMs === undefined ? '' : `Last-Modified: ${new Date(lastModifiedMs).toUTCString()}\r\n`),
    content:
      // RFC 6266 §4.1. An ImageID has no character that would need quoting.
      `Accept-Ranges: bytes\r\nContent-Disposition: attachment; filename="${image.imageId}"\r\n` +
      // RFC 9530 §3: of the whole representation, also with parts of it.
      `Repr-Digest: sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:\r\n`,
    type: contentType !== null && FIELD_VALUE.test(contentType) ? contentType : DEFAULT_CONTENT_TYPE,
  };
  entities.set(image, entity);
  return entity;
}

/** Fields and body for what was selected of an image. */
export function replyTo(
  selection: Selection,
  image: ImageRecord,
  { sha256, size }: { readonly sha256: string; readonly size: number },
): Reply {
  const { validators, content, type } = entityOf(image, sha256);
  if (!('spans' in selection)) {
    const { status } = selection;
    // RFC 9110 §15.4.5: a 304 has the validators and no Content-Length of its own.
    if (status === 304) return { status, fields: validators, body: [] };
    // §15.5.17: the size tells what could be asked for.
    const total = status === 416 ? `Content-Range: bytes */${size}\r\n` : '';
    return { status, fields: `${total}Content-Length: 0\r\n`, body: [] };
  }
  const { status, spans } = selection;
  const common = validators + content;
  const [only, ...more] = spans;
  if (more.length > 0) {
    // RFC 9110 §15.3.7.2: Content-Range stands in the parts, not here.
    const parts = multipart(spans, { type, size, sha256 });
    const fields = `${common}Content-Type: ${parts.type}\r\nContent-Length: ${parts.length}\r\n`;
    return { status, fields, body: parts.pieces };
  }
  const range = status === 206 && only ? `Content-Range: ${contentRange(only, size)}\r\n` : '';
  const fields = `${common}Content-Type: ${type}\r\nContent-Length: ${only?.length ?? 0}\r\n${range}`;
  return { status, fields, body: spans };
}
