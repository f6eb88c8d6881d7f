import type { IncomingMessage } from 'node:http';

/** The body of a request as a whole; `broken` when the connection ended first. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | 'too-large' | 'broken'> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.byteLength;
      // The rest is read and dropped, so that the sender gets to see the answer.
      if (size <= maxBytes) chunks.push(chunk);
      else if (size > maxBytes + MAX_DROPPED_BYTES) return 'broken';
    }
  } catch {
    return 'broken';
  }
  return size > maxBytes ? 'too-large' : Buffer.concat(chunks);
}

/** A sender of more than this beyond the limit is cut off. */
const MAX_DROPPED_BYTES = 4 * 1024 * 1024;
