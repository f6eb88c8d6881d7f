import type { Element, Namespace } from './element.js';
import type { ElementName, StartTags } from './element-name.js';
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
  /** Elements that are open. */
  readonly #open: ElementName[] = [];
  /** Namespace of the innermost of them. */
  #within: Namespace;
  /** How that one begins, while it has nothing in it. */
  #bare: StartTags | undefined;

  /** @param around namespace of the enclosing element */
  constructor(private readonly around: Namespace = 'other') {
    this.#within = around;
  }

  open(name: ElementName): void {
    this.#bare = this.#begin(name);
    this.#open.push(name);
    this.#within = name.namespace;
  }

  close(): void {
    const name = this.#open.pop();
    if (!name) throw new Error('no element is open');
    this.text += this.#bare ? this.#bare.empty : name.end;
    this.#bare = undefined;
    this.#within = this.#open[this.#open.length - 1]?.namespace ?? this.around;
  }

  leaf(name: ElementName, text: string | Uint8Array): void {
    if (typeof text !== 'string') throw new TypeError(`raw octets in <${name.name}>: XML needs base64 text`);
    const { start, empty } = this.#begin(name);
    this.text += text === '' ? empty : start + escapeText(text) + name.end;
  }

  /** As text and as octets, with the declaration. */
  get whole(): string {
    return DECLARATION + this.text;
  }

  document(): Uint8Array {
    return octetsOf(this.whole, 'utf8');
  }

  /** The innermost open element gets content, and this is how that begins. */
  #begin({ namespace, inherited, declared }: ElementName): StartTags {
    if (this.#bare) this.text += this.#bare.start;
    this.#bare = undefined;
    return namespace === this.#within ? inherited : declared;
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
