import { failure, success, type CodedError, type Outcome } from '../outcome/index.js';
import type { DocumentLimits, Element, Namespace } from './element.js';

export type XmlRefusal =
  | 'too-large' // more octets than maxBytes
  | 'not-utf8' // the octets, or the declared encoding
  | 'bad-character' // NUL or another character that XML 1.0 forbids
  | 'doctype' // with an internal subset, or not understood
  | 'entity' // neither predefined nor a numeric reference
  | 'too-deep' // nested deeper than maxDepth
  | 'too-many-elements' // more than maxElements
  | 'malformed'; // not well-formed XML, or a form that is not understood

/** Longest element or attribute name in characters; the longest of the standards has 15. */
const MAX_NAME_LENGTH = 128;
/** Attributes of one element; SyncML has none but xmlns. XML parsers compare each with each. */
const MAX_ATTRIBUTES = 16;
/** Longest XML declaration in characters. */
const MAX_DECLARATION_LENGTH = 256;

/**
 * Reads a document into elements within the limits, in one pass, and refuses whatever it does not understand.
 * Comments and processing instructions are dropped, CDATA joins the text around it, attributes other than namespace
 * declarations are dropped, and so is text beside child elements.
 * @param text the decoded document without byte order mark
 */
export function scanXml(text: string, limits: DocumentLimits): Outcome<Scanned, CodedError<XmlRefusal>> {
  const scanner = new Scanner(text, limits);
  const rootStart = scanner.prolog();
  const root = rootStart === null ? null : scanner.element();
  if (rootStart !== null && root && scanner.epilog()) return success({ root, rootStart, certain: scanner.certain });
  return scanner.refusal ?? failure('malformed', 'not an XML document');
}

export interface Scanned {
  readonly root: Element;
  /** Where it begins in the text: what stands before is declarations only. */
  readonly rootStart: number;
  /**
   * The document has nothing but what nearly every message consists of, and is well-formed: elements with names of
   * letters, digits and `_.-`, declarations of our namespaces, text without references.
   */
  readonly certain: boolean;
}

/** Namespace declarations in force at an element. */
interface Scope {
  readonly unprefixed: Namespace;
  readonly prefixes: ReadonlyMap<string, Namespace>;
}

/** An element while it is read. */
interface Reading extends Element {
  text: string;
  /** Most elements have none. */
  children: Element[];
}

const OUTERMOST: Scope = { unprefixed: 'other', prefixes: new Map([['xml', 'other']]) };
const NO_CHILDREN: Element[] = [];

const LESS_THAN = 0x3c;
const GREATER_THAN = 0x3e;
const SLASH = 0x2f;
const BANG = 0x21;
const QUESTION = 0x3f;
const UNDERSCORE = 0x5f;

/** Letters, digits and `_-.:` of ASCII; all above ASCII pass here, whether they may stand in a name is libxml2's say. */
const NAME_CHARACTER = Uint8Array.from({ length: 128 }, (_, code) =>
  /[\w.:-]/.test(String.fromCharCode(code)) ? 1 : 0,
);

/** Less than what libxml2 stands, which has bounds of its own: 256 elements and 10,000,000 characters. */
const CERTAIN_DEPTH = 200;
const CERTAIN_LENGTH = 1_000_000;

/** White space of XML, which is less than `\s` matches. */
const S = String.raw`[ \t\r\n]`;
const SPACE = new RegExp(`${S}*`, 'y');
const DECLARATION = new RegExp(
  String.raw`<\?xml${S}+version${S}*=${S}*(["'])1\.[0-9]\1` +
    String.raw`(?:${S}+encoding${S}*=${S}*(["'])([A-Za-z][\w.-]*)\2)?` +
    String.raw`(?:${S}+standalone${S}*=${S}*(["'])(?:yes|no)\4)?${S}*\?>`,
  'y',
);
const LITERAL = `(?:"[^"<]*"|'[^'<]*')`;
const DOCTYPE = new RegExp(
  String.raw`<!DOCTYPE${S}+[\w.:-]+(?:${S}+(?:SYSTEM|PUBLIC${S}+${LITERAL})${S}+${LITERAL})?${S}*>`,
  'y',
);
const ATTRIBUTE = new RegExp(String.raw`${S}+([\w.:\u0080-\uffff-]+)${S}*=${S}*(?:"([^"<]*)"|'([^'<]*)')`, 'y');
const TAG_END = new RegExp(String.raw`${S}*(\/?)>`, 'y');
const REFERENCE = /&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,10})|#x([0-9A-Fa-f]{1,8}));|&/g;
const PREDEFINED: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

/** Its methods return null where they refuse; why stands in `refusal`. */
class Scanner {
  refusal: Outcome<never, CodedError<XmlRefusal>> | undefined;
  certain: boolean;
  readonly #text: string;
  readonly #limits: DocumentLimits;
  /** Asked once for the whole document, so that ordinary text is taken as it is. */
  readonly #plain: boolean;
  #at = 0;
  #elements = 0;
  /** Of the start tag that was read last: its name, the declarations in force, and whether it is an end tag too. */
  #tag = '';
  #scope = OUTERMOST;
  #empty = false;

  constructor(text: string, limits: DocumentLimits) {
    this.#text = text;
    this.#limits = limits;
    this.#plain = !text.includes('&') && !text.includes('\r') && !text.includes(']]>');
    this.certain = this.#plain && text.length < CERTAIN_LENGTH;
  }

  /** Moves to the root's start tag; returns its place. */
  prolog(): number | null {
    if (/^<\?xml[ \t\r\n]/.test(this.#text) && !this.#declaration()) return null;
    if (!this.#miscellaneous()) return null;
    if (this.#text.startsWith('<!DOCTYPE', this.#at)) {
      const found = this.#match(DOCTYPE);
      if (!found) return this.#refuse('doctype', 'the document type declaration is more than an external identifier');
      if (!this.#miscellaneous()) return null;
    }
    return this.#at;
  }

  /** Reads the root with all that it contains. */
  element(): Element | null {
    const text = this.#text;
    const open: Reading[] = [];
    const tags: string[] = [];
    const scopes: Scope[] = [];
    let current: Reading | undefined;
    for (;;) {
      const tag = current ? text.indexOf('<', this.#at) : this.#at;
      if (tag < 0) return this.#refuse('malformed', 'the document ends inside an element');
      if (current && tag > this.#at && !this.#addText(current, text.slice(this.#at, tag))) return null;
      this.#at = tag;
      const next = text.charCodeAt(tag + 1);
      let complete: Reading | undefined;
      if (current && next === SLASH) {
        if (!this.#endTag(tags.pop() ?? '')) return null;
        complete = current;
        // Text beside child elements is dropped.
        if (complete.children !== NO_CHILDREN) complete.text = '';
        open.pop();
        scopes.pop();
        current = open.at(-1);
      } else if (current && (next === BANG || next === QUESTION)) {
        if (text.startsWith('<![CDATA[', tag)) {
          if (!this.#cdata(current)) return null;
        } else if (!this.#commentOrInstruction()) return null;
      } else {
        const started = this.#startTag(scopes.at(-1) ?? OUTERMOST);
        if (!started) return null;
        if (open.length >= this.#limits.maxDepth) {
          return this.#refuse('too-deep', `elements are nested deeper than ${this.#limits.maxDepth}`);
        }
        if (this.#empty) complete = started;
        else {
          open.push(started);
          tags.push(this.#tag);
          scopes.push(this.#scope);
          current = started;
          if (open.length > CERTAIN_DEPTH) this.certain = false;
        }
      }
      if (complete && !current) return complete;
      if (complete && current) {
        if (current.children === NO_CHILDREN) current.children = [complete];
        else current.children.push(complete);
      }
    }
  }

  /** After the root only white space, comments and processing instructions may follow. */
  epilog(): true | null {
    if (!this.#miscellaneous()) return null;
    if (this.#at === this.#text.length) return true;
    return this.#refuse('malformed', 'something follows the root element');
  }

  #declaration(): true | null {
    const found = this.#match(DECLARATION);
    if (!found || found[0].length > MAX_DECLARATION_LENGTH) {
      return this.#refuse('malformed', 'the XML declaration is not understood');
    }
    const encoding = found[3] ?? 'utf-8';
    if (encoding.toLowerCase() === 'utf-8') return true;
    return this.#refuse('not-utf8', 'the XML declaration names an encoding other than UTF-8');
  }

  /** White space, comments and processing instructions outside the root. */
  #miscellaneous(): true | null {
    for (;;) {
      this.#match(SPACE);
      const comment = this.#text.startsWith('<!--', this.#at);
      if (!comment && !this.#text.startsWith('<?', this.#at)) return true;
      if (!this.#commentOrInstruction()) return null;
    }
  }

  #commentOrInstruction(): true | null {
    const text = this.#text;
    this.certain = false;
    if (text.startsWith('<!--', this.#at)) {
      const end = text.indexOf('--', this.#at + 4);
      if (end >= 0 && text.charCodeAt(end + 2) === GREATER_THAN) return this.#moveTo(end + 3);
    } else if (text.startsWith('<?', this.#at)) {
      const end = text.indexOf('?>', this.#at + 2);
      const nameEnd = this.#nameEnd(this.#at + 2);
      const name = text.slice(this.#at + 2, nameEnd);
      const spaced = nameEnd === end || /[ \t\r\n]/.test(text.charAt(nameEnd));
      if (end >= 0 && name !== '' && spaced && name.toLowerCase() !== 'xml') return this.#moveTo(end + 2);
    }
    return this.#refuse('malformed', 'a comment, processing instruction or declaration is not understood');
  }

  #cdata(current: Reading): true | null {
    this.certain = false;
    const start = this.#at + '<![CDATA['.length;
    const end = this.#text.indexOf(']]>', start);
    if (end < 0) {
      return this.#refuse('malformed', 'a CDATA section does not end');
    }
    current.text += unifyLineEnds(this.#text.slice(start, end));
    return this.#moveTo(end + 3);
  }

  #endTag(tag: string): true | null {
    const nameEnd = this.#at + 2 + tag.length;
    if (this.#text.startsWith(tag, this.#at + 2)) {
      if (this.#text.charCodeAt(nameEnd) === GREATER_THAN) return this.#moveTo(nameEnd + 1);
      this.#at = nameEnd;
      if (this.#match(TAG_END)?.[1] === '') return true;
    }
    return this.#refuse('malformed', 'an end tag does not match its start tag');
  }

  #startTag(outer: Scope): Reading | null {
    const nameStart = this.#at + 1;
    const nameEnd = this.#nameEnd(nameStart);
    const tag = this.#text.slice(nameStart, nameEnd);
    if (this.#text.charCodeAt(this.#at) !== LESS_THAN || tag === '' || tag.length > MAX_NAME_LENGTH) {
      return this.#refuse('malformed', 'a start tag is not understood');
    }
    this.#elements += 1;
    if (this.#elements > this.#limits.maxElements) {
      return this.#refuse('too-many-elements', `more than ${this.#limits.maxElements} elements`);
    }
    this.#at = nameEnd;
    let scope: Scope | null = outer;
    this.#empty = false;
    if (this.#text.charCodeAt(nameEnd) === GREATER_THAN) this.#at += 1;
    else {
      scope = this.#attributes(outer);
      if (!scope) return null;
      const end = this.#match(TAG_END);
      if (!end) return this.#refuse('malformed', 'a start tag is not understood');
      this.#empty = end[1] === '/';
    }
    const colon = tag.indexOf(':');
    const namespace = colon < 0 ? scope.unprefixed : scope.prefixes.get(tag.slice(0, colon));
    const name = tag.slice(colon + 1);
    if (namespace === undefined || name.includes(':')) {
      return this.#refuse('malformed', 'an element name has an undeclared prefix');
    }
    const plainStart = beginsName(name.charCodeAt(0));
    // libxml2 lets any sign follow a prefix; no standard of ours has a prefixed name beyond ASCII.
    if (colon >= 0 && !plainStart) return this.#refuse('malformed', 'a prefix without a name');
    if (colon >= 0 || !plainStart) this.certain = false;
    this.#tag = tag;
    this.#scope = scope;
    return { namespace, name, text: '', children: NO_CHILDREN };
  }

  #attributes(outer: Scope): Scope | null {
    const seen: string[] = [];
    let scope = outer;
    for (let found = this.#match(ATTRIBUTE); found; found = this.#match(ATTRIBUTE)) {
      const name = found[1] ?? '';
      const value = this.#decode(found[2] ?? found[3] ?? '');
      if (value === null) return null;
      if (seen.includes(name) || seen.length === MAX_ATTRIBUTES || name.length > MAX_NAME_LENGTH) {
        return this.#refuse('malformed', 'an element has an attribute twice, or too many, or one with a long name');
      }
      seen.push(name);
      if (name !== 'xmlns' || !DECLARED.has(value)) this.certain = false;
      if (name === 'xmlns') scope = { unprefixed: namespaceOf(value), prefixes: scope.prefixes };
      else if (name.startsWith('xmlns:')) {
        const prefixes = new Map(scope.prefixes).set(name.slice('xmlns:'.length), namespaceOf(value));
        scope = { unprefixed: scope.unprefixed, prefixes };
      }
    }
    return scope;
  }

  #addText(current: Reading, raw: string): true | null {
    if (this.#plain) {
      current.text = current.text === '' ? raw : current.text + raw;
      return true;
    }
    if (raw.includes(']]>')) {
      return this.#refuse('malformed', "']]>' outside CDATA");
    }
    const decoded = this.#decode(raw);
    if (decoded === null) return null;
    current.text = current.text === '' ? decoded : current.text + decoded;
    return true;
  }

  #decode(raw: string): string | null {
    if (this.#plain) return raw;
    const unified = unifyLineEnds(raw);
    if (!unified.includes('&')) return unified;
    let decoded = '';
    let end = 0;
    for (const found of unified.matchAll(REFERENCE)) {
      const character = referenced(found);
      if (character === undefined) return this.#refuse('entity', 'a reference that XML does not define');
      decoded += unified.slice(end, found.index) + character;
      end = found.index + found[0].length;
    }
    return decoded + unified.slice(end);
  }

  #nameEnd(start: number): number {
    const text = this.#text;
    let at = start;
    for (let code = text.charCodeAt(at); code >= 128 || NAME_CHARACTER[code] === 1; code = text.charCodeAt(at)) {
      if (code >= 128) this.certain = false;
      at += 1;
    }
    return at;
  }

  /** Matches a sticky expression here and moves behind it. */
  #match(expression: RegExp): RegExpExecArray | null {
    expression.lastIndex = this.#at;
    const found = expression.exec(this.#text);
    if (found) this.#at += found[0].length;
    return found;
  }

  #moveTo(at: number): true {
    this.#at = at;
    return true;
  }

  #refuse(code: XmlRefusal, text: string): null {
    this.refusal = failure(code, `${text} (at character ${this.#at})`);
    return null;
  }
}

/** A letter of ASCII, or `_`. */
function beginsName(code: number): boolean {
  return code === UNDERSCORE || ((code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a);
}

/** What our peers declare. */
const DECLARED: ReadonlySet<string> = new Set(['SYNCML:SYNCML1.2', 'syncml:metinf', 'syncml:dmddf1.2']);

/** One word for each namespace of the standards, whatever its version: VerDTD is what tells the version. */
function namespaceOf(uri: string): Namespace {
  if (uri === 'syncml:metinf') return 'metinf'; // by far the most frequent: on each child of Meta
  const known = uri.trim().toLowerCase();
  if (known.startsWith('syncml:metinf')) return 'metinf';
  if (known.startsWith('syncml:dmddf')) return 'dmddf';
  return known.startsWith('syncml:syncml') ? 'syncml' : 'other';
}

/** XML 1.0 §2.11: every literal line end reaches the reader as one line feed. */
function unifyLineEnds(raw: string): string {
  return raw.includes('\r') ? raw.replace(/\r\n?/g, '\n') : raw;
}

/** The character that a match of REFERENCE stands for; undefined for a bare `&` and for what XML forbids. */
function referenced([, name, decimal, hex]: RegExpMatchArray): string | undefined {
  if (decimal !== undefined) return characterOf(Number(decimal));
  return hex === undefined ? PREDEFINED[name ?? ''] : characterOf(Number.parseInt(hex, 16));
}

/** XML 1.0 §2.2, Char; undefined for code points that no document may contain. */
function characterOf(code: number): string | undefined {
  const allowed =
    code === 0x9 ||
    code === 0xa ||
    code === 0xd ||
    (code >= 0x20 && code <= 0xd7ff) ||
    (code >= 0xe000 && code <= 0xfffd) ||
    (code >= 0x10000 && code <= 0x10ffff);
  return allowed ? String.fromCodePoint(code) : undefined;
}
