import { isUtf8 } from 'node:buffer';
import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { DocumentLimits, Element } from './element.js';
import type { ElementName } from './element-name.js';
import {
  CHARSET_UTF8,
  Global,
  KNOWN_IDS,
  KNOWN_LITERALS,
  LITERAL_ID,
  nameOfToken,
  Tag,
  VERSIONS,
} from './wbxml-tokens.js';

export type WbxmlRefusal =
  | 'too-large' // more octets than maxBytes, or many times that in references to the string table
  | 'version' // none of WBXML 1.1, 1.2, 1.3
  | 'document-type' // a public identifier that is neither SyncML's nor DM DDF's
  | 'not-utf8' // the charset, or the octets of a text
  | 'too-deep' // nested deeper than maxDepth
  | 'too-many-elements' // more than maxElements elements, or pieces of text
  | 'unsupported' // attributes, literal names, processing instructions, extensions: SyncML DM has none
  | 'malformed'; // cut off, or not as WBXML 1.3 §5 says

export type WbxmlError = CodedError<WbxmlRefusal>;

/**
 * Parses a WBXML document of SyncML DM within limits, in one pass, to the same elements as its XML twin (facts 11).
 *
 * - Strings, references to the string table, entities and opaques are all text, and what stands in a row is joined.
 *   Text beside child elements is dropped.
 * - An opaque in Data (page 0), NextNonce (page 1), Value (page 2) or an unknown element makes the whole text octets, even where they
 *   would be UTF-8: only its Meta tells. So a TNDS document in Data stays as it is, to be parsed on its own.
 *   Everywhere else an opaque must be UTF-8 and becomes a string.
 * - A token or a page that is not known is an element of namespace `other` with a name like `unknown-0-3d`: where a
 *   command should stand it can be answered as an unknown command, elsewhere it is ignored, as in XML.
 * - Characters that XML cannot hold are let through.
 *
 * The result is independent of `bytes`. An opaque without octets is the empty string.
 */
export function parseWbxml(bytes: Uint8Array, limits: DocumentLimits): Outcome<Element, WbxmlError> {
  if (bytes.byteLength > limits.maxBytes) {
    return failure('too-large', `${bytes.byteLength} octets, ${limits.maxBytes} are allowed`);
  }
  const reader = new Reader(bytes, limits);
  const root = reader.header() && reader.element();
  if (root && reader.epilog()) return success(root);
  return reader.refusal ?? failure('malformed', 'not a WBXML document');
}

interface OpenElement {
  readonly name: Pick<ElementName, 'namespace' | 'name' | 'holdsOctets'>;
  /** Most elements have none. */
  children: Element[] | undefined;
  text: string;
  /** Once there was an opaque: the text as octets, in pieces; `text` then stays empty. */
  octets: Uint8Array[] | undefined;
}

const NO_CHILDREN: readonly Element[] = [];
/** Octets of the longest mb_u_int32 (WBXML 1.3 §5.1). */
const MAX_INTEGER_OCTETS = 5;
const MAX_INTEGER = 0xffffffff;
/** References to the string table stand for so many times maxBytes octets at most: one string can be referred to often. */
const MAX_EXPANSION = 4;
const BEYOND_ASCII = /[\x80-\xff]/;

/** Its methods return null where they refuse; why stands in `refusal`. */
class Reader {
  refusal: Outcome<never, WbxmlError> | undefined;
  readonly #bytes: Buffer;
  /** The same, one character for each octet: to find and cut ASCII text in a string is cheap. */
  readonly #latin: string;
  readonly #limits: DocumentLimits;
  #at = 0;
  #page = 0;
  #tableStart = 0;
  #table = '';
  #referredBytes = 0;
  #elements = 0;
  #pieces = 0;

  constructor(bytes: Uint8Array, limits: DocumentLimits) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#latin = this.#bytes.toString('latin1');
    this.#limits = limits;
  }

  /** version publicid charset strtbl (WBXML 1.3 §5.4 to §5.7, facts 11.1). */
  header(): true | null {
    const version = this.#octet();
    if (version === null) return null;
    if (!VERSIONS.includes(version)) return this.#refuse('version', `the version octet ${version} is not known`);
    const id = this.#integer();
    const literalAt = id === LITERAL_ID ? this.#integer() : 0;
    const charset = this.#integer();
    const tableLength = this.#integer();
    if (id === null || literalAt === null || charset === null || tableLength === null) return null;
    if (charset !== CHARSET_UTF8) return this.#refuse('not-utf8', `the charset ${charset} is not UTF-8`);
    this.#tableStart = this.#at;
    if (!this.#octets(tableLength)) return null;
    this.#table = this.#latin.slice(this.#tableStart, this.#at);
    if (id !== LITERAL_ID) {
      return KNOWN_IDS.includes(id) || this.#refuse('document-type', `the public identifier ${id} is not known`);
    }
    const literal = this.#tableString(literalAt);
    if (literal === null) return null;
    return KNOWN_LITERALS.test(literal) || this.#refuse('document-type', 'the literal public identifier is not known');
  }

  /** Reads the root with all that it contains. */
  element(): Element | null {
    const open: OpenElement[] = [];
    let current: OpenElement | undefined;
    for (;;) {
      const token = this.#octet();
      if (token === null) return null;
      let complete: Element | undefined;
      if ((token & Tag.TOKEN) >= Tag.FIRST) {
        const started = this.#start(token, open.length + 1);
        if (!started) return null;
        if (token & Tag.WITH_CONTENT) {
          open.push(started);
          current = started;
        } else complete = close(started);
      } else if (token === Global.SWITCH_PAGE) {
        if (!this.#switchPage()) return null;
      } else if (!current) {
        return this.#refuse('malformed', 'the document begins without a root element');
      } else if (token === Global.END) {
        complete = close(current);
        open.pop();
        current = open.at(-1);
      } else if (!this.#addText(current, token)) return null;
      if (complete && !current) return complete;
      if (complete && current) (current.children ??= []).push(complete);
    }
  }

  /** After the root only a change of page may follow. */
  epilog(): true | null {
    while (this.#at < this.#bytes.length) {
      if (this.#octet() !== Global.SWITCH_PAGE) {
        return this.#refuse('malformed', 'something follows the root element');
      }
      if (!this.#switchPage()) return null;
    }
    return true;
  }

  #start(token: number, depth: number): OpenElement | null {
    if (token & Tag.WITH_ATTRIBUTES) return this.#refuse('unsupported', 'an element has attributes');
    if (depth > this.#limits.maxDepth) {
      return this.#refuse('too-deep', `elements are nested deeper than ${this.#limits.maxDepth}`);
    }
    this.#elements += 1;
    if (this.#elements > this.#limits.maxElements) {
      return this.#refuse('too-many-elements', `more than ${this.#limits.maxElements} elements`);
    }
    return { name: nameOfToken(this.#page, token & Tag.TOKEN), children: undefined, text: '', octets: undefined };
  }

  #addText(current: OpenElement, token: number): true | null {
    this.#pieces += 1;
    if (this.#pieces > this.#limits.maxElements) {
      return this.#refuse('too-many-elements', `more than ${this.#limits.maxElements} pieces of text`);
    }
    if (token === Global.OPAQUE && current.name.holdsOctets) {
      const octets = this.#opaque();
      if (octets && octets.length > 0) {
        current.octets ??= current.text === '' ? [] : [Buffer.from(current.text, 'utf8')];
        current.text = '';
        current.octets.push(octets);
      }
      return octets && true;
    }
    const text = this.#string(token);
    if (text === null) return null;
    if (current.octets) current.octets.push(Buffer.from(text, 'utf8'));
    else current.text = current.text === '' ? text : current.text + text;
    return true;
  }

  #string(token: number): string | null {
    switch (token) {
      case Global.STR_I:
        return this.#inlineString();
      case Global.STR_T: {
        const offset = this.#integer();
        return offset === null ? null : this.#tableString(offset);
      }
      case Global.ENTITY:
        return this.#entity();
      case Global.OPAQUE: {
        const octets = this.#opaque();
        return octets && this.#text(this.#at - octets.length, this.#at);
      }
      default:
        return this.#refuse('unsupported', `the token ${token} is not used by SyncML DM`);
    }
  }

  #inlineString(): string | null {
    const start = this.#at;
    const end = this.#latin.indexOf('\0', start);
    if (end < 0) return this.#refuse('malformed', 'a string does not end');
    this.#at = end + 1;
    return this.#text(start, end);
  }

  /** A string of the table ends at its NUL; the last one may lack it (facts 11.1). */
  #tableString(offset: number): string | null {
    if (offset >= this.#table.length) return this.#refuse('malformed', 'a reference points behind the string table');
    const nul = this.#table.indexOf('\0', offset);
    const end = nul < 0 ? this.#table.length : nul;
    this.#referredBytes += end - offset;
    if (this.#referredBytes > MAX_EXPANSION * this.#limits.maxBytes) {
      return this.#refuse('too-large', 'the references to the string table stand for too much text');
    }
    return this.#text(this.#tableStart + offset, this.#tableStart + end);
  }

  #entity(): string | null {
    const code = this.#integer();
    if (code === null) return null;
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      return this.#refuse('malformed', 'an entity is not a character');
    }
    return String.fromCodePoint(code);
  }

  #opaque(): Buffer | null {
    const length = this.#integer();
    return length === null ? null : this.#octets(length);
  }

  #text(start: number, end: number): string | null {
    const ascii = this.#latin.slice(start, end);
    if (!BEYOND_ASCII.test(ascii)) return ascii;
    const octets = this.#bytes.subarray(start, end);
    if (isUtf8(octets)) return octets.toString('utf8');
    return this.#refuse('not-utf8', 'a text is not UTF-8');
  }

  #switchPage(): true | null {
    const page = this.#octet();
    if (page === null) return null;
    this.#page = page;
    return true;
  }

  #octet(): number | null {
    const octet = this.#bytes[this.#at];
    if (octet === undefined) return this.#refuse('malformed', 'the document is cut off');
    this.#at += 1;
    return octet;
  }

  /** mb_u_int32 (WBXML 1.3 §5.1). */
  #integer(): number | null {
    let value = 0;
    for (let octets = 0; octets < MAX_INTEGER_OCTETS; octets += 1) {
      const octet = this.#octet();
      if (octet === null) return null;
      value = value * 0x80 + (octet & 0x7f);
      if (octet < 0x80) {
        return value <= MAX_INTEGER ? value : this.#refuse('malformed', 'an integer has more than 32 bits');
      }
    }
    return this.#refuse('malformed', 'an integer is too long');
  }

  #octets(length: number): Buffer | null {
    const start = this.#at;
    if (length > this.#bytes.length - start) return this.#refuse('malformed', 'a length goes beyond the document');
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  #refuse(code: WbxmlRefusal, text: string): null {
    this.refusal = failure(code, `${text} (at octet ${this.#at})`);
    return null;
  }
}

function close({ name: { namespace, name }, children, text, octets }: OpenElement): Element {
  if (children) return { namespace, name, text: '', children };
  return { namespace, name, text: octets ? joined(octets) : text, children: NO_CHILDREN };
}

/** A copy, so that the elements do not hold the document in memory. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
