import type { Element, Namespace } from './element.js';
import type { ElementName, XmlTags } from './element-name.js';
import { octetsOf } from './octets.js';
import { pour, type ElementSink } from './sink.js';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';

/**
 * The octets of a document with its XML declaration, without white space between elements. Characters that XML 1.0 cannot hold
 * (most control characters) become U+FFFD: a caller that must keep them asks `isXmlText` first and sends base64.
 * @throws TypeError for an element whose text is octets: XML carries base64, and only the caller knows its Meta
 */
export function writeXml(root: Element): Uint8Array {
  const writer = new XmlWriter();
  pour(root, writer);
  return writer.document();
}

/**
 * Writes an element as it stands inside another one.
 * @param within namespace of the enclosing element; the element declares its own only where it differs
 * @throws TypeError as `writeXml`
 */
export function writeXmlFragment(element: Element, within: Namespace = 'other'): string {
  const writer = new XmlWriter(within);
  pour(element, writer);
  return writer.text;
}

/** Writes XML: knows which namespace is in force, and which start tag is still to be written. */
export class XmlWriter implements ElementSink {
  /** What was written, without declaration. */
  text = '';
  /** Tags of the elements that are open, and the namespace around each. */
  readonly #open: XmlTags[] = [];
  readonly #around: Namespace[] = [];
  #within: Namespace;
  /** The innermost open element has nothing in it so far. */
  #bare = false;

  /** @param within namespace of the enclosing element */
  constructor(within: Namespace = 'other') {
    this.#within = within;
  }

  open(name: ElementName): void {
    this.#fill();
    this.#open.push(this.#tags(name));
    this.#around.push(this.#within);
    this.#within = name.namespace;
    this.#bare = true;
  }

  close(): void {
    const tags = this.#open.pop();
    const around = this.#around.pop();
    if (!tags || around === undefined) throw new Error('no element is open');
    this.text += this.#bare ? tags.empty : tags.end;
    this.#bare = false;
    this.#within = around;
  }

  leaf(name: ElementName, text: string | Uint8Array): void {
    if (typeof text !== 'string') throw new TypeError(`raw octets in <${name.name}>: XML needs base64 text`);
    this.#fill();
    const tags = this.#tags(name);
    this.text += text === '' ? tags.empty : tags.start + escapeText(text) + tags.end;
  }

  /** As text and as octets, with the declaration. */
  get whole(): string {
    return DECLARATION + this.text;
  }

  document(): Uint8Array {
    return octetsOf(this.whole, 'utf8');
  }

  #tags(name: ElementName): XmlTags {
    return name.namespace === this.#within ? name.inherited : name.declared;
  }

  /** The innermost open element gets its first content. */
  #fill(): void {
    if (!this.#bare) return;
    this.text += this.#open.at(-1)?.start ?? '';
    this.#bare = false;
  }
}

/** Whether XML can carry the text unchanged (XML 1.0 §2.2, Char). */
export function isXmlText(text: string): boolean {
  return PLAIN.test(text) || !NOT_A_CHARACTER.test(text);
}

/** ASCII that stands in XML as it is: what nearly every text of a message consists of. */
const PLAIN = /^[\t\n\x20-\x25\x27-\x3b=\x3f-\x7f]*$/;
/** `>` because of `]]>`, carriage return because a parser turns a bare one into a line feed (XML 1.0 §2.4, §2.11). */
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' };
const NEEDS_ESCAPE = /[&<>\r\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;
const EACH_ESCAPE = new RegExp(NEEDS_ESCAPE, 'g');
/** In a `u` expression surrogates match only where they stand alone. */
const NOT_A_CHARACTER = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]/u;

function escapeText(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(EACH_ESCAPE, (found) => ESCAPES[found] ?? '\ufffd') : text;
}
