import type { Element, Namespace } from './element.js';

const DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>';

/** Declared where the namespace changes: on SyncML, on each child of Meta, on MgmtTree. `other` is never declared. */
const DECLARED: Readonly<Record<Namespace, string>> = {
  syncml: ' xmlns="SYNCML:SYNCML1.2"',
  metinf: ' xmlns="syncml:metinf"',
  dmddf: ' xmlns="syncml:dmddf1.2"',
  other: '',
};

/**
 * The octets of a document with its XML declaration, without white space between elements. Characters that XML 1.0 cannot hold
 * (most control characters) become U+FFFD: a caller that must keep them asks `isXmlText` first and sends base64.
 * @throws TypeError for an element whose text is octets: XML carries base64, and only the caller knows its Meta
 */
export function writeXml(root: Element): Uint8Array {
  return Buffer.from(DECLARATION + writeXmlFragment(root), 'utf8');
}

/**
 * Writes an element as it stands inside another one.
 * @param within namespace of the enclosing element; the element declares its own only where it differs
 * @throws TypeError as `writeXml`
 */
export function writeXmlFragment(element: Element, within: Namespace = 'other'): string {
  const { name, text, children } = element;
  if (typeof text !== 'string') throw new TypeError(`raw octets in <${name}>: XML needs base64 text`);
  const start = element.namespace === within ? `<${name}` : `<${name}${DECLARED[element.namespace]}`;
  if (children.length > 0) {
    let content = '';
    for (const inner of children) content += writeXmlFragment(inner, element.namespace);
    return `${start}>${content}</${name}>`;
  }
  return text === '' ? `${start}/>` : `${start}>${escapeText(text)}</${name}>`;
}

/** Whether XML can carry the text unchanged (XML 1.0 §2.2, Char). */
export function isXmlText(text: string): boolean {
  return !NOT_A_CHARACTER.test(text);
}

/** `>` because of `]]>`, carriage return because a parser turns a bare one into a line feed (XML 1.0 §2.4, §2.11). */
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' };
const NEEDS_ESCAPE = /[&<>\r\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/;
const EACH_ESCAPE = new RegExp(NEEDS_ESCAPE, 'g');
/** In a `u` expression surrogates match only where they stand alone. */
const NOT_A_CHARACTER = /[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]/u;

function escapeText(text: string): string {
  return NEEDS_ESCAPE.test(text) ? text.replace(EACH_ESCAPE, (found) => ESCAPES[found] ?? '\ufffd') : text;
}
