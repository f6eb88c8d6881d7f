/**
 * Decodes base64 that comes in pieces, cut anywhere, with white space between (deployed peers break lines). Unlike
 * `Buffer.from`, it refuses what is not base64.
 */
export class Base64Decoder {
  /** Characters of a group of four that is not whole yet. */
  #rest = '';

  /** The octets of the groups that are whole now; undefined: the text is not base64. */
  write(piece: string): Uint8Array | undefined {
    const compact = this.#rest + piece.replace(/[ \t\r\n]+/g, '');
    const whole = compact.length - (compact.length % 4);
    const groups = compact.slice(0, whole);
    // Nothing may follow the padding.
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(groups) || (this.#padded && compact !== '')) return undefined;
    this.#rest = compact.slice(whole);
    this.#padded ||= groups.endsWith('=');
    return Buffer.from(groups, 'base64');
  }

  /** Whether the text may end here. */
  get complete(): boolean {
    return this.#rest === '';
  }

  #padded = false;
}

/** The octets of a whole base64 text; undefined: it is none. */
export function decodeBase64(text: string): Uint8Array | undefined {
  const decoder = new Base64Decoder();
  const octets = decoder.write(text);
  return decoder.complete ? octets : undefined;
}
