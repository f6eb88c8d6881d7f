import type { IncomingMessage } from 'node:http';

/** Octets of a request. */
export const MAX_REQUEST_BYTES = 16 * 1024;

/** Reads the body of a request as JSON. @returns undefined for what is none; 'too-long' beyond `MAX_REQUEST_BYTES` */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.byteLength;
    if (length > MAX_REQUEST_BYTES) return 'too-long';
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return undefined;
  }
}
