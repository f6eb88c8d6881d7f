/**
 * The octets of a document, in memory of their own. Node's pool gives small buffers slices of 8 KiB, and one slice of it in
 * use keeps all of it: with messages of some hundred octets each, it grew old and stayed until the next full collection.
 */
export function octetsOf(text: string, encoding: 'utf8' | 'latin1'): Uint8Array {
  const octets = Buffer.allocUnsafeSlow(Buffer.byteLength(text, encoding));
  octets.write(text, encoding);
  return octets;
}
