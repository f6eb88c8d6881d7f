import type { Span } from './ranges.js';

/** A piece of a body: text that we add (each character is one byte), or bytes of the content. */
export type Piece = string | Span;

export interface Multipart {
  /** Content-Type of the answer. */
  readonly type: string;
  /** Content-Length of the answer. */
  readonly length: number;
  /** The body; made piece by piece while it is sent. */
  readonly pieces: Iterable<Piece>;
}

/**
 * A multipart/byteranges body (RFC 9110 §14.6, RFC 2046 §5.1.1), its length known before the first byte.
 *
 * It begins with CRLF, an empty preamble, as other servers' bodies do: clients search for CRLF and the boundary.
 * @param what  `type`: Content-Type of the content, for each part. `sha256` of the content: the boundary is made of
 *   it, because no content holds its own hash; lower case and without quotes, as the plainest clients need it
 */
export function multipart(
  spans: readonly Span[],
  what: { readonly type: string; readonly size: number; readonly sha256: string },
): Multipart {
  const boundary = what.sha256.slice(0, 32);
  const head = ({ start, length }: Span): string =>
    `\r\n--${boundary}\r\nContent-Type: ${what.type}\r\n` +
    `Content-Range: ${contentRange({ start, length }, what.size)}\r\n\r\n`;
  const tail = `\r\n--${boundary}--\r\n`;
  return {
    type: `multipart/byteranges; boundary=${boundary}`,
    length: spans.reduce((sum, span) => sum + head(span).length + span.length, tail.length),
    pieces: {
      *[Symbol.iterator]() {
        for (const span of spans) {
          yield head(span);
          yield span;
        }
        yield tail;
      },
    },
  };
}

/** Content-Range of a part (RFC 9110 §14.4). */
export function contentRange({ start, length }: Span, size: number): string {
  return `bytes ${start}-${start + length - 1}/${size}`;
}
