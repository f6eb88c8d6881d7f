/** RFC 6763 section 6.2: larger records are possible, and nobody should make them. */
const MAX_TXT_BYTES = 1300;
const MAX_PAIRS = 32;
/** Section 6.4 recommends keys of at most nine characters. */
const MAX_KEY_CHARS = 32;

/** RFC 1035 section 3.3: a string has one octet for its length. */
export const MAX_STRING_BYTES = 255;

/** The strings of a TXT record from its octets: each has its length in front (RFC 1035 section 3.3.14). */
export function readStrings(octets: Uint8Array): Uint8Array[] {
  const strings: Uint8Array[] = [];
  for (let at = 0; at < octets.length; at += 1 + (octets[at] ?? 0)) {
    strings.push(octets.subarray(at + 1, at + 1 + (octets[at] ?? 0)));
  }
  return strings;
}

/** The strings of a TXT record as one text, one a line. What is too much, not UTF-8 or has control characters is left out. */
export function joinTxt(strings: readonly Uint8Array[]): string {
  let bytes = 0;
  const texts: string[] = [];
  for (const string of strings.slice(0, MAX_PAIRS)) {
    bytes += string.byteLength + 1;
    if (bytes > MAX_TXT_BYTES) break;
    const text = Buffer.from(string).toString('utf8');
    if (!/[\p{Cc}\ufffd]/u.test(text)) texts.push(text);
  }
  return texts.join('\n');
}

/**
 * The pairs of such a text (RFC 6763 section 6.4): keys in lower case, the first of equal keys counts, a string without `=`
 * is a key with an empty value.
 */
export function readTxt(joined: string): Record<string, string> {
  const txt = Object.create(null) as Record<string, string>;
  for (const text of joined.split('\n')) {
    const at = text.indexOf('=');
    const key = (at < 0 ? text : text.slice(0, at)).toLowerCase();
    if (key !== '' && key.length <= MAX_KEY_CHARS && !(key in txt)) txt[key] = at < 0 ? '' : text.slice(at + 1);
  }
  return txt;
}

/** The strings of a TXT record; one that is longer than a string can be is cut. */
export function writeTxt(txt: Readonly<Record<string, string>>): Buffer[] {
  return Object.entries(txt).map(([key, value]) => utf8Within(`${key}=${value}`, MAX_STRING_BYTES));
}

/** A text as UTF-8 of so many bytes at most: what is over is cut off, between two characters. */
export function utf8Within(text: string, most: number): Buffer {
  const bytes = Buffer.from(text);
  let end = Math.min(most, bytes.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}
